"""WILDS' data sets: their archives, and the rows of their official splits (Koh et al. 2021)."""

import gzip
import os.path
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import model_validator

from src.base.errors import UserError, unknown
from src.base.files import explain_os_errors, replacing
from src.base.parts import remove_strays
from src.base.progress import track
from src.data.sources.written import DataSet, check_published, check_splits, link_inputs, slug_of
from src.schema.strict import Text

CHUNK_BYTES = 1_000_000
TIMEOUT_S = 60  # without a byte until a download is given up


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
        return check_splits(self, self.name, WILDS[self.name].rows)

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        about = WILDS[self.name]
        data = folder / f"{self.name}_v{about.version}"
        link_inputs(folder, data.name)
        fetch(self.name, data)
        remedy = f"delete {data} and fetch it again"
        try:
            df = about.read(data)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.name} is there but not whole ({error}): {remedy}") from error
        df["image"] = f"{data.name}/" + df["image"]
        rows = df[["image", *about.groups, "label"]]
        parts = {split: rows[df["split"] == split].reset_index(drop=True) for split in (self.train, self.test)}
        return check_published(self.name, folder, parts, about.rows, remedy)


def fetch(name: str, data: Path) -> None:
    """Unpack the archive to `data`, and download it unless it lies there; a data set with its RELEASE file is used.

    Raises:
        UserError: The archive is not available, is broken or not this data set's, or the disk is full.
    """
    from requests import RequestException

    about = WILDS[name]
    archive, release = data / "archive.tar.gz", data / f"RELEASE_v{about.version}.txt"
    if release.is_file():
        return
    print(f"{name}: {archive if archive.is_file() else about.url} is unpacked to {data}")
    with explain_os_errors(data):
        data.mkdir(parents=True, exist_ok=True)
        remove_strays(data)  # 54 GB of a killed download
        try:
            if not archive.is_file():
                download(about, archive)
            unpack(archive, release)
        except (RequestException, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise UserError(
                f"{name} cannot be fetched ({error}): download {about.url} to {archive}, or delete that file if it is "
                "there and broken, and run the same command again"
            ) from error


def download(about: "About", archive: Path) -> None:
    """Download all of the archive or nothing: its server sends no parts and names no size."""
    import requests

    plain = {"Accept-Encoding": "identity"}  # or the server packs it a second time
    with requests.get(about.url, headers=plain, stream=True, timeout=TIMEOUT_S) as response, replacing(archive) as part:
        response.raise_for_status()
        with part.open("wb") as file:
            for chunk in track(response.iter_content(CHUNK_BYTES), archive.parent.name, about.size, "bytes", of=len):
                file.write(chunk)


def unpack(archive: Path, release: Path) -> None:
    """Unpack `archive` where it lies and remove it.

    `release`, by which a data set counts as whole, gets its name last.

    Raises:
        TarError: An entry would land outside of the folder or is a link, or there is no `release`, or no archive.
    """
    waiting = release.with_name(f".{release.name}.part")

    def allowed(entry: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
        if entry.issym() or entry.islnk():
            raise tarfile.TarError(f"its entry {entry.name!r} is a link")
        entry = tarfile.data_filter(entry, folder)
        return entry.replace(name=waiting.name) if os.path.normpath(entry.name) == release.name else entry

    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(archive.parent, filter=allowed)
    if not waiting.is_file():
        raise tarfile.TarError(f"there is no {release.name} in it")
    waiting.replace(release)
    archive.unlink()


def fmow(data: Path) -> pd.DataFrame:
    """Read the rows of Functional Map of the World but the sequestered ones: split, image, region, year, label.

    The rows to train on are those before 2013, and so are id_val and id_test; val is of 2013 to 2015, test of 2016 on.
    """
    df = pd.read_csv(data / "rgb_metadata.csv", usecols=["split", "category", "country_code", "timestamp"])
    df = df[df["split"] != "seq"]  # but a picture's number is that of its row among all
    countries = pd.read_csv(data / "country_code_mapping.csv", usecols=["alpha-3", "region"])
    region_of = dict(zip(countries["alpha-3"], countries["region"], strict=True))
    year = pd.to_datetime(df["timestamp"], format="ISO8601", utc=True).dt.year  # some have milliseconds
    if not year.between(2002, 2017).all():
        raise ValueError("rgb_metadata.csv has timestamps that are not of 2002 to 2017")
    early, late = year < 2013, year >= 2016
    parts = {
        "train": ("train", early),
        "id_val": ("val", early),
        "id_test": ("test", early),
        "val": ("val", ~early & ~late),
        "test": ("test", late),
    }
    return pd.DataFrame(
        {
            "split": np.select([(df["split"] == official) & years for official, years in parts.values()], [*parts], ""),
            "image": [f"images/rgb_img_{i}.png" for i in df.index],
            "region": [region_of.get(code, "Other") for code in df["country_code"]],
            "year": year,
            "label": df["category"].str.replace("_", " "),
        }
    )


def iwildcam(data: Path) -> pd.DataFrame:
    """Read all rows of iWildCam 2020: split, image, location (the camera), sequence, label."""
    columns = ["split", "filename", "location_remapped", "sequence_remapped", "y"]
    df = pd.read_csv(data / "metadata.csv", usecols=columns)
    return pd.DataFrame(
        {
            "split": df["split"],
            "image": "train/" + df["filename"],
            "location": df["location_remapped"],
            "sequence": df["sequence_remapped"],
            "label": df["y"].map(species(data, set(df["y"]))),
        }
    )


def species(data: Path, numbers: set[int]) -> dict[int, str]:
    """Read each number's Latin name from categories.csv; one that an earlier number has gets its own number added.

    Raises:
        UserError: The file is missing, or has no name for a number.
    """
    path = data / "categories.csv"
    try:
        df = pd.read_csv(path).drop_duplicates("y").sort_values("y")
        names = df["name"].where(~df.duplicated("name"), df["name"] + " (" + df["y"].astype(str) + ")")
        named = dict(zip(df["y"], names, strict=True))
        return {y: named[y] for y in numbers}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is missing, or has not the columns y and name with every class: delete {data} and fetch it again"
        ) from error


@dataclass(frozen=True)
class About:
    version: str
    url: str
    size: int  # of the archive in bytes, about
    rows: dict[str, int]  # of each official split
    groups: tuple[str, str]  # columns that say what rows have in common
    read: Callable[[Path], pd.DataFrame]


# Rows: Koh et al. 2021. The rest: the code of wilds 2.0.0.
WILDS = {
    "fmow": About(
        "1.1",
        "https://worksheets.codalab.org/rest/bundles/0xaec91eb7c9d548ebb15e1b5e60f966ab/contents/blob/",
        53_893_324_800,
        {"train": 76_863, "id_val": 11_483, "id_test": 11_327, "val": 19_915, "test": 22_108},
        ("region", "year"),
        fmow,
    ),
    "iwildcam": About(
        "2.0",
        "https://worksheets.codalab.org/rest/bundles/0x6313da2b204647e79a14b468131fcd64/contents/blob/",
        11_957_420_032,
        {"train": 129_809, "id_val": 7_314, "id_test": 8_154, "val": 14_961, "test": 42_791},
        ("location", "sequence"),
        iwildcam,
    ),
}
