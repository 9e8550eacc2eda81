"""The metrics of several labels a row: of the labels, or of columns of probabilities."""

from functools import partial

import numpy as np

from src.scoring import auc, average_precision
from src.scoring.blocks import by_rows
from src.scoring.fscores import FScore, best_constant
from src.scoring.metric import Metric, column_metric, row_mean
from src.scoring.targets import BOARD_MIN_PROB, TARGETS

TASK = "labels"
SEVERAL = TARGETS[TASK]


def exact(targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(n,) whether all labels of the row are right."""
    return by_rows(lambda true, probs: ((true > 0) == SEVERAL.answers(probs)).all(axis=1), targets, table).astype(float)


def wrong(targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(n,) the share of the row's labels that are wrong."""
    return by_rows(lambda true, probs: ((true > 0) != SEVERAL.answers(probs)).mean(axis=1), targets, table)


def commonest_row(targets: np.ndarray) -> np.ndarray:
    """(k,) the labels that most rows have alike."""
    rows, counts = np.unique(targets, axis=0, return_counts=True)
    return rows[counts.argmax()].astype(float)


def board_loss(targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The log loss (n,) as Kaggle computes it of a submission: probabilities are kept 1e-15 from 0 and 1."""

    def loss(true: np.ndarray, probs: np.ndarray) -> np.ndarray:
        probs = np.clip(probs.astype(float), BOARD_MIN_PROB, 1 - BOARD_MIN_PROB)
        return -np.log(np.where(true > 0, probs, 1 - probs)).mean(axis=1)

    return by_rows(loss, targets, table)


def f_metric(f: FScore, *kaggle_names: str) -> Metric:
    moved = {"per_row": f.per_row} if f.average == "sample" else {"influence": f.influence}
    facts = {"task": TASK, "answers": "labels", "rules": ("thresholds",), "kaggle_names": kaggle_names}
    return Metric(f.value, f_score=f, constant=partial(best_constant, f), **moved, **facts)


LABEL_METRICS = {
    "accuracy": row_mean(
        exact,
        constant=commonest_row,
        task=TASK,
        answers="labels",
        is_share=True,
        kaggle_names=("accuracy", "accuracyscore", "exactmatchratio", "subsetaccuracy"),
    ),
    "micro_f1": f_metric(
        FScore("micro"),
        *("meanfscore", "meanf1score", "microfscore", "microf1score", "microf1", "f1micro", "fmicro"),
        *("microaveragedf1", "microaveragedf1score"),
    ),
    "macro_f1": f_metric(
        FScore("macro"),
        *("macrofscore", "macrof1score", "macrof1", "f1macro", "f1scoremacro", "meanfscoremacro", "fmacro"),
        *("macroaveragedf1", "macroaveragedf1score"),
    ),
    "sample_f1": f_metric(
        FScore("sample"), "samplef1score", "samplesf1", "f1samples", "samplewisef1", "examplebasedf1"
    ),
    "micro_f2": f_metric(FScore("micro", 2), "microfscorebeta", "microf2score", "microf2", "f2micro"),
    "macro_f2": f_metric(FScore("macro", 2), "macrofscorebeta", "macrof2score", "macrof2", "f2macro"),
    "sample_f2": f_metric(
        FScore("sample", 2), "meanfscorebeta", "f2score", "meanf2", "meanf2score", "samplef2score", "f2samples"
    ),
    "hamming_loss": row_mean(
        wrong, task=TASK, answers="labels", greater_is_better=False, kaggle_names=("hammingloss", "meanhammingloss")
    ),
    "log_loss": row_mean(
        SEVERAL.loss,
        task=TASK,
        board_per_row=board_loss,
        greater_is_better=False,
        bounds=(0.0, np.inf),
        kaggle_names=("logloss", "meancolumnwiselogloss", "binarycrossentropy", "logarithmicloss"),
    ),
    "auc": column_metric(
        auc.area,
        auc.influence,
        task=TASK,
        is_of_order=True,
        kaggle_names=(
            "auc",
            "meancolumnwiseauc",
            "meanauc",
            "macroauc",
            "rocauc",
            "rocaucscore",
            "areaunderreceiveroperatingcharacteristiccurve",
            "areaundertheroccurve",
            "meancolumnwiserocauc",
        ),
    ),
    "average_precision": column_metric(
        average_precision.value,
        average_precision.influence,
        task=TASK,
        is_of_order=True,
        kaggle_names=("averageprecision", "averageprecisionscore", "meancolumnwiseaverageprecision"),
    ),
}
