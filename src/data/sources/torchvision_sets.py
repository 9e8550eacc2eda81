"""Data sets as competitions: pictures that were published with their labels, in their own layout on disk.

Each source fetches a data set to input/<slug>/ and writes the tables of a competition there:
train.csv, test.csv, sample_submission.csv and solution.csv, whose rows are all Public. The official validation rows
are the test rows. A data set that is there already is used.
"""

import http.client
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pandas as pd
from pydantic import model_validator

from src.base.errors import UserError, unknown
from src.base.files import explain_os_errors, replacing_folder
from src.base.threads import parallel
from src.data.sources.written import DataSet, check_published, check_splits, link_inputs, slug_of
from src.schema.strict import Text


@dataclass(frozen=True)
class About:
    rows: dict[str, int]  # of each official split
    test: str  # the split that is validated on where a config says nothing
    unpacked: str  # the folder that the archive becomes, below the root
    inside: str = ""  # where the archive lies, below the root
    options: dict[str, tuple] = field(default_factory=dict)
    is_cifar: bool = False  # its class takes train=True for split="train"
    in_one_file: bool = False  # its pictures are no files

    def url(self, library: Any, options: dict[str, Any]) -> str:
        if hasattr(library, "_ARCHIVES"):
            return library._ARCHIVES[options.get("size", "full")][0]
        if hasattr(library, "_file_dict"):
            return library._download_url_prefix + library._file_dict["image"][0]
        return getattr(library, "url", None) or library._URL

    def archive(self, folder: Path, url: str) -> Path:
        return folder / self.inside / url.rpartition("/")[2]

    def unpacked_folder(self, folder: Path, options: dict[str, Any]) -> Path:
        size = options.get("size", "full")
        return folder / self.unpacked.format(size="" if size == "full" else "-" + size.removesuffix("px"))

    def remedy(self, folder: Path, options: dict[str, Any]) -> str:
        return f"delete {self.unpacked_folder(folder, options)} and run the same command again"


THIRDS = {"train": 3_334, "val": 3_333, "trainval": 6_667, "test": 3_333}
TORCHVISION = {
    "Imagenette": About(
        {"train": 9_469, "val": 3_925},
        "val",
        "imagenette2{size}",
        options={"size": ("full", "320px", "160px")},
    ),
    "CIFAR10": About({"train": 50_000, "test": 10_000}, "test", "cifar-10-batches-py", is_cifar=True, in_one_file=True),
    "CIFAR100": About({"train": 50_000, "test": 10_000}, "test", "cifar-100-python", is_cifar=True, in_one_file=True),
    "DTD": About(
        {"train": 1_880, "val": 1_880, "test": 1_880},
        "val",
        "dtd/dtd",
        inside="dtd",
        options={"partition": tuple(range(1, 11))},
    ),
    "FGVCAircraft": About(
        THIRDS, "val", "fgvc-aircraft-2013b", options={"annotation_level": ("variant", "family", "manufacturer")}
    ),
    "Flowers102": About({"train": 1_020, "val": 1_020, "test": 6_149}, "val", "flowers-102/jpg", inside="flowers-102"),
    "Food101": About({"train": 75_750, "test": 25_250}, "test", "food-101"),
    "STL10": About({"train": 5_000, "test": 8_000}, "test", "stl10_binary", in_one_file=True),
}
# What a half-downloaded archive, or a half-unpacked one, raises in the library.
BROKEN = (tarfile.TarError, zlib.error, EOFError, pickle.UnpicklingError, RuntimeError, ValueError, KeyError)
CUT_OFF = (URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class Torchvision(DataSet):
    """A data set of torchvision.datasets, by its class name: Torchvision("Imagenette", size="320px").

    What is used where it lies below input/<slug>/ already, the slug being the name in small letters:

    - Imagenette: imagenette2-320/{train,val}/<wnid>/*.JPEG
    - CIFAR10: cifar-10-batches-py/data_batch_1 and so on; CIFAR100: cifar-100-python/{train,test,meta}
    - DTD: dtd/dtd/{images,labels}/
    - FGVCAircraft: fgvc-aircraft-2013b/data/
    - Flowers102: flowers-102/{jpg/,imagelabels.mat,setid.mat}
    - Food101: food-101/{images,meta}/
    - STL10: stl10_binary/*.bin

    Or the archive, as it comes from its site, where torchvision would put it: a message names it. Pictures of CIFAR
    and STL10, which lie in one file, are written once as PNGs to input/<slug>/<split>/.
    """

    name: Text
    options: dict[str, Any] = {}  # further arguments of the class: size of Imagenette, partition of DTD

    def __init__(self, name: str, **fields):
        known = {field: fields.pop(field) for field in list(fields) if field in type(self).model_fields}
        options = {**known.pop("options", {}), **fields}
        about = TORCHVISION.get(name)
        defaults = {"slug": slug_of(str(name).lower()), "test": about.test if about else "val"}
        super().__init__(name=name, options=options, **{**defaults, **known})

    @model_validator(mode="after")
    def is_known(self):
        if self.name not in TORCHVISION:
            raise ValueError(unknown("torchvision data set", self.name, TORCHVISION))
        about = TORCHVISION[self.name]
        for option, value in self.options.items():
            if option not in about.options:
                raise ValueError(f"{self.name}: {unknown('option', option, ['train', 'test', 'slug', *about.options])}")
            if value not in about.options[option]:
                raise ValueError(f"{self.name}: {unknown(option, value, map(str, about.options[option]))}")
        return check_splits(self, self.name, about.rows)

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        about = TORCHVISION[self.name]
        link_inputs(folder, about.inside)
        parts = {split: self.read_split(folder, split) for split in (self.train, self.test)}
        return check_published(self.name, folder, parts, about.rows, about.remedy(folder, self.options))

    def read_split(self, folder: Path, split: str) -> pd.DataFrame:
        import torchvision

        about, library = TORCHVISION[self.name], getattr(torchvision.datasets, self.name)
        with fetching(self.name, folder, about, library, self.options):
            which = {"train": split == "train"} if about.is_cifar else {"split": split}
            paths = {} if about.in_one_file else {"loader": str}  # a picture is then its path
            data = library(folder, download=True, **which, **paths, **self.options)
            names = [name[0] if isinstance(name, tuple) else name for name in data.classes]
            items = [] if about.in_one_file else [data[i] for i in range(len(data))]
        words = [name.replace("_", " ") for name in names]
        if about.in_one_file:
            images = write_pngs(folder, split, data)
            targets = data.targets if about.is_cifar else data.labels
        else:
            images = [Path(path).relative_to(folder).as_posix() for path, _ in items]
            targets = [target for _, target in items]
        return pd.DataFrame({"image": images, "label": [words[int(target)] for target in targets]})


@contextmanager
def fetching(name: str, folder: Path, about: About, library: Any, options: dict[str, Any]) -> Iterator[None]:
    """Turn an error of the library's own download and reading into a UserError that says what to do."""
    url = about.url(library, options)
    archive, unpacked = about.archive(folder, url), about.unpacked_folder(folder, options)
    again = "and run the same command again"
    if not unpacked.exists():
        print(f"{name}: {archive if archive.is_file() else url} is unpacked to {unpacked}")
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except CUT_OFF as error:
            there = f"{archive} is there but is not the whole file, and " if archive.is_file() else ""
            why = getattr(error, "reason", None) or error
            raise UserError(
                f"{name}: {there}{url} cannot be downloaded ({why}): download it elsewhere and put it at {archive}, "
                f"{again}"
            ) from error
        except FileNotFoundError as error:
            what = f"{error.filename} is missing" if error.filename else f"pictures are missing ({error})"
            remedy = about.remedy(folder, options)
            raise UserError(f"{name}: {what}, the unpacking stopped perhaps: {remedy}") from error
        except BROKEN as error:
            there = [str(path) for path in (archive, unpacked) if path.exists()]
            raise UserError(
                f"{name} is there but not whole ({str(error) or type(error).__name__}): "
                f"delete {' and '.join(there) or folder} {again}"
            ) from error


def write_pngs(folder: Path, split: str, data: Any) -> list[str]:
    """Write the pictures of `data`, which has no files of its own, once: <split>/00000.png and on.

    Returns their paths relative to `folder`.
    """
    names = [f"{split}/{i:05d}.png" for i in range(len(data))]
    if not (folder / split).is_dir():
        with replacing_folder(folder / split) as part:

            def save(i: int) -> None:
                data[i][0].save(part / Path(names[i]).name)

            print(f"writing {len(names):,} pictures to {folder / split}")
            for _ in parallel(save, range(len(names)), f"{split} pictures"):
                pass
    return names
