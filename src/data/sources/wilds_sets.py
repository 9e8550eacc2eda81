"""WILDS' data sets: their import without a question to the network, and their rows (Koh et al. 2021)."""

import contextlib
import functools
import importlib
import io
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import model_validator

from src.base.errors import UserError, unknown
from src.data.sources import written
from src.data.sources.written import DataSet, of_official_size, slug_of, splits_fit
from src.schema.strict import Text

# The splits with their rows (Koh et al. 2021, and the code of wilds 2.0.0), and what a row is of.
WILDS = {
    "fmow": (
        {"train": 76_863, "id_val": 11_483, "id_test": 11_327, "val": 19_915, "test": 22_108},
        ("region", "year"),
    ),
    "iwildcam": (
        {"train": 129_809, "id_val": 7_314, "id_test": 8_154, "val": 14_961, "test": 42_791},
        ("location", "sequence"),
    ),
}


class Wilds(DataSet):
    """A data set of WILDS with its official splits: Wilds("fmow"), Wilds("iwildcam", test="val").

    What is used where it lies below input/<slug>/ already: fmow_v1.1/ and iwildcam_v2.0/ as they are unpacked, each
    with its RELEASE file; or the archive, as fmow_v1.1/archive.tar.gz. Groups: region and year of fmow, location (the
    camera) and sequence of iwildcam. val and test are other years or other cameras than train; id_val and id_test the
    same ones.
    """

    name: Text

    def __init__(self, name: str, **fields):
        super().__init__(name=name, **{"slug": slug_of(str(name)), "test": "id_val", **fields})

    @model_validator(mode="after")
    def is_known(self):
        if self.name not in WILDS:
            raise ValueError(unknown("WILDS data set", self.name, WILDS))
        return splits_fit(self, self.name, WILDS[self.name][0])

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        return splits_of(self.name, folder, (self.train, self.test))


def splits_of(name: str, folder: Path, wanted: tuple[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of two splits of the data set below `folder`, which is fetched if it is not there: image, groups, label.

    Raises:
        UserError: It cannot be fetched, or is not whole.
    """
    sizes, groups = WILDS[name]
    made, data = opened(name, folder)
    columns = {field: made.metadata_array[:, i].tolist() for i, field in enumerate(made.metadata_fields)}
    for field in groups:
        if names := (made.metadata_map or {}).get(field):
            columns[field] = [names[value] if value >= 0 else "" for value in columns[field]]
    df = pd.DataFrame({"image": [f"{data.relative_to(folder).as_posix()}/{image}" for image in images(name, made)]})
    df = df.assign(**{field: columns[field] for field in groups}, label=words(name, made, data))
    remedy = f"delete {data} and fetch it again"
    train, test = (df[made.split_array == made.split_dict[split]].reset_index(drop=True) for split in wanted)
    for split, part in zip(wanted, (train, test), strict=True):
        of_official_size(name, split, len(part), sizes[split], remedy)
    written.be_whole(folder, train, test, f"the unpacking stopped, perhaps: {remedy}")
    return train, test


def opened(name: str, folder: Path) -> tuple[Any, Path]:
    """The library's data set, and the folder that it lies in."""
    library = imported(name)
    version, about = next(iter(library._versions_dict.items()))
    data, url = folder / f"{name}_v{version}", about["download_url"]
    archive, release = data / "archive.tar.gz", data / f"RELEASE_v{version}.txt"
    if not release.is_file():
        print(f"{name}: {archive if archive.is_file() else url} is unpacked to {data}")
    said = io.StringIO()  # it catches all that goes wrong in a download, and prints it
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no picture is of the first year, and the like
            return library(root_dir=str(folder), download=True), data
    except (OSError, ValueError, KeyError, AssertionError) as error:
        if release.is_file():
            raise UserError(f"{name} is there but not whole ({error}): delete {data} and fetch it again") from error
        lines = [line for line in said.getvalue().splitlines() if line.startswith("Exception:")]
        why = lines[0].removeprefix("Exception:").strip() if lines else error
        raise UserError(
            f"{name} cannot be fetched ({why}): download {url} to {archive}, or delete that file if it is there and "
            "broken, and run the same command again"
        ) from error


def images(name: str, made: Any) -> list[str]:
    """The pictures as the library's get_input opens them, below the data set's own folder."""
    if name == "fmow":
        return [f"images/rgb_img_{i}.png" for i in made.full_idxs]
    return [f"train/{file}" for file in made._input_array]


def words(name: str, made: Any, data: Path) -> list[str]:
    """Each row's class.

    iWildCam's are Latin names, of categories.csv; two numbers share one, and the second gets its number behind it.
    """
    if name == "fmow":
        named = {index: word.replace("_", " ") for word, index in made.category_to_idx.items()}
        return [named[int(y)] for y in made.y_array]
    path = data / "categories.csv"
    try:
        df = pd.read_csv(path).drop_duplicates("y")
        given = dict(zip(df["y"].astype(int), df["name"].astype(str), strict=True))
        named, taken = {}, set()
        for y in sorted(given):
            named[y] = given[y] if given[y] not in taken else f"{given[y]} ({y})"
            taken.add(given[y])
        return [named[int(y)] for y in made.y_array]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is missing, or has not the columns y and name with every class: delete {data} and fetch it again"
        ) from error


def imported(name: str) -> type:
    """The WILDS class of a data set.

    At its import wilds asks the package index for its newest version, by the package `outdated`, unless that cannot be
    imported; and switches off Pillow's limit of a picture's size. Neither happens here. And pandas before 2.0 read
    fmow's timestamps, some with milliseconds, where later ones must be told their format (wilds' issue 146).
    """
    from PIL import Image

    kept, limit = sys.modules.get("outdated"), Image.MAX_IMAGE_PIXELS
    sys.modules["outdated"] = None  # an ImportError for who asks
    try:
        module = importlib.import_module(f"wilds.datasets.{name}_dataset")
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        sys.modules.pop("outdated")
        if kept is not None:
            sys.modules["outdated"] = kept
    if name == "fmow":
        to_datetime = functools.partial(pd.to_datetime, format="ISO8601")
        module.pd = types.SimpleNamespace(read_csv=pd.read_csv, to_datetime=to_datetime)  # all that it uses of pandas
    return getattr(module, {"fmow": "FMoWDataset", "iwildcam": "IWildCamDataset"}[name])
