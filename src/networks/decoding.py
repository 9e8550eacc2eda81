"""A unit of work of its own: pictures into the decoded stores of a machine, before any GPU would wait for them."""

from collections.abc import Iterable, Iterator

from src.data.decoded import Store
from src.data.rows import Dataset
from src.networks import classifiers, encoders
from src.schema.competition import Competition
from src.schema.models import FineTune
from src.schema.networks import Encoder


def decode_pictures(
    competition: Competition, data: Dataset, specs: Iterable[Encoder], trained: Iterable[FineTune]
) -> None:
    """Decode the pictures of all rows that encoders and networks that are trained read, where they are not stored."""
    for store in stores(competition, data, specs, trained):
        store.pictures(data.rows)


def are_decoded(competition: Competition, data: Dataset, specs: Iterable[Encoder], trained: Iterable[FineTune]) -> bool:
    """Whether this machine has all of them that have room."""
    return not any(store.lacks(data.rows) for store in stores(competition, data, specs, trained))


def stores(
    competition: Competition, data: Dataset, specs: Iterable[Encoder], trained: Iterable[FineTune]
) -> Iterator[Store]:
    """The stores that they read, each once."""
    of_encoders = [(encoders.store(competition, data, spec), spec) for spec in specs]
    read = [store for store, spec in of_encoders if encoders.is_read(store, spec, spec.views)]
    sizes = dict.fromkeys(map(classifiers.size, trained))
    read += [encoders.trained_store(competition, data, size) for size in sizes]
    yield from {store.folder: store for store in read}.values()
