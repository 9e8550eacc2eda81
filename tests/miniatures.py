"""Miniatures of public data sets in their own formats on disk: a few made-up pictures that the libraries' readers take.

Each function writes to `root`, which is input/<slug>, with the classes given (all of the config's, if it is to run),
and takes pytest's monkeypatch to tell the library and us the miniature's own checksums and numbers of rows.
"""

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from src.data.sources import wilds_sets
from src.data.sources.torchvision_sets import TORCHVISION

ROWS = {"train": 2, "val": 1, "trainval": 3, "test": 1, "id_val": 1, "id_test": 1}  # a class has of each split


def pixels(target: int, number: int, size: int = 16) -> np.ndarray:
    """(size, size, 3) uint8: noise around the class's own colour, for every number another picture."""
    rng = np.random.default_rng(1_000 * target + number)
    colour = np.random.default_rng(target).integers(0, 200, 3)
    return (colour + rng.integers(0, 56, (size, size, 3))).astype(np.uint8)


def picture(path: Path, target: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(target, number)).save(path)


def resized(monkeypatch, name: str, classes: Sequence[str], splits: Sequence[str], labelled: str = "rows") -> None:
    """Says that the published splits have as many rows as the miniature."""
    about = TORCHVISION[name]
    for split in splits:
        monkeypatch.setitem(getattr(about, labelled), split, ROWS[split] * len(classes))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def imagenette(root: Path, monkeypatch, classes: Sequence[str] = ()) -> None:
    from torchvision.datasets import Imagenette

    wnids = list(Imagenette._WNID_TO_CLASS)
    resized(monkeypatch, "Imagenette", wnids, ("train", "val"))
    for target, wnid in enumerate(wnids):
        for number, split in enumerate(("train", "train", "val")):
            picture(root / "imagenette2-320" / split / wnid / f"{wnid}_{number}.JPEG", target, number)


def cifar(root: Path, monkeypatch, name: str, classes: Sequence[str]) -> None:
    """CIFAR10 or CIFAR100: pickles of rows of pixels, colour by colour."""
    import torchvision

    library = getattr(torchvision.datasets, name)
    resized(monkeypatch, name, classes, ("train", "test"))
    folder, field = root / library.base_folder, "labels" if name == "CIFAR10" else "fine_labels"
    folder.mkdir(parents=True)
    names = [one.replace(" ", "_") for one in classes]
    targets = {"train": [*range(len(classes))] * 2, "test": [*range(len(classes))]}

    def batch(rows: Sequence[tuple[int, int]], file: str) -> list[str]:
        data = np.stack([pixels(target, number, 32).transpose(2, 0, 1).ravel() for number, target in rows])
        (folder / file).write_bytes(pickle.dumps({"data": data, field: [target for _, target in rows]}))
        return [file, md5(folder / file)]

    rows = {part: list(enumerate(targets[part], 100 * (part == "test"))) for part in targets}
    files = [file for file, _ in library.train_list]
    parts = [part.tolist() for part in np.array_split(rows["train"], len(files))]
    monkeypatch.setattr(library, "train_list", [batch(part, file) for part, file in zip(parts, files, strict=True)])
    monkeypatch.setattr(library, "test_list", [batch(rows["test"], library.test_list[0][0])])
    meta = folder / library.meta["filename"]
    meta.write_bytes(pickle.dumps({library.meta["key"]: names}))
    monkeypatch.setattr(library, "meta", {**library.meta, "md5": md5(meta)})


def stl10(root: Path, monkeypatch, classes: Sequence[str]) -> None:
    from torchvision.datasets import STL10

    resized(monkeypatch, "STL10", classes, ("train", "test"))
    folder, lists = root / STL10.base_folder, {}
    folder.mkdir(parents=True)
    for part, times in (("train", 2), ("test", 1)):
        targets = [*range(len(classes))] * times
        shown = [pixels(target, number + 100 * (times == 1), 96) for number, target in enumerate(targets)]
        (folder / f"{part}_X.bin").write_bytes(np.stack(shown).transpose(0, 3, 2, 1).tobytes())  # column by column
        (folder / f"{part}_y.bin").write_bytes((np.array(targets) + 1).astype(np.uint8).tobytes())
        lists[part] = [[name, md5(folder / name)] for name in (f"{part}_X.bin", f"{part}_y.bin")]
    (folder / "class_names.txt").write_text("\n".join(classes) + "\n")
    monkeypatch.setattr(STL10, "train_list", lists["train"])
    monkeypatch.setattr(STL10, "test_list", lists["test"])


def dtd(root: Path, monkeypatch, classes: Sequence[str]) -> None:
    resized(monkeypatch, "DTD", classes, ("train", "val", "test"))
    lines = {"train": [], "val": [], "test": []}
    for target, name in enumerate(classes):
        for number, split in enumerate(("train", "train", "val", "test")):
            lines[split].append(f"{name}/{name}_{number:04d}.jpg")
            picture(root / "dtd/dtd/images" / lines[split][-1], target, number)
    for split, listed in lines.items():
        written(root / f"dtd/dtd/labels/{split}1.txt", "\n".join(listed) + "\n")


def aircraft(root: Path, monkeypatch, classes: Sequence[str]) -> None:
    resized(monkeypatch, "FGVCAircraft", classes, ("train", "val", "trainval", "test"))
    data, lines = root / "fgvc-aircraft-2013b/data", {"train": [], "val": [], "test": []}
    for target, name in enumerate(classes):
        for number, split in enumerate(("train", "train", "val", "test")):
            id = f"{1_000_000 + 10 * target + number:07d}"
            picture(data / f"images/{id}.jpg", target, number)
            lines[split].append(f"{id} {name}")
    lines["trainval"] = [*lines["train"], *lines["val"]]
    for split, listed in lines.items():
        written(data / f"images_variant_{split}.txt", "\n".join(listed) + "\n")
    written(data / "variants.txt", "\n".join(classes) + "\n")


def flowers102(root: Path, monkeypatch, classes: Sequence[str]) -> None:
    from scipy.io import savemat
    from torchvision.datasets import Flowers102

    resized(monkeypatch, "Flowers102", classes, ("train", "val", "test"))
    folder, labels, ids = root / "flowers-102", [], {"trnid": [], "valid": [], "tstid": []}
    for target in range(len(classes)):
        for number, split in enumerate(("trnid", "trnid", "valid", "tstid")):
            labels.append(target + 1)
            ids[split].append(len(labels))
            picture(folder / f"jpg/image_{len(labels):05d}.jpg", target, number)
    savemat(folder / "imagelabels.mat", {"labels": np.array(labels, np.uint8)[None]})
    savemat(folder / "setid.mat", {name: np.array(of)[None] for name, of in ids.items()})
    files = {
        id: (Flowers102._file_dict[id][0], md5(folder / Flowers102._file_dict[id][0])) for id in ("label", "setid")
    }
    monkeypatch.setattr(Flowers102, "_file_dict", {**Flowers102._file_dict, **files})


def food101(root: Path, monkeypatch, classes: Sequence[str]) -> None:
    resized(monkeypatch, "Food101", classes, ("train", "test"))
    folder, meta = root / "food-101", {"train": {}, "test": {}}
    for target, name in enumerate(one.replace(" ", "_") for one in classes):
        for number, split in enumerate(("train", "train", "test")):
            meta[split].setdefault(name, []).append(f"{name}/{10_000 + number}")
            picture(folder / f"images/{name}/{10_000 + number}.jpg", target, number)
    for split, listed in meta.items():
        written(folder / f"meta/{split}.json", json.dumps(listed))


def shrunk(monkeypatch, name: str, classes: Sequence[str]) -> None:
    """Says that WILDS' published splits have as many rows as the miniature."""
    about = wilds_sets.WILDS[name]
    sizes = {split: ROWS[split] * len(classes) for split in about.rows}
    monkeypatch.setitem(wilds_sets.WILDS, name, replace(about, rows=sizes))


def fmow(root: Path, monkeypatch, classes: Sequence[str], pictured: Sequence[str] = ("train", "id_val")) -> None:
    """All splits, with the pictures of some, and rows that WILDS leaves out ("seq") in between, so that a row's number is not its picture's."""
    shrunk(monkeypatch, "fmow", classes)
    data, rows = root / "fmow_v1.1", []
    years = {"train": (2010, "train"), "id_val": (2011, "val"), "id_test": (2012, "test")}
    years |= {"val": (2014, "val"), "test": (2016, "test"), "seq": (2017, "seq")}
    for target, name in enumerate(classes):
        for split in ("train", "seq", "train", "id_val", "id_test", "val", "test"):
            year, official = years[split]
            country = ("FRA", "KEN", "XXX")[target % 3]
            category = name.replace(" ", "_")
            stamp = f"{year}-05-01T10:20:30{'.643' * (len(rows) % 4 == 2)}Z"  # some with milliseconds, as in theirs
            rows.append({"split": official, "category": category, "country_code": country, "timestamp": stamp})
            if split in pictured:
                picture(data / f"images/rgb_img_{len(rows) - 1}.png", target, len(rows))
    pd.DataFrame(rows).to_csv(data / "rgb_metadata.csv", index=False)
    written(data / "country_code_mapping.csv", "alpha-3,region\nFRA,Europe\nKEN,Africa\n")
    written(data / "RELEASE_v1.1.txt", "")


def iwildcam(root: Path, monkeypatch, classes: Sequence[str], pictured: Sequence[str] = ("train", "id_val")) -> None:
    """All splits, with the pictures of some: six cameras, every class before two of them; classes as in categories.csv, in the numbers' order."""
    shrunk(monkeypatch, "iwildcam", classes)
    data, rows = root / "iwildcam_v2.0", []
    for target in range(len(classes)):
        for split, camera in (("train", 0), ("train", 1), ("id_val", 0), ("id_test", 1), ("val", 4), ("test", 5)):
            camera = camera + 2 * (target % 2) if camera < 2 else camera
            where = {"location_remapped": camera, "sequence_remapped": len(rows), "filename": f"{len(rows):08x}.jpg"}
            rows.append({"split": split, "y": target, "datetime": "2013-04-05 06:07:08.000", **where})
            if split in pictured:
                picture(data / "train" / rows[-1]["filename"], target, len(rows))
    pd.DataFrame(rows).to_csv(data / "metadata.csv", index=False)
    names = [name.partition(" (")[0] for name in classes]
    df = pd.DataFrame({"y": range(len(names)), "category_id": range(len(names)), "name": names})
    df = pd.concat([df, df.head(1).assign(y=99999)])  # as in theirs: categories that no picture has
    df.to_csv(data / "categories.csv", index=False)
    written(data / "RELEASE_v2.0.txt", "")


# By the name of the config.
MAKERS = {
    "imagenette": imagenette,
    "cifar10_official": lambda root, monkeypatch, classes: cifar(root, monkeypatch, "CIFAR10", classes),
    "cifar100": lambda root, monkeypatch, classes: cifar(root, monkeypatch, "CIFAR100", classes),
    "textures": dtd,
    "fmow": fmow,
    "aircraft": aircraft,
    "flowers102": flowers102,
    "food101": food101,
    "iwildcam": iwildcam,
    "stl10": stl10,
}


def make(name: str, input_dir: Path, monkeypatch) -> None:
    """The miniature of a config's data set, with all its classes, where the config looks for it."""
    from src import config

    competition = config.load(name)
    MAKERS[name](input_dir / competition.source.slug, monkeypatch, competition.classes)
