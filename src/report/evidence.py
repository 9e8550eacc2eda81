"""What the report is made from: all that a run has left on the disk so far, read without a complaint about the rest.

A run may have stopped half-way, a model may be of other folds, an image may have gone. What cannot be used is left out
and named in `left_out`; nothing is computed anew, and nothing but the report is written.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.base import files
from src.base.errors import UserError
from src.data import folds, images, patterns, tables
from src.data.rows import Dataset, Rows
from src.leaderboard import scored
from src.leaderboard.scored import Known, Ours
from src.results import audit, ledger, predictions
from src.results.ab import Comparison, read_ab
from src.results.audit import PARTS, Audit
from src.results.ledger import Entry
from src.results.model import oof_scores, read_model
from src.schema.competition import Competition
from src.scoring import decisions
from src.scoring.metrics import METRICS, Metric

if TYPE_CHECKING:
    from src.report.album import Album
    from src.report.histories import History

__all__ = ["BLEND", "PARTS", "Evidence", "LeftOut", "Model", "key", "read"]

BLEND = "blend"


@dataclass(frozen=True)
class Model:
    """A finished model, or the blend."""

    name: str
    folder: Path
    made: Mapping[str, Any]  # its model.json
    oof: np.ndarray  # (n, k) probabilities of the train rows, in their order
    decided: np.ndarray  # (n, k) the same as the metric scores them: see `decisions`
    test: np.ndarray | None  # (m, k) of the test rows; None where the table is of other rows

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) the class index that each train row is given."""
        return self.decided.argmax(axis=1)


@dataclass(frozen=True)
class LeftOut:
    """What the report does not show, and why."""

    what: str
    why: str


@dataclass
class Evidence:
    """Rows are in the order of the tables, sorted by id. n train rows, m test rows, k classes."""

    competition: Competition
    train: pd.DataFrame  # (n) the table's own columns, all text, and `path`
    test: pd.DataFrame  # (m) likewise
    targets: np.ndarray  # (n,) class indices
    fold: np.ndarray | None  # (n,) the fold that holds out each row; None before the folds are made
    record: pd.DataFrame | None  # what the data stage knows of the images: see `images.RECORD`, by path
    models: dict[str, Model]  # those that are finished, in the config's order; the blend is the last
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.competition.classes

    @property
    def metric(self) -> Metric:
        return METRICS[self.competition.metric]

    @cached_property
    def ids(self) -> list[str]:
        """Of the train rows."""
        return self.train[self.competition.id].tolist()

    @cached_property
    def test_ids(self) -> list[str]:
        return self.test[self.competition.id].tolist()

    @property
    def best(self) -> Model | None:
        """The model that the page begins with: the blend, or else the one of the best CV."""
        if BLEND in self.models:
            return self.models[BLEND]
        sign = self.metric.sign
        return max(self.models.values(), key=lambda model: sign * model.made["cv"], default=None)

    @cached_property
    def entries(self) -> list[Entry]:
        """The ledger's."""
        try:
            return ledger.read(self.competition.scores_csv)
        except UserError as error:
            self.leave_out("the ledger", str(error))
            return []

    @cached_property
    def audit(self) -> Audit | None:
        """The audit of these rows; None before one, and where it cannot be used."""
        try:
            return audit.read(self.competition, self.ids, self.test_ids)
        except UserError as error:
            self.leave_out("the audit", str(error))
            return None

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The lines of ab.csv."""
        try:
            return read_ab(self.competition.ab_csv)
        except UserError as error:
            self.leave_out("comparisons of the config", str(error))
            return []

    @cached_property
    def histories(self) -> "dict[str, History]":
        """What was written down of each model's training."""
        from src.report import histories  # which reads this

        return histories.read(self)

    @cached_property
    def known(self) -> Known | None:
        """What is known of the leaderboard; None where a file that tells it has faults."""
        try:
            return scored.read(self.competition, self.test_ids)
        except UserError as error:
            if not any(one.why == str(error) for one in self.left_out):
                self.leave_out("the leaderboard", str(error))
            return None

    @cached_property
    def ours(self) -> dict[str, Ours]:
        """What each finished model scored there."""
        found = {}
        for name in self.models if self.known is not None else ():
            try:
                found[name] = scored.of(self.known, name)
            except UserError as error:
                self.leave_out(f"{name} on the leaderboard", str(error))
        return found

    def leave_out(self, what: str, why: str) -> None:
        """Says so once, however many sections miss it."""
        if (one := LeftOut(what, why)) not in self.left_out:
            self.left_out.append(one)

    @cached_property
    def album(self) -> "Album":
        """The pictures that the page shows: a section puts in what it shows."""
        from src.report.album import Album  # which reads this

        return Album(self)

    def sizes(self, part: str) -> np.ndarray | None:
        """(n, 2) width and height in pixels of the images of a part's rows, NaN of those that nobody has checked yet.

        None before the data stage has checked any.
        """
        if self.record is None:
            return None
        known = self.record[["width", "height"]].reindex(self.rows(part)["path"].astype(str))
        return None if known.isna().all(axis=None) else known.to_numpy(float)

    def rows(self, part: str) -> pd.DataFrame:
        return {"train": self.train, "test": self.test}[part]

    @cached_property
    def row_of(self) -> dict[str, dict[str, int]]:
        """{part: {id: its row}}."""
        return {part: {id: i for i, id in enumerate(self.rows(part)[self.competition.id])} for part in PARTS}


def read(competition: Competition) -> Evidence:
    """All that there is.

    Raises:
        UserError: The competition's own tables are not there, or have faults.
    """
    found, left_out = tables.read(competition), []
    index = {name: i for i, name in enumerate(competition.classes)}
    targets = found.train[competition.label].map(index).to_numpy()
    ids = found.train[competition.id].tolist()
    fold = None
    try:
        if competition.folds_csv.is_file():
            fold = folds.read(competition.folds_csv, competition.id, ids)
    except UserError as error:
        left_out.append(LeftOut("the folds", str(error)))
    evidence = Evidence(competition, found.train, found.test, targets, fold, record_of(competition), {}, left_out)
    for name in names(competition):
        one = model(evidence, name)
        if isinstance(one, Model):
            evidence.models[name] = one
        else:
            left_out.append(one)
    return evidence


def names(competition: Competition) -> list[str]:
    """The config's models, then those whose folders are there without being in it, then the blend."""
    folder = competition.model_folder("").resolve()
    there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    others = [name for name in there if name not in (*competition.models, BLEND) and not name.startswith(".")]
    return [*competition.models, *others, BLEND]


def model(evidence: Evidence, name: str) -> Model | LeftOut:
    """A finished model, or why it is not shown."""
    competition = evidence.competition
    folder = competition.model_folder(name)
    if (made := read_model(folder)) is None:
        if name not in (*competition.models, BLEND):
            return LeftOut(name, "it is not in the config, and not finished")
        begun = len({path.stem.partition("-")[0] for path in folder.glob("fold*.json")})
        total = "" if evidence.fold is None else f" of {evidence.fold.max() + 1}"
        return LeftOut(name, f"not finished: {begun}{total} folds are" if begun else "not made yet")
    if evidence.fold is None:
        return LeftOut(name, "there are no folds that it could be of")
    try:
        if made["key"]["folds"] != files.sha256(competition.folds_csv):
            return LeftOut(name, "it was made with other folds: its score is of other rows")
        oof = predictions.read(folder / "oof.parquet", competition.id, evidence.ids, competition.classes)
    except UserError as error:
        return LeftOut(name, str(error))
    except (KeyError, TypeError):
        return LeftOut(name, "its model.json was made by another version: run its stage again")
    try:
        test = predictions.read(folder / "test.parquet", competition.id, evidence.test_ids, competition.classes)
    except UserError as error:
        evidence.leave_out(f"{name} on the test rows", str(error))
        test = None
    decided = decisions.cross_fitted(evidence.metric, oof, evidence.targets, evidence.fold)
    return Model(name, folder, rescored(evidence, made, oof), oof, decided, test)


def rescored(evidence: Evidence, made: dict[str, Any], oof: np.ndarray) -> dict[str, Any]:
    """model.json with the scores of the config's metric, which may have been another when it was made."""
    if made.get("metric") == evidence.competition.metric and made.keys() >= {"cv", "se", "log_loss", "folds"}:
        return made
    nothing = Rows([], [], [], np.empty((0, 2), int))
    data = Dataset(nothing, evidence.targets, evidence.fold, nothing, "")
    rest = {name: value for name, value in made.items() if name != "decision"}
    return {**rest, **oof_scores(evidence.competition, data, oof)}


def record_of(competition: Competition) -> pd.DataFrame | None:
    """images.parquet by path; None where it is not there, or not whole."""
    try:
        record = pd.read_parquet(competition.images_record, columns=images.RECORD)
    except (OSError, ValueError, KeyError):
        return None
    return record.drop_duplicates("path").set_index("path")


def key(competition: Competition) -> str:
    """A digest of all that the report reads, and of the code that makes it: the same, and so is the page.

    Of images their presence alone: their content is in the data stage's record.
    """
    digest = hashlib.sha256(competition.model_dump_json().encode())
    here = Path(__file__).parent
    code = sorted(path for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    needed = ("train", "test", "sample_submission", "solution")
    inputs = [competition.input(getattr(competition, name)) for name in needed]
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
    for part in ("train", "test"):
        if patterns.is_one(table := getattr(competition, part)):
            paths = tables.read_part(competition, part)[patterns.path_column(table)]
            digest.update("\n".join(paths).encode())
    record = record_of(competition)
    for path in () if record is None else record.index:
        digest.update(b"1" if Path(path).is_file() else b"0")
    return digest.hexdigest()
