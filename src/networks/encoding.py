"""The pictures whose features are missing, through an encoder into the feature store (networks/features.py).

A killed run resumes with the next shard; images that come later are encoded and the others are not.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from src.base.progress import track
from src.data.decoded import Pictures
from src.data.rows import Dataset, Parts, Rows
from src.networks import encoders, inference
from src.networks.features import Cache, feature_caches
from src.networks.inference import EncoderRunner, Times, Tower
from src.results import shards
from src.schema.competition import Competition
from src.schema.networks import Encoder

OVERFLOWED = ", since features overflow in float16"


def encode_missing(competition: Competition, specs: Sequence[Encoder], data: Parts | Dataset) -> None:
    """Encode all rows by encoders, of which several may be the same, where their features are missing, and say so.

    Raises:
        UserError: As `make_features`.
    """
    by_slug: dict[str, dict[str, Cache]] = {}  # by encoder and view: models may share both
    for spec in specs:
        for cache in feature_caches(competition, spec):
            by_slug.setdefault(encoders.slug(spec), {}).setdefault(cache.view, cache)
    for slug, by_view in by_slug.items():
        counts = encode_rows(competition, list(by_view.values()), data)
        if reused := [view for view, n in counts.items() if n == 0]:
            print(f"{slug}  {', '.join(reused)}  reused: {len(set(data.rows.shas))} images")


def encode_rows(competition: Competition, caches: Sequence[Cache], data: Parts | Dataset) -> dict[str, int]:
    """As `make_features`, of all rows of a competition."""
    spec, views = caches[0].spec, [cache.view for cache in caches]
    pictures = functools.partial(encoders.pictures, encoders.store(competition, data, spec), spec, views)
    return make_features(caches, data.rows, functools.partial(encoders.tower, spec), pictures)


def make_features(
    caches: Sequence[Cache], rows: Rows, load: Callable[[], Tower], pictures: Callable[[Rows], Pictures]
) -> dict[str, int]:
    """Encode the images of `rows` that caches of one encoder lack; an image that is there twice is encoded once.

    Views that lack the same images are made from one loading of them. Where features overflow in float16, and the
    config leaves the precision open, all images are encoded in bfloat16, in every view.

    Args:
        load: Gives the model; called only if there is something to encode, and before anything is changed.
        pictures: Gives the pictures of rows.

    Returns:
        For each view how many images were encoded.

    Raises:
        UserError: The model is not available, or its features are not finite, or the disk is full.
    """
    _, first = np.unique(rows.shas, return_index=True)
    distinct = rows.take(np.sort(first))
    shas, counts = shards.binary(distinct.shas), {cache.view: 0 for cache in caches}
    for precision, parts in plans(caches, shas).items():
        encoder = runner(caches[0].spec, load, precision, max(len(places) for places, _ in parts), len(distinct))
        for places, lacking in parts:
            for cache in lacking:
                cache.begin(precision)
                counts[cache.view] = len(places)
            todo = distinct.take(places)
            if not encode(lacking, encoder, todo, shas[places], pictures(todo)):
                del encoder  # or its weights would stay in memory beside those of the next one
                for cache in caches:  # all views of a model are of one precision
                    cache.begin(encoders.WIDER, OVERFLOWED)
                again = make_features(caches, rows, load, pictures)
                return {view: again[view] or n for view, n in counts.items()}
    return counts


def plans(caches: Sequence[Cache], shas: np.ndarray) -> dict[str, list[tuple[np.ndarray, list[Cache]]]]:
    """By precision the places of what is missing, with the caches that lack just these: see `Cache.plan`."""
    together: dict[str, dict[bytes, tuple[np.ndarray, list[Cache]]]] = {}
    for cache in caches:
        places, precision = cache.plan(shas)
        if len(places):
            together.setdefault(precision, {}).setdefault(places.tobytes(), (places, []))[1].append(cache)
    return {precision: list(parts.values()) for precision, parts in together.items()}


def runner(spec: Encoder, load: Callable[[], Tower], precision: str, most: int, total: int) -> EncoderRunner:
    tower = inference.cast_weights(load(), precision)
    return EncoderRunner(tower, encoders.title(spec), precision, spec.batch_size, spec.compile, most, total)


def encode(caches: Sequence[Cache], encoder: EncoderRunner, todo: Rows, shas: np.ndarray, pictures: Pictures) -> bool:
    """Encode all pictures into all the caches, a shard at a time.

    Returns:
        False where features are not finite and another precision is to be taken: the caches are not whole then.
    """
    slug, views = encoders.slug(caches[0].spec), [cache.view for cache in caches]
    may_overflow = caches[0].spec.precision == "auto" and encoder.precision == "float16"
    times, pending, start = Times(), [], 0
    batches = inference.encode(encoder, pictures, range(len(todo)), views, times)
    for feats in track(batches, f"features {slug}", len(todo), "images", of=lambda feats: len(feats[views[0]])):
        if may_overflow and not all(np.isfinite(feats[view]).all() for view in views):
            return False
        pending.append(feats)
        n = sum(len(batch[views[0]]) for batch in pending)
        if n + encoder.batch_size <= shards.ROWS and start + n < len(todo):
            continue
        for cache in caches:
            shard = np.concatenate([batch[cache.view] for batch in pending])
            cache.add(todo.ids[start : start + n], shas[start : start + n], shard)
        start, pending = start + n, []
    print(f"{slug}  {', '.join(views)}  {times.summary(len(todo))}")
    return True
