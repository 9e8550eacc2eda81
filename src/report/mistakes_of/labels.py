"""The mistakes of several labels a row: a table and curves a label, labels that go together, and mistakes in pictures.

A mistake is a row and a label: one that the row has and is not given, or is given and has not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from src.report import curves, figures
from src.report.album import name
from src.report.evidence import Model
from src.report.material import Material
from src.report.mistakes_of import common
from src.report.mistakes_of.common import LISTED, MATRIX, SUREST, Body
from src.scoring import auc
from src.scoring.targets import label_surprise

Cells = np.ndarray  # (m, 2) a row and a label each


def body(evidence: Material, best: Model, models: list[Model]) -> Body:
    tables = {model.name: label_measures(evidence, model) for model in models}
    ordered = [best, *(model for model in models if model is not best)]
    wrong = {model.name: surest(evidence, model) for model in ordered}
    given = [evidence.answers(model)[tuple(wrong[model.name].T)] for model in ordered]
    kinds = [2 * cells[:, 1] + is_given for cells, is_given in zip(wrong.values(), given, strict=True)]
    pictures = common.put(evidence, [(cells[:, 0], kind) for cells, kind in zip(wrong.values(), kinds, strict=True)])
    whole = len(evidence.classes) <= MATRIX
    about = {
        "tables": {each: lines(table) for each, table in tables.items()},
        "together": {model.name: together(evidence, model) for model in models} if whole else {},
        "pairs": {} if whole else {model.name: pairs(evidence, model) for model in models},
        "rows_right": {model.name: row_facts(evidence, model) for model in models},
        "classes": evidence.classes,
        "listed": None if whole else min(LISTED, len(evidence.classes)),
    }
    shown = hardest(tables[best.name])
    curved = [model for model in [best, *figures.by_cv(evidence)] if model in models]
    curved = list(dict.fromkeys(model.name for model in curved))[: curves.CURVES]
    about["curves"] = {"labels": len(shown), "models": len(curved), "all": len(models)}
    charts = {"classes": common.measures_chart(evidence, best, tables)}
    charts |= curves.of_labels(evidence, [evidence.models[each] for each in curved], shown, best.name)
    data: dict[str, Any] = {"pictures": [name(row) for row in pictures], "models": {}}
    for each, cells in wrong.items():
        first = [(name(("train", row)), label) for row, label in cells[:SUREST].tolist() if ("train", row) in pictures]
        data["models"][each] = {"wrong": len(cells), "surest": first}
    return Body("labels", about, charts, data, ("classes", "roc", "pr"))


def label_measures(evidence: Material, model: Model) -> dict[str, np.ndarray]:
    """`common.measures` of each label, with missed and false (k,), and of the probabilities auc and loss (k,).

    Of many labels those alone have an auc that are listed: it takes a sort of the rows each.
    """
    has, given = evidence.targets > 0, evidence.answers(model)
    hits, rows, predicted = (cells.sum(axis=0) for cells in (has & given, has, given))
    found = common.measures(hits, rows, predicted)
    areas, loss = np.full((2, has.shape[1]), np.nan)
    for i in common.by_f1(found):
        areas[i] = auc.area(has[:, i], model.oof[:, i])
        loss[i] = label_surprise(evidence.targets[:, i], model.oof[:, i]).mean()
    return {**found, "missed": rows - hits, "false": predicted - hits, "auc": areas, "loss": loss}


def lines(table: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """`common.lines` with all that is known of labels."""
    found = common.lines(table, ("rows", "predicted", "missed", "false"))
    return [
        one | {each: figures.number(float(table[each][one["label"]]), 3) for each in ("auc", "loss")} for one in found
    ]


def hardest(table: Mapping[str, np.ndarray]) -> list[int]:
    """The labels that have curves: those of the least area below the ROC curve, in their order."""
    order = np.argsort(table["auc"], kind="stable")  # NaN, which has no curve, is last
    return sorted(order[: curves.CURVES].tolist())


def together(evidence: Material, model: Model) -> list[list[dict[str, Any]]]:
    """(k, k) cells: of the rows that have a label, the share that has the other too, and that is given it."""
    has, given = (evidence.targets > 0).astype(float), evidence.answers(model).astype(float)
    rows = np.maximum(has.sum(axis=0), 1)[:, None]
    true, said = has.T @ has / rows, has.T @ given / rows
    k = len(true)
    return [
        [{"true": float(true[i, j]), "given": float(said[i, j]), "own": i == j} for j in range(k)] for i in range(k)
    ]


def pairs(evidence: Material, model: Model) -> list[dict[str, Any]]:
    """The two labels that most rows have together, or are given: how many rows have both, and are given both."""
    has, given = (sparse.csr_array(of.astype(int)) for of in (evidence.targets > 0, evidence.answers(model)))
    true, said = (sparse.triu(of.T @ of, 1, format="csr") for of in (has, given))
    either = true.maximum(said).tocoo()
    order = np.lexsort((either.col, either.row, -either.data))[:LISTED]
    found = zip(either.row[order].tolist(), either.col[order].tolist(), strict=True)
    return [{"one": i, "other": j, "true": int(true[i, j]), "given": int(said[i, j])} for i, j in found]


def row_facts(evidence: Material, model: Model) -> dict[str, str]:
    """How many labels rows have and are given, and how many rows have all of them right."""
    has, given = evidence.targets > 0, evidence.answers(model)
    wrong = (has != given).sum(axis=1)
    return {
        "has": f"{has.sum(axis=1).mean():.2f}",
        "given": f"{given.sum(axis=1).mean():.2f}",
        "right": figures.percent(float((wrong == 0).mean())),
        "one": figures.percent(float((wrong == 1).mean())),
        "empty": f"{int((~given.any(axis=1)).sum()):,}",
    }


def surest(evidence: Material, model: Model) -> Cells:
    """The mistakes of a model, (m, 2) a row and a label each, those of the highest probability first."""
    given = evidence.answers(model)
    rows, labels = np.nonzero(given != (evidence.targets > 0))
    probs = model.decided[rows, labels]
    sure = np.where(given[rows, labels], probs, 1 - probs)
    return np.stack([rows, labels], axis=1)[np.argsort(-sure, kind="stable")]
