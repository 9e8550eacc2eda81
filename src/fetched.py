"""torchvision's data sets: what is known of each, and what goes wrong with a download, as sentences."""

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

from src.base.errors import UserError
from src.base.files import refusals, replacing_folder
from src.base.threads import parallel


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

    def made(self, folder: Path, options: dict[str, Any]) -> Path:
        size = options.get("size", "full")
        return folder / self.unpacked.format(size="" if size == "full" else "-" + size.removesuffix("px"))

    def remedy(self, folder: Path, options: dict[str, Any]) -> str:
        return f"delete {self.made(folder, options)} and run the same command again"


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


@contextmanager
def fetching(name: str, folder: Path, about: About, library: Any, options: dict[str, Any]) -> Iterator[None]:
    """Turns what goes wrong in the library's own download and reading into a UserError that says what to do."""
    url = about.url(library, options)
    archive, made = about.archive(folder, url), about.made(folder, options)
    again = "and run the same command again"
    if not made.exists():
        print(f"{name}: {archive if archive.is_file() else url} is unpacked to {made}")
    with refusals(folder):
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
            raise UserError(
                f"{name}: {what}, the unpacking stopped perhaps: {about.remedy(folder, options)}"
            ) from error
        except BROKEN as error:
            there = [str(path) for path in (archive, made) if path.exists()]
            raise UserError(
                f"{name} is there but not whole ({str(error) or type(error).__name__}): "
                f"delete {' and '.join(there) or folder} {again}"
            ) from error


def of_official_size(name: str, split: str, have: int, want: int, remedy: str) -> None:
    """Raises UserError: A split has other rows than it was published with."""
    if have != want:
        raise UserError(f"{name}: its split {split!r} has {have:,} rows here, and {want:,} as published: {remedy}")


def write_pngs(folder: Path, split: str, made: Any) -> list[str]:
    """Writes the pictures of `made`, which has no files of its own, once: <split>/00000.png and on.

    Returns their paths relative to `folder`.
    """
    names = [f"{split}/{i:05d}.png" for i in range(len(made))]
    if not (folder / split).is_dir():
        with replacing_folder(folder / split) as part:

            def save(i: int) -> None:
                made[i][0].save(part / Path(names[i]).name)

            print(f"writing {len(names):,} pictures to {folder / split}")
            for _ in parallel(save, range(len(names)), f"{split} pictures"):
                pass
    return names
