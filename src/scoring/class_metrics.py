"""The metrics of one class a row. Of probabilities in columns, those of two classes are of the second."""

from functools import partial

import numpy as np

from src.scoring import auc, average_precision, bootstrap, confusion
from src.scoring.blocks import by_rows
from src.scoring.metric import Metric, column_metric, label_metric, row_mean
from src.scoring.tables import Sparse, true_probs
from src.scoring.targets import BOARD_MIN_PROB, surprise


def correct(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    return (probs.argmax(axis=1) == targets).astype(float)


def board_surprise(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The same as Kaggle computes it of a submission: each row is divided by its sum, then kept 1e-15 from 0 and 1."""
    if not isinstance(probs, Sparse):
        probs = probs.astype(float)
    true = true_probs(targets, probs) / probs.sum(axis=1)
    return -np.log(np.clip(true, BOARD_MIN_PROB, 1 - BOARD_MIN_PROB))


def squares(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n,) half the sum over classes of (probability - 1 or 0) squared: of two classes, either one's (Brier 1950)."""
    true = true_probs(targets, probs).astype(float)
    squared = probs.sum_of_squares() if isinstance(probs, Sparse) else np.square(probs, dtype=float).sum(axis=1)
    return (squared - 2 * true + 1) / 2


def ahead(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n,) the classes that are likelier than the true one; of equally likely ones the last are, as in scikit-learn."""
    return probs.ahead(targets) if isinstance(probs, Sparse) else by_rows(ahead_in_block, targets, probs)


def ahead_in_block(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    true = probs[np.arange(len(targets)), targets][:, None]
    behind = np.arange(probs.shape[1]) > targets[:, None]
    return ((probs > true) | ((probs == true) & behind)).sum(axis=1)


def among(top: int, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Whether the true class is one of the `top` likeliest."""
    return (ahead(targets, probs) < top).astype(float)


def precision_at(top: int, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n,) 1 / the place of the true class among the `top` likeliest, 0 where it is none of them: of MAP@k.

    A class whose number is negative has no place: a submission may rank fewer classes than count.
    """
    before = ahead(targets, probs)
    has_place = (before < top) & (true_probs(targets, probs) >= 0)
    return np.where(has_place, 1 / (1 + before), 0)


def soft_f1(is_class: np.ndarray, prob: np.ndarray) -> float:
    """F1 of one column by probabilities instead of counts: that of RSNA's breast cancer competition (Kaggle 2022)."""
    return float(2 * prob[is_class].sum(dtype=float) / (np.count_nonzero(is_class) + prob.sum(dtype=float)))


def soft_f1_influence(is_class: np.ndarray, prob: np.ndarray) -> np.ndarray:
    whole = np.mean(is_class + prob.astype(float))
    return (2 * is_class * prob - soft_f1(is_class, prob) * (is_class + prob)) / whole


def ranking(top: int) -> Metric:
    """MAP@k: of one true class that is the mean of 1 / its place."""
    names = (f"map{top}", f"meanaverageprecision{top}", f"meanaverageprecisionat{top}", f"meanaverageprecisionmap{top}")
    return row_mean(
        partial(precision_at, top), answers="ranking", places=top, rules=("none_of_these",), kaggle_names=names
    )


CLASS_METRICS = {
    "accuracy": row_mean(
        correct,
        answers="labels",
        is_share=True,
        kaggle_names=("accuracy", "accuracyscore", "categorizationaccuracy", "classificationaccuracy", "top1accuracy"),
    ),
    "balanced_accuracy": label_metric(
        confusion.balanced_accuracy,
        kaggle_names=(
            "balancedaccuracy",
            "balancedaccuracyscore",
            "balancedmulticlassaccuracy",
            "meanperclassaccuracy",
        ),
    ),
    "macro_f1": label_metric(
        confusion.macro_f1,
        kaggle_names=("macrofscore", "macrof1score", "macrof1", "f1macro", "f1scoremacro", "meanfscoremacro", "fmacro"),
    ),
    # Of one label a row it is the accuracy. It is no share, for that of several labels is none.
    "micro_f1": row_mean(
        correct,
        answers="labels",
        of_counts=confusion.accuracy,
        kaggle_names=("meanfscore", "meanf1score", "microfscore", "microf1score", "microf1", "f1micro", "fmicro"),
    ),
    "quadratic_kappa": label_metric(
        confusion.quadratic_kappa,
        rules=("biases", "cut_points"),
        is_ordinal=True,
        bounds=(-1.0, 1.0),
        kaggle_names=(
            "quadraticweightedkappa",
            "quadraticweightedkappascore",
            "quadraticallyweightedkappa",
            "quadratickappa",
            "qwk",
        ),
    ),
    "log_loss": row_mean(
        surprise,
        board_per_row=board_surprise,
        greater_is_better=False,
        bounds=(0.0, np.inf),
        kaggle_names=(
            "multiclassloss",
            "multiclasslogloss",
            "multiclasslogarithmicloss",
            "logloss",
            "binarylogloss",
            "logarithmicloss",
            "crossentropyloss",
        ),
    ),
    "brier": row_mean(squares, greater_is_better=False, kaggle_names=("brierscore", "brierscoreloss")),
    "auc": Metric(
        auc.value,
        replicates=bootstrap.auc_replicates,
        is_of_order=True,
        kaggle_names=(
            "auc",
            "aucroc",
            "rocauc",
            "rocaucscore",
            "areaunderreceiveroperatingcharacteristiccurve",
            "areaunderthereceiveroperatingcharacteristiccurve",
            "areaundertheroccurve",
            "meancolumnwiseauc",
        ),
    ),
    "weighted_auc": column_metric(
        auc.low_rate_area, auc.low_rate_influence, is_of_order=True, kaggle_names=("weightedauc", "alaska2weightedauc")
    ),
    "average_precision": column_metric(
        average_precision.value,
        average_precision.influence,
        is_of_order=True,
        kaggle_names=("averageprecision", "averageprecisionscore", "prauc", "areaundertheprecisionrecallcurve"),
    ),
    "pf1": column_metric(
        soft_f1,
        soft_f1_influence,
        kaggle_names=(
            "pf1",
            "probabilisticfscore",
            "probabilisticf1",
            "probabilisticf1score",
            "probabilisticf1scorepf1",
        ),
    ),
    "top5": row_mean(partial(among, 5), is_share=True),
    **{f"map{top}": ranking(top) for top in (3, 5, 10, 12, 20)},
}
