"""Many pictures at a glance: how many of each class a model finds, and which it is least sure of."""

from collections.abc import Sequence

import numpy as np

from src.base.text import align
from src.commands.predict.session import Prediction

FEW = 24  # pictures that are looked at one by one, in the order in which they were named
CLASSES_PRINTED, DOUBTFUL_PRINTED = 20, 10


def by_class_and_doubt(prediction: Prediction) -> np.ndarray:
    """(n,) the pictures in the order of their likeliest class, the commonest first, and in it of their probability.

    The least sure of each class come first, since these are the ones to look at.
    """
    label, probability = prediction.probs.argmax(axis=1), prediction.probs.max(axis=1)
    counts = np.bincount(label, minlength=len(prediction.labels))
    return np.lexsort((probability, label, -counts[label]))


def class_counts(prediction: Prediction) -> list[tuple[str, int, float]]:
    """(class, pictures of which it is the likeliest, mean probability of that), the commonest class first."""
    label, probability = prediction.probs.argmax(axis=1), prediction.probs.max(axis=1)
    counts = np.bincount(label, minlength=len(prediction.labels))
    found = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    return [(prediction.labels[k], int(counts[k]), float(probability[label == k].mean())) for k in found]


def lines(names: Sequence[str], prediction: Prediction) -> list[str]:
    """The summary of a model's predictions of the pictures of these names, as lines to print."""
    found, n = class_counts(prediction), len(names)
    rows = [(prediction.name, "pictures", "share", "mean probability")]
    rows += [(label, str(count), f"{count / n:.1%}", f"{mean:.4f}") for label, count, mean in found[:CLASSES_PRINTED]]
    summary = align(rows)
    if len(found) > CLASSES_PRINTED:
        summary.append(f"... and {len(found) - CLASSES_PRINTED} more classes")
    doubtful, cells = np.argsort(prediction.probs.max(axis=1), kind="stable")[:DOUBTFUL_PRINTED], []
    for i in doubtful:
        ((_, label, probability),) = prediction.best(i, 1)
        cells.append((names[i], f"{probability:.4f}", label))
    return [*summary, "least sure of", *(f"  {line}" for line in align(cells))]
