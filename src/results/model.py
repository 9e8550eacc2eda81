"""A model's folder: its tables of probabilities, and model.json, written last, which says how they were made."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.base import files, machine
from src.base.errors import UserError
from src.base.paths import ROOT
from src.base.provenance import current_provenance
from src.base.text import duration
from src.data.rows import Dataset, read_dataset
from src.results import predictions
from src.schema.competition import Competition
from src.schema.models import Kind
from src.scoring import decisions, intervals
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, of_whole_rows

BLEND = "blend"


def model_key(competition: Competition, spec: Kind, data: Dataset, code: int, **more: Any) -> dict[str, Any]:
    """All that changes a model's numbers.

    Args:
        code: Raised when the code computes other numbers from the same key.
        more: The stage's own entries: the checkpoint's identity, prompts, the precision of features.
    """
    return {
        "code": code,
        # without the file's name: its content is in the checkpoint's identity
        "model": spec.scheduled(data.n_learnt).model_dump(mode="json", exclude={"weights_file"}),
        **competition.target_key,
        "precision": machine.precision(spec.precision),
        **data.key,
        **more,
    }


def without_test_rows(key: dict[str, Any]) -> dict[str, Any]:
    """The part of a model's key that changes the numbers of the train rows."""
    return {name: value for name, value in key.items() if name != "test"}


def same_model_key(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether `equal_keys` holds for two keys of models."""
    return equal_keys(stored, wanted, asked=wanted.get("model", {}).get("precision"))


def read_model(folder: Path) -> dict[str, Any] | None:
    """Read model.json; None where no model was finished."""
    whole = (folder / "oof.parquet").is_file() and (folder / "test.parquet").is_file()
    return files.read_json(folder / "model.json") if whole else None


def has_result(folder: Path, wanted: dict[str, Any]) -> bool:
    """Whether the folder has the wanted result."""
    return (made := read_model(folder)) is not None and same_model_key(made["key"], wanted)


def is_reused(folder: Path, wanted: dict[str, Any]) -> bool:
    """Whether the folder has the wanted result, with one line that says so, or why what it has is recomputed."""
    if (made := read_model(folder)) is None:
        return False
    if same_model_key(made["key"], wanted):
        print(f"{folder.name}  reused: {made['metric']} {cv_text(folder, made)}")
        return True
    print(f"{folder.name}  recomputing: {files.describe_changes(made['key'], wanted)}")
    return False


def cv_text(folder: Path, made: dict[str, Any]) -> str:
    """`0.9910 ± 0.0025`: see `intervals.score_text`. Rows are counted in oof.parquet, whatever version wrote it."""
    rows = predictions.count_rows(folder / "oof.parquet")
    return intervals.score_text(made["metric"], made["cv"], made["se"], rows)


def save_model(
    competition: Competition,
    name: str,
    key: dict[str, Any],
    data: Dataset,
    oof: np.ndarray,
    test: np.ndarray,
    seconds: float,
    **facts: Any,
) -> dict[str, Any]:
    """Write the tables of a finished model and then its model.json, print its score and return the model.json.

    Args:
        oof, test: (n, k) probabilities of data.train and data.test; what is written is of data.scored.
        seconds: The time that it took, in this run and in earlier ones.
        facts: Further entries of model.json.
    """
    folder = competition.model_folder(name)
    oof, test = data.combined(competition, "train", oof), data.combined(competition, "test", test)
    data = data.scored
    (folder / "model.json").unlink(missing_ok=True)  # while the tables are replaced, nothing is finished
    predictions.write(folder / "oof.parquet", competition, data.train.ids, oof)
    predictions.write(folder / "test.parquet", competition, data.test.ids, test)
    made = {
        "name": name,
        **oof_scores(competition, data, oof),
        "seconds": round(seconds, 2),
        **facts,
        "key": key,
        "made": current_provenance(ROOT),
    }
    files.write_json(folder / "model.json", made)
    score = f"{made['metric']} {cv_text(folder, made)}"
    loss = competition.target.loss_name
    lost = "" if competition.is_scored_by_loss else f"  {loss.replace('_', ' ')} {made[loss]:.4f}"
    print(f"{name}  oof {score}{lost}  {duration(made['seconds'])}")
    return made


def oof_scores(competition: Competition, data: Dataset, oof: np.ndarray) -> dict[str, Any]:
    """The entries of model.json on out-of-fold probabilities (n, k).

    Where the metric wants a rule for the labels, the scores are of rules that are fitted on the other folds' rows, and
    `decision` is the rule for the test rows: fitted on all rows.
    """
    metric, targets = competition.scorer, data.targets
    decided = decisions.cross_fitted(metric, oof, targets, data.fold)
    cv, se = metric.score(targets, decided)
    scores = {
        **competition.scorer_key,
        "cv": cv,
        "se": se,
        competition.target.loss_name: competition.loss.value(targets, oof),
        "folds": [none_if_nan(metric.value(targets[rows], decided[rows])) for rows in data.held_out],
    }
    if rule := decisions.fit(metric, oof, targets).facts(competition.outputs):
        scores["decision"] = rule
    return scores


def rescored(competition: Competition, made: dict[str, Any], data: Dataset, oof: np.ndarray) -> dict[str, Any]:
    """The model.json `made`, with scores of the config's metric where it has those of another.

    Args:
        oof: The model's predictions (n, k) of data.scored.train.
    """
    loss = competition.target.loss_name
    if is_scored(competition, made) and made.keys() >= {"cv", "se", "folds", loss}:
        return made
    rest = {name: value for name, value in made.items() if name not in ("decision", "submission", "key", "made")}
    last = {name: made[name] for name in ("key", "made") if name in made}
    return {**rest, **oof_scores(competition, data.scored, oof), **last}


def is_scored(competition: Competition, made: dict[str, Any]) -> bool:
    """Whether the model.json `made` has scores of the config's metric, and of what its form of a submission asks."""
    return {name: made[name] for name in ("metric", "submission") if name in made} == competition.scorer_key


def rescore(competition: Competition, name: str, data: Dataset) -> None:
    """Scores a finished model again if that was by another metric: its tables need not be recomputed."""
    folder = competition.model_folder(name)
    made = read_model(folder)
    if is_scored(competition, made):
        return
    made = rescored(competition, made, data, model_tables(competition, name, data)[0])
    files.write_json(folder / "model.json", made)
    print(f"{name}  scored again: {made['metric']} {cv_text(folder, made)}")


def finished_models(competition: Competition, data: Dataset | None = None) -> dict[str, dict[str, Any]]:
    """The model.json of each of the config's models and the blend, with scores of the config's metric.

    Those that are not finished, or of other folds, are left out.

    Args:
        data: The rows, whose pictures and labels must be the models' too. None: these are not compared, and the rows
            are read only where a score is missing.

    Raises:
        UserError: The rows, or the tables of a model that is to be scored again, cannot be read.
    """
    found, have = {}, {"folds": files.sha256(competition.folds_csv)} if competition.folds_csv.is_file() else None
    if data is not None:
        have = {part: data.key[part] for part in ("folds", "train")}
    for name in [*competition.models, BLEND]:
        made = read_model(competition.model_folder(name))
        if made is None or have is None or any(made["key"].get(part) != sha for part, sha in have.items()):
            continue
        if not is_scored(competition, made):
            data = read_dataset(competition) if data is None else data
            made = rescored(competition, made, data, model_tables(competition, name, data)[0])
        found[name] = made
    return found


def best_model(competition: Competition, finished: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The model to begin with, of those of `finished_models`: the blend, else that of the best CV; None without any.

    Of models of the same CV it is that of the least loss.
    """
    if BLEND in finished:
        return BLEND
    sign, loss = competition.scorer.sign, competition.target.loss_name
    return max(finished, key=lambda name: (sign * finished[name]["cv"], -finished[name][loss]), default=None)


def none_if_nan(score: float) -> float | None:
    """None for a score that is undefined, such as the AUC of a fold of one class: JSON has no NaN."""
    return score if math.isfinite(score) else None


def model_tables(competition: Competition, name: str, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A finished model's predictions of the train and test rows of data.scored."""
    folder, data = competition.model_folder(name), data.scored
    return (
        predictions.read(folder / "oof.parquet", competition, data.train.ids),
        predictions.read(folder / "test.parquet", competition, data.test.ids),
    )


def decided_probs(competition: Competition, made: dict[str, Any], probs: Table) -> Table:
    """Predictions (n, k) whose answers, by the target, are those of the model with the model.json `made`.

    Its rule may be of fewer rows, whose table is dense where that of these is not.
    """
    rule = decisions.rule_of(made.get("decision", {}), competition.outputs)
    if isinstance(probs, SparseTable) and rule.facts(competition.outputs):
        return of_whole_rows(lambda rows: rule.apply(probs[rows].toarray()), *probs.shape)
    return rule.apply(probs)


def decided_oof(competition: Competition, name: str, ids: Sequence[str]) -> np.ndarray | None:
    """Predictions (n, k) whose answers are those of a model for the train rows; None if it is not made of these."""
    folder = competition.model_folder(name)
    if not name or (made := read_model(folder)) is None:
        return None
    try:
        probs = predictions.read(folder / "oof.parquet", competition, ids)
    except UserError:  # of other rows, or damaged: the next run recomputes it
        return None
    return decided_probs(competition, made, probs)


def equal_keys(stored: dict[str, Any], wanted: dict[str, Any], asked: str | None) -> bool:
    """Whether a finished result is the one that is wanted.

    Where the config leaves the precision to the machine (`asked` is auto), a result of either is: else a night's
    training on a GPU would be thrown away by looking at it on a laptop.
    """
    if asked == "auto":
        stored, wanted = ({**key, "precision": ""} for key in (stored, wanted))
    return stored == wanted
