"""The mistakes of one class a row: the confusion matrix, a table a class, and mistakes in pictures."""

from typing import Any

import numpy as np
from scipy import sparse

from src.report import curves
from src.report.album import name
from src.report.evidence import Model
from src.report.material import Material
from src.report.mistakes_of import common
from src.report.mistakes_of.common import LISTED, MATRIX, SUREST, Body


def body(evidence: Material, best: Model, models: list[Model]) -> Body:
    counts = {model.name: confusion(evidence, model) for model in models}
    classes = {each: class_measures(matrix) for each, matrix in counts.items()}
    ordered = [best, *(model for model in models if model is not best)]
    wrong = {model.name: surest(evidence, model) for model in ordered}
    kinds = [evidence.targets * len(evidence.classes) + evidence.answers(model) for model in ordered]
    pictures = common.put(evidence, [(rows, kind[rows]) for rows, kind in zip(wrong.values(), kinds, strict=True)])
    whole = len(evidence.classes) <= MATRIX
    about = {
        "matrices": {each: shaded(matrix) for each, matrix in counts.items()} if whole else {},
        "pairs": {} if whole else {each: most_confused(matrix) for each, matrix in counts.items()},
        "tables": {each: common.lines(table) for each, table in classes.items()},
        "classes": evidence.classes,
        "listed": min(LISTED, len(evidence.classes)) if not whole else None,
    }
    charts = {"classes": common.measures_chart(evidence, best, classes), **curves.of_ranks(evidence, models)}
    charts |= curves.of_positive(evidence, models, best.name)
    data = {"pictures": [name(row) for row in pictures], "models": {}}
    for each, rows in wrong.items():
        first = common.firsts(pictures, rows[:SUREST].tolist())
        data["models"][each] = {"wrong": len(rows), "surest": [name(row) for row in first]}
    return Body("class", about, charts, data, ("classes", "positive"))


def confusion(evidence: Material, model: Model) -> sparse.csr_array:
    """(k, k) the rows of each class, in its row of the matrix, by the label that the model gives."""
    k, n = len(evidence.classes), len(evidence.targets)
    places = (evidence.targets, evidence.answers(model))
    return sparse.csr_array(sparse.coo_array((np.ones(n, int), places), shape=(k, k)))


def class_measures(matrix: sparse.csr_array) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, and its counts: see `common.measures`."""
    return common.measures(matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0))


def shaded(counts: sparse.csr_array) -> list[list[dict[str, Any]]]:
    """Cells with their count, share of the row, and how strong their colour is, from 0 to 1.

    The colour of a hit is its share; of a mistake its share of the largest share that a mistake has.
    """
    matrix = counts.toarray()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    off = share * (1 - np.eye(len(matrix)))
    shade = np.where(np.eye(len(matrix), dtype=bool), share, off / max(off.max(), 1e-12))
    return [
        [{"count": int(n), "share": float(s), "shade": round(float(c), 3)} for n, s, c in zip(*row, strict=True)]
        for row in zip(matrix, share, shade, strict=True)
    ]


def most_confused(matrix: sparse.csr_array) -> list[dict[str, Any]]:
    """The pairs of label and prediction with the most rows."""
    rows, cells = matrix.sum(axis=1), matrix.tocoo()
    off = cells.row != cells.col
    label, prediction, count = cells.row[off], cells.col[off], cells.data[off]
    order = np.lexsort((prediction, label, -count))[:LISTED]
    return [
        {"label": int(t), "prediction": int(p), "count": int(n), "share": float(n / rows[t])}
        for t, p, n in zip(label[order], prediction[order], count[order], strict=True)
    ]


def surest(evidence: Material, model: Model) -> np.ndarray:
    """The train rows that a model gives another label, those of the highest probability first."""
    wrong = np.flatnonzero(evidence.answers(model) != evidence.targets)
    return wrong[np.argsort(-model.decided[wrong].max(axis=1), kind="stable")]
