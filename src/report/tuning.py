"""Advice on models and their blend: what to change in the config. (See `src.report.sections.advice`.)"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from src.base.errors import counted
from src.report import reliability
from src.report.evidence import BLEND, Model
from src.report.figures import Advice, by_cv, gained, known, single, took
from src.report.histories import History
from src.report.material import Material
from src.schema.models import FineTune
from src.scoring import agreement
from src.scoring.agreement import ERRORS

ALIKE = 0.99  # share of rows on which two models agree, or their correlation, from which on one of them is enough
TENTHS = 10  # of a training: what happens in the last of them
LITTLE = 0.01  # of a log loss: what is not worth another training
ALL = ("identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")
TURNS = {  # augmentations under which a picture stays what it is, and the views that go with them
    "HorizontalFlip": ("identity", "hflip"),
    "VerticalFlip": ("identity", "vflip"),
    "RandomRotate90": ("identity", "rot90", "rot180", "rot270"),
    "Transpose": ("identity", "transpose"),
    "D4": ALL,
    "SquareSymmetry": ALL,
}


def trained(evidence: Material) -> Iterator[tuple[Model, FineTune, History]]:
    """The finished fine-tuned models of the config, the best first."""
    found = evidence.histories
    for model in by_cv(evidence):
        spec = evidence.competition.trained.get(model.name)
        if spec is not None and model.name in found:
            yield model, spec, found[model.name]


def over_folds(difference: np.ndarray) -> tuple[float, float, bool]:
    """The mean of the folds' differences, its standard error, and whether it is above 0 beyond doubt: in each fold."""
    mean, se = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return mean, se, mean > ERRORS * se and bool((difference > 0).all())


def unsigned(gain: float, se: float) -> str:
    """`0.0990 ± 0.0006`, a difference that is above 0."""
    return gained(gain, se).removeprefix("+")


def epochs(evidence: Material) -> Iterator[Advice]:
    """Advise more of them, or fewer, for the best model that calls for it.

    With a learning rate that falls to 0, a loss that still falls in the last tenth of the epochs has not had enough.
    """
    metric = evidence.metric
    for model, spec, history in trained(evidence):
        loss = history.lines("valid_log_loss")
        planned = evidence.scheduled(spec).epochs
        if loss.isna().to_numpy().any() or not TENTHS // 2 <= len(loss) == planned or loss.shape[1] < 2:
            continue
        tail = max(1, round(len(loss) / TENTHS))
        level = float(loss.iloc[-1].mean())
        fell, se, sure = over_folds((loss.iloc[-1 - tail] - loss.iloc[-1]).to_numpy())
        if sure and fell > LITTLE * level:
            why = (
                f"The validation {evidence.row_loss_title} of {model.name} still falls in the last "
                f"{counted(tail, 'epoch')} of {planned}, by {unsigned(fell, se)} (mean over folds), "
                "with the learning rate near 0."
            )
            yield Advice(f"Train {model.name} longer", why, epochs_of(spec, round(1.5 * planned)))
            return
        at = int(loss.mean(axis=1).to_numpy().argmin())
        rose, se, sure = over_folds((loss.iloc[-1] - loss.iloc[at]).to_numpy())
        column = f"valid_{evidence.competition.metric}"
        score = history.lines(column) if column in history.epochs else -metric.sign * loss
        better = metric.sign * float((score.iloc[-1] - score.iloc[at]).mean())
        if sure and rose > 5 * LITTLE * level and not better > 0:
            why = (
                f"The validation {evidence.row_loss_title} of {model.name} is least at epoch {at + 1} of {planned} and "
                f"{unsigned(rose, se)} higher at the end, and the score is no better: it learns the rows by heart."
            )
            yield Advice(f"Train {model.name} less, or augment more", why, epochs_of(spec, at + 1))
            return


def epochs_of(spec: FineTune, epochs: int) -> str:
    """What to write for so many epochs: max_steps would make fewer of them."""
    return f"epochs={epochs}" + ", max_steps=None" * (spec.max_steps is not None)


def temperature(evidence: Material) -> Iterator[Advice]:
    if not evidence.classes:  # a number has none
        return
    names = []
    for model, spec, _ in trained(evidence):
        if spec.temperature:
            continue
        rows = reliability.sample(model.oof)
        found = reliability.calibrated(evidence, model, rows)
        much = found.gain > ERRORS * found.gain_se and found.gain > LITTLE * model.made["log_loss"]
        if much and found.before.ece > found.before.by_chance[1] and found.after.ece < found.before.ece:
            names.append((model.name, found))
    if names:
        name, found = names[0]
        others = f", and so for {', '.join(one for one, _ in names[1:])}" if len(names) > 1 else ""
        why = (
            f"A temperature of {found.temperature:.2f} saves {name} {unsigned(found.gain, found.gain_se)} log loss and "
            f"takes its ECE from {found.before.ece:.3f} to {found.after.ece:.3f}{others}. Nothing is trained again."
        )
        yield Advice(f"Calibrate {name}", why, "temperature=True")


def views(evidence: Material) -> Iterator[Advice]:
    """Advise the views that a model was trained with, unless the config says that they change the class."""
    names, how = [], ()
    for model, spec, _ in trained(evidence):
        kept = evidence.competition.symmetries
        turned = [TURNS[one.name] for one in spec.augment if one.name in TURNS]
        fitting = [views for views in turned if kept is None or {*views[1:]} <= {*kept}]
        if spec.views == ("identity",) and fitting:
            names.append(model.name)
            how = how or max(fitting, key=len)
    if names:
        why = (
            f"Trained with flips or turns, but asked in one view: {', '.join(names)}. The mean of {len(how)} views "
            f"costs {len(how)} predictions, and trains nothing again."
        )
        yield Advice("Predict in several views", why, f"views={how}".replace("'", '"'))


def seeds(evidence: Material) -> Iterator[Advice]:
    """Advise more seeds where the two best are no further apart than chance, and each is of one seed."""
    top = list(trained(evidence))[:2]
    if len(top) < 2 or any(spec.seeds > 1 for _, spec, _ in top):
        return
    first, second = (model for model, _, _ in top)
    gain, se = evidence.metric.gain(evidence.targets, first.decided, than=second.decided)
    if abs(gain) <= se:
        time = took(first, "an unknown time")
        why = (
            f"The best two, {first.name} and {second.name}, differ by {gained(gain, se)} {evidence.competition.metric} "
            f"(paired), with one seed each: the mean of three is steadier, and takes three times {time}."
        )
        yield Advice(f"Train {first.name} with more seeds", why, "seeds=3")


def near_identical_models(evidence: Material) -> Iterator[Advice]:
    """Advise to leave out one of two blended models that agree nearly everywhere, if the blend does not miss it."""
    blend = evidence.models.get(BLEND)
    parts: dict[str, dict[str, Any]] = (blend.made.get("models") if blend else None) or {}
    inside = [model for model in single(evidence) if model.name in parts]
    if len(inside) < 3:
        return
    apart = agreement.disagreement(evidence.competition.target, [model.oof for model in inside]) + np.eye(len(inside))
    first, second = np.unravel_index(apart.argmin(), apart.shape)
    share = 1 - apart[first, second]
    if share < ALIKE:
        return
    a, b = inside[first], inside[second]
    lost = {one.name: [parts[one.name].get(key) for key in ("lost", "lost_se")] for one in (a, b)}
    free = [one for one in (a, b) if known(*lost[one.name]) and lost[one.name][0] <= lost[one.name][1]]
    if free:
        out = max(free, key=lambda one: one.made.get("seconds", 0))
        time = took(out, "an unknown time")
        alike = f"On {share:.1%} of the rows {a.name} and {b.name} agree"
        if not evidence.target.is_choice:
            alike = f"The predictions of {a.name} and {b.name} correlate to {share:.3f}"
        why = (
            f"{alike}; without {out.name}, which took {time}, the blend loses "
            f"{gained(*lost[out.name])} {evidence.competition.metric}."
        )
        rest = ", ".join(f'"{one.name}"' for one in inside if one is not out)
        yield Advice(f"Leave {out.name} out", why, f"blend=Blend(models=({rest}))")
