"""probe: fits a regression on an encoder's features for each fold: logistic, or of a number ridge.

Reads features/<encoder>-<view>/ and folds.csv. Writes models/<model>/, and fold<k>-judged.parquet if a model that is
fine-tuned drops the labels that this probe doubts (models/probe/judging.py). Prints the loss by C, what each fold
chose, and the score.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from src.base.text import duration
from src.data.rows import Dataset
from src.models.logreg.ridge import Clipped
from src.models.pictures import test_pictures
from src.models.probe.fitted import FittedProbe
from src.models.probe.fitting import TrainRows, probe_key
from src.models.probe.judging import JUDGE, judgement_paths, judging_probes, why_not_judged, write_judgements
from src.models.probe.nested import Fit
from src.models.work import FITTED, ModelWork
from src.results.model import read_model, save_model
from src.schema.competition import Competition
from src.schema.models import Probe
from src.scoring import label_noise
from src.units.unit import Unit


class Work(ModelWork):
    stage = "probe"

    def key(self, name: str) -> dict[str, Any]:
        return probe_key(self.competition, self.models[name], self.data)

    def compute(self, name: str, key: dict[str, Any]) -> None:
        fit(self.competition, name, self.models[name], self.data, key)

    def units(self) -> Iterator[Unit]:
        yield from super().units()
        for name in sorted(judging_probes(self.competition)):
            work = FITTED * len(self.data.train)
            yield Unit(self.stage, (name, JUDGE), gpus=1, after=((self.stage, name),), work=work, rate=f"judge {name}")

    def run(self, name: str, what: str = "") -> None:
        if not what:
            super().run(name)
        elif not self.is_reused(name, what):
            judge(self.competition, name, self.models[name], self.data)

    def is_done(self, name: str, what: str = "") -> bool:
        return not why_not_judged(self.competition, name, self.data) if what else super().is_done(name)

    def is_reused(self, name: str, what: str = "") -> bool:
        if not what:
            return super().is_reused(name)
        if is_judged := self.is_done(name, what):
            print(f"{name}  what it says of labels is reused")
        return is_judged

    def outputs(self, name: str, what: str = "") -> list[Path]:
        if not what:
            return super().outputs(name)
        about, tables = judgement_paths(self.competition, name, self.data)
        return [*tables, about]

    def makes(self, name: str, what: str = "") -> str | None:
        return None if what else name


def fit(competition: Competition, name: str, spec: Probe, data: Dataset, key: dict) -> None:
    start, folder = time.perf_counter(), competition.model_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = TrainRows(competition, spec, data), test_pictures(competition, data)
    test.features(spec.encoders)  # those that are missing are an error before anything is fitted
    fits = train.fits(name)
    fitted = FittedProbe(competition, spec, fits)
    fitted.save(folder)
    oof, probs = train.out_of_fold(fits), fitted.predict(test)
    print(curve_text(name, fits))
    facts = {"chosen": [{"c": fit.c, "normalise": fit.normalise} for fit in fits]}
    if fits[0].each:
        facts["c_of_labels"] = [dict(zip(competition.classes, fit.each, strict=True)) for fit in fits]
    facts["c_curves"] = [fit.curves for fit in fits]
    if spec.label_noise != "keep":
        facts["dropped"] = dropped = [int(fit.doubted.sum()) for fit in fits]
        for fold, held_out in enumerate(data.held_out):
            print(f"{name} fold {fold}  {label_noise.drop_message(dropped[fold], int((~held_out).sum()))}")
    seconds = time.perf_counter() - start
    save_model(competition, name, key, data, oof, probs, seconds, **facts)


def judge(competition: Competition, name: str, spec: Probe, data: Dataset) -> None:
    """Write a finished probe's judgement of each fold's training rows."""
    folder, start = competition.model_folder(name), time.perf_counter()
    chosen = [(one["c"], one["normalise"]) for one in read_model(folder)["chosen"]]
    write_judgements(competition, name, data, TrainRows(competition, spec, data).judge(chosen))
    print(f"{name}  has judged the labels of each fold's training rows  {duration(time.perf_counter() - start)}")


def curve_text(name: str, fits: list[Fit]) -> str:
    """The loss inside the training rows for each C, the mean over folds, and each fold's choice."""
    loss = "mean squared error of the share of the span" if isinstance(fits[0].link, Clipped) else "log loss"
    lines = [f"{name}  {loss} inside the training rows, by C"]
    for kind in fits[0].curves:
        values = {c: [fit.curves[kind][c] for fit in fits] for c in fits[0].curves[kind]}
        best = min(values, key=lambda c: np.mean(values[c]))
        cells = [f"{c}: {np.mean(losses):.4f}{' (least)' if c == best else ''}" for c, losses in values.items()]
        lines.append(f"  {kind:4s}  {'  '.join(cells)}")
    chosen = ", ".join(f"{c_text(fit)} {'unit' if fit.normalise else 'raw'}" for fit in fits)
    return "\n".join([*lines, f"  chosen for each fold: {chosen}"])


def c_text(fit: Fit) -> str:
    """The C of a fold; where each label has its own, from the least to the greatest."""
    least, greatest = min(fit.each or (fit.c,)), max(fit.each or (fit.c,))
    return f"{least:g}" if least == greatest else f"{least:g} to {greatest:g}"
