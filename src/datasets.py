"""Data sets as competitions: pictures that were published with their labels, in the library's own layout on disk.

Each source fetches a data set by the library's own code to input/<slug>/ and writes the tables of a competition there:
train.csv, test.csv, sample_submission.csv and solution.csv, whose rows are all Public. The official validation rows
are the test rows. A data set that is there already is used.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, model_validator

from src import splits
from src.base.errors import unknown
from src.base.paths import ROOT
from src.fetched import TORCHVISION, fetching, of_official_size, write_pngs
from src.folders import rows_of, state_of
from src.sources import Source
from src.specs import Text
from src.wild import WILDS, splits_of


class DataSet(Source):
    """What all sources of data sets do: the library's files, then the tables."""

    train: str = "train"
    test: str  # the split that is validated on

    @property
    def key(self) -> dict[str, Any]:
        """All that the tables depend on."""
        return {"source": type(self).__name__, **self.model_dump(exclude={"slug"})}

    def fetch(self, input_dir: Path) -> None:
        folder = input_dir / self.slug
        if not splits.is_written(folder, self.key):
            splits.write(folder, self.key, *self.rows(folder))

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows to train on and to validate on: image (relative to `folder`, or absolute), label, and groups."""
        raise NotImplementedError


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
        return splits_fit(self, self.name, about.rows)

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        about = TORCHVISION[self.name]
        train, test = (self.of_split(folder, split) for split in (self.train, self.test))
        remedy = f"the unpacking stopped, perhaps: {about.remedy(folder, self.options)}"
        splits.be_whole(folder, train, test, remedy)
        for split, df in ((self.train, train), (self.test, test)):
            of_official_size(self.name, split, len(df), about.rows[split], remedy)
        return train, test

    def of_split(self, folder: Path, split: str) -> pd.DataFrame:
        import torchvision

        about, library = TORCHVISION[self.name], getattr(torchvision.datasets, self.name)
        with fetching(self.name, folder, about, library, self.options):
            which = {"train": split == "train"} if about.is_cifar else {"split": split}
            paths = {} if about.in_one_file else {"loader": str}  # a picture is then its path
            made = library(folder, download=True, **which, **paths, **self.options)
            names = [name[0] if isinstance(name, tuple) else name for name in made.classes]
            items = None if about.in_one_file else [made[i] for i in range(len(made))]
        words = [name.replace("_", " ") for name in names]
        if items is None:
            images = write_pngs(folder, split, made)
            targets = made.targets if about.is_cifar else made.labels
        else:
            images = [Path(path).relative_to(folder).as_posix() for path, _ in items]
            targets = [target for _, target in items]
        return pd.DataFrame({"image": images, "label": [words[int(target)] for target in targets]})


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


class Folder(DataSet):
    """Pictures of your own: a folder a class, or a CSV with a column of images and one of labels.

    Folder("input/pets"): input/pets/<class>/*.jpg; with folders train and val (or valid, validation, test) in between,
    these are the splits. Folder("pets/labels.csv", image="file", label="breed"): the images relative to the CSV. Its
    other columns are kept, and a column named by split=... says of each row which split it is of. Where there are no
    splits, a fixed share of each class is held out, and with group=... the rows that share its value stay together.

    The tables are written to input/<slug>/, the slug being the folder's name. Paths are relative to the repository's
    folder, or absolute.
    """

    path: Text
    train: str = ""  # names of splits; empty: found
    test: str = ""
    image: Text = "image"
    label: Text = "label"
    split: Text | None = None
    group: Text | None = None
    share: float = Field(default=0.2, gt=0, lt=0.9)  # held out where there are no splits
    seed: int = Field(default=0, ge=0)

    def __init__(self, path: str, **fields):
        where = Path(str(path)).expanduser()
        named = where.stem if where.suffix.lower() == ".csv" else where.name
        super().__init__(path=path, **{"slug": slug_of(named), **fields})

    @property
    def key(self) -> dict[str, Any]:
        return {**super().key, "files": state_of(ROOT / Path(self.path).expanduser())}

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        return rows_of(self, ROOT / Path(self.path).expanduser(), folder)


def slug_of(name: str) -> str:
    """The name as a folder's: what is neither a letter, a digit nor one of _.- becomes a -."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip("_.-") or "data-set"


def splits_fit(source: DataSet, name: str, known: dict[str, int]) -> DataSet:
    """The source; a ValueError lists the splits where it names one that does not exist, or one twice."""
    for split in (source.train, source.test):
        if split not in known:
            raise ValueError(f"{name}: {unknown('split', split, known)}")
    if source.train == source.test:
        raise ValueError(f"{name}: train and test are both {source.train!r}: validate on another split")
    return source
