"""The material of the page: the evidence read from the disk, with its pictures and training curves."""

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from src.base import files, packages
from src.base.errors import UserError
from src.data import folds, patterns, tables
from src.data.labels import read_targets
from src.data.record import RECORD, read_record
from src.data.rows import Dataset, Rows
from src.report import charts, histories
from src.report.album import Album
from src.report.evidence import BLEND, PARTS, Evidence, LeftOut, Model
from src.report.histories import History
from src.results import predictions
from src.results.model import read_model, rescored
from src.schema.competition import Competition
from src.scoring import decisions


class Material(Evidence):
    """The evidence, and what a section computes from it on first use."""

    @cached_property
    def album(self) -> Album:
        """The pictures that the page shows: a section puts in what it shows."""
        return Album(self)

    @cached_property
    def histories(self) -> dict[str, History]:
        """The epochs of each model's training, as they were written down."""
        return histories.read(self)


def read(competition: Competition) -> Material:
    """Read all that a run has left so far; a UserError if the competition's own tables are missing or have faults."""
    found = tables.read_scored(competition)
    targets = read_targets(competition, found.train[competition.label])
    evidence = Material(competition, found.train, found.test, targets, None, images_record(competition), {})
    if (path := competition.folds_csv).is_file():
        evidence.fold = evidence.usable("the folds", folds.read, path, competition.id, evidence.ids)
    for name in names(competition):
        if (one := evidence.usable(name, model, evidence, name)) is not None:
            evidence.models[name] = one
    if not charts.can_be_drawn():
        evidence.left_out.append(LeftOut("the charts", f"{packages.CHARTS} is not installed"))
    return evidence


def names(competition: Competition) -> list[str]:
    """The config's models, then those whose folders are there without being in it, then the blend."""
    folder = competition.model_folder("").resolve()
    there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    others = [name for name in there if name not in (*competition.models, BLEND) and not name.startswith(".")]
    return [*competition.models, *others, BLEND]


def model(evidence: Evidence, name: str) -> Model:
    """Read a finished model; a UserError with the reason if it cannot be shown."""
    competition = evidence.competition
    folder = competition.model_folder(name)
    if (made := read_model(folder)) is None:
        if name not in (*competition.models, BLEND):
            raise UserError("it is not in the config, and not finished")
        begun = len({path.stem.partition("-")[0] for path in folder.glob("fold*.json")})
        total = "" if evidence.fold is None else f" of {evidence.fold.max() + 1}"
        raise UserError(f"not finished: {begun}{total} folds are" if begun else "not made yet")
    if evidence.fold is None:
        raise UserError("there are no folds that it could be of")
    try:
        if made["key"]["folds"] != files.sha256(competition.folds_csv):
            raise UserError("it was made with other folds: its score is of other rows")
        oof = predictions.read(folder / "oof.parquet", competition, evidence.ids)
    except (KeyError, TypeError) as error:
        raise UserError("its model.json was made by another version: run its stage again") from error
    of_test = (folder / "test.parquet", competition, evidence.test_ids)
    test = evidence.usable(f"{name} on the test rows", predictions.read, *of_test)
    decided = decisions.cross_fitted(evidence.metric, oof, evidence.targets, evidence.fold)
    nothing = Rows([], [], [], np.empty((0, 2), int))
    data = Dataset(nothing, evidence.targets, nothing, fold=evidence.fold, folds_sha="")
    made = rescored(competition, made, data, oof)
    return Model(name, folder, made, oof, decided, test)


def images_record(competition: Competition) -> pd.DataFrame | None:
    """Return images.parquet by path; None where it is not there, or not whole."""
    record = read_record(competition.images_record, RECORD).set_index("path")
    return record[~record.index.duplicated()] if len(record) else None


def image_paths(competition: Competition) -> Iterator[str]:
    """The images of images.parquet, some at a time: all of them as texts take more memory than the rest of the page."""
    try:
        file = parquet.ParquetFile(competition.images_record)
        if not {*RECORD} <= {*file.schema_arrow.names}:
            return
        for batch in file.iter_batches(columns=["path"]):
            yield from batch["path"].to_pylist()
    except (OSError, ValueError):
        return


def key(competition: Competition) -> str:
    """Return a digest of all that the report reads and of the code that makes it: the same digest, the same page.

    Of images their presence alone: their content is in the data stage's record.
    """
    digest = hashlib.sha256(competition.model_dump_json().encode())
    here = Path(__file__).parent
    code = sorted(path for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    needed = ("train", "test", "sample_submission", "solution")
    inputs = [competition.input(table) for name in needed for table in competition.tables_of(name)]
    of_stages = ("*.csv", "*.json", "*.parquet")
    of_models = ("models/*/*.json", "models/*/*.csv", "models/*/oof.parquet", "models/*/test.parquet")
    made = [path for pattern in (*of_stages, *of_models) for path in competition.folder.glob(pattern)]
    for path in [*code, *inputs, *sorted(made)]:
        root = next(root for root in (here, competition.input_root, competition.folder) if path.is_relative_to(root))
        digest.update(f"{path.relative_to(root)} {files.sha256(path) if path.is_file() else None}\n".encode())
    for path in sorted(competition.folder.glob("models/*/fold*.safetensors")):  # each checkpoint has a name of its own
        digest.update(f"{path.relative_to(competition.folder)}\n".encode())
    for path in sorted(competition.folder.glob("features/*/*.arrow")):  # large: what is added is another file
        digest.update(f"{path.relative_to(competition.folder)} {path.stat().st_size}\n".encode())
    for table in (table for part in PARTS for table in competition.tables_of(part) if patterns.is_pattern(table)):
        digest.update("\n".join(tables.read_table(competition, table)[patterns.path_column(table)]).encode())
    for path in image_paths(competition):
        digest.update(b"1" if os.path.isfile(path) else b"0")
    if not charts.can_be_drawn():
        digest.update(b"without charts")
    return digest.hexdigest()
