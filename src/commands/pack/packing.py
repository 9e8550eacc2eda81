"""The dataset of an inference notebook: the code, state, checkpoints and packages of a finished run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from src import stages
from src.base import files, packages, paths
from src.base.errors import UserError
from src.base.paths import resolve
from src.commands.pack import notebook, wheels
from src.data import patterns
from src.data.record import has_dicom
from src.data.rows import Rows, read_dataset
from src.networks import backbones, clip, encoders
from src.networks.features import Cache, Columns, feature_caches
from src.results import shards
from src.results.model import BLEND, read_model
from src.schema.competition import Competition
from src.schema.models import FineTune
from src.schema.networks import Encoder

# The files of a model, without the predictions of test rows: these are predicted again.
KEPT = ("model.json", "oof.parquet", "history.csv", "fold*.safetensors", "fold*.json", "fold*-oof.parquet")
KEPT += ("starts.safetensors",)  # the probes that WiSE-FT begins with
KEPT += ("judged.json", "fold*-judged.parquet")  # a probe's doubts about the train rows' labels


def check(competition: Competition) -> None:
    """Raise a UserError for what cannot be packed.

    Raises:
        UserError: The config has files outside of the repository, or votes of others; or this machine lacks a package
            that the notebook's stages need.
    """
    packages.require(packages_of(competition))
    if competition.blend.csvs:
        raise UserError("blend.csvs have no answers to hidden rows: pack a config without them")
    for name, spec in weighted_specs(competition):
        if packages.package_of(spec.weights_file or ""):
            continue  # it comes along as a wheel
        file = paths.expanded(spec.weights_file or "")
        if file.is_absolute() or ".." in file.parts:
            raise UserError(
                f"model {name!r}: weights_file {file} is not in the repository's folder: put it under input/ and write "
                "its path from there, which is its path on Kaggle too"
            )


def packages_of(competition: Competition) -> list[str]:
    """The packages that the notebook's stages need, by distribution; what reads DICOM if pictures here are so."""
    needed = stages.packages(("submission",), competition)
    return sorted({*needed, *packages.DICOM} if has_dicom(competition.images_record) else needed)


def require_finished(competition: Competition) -> None:
    """Raise a UserError if a model is not there."""
    names = [*competition.models, BLEND]
    if missing := [name for name in names if read_model(competition.model_folder(name)) is None]:
        raise UserError(f"there is nothing to pack of {', '.join(missing)}: {competition.command()} makes it")


def weighted_specs(competition: Competition) -> Iterator[tuple[str, Encoder | FineTune]]:
    """Everything that starts from weights, with the name of its model."""
    return ((name, spec) for name, model in competition.models.items() for spec in model.weights_from)


def pack(competition: Competition, folder: Path, with_wheels: bool = True) -> None:
    """Write the dataset of a finished run into `folder`, which is not there yet. The same run makes the same bytes.

    Raises:
        UserError: Weights or wheels are not available.
    """
    project(competition, folder / "project")
    state(competition, folder / "state")
    hub(competition, folder / "hub")
    needed, test = packages_of(competition), competition.test
    if pins := wheels.pins(needed) if with_wheels else []:
        wheels.collect(pins, folder / "wheels", competition.pack / "dataset")
    limit = [] if competition.limit is None else ["--limit", str(competition.limit)]
    about = {
        "arguments": [competition.name, *limit, "submission"],
        "folder": competition.folder.name,
        "competition": competition.source.slug,
        "test": patterns.fixed_folder(test) if patterns.is_pattern(test) else test,
        "python": wheels.PYTHONS,
        "needed": needed,
        "packages": pins,
        "files": contents(folder),
    }
    files.write_json(folder / "pack.json", about)


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """The size and sha256 of all files that have content: others may get lost on their way, and nobody misses them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": files.sha256(path)}
        for path in paths
    }


def put(source: Path, target: Path) -> None:
    """Put the file's content at `target`, as a link where the disk allows: all our writes make new files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def project(competition: Competition, folder: Path) -> None:
    """Copy the code, and the weights files to the places that the config gives them."""
    for path in sorted((paths.ROOT / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            target = folder / path.relative_to(paths.ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # editors write into files: no links
    named = {spec.weights_file for _, spec in weighted_specs(competition)} - {None}
    for file in sorted(file for file in named if packages.package_of(file) is None):
        put(resolve(file), folder / file)
        if (config := resolve(file).with_name("open_clip_config.json")).is_file():
            shutil.copyfile(config, (folder / file).with_name(config.name))


def state(competition: Competition, folder: Path) -> None:
    """Copy the folds, the models and the features of the train rows."""
    folder.mkdir(parents=True)
    for path in (competition.folds_csv, competition.folds_csv.with_suffix(".json")):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    for name in [*competition.models, BLEND]:
        for pattern in KEPT:
            for path in sorted(competition.model_folder(name).glob(pattern)):
                if ".running-" not in path.name:
                    put(path, folder / "models" / name / path.name)
    train = read_dataset(competition).train
    for model in competition.models.values():
        for cache in (cache for spec in model.features_to_predict for cache in feature_caches(competition, spec)):
            train_features(cache, train, folder / "features" / cache.folder.name)
        for spec in model.encoders_to_predict:
            texts = competition.text_features(encoders.slug(spec))
            if texts.is_file() and not (folder / "features" / texts.name).exists():
                put(texts, folder / "features" / texts.name)


def train_features(cache: Cache, train: Rows, folder: Path) -> None:
    """Write the features of the train rows, so that the encoder sees test pictures only in the notebook."""
    if folder.is_dir():  # two models look through this encoder
        return
    rows = train.distinct()
    feats, shas = Columns(cache, rows), shards.binary(rows.shas)
    folder.mkdir(parents=True)
    shutil.copyfile(cache.folder / "key.json", folder / "key.json")
    for start in range(0, len(rows), shards.ROWS):
        part = np.arange(start, min(start + shards.ROWS, len(rows)))
        kept = feats[part].astype(cache.spec.stored)
        shards.write(folder, [rows.ids[i] for i in part], shas[part], kept)


def hub(competition: Competition, folder: Path) -> None:
    """Copy the checkpoints of the hub that the notebook loads, downloaded if need be, in the layout of its cache.

    Raises:
        UserError: One is not in this machine's cache and cannot be downloaded.
    """
    for spec in (spec for model in competition.models.values() for spec in model.encoders_to_predict):
        has_random_weights = spec.clip is not None and spec.weights is None
        if spec.weights_file is not None or has_random_weights:
            continue
        path = backbones.weights_path(spec) if spec.clip is None else clip.fetch_from_hub(spec, clip.title(spec))
        if path is not None:
            at = len(path.parts) - path.parts[::-1].index("snapshots") - 2
            repository, _, revision, *_ = parts = path.parts[at:]  # models--<owner>--<name>/snapshots/<revision>/<file>
            if not folder.joinpath(*parts).exists():
                put(path, folder.joinpath(*parts))
            files.write_text(folder / repository / "refs" / "main", revision)


def write_notebook(competition: Competition, folder: Path, dataset: Path, gpu: bool) -> None:
    """Write the notebook, which knows the dataset that it is for, and the metadata of both."""
    name, command = competition.name, f"{competition.command()} pack"
    text = notebook.ipynb(competition.title, command, name, files.sha256(dataset / "pack.json"))
    files.write_text(folder / f"{notebook.kernel_slug(name)}.ipynb", text)
    write_metadata(competition, folder, dataset, gpu)


def write_metadata(competition: Competition, folder: Path, dataset: Path, gpu: bool, user: str = notebook.USER) -> None:
    name, slug = competition.name, competition.source.slug if competition.source.page is not None else None
    files.write_json(folder / "kernel-metadata.json", notebook.kernel_metadata(name, slug, gpu, user))
    files.write_json(dataset / "dataset-metadata.json", notebook.dataset_metadata(name, user))
