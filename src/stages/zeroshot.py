"""zeroshot: compares each image with the classes' prompts, and ranks the prompts on the training rows.

Reads features/<encoder>-<view>/ and the config's prompts. Writes features/<encoder>-texts.safetensors, models/<model>/
and in it prompts.csv: every template and phrase, scored alone and left out. Prints the ranking and the score.

The classifier is open_clip.build_zero_shot_classifier for the config's templates and phrases. Of several labels each
stands against its absence: how similar a picture has to be is fitted on each fold's training rows. So are these fields
of a ZeroShot:

  ensemble="greedy"   leaves out the templates and phrases that lower the score
  prior="train"       adds a bias per class, so that classes are predicted as often as they occur; of one a picture
"""

import time
from typing import Any

import numpy as np
import pandas as pd

from src.base import files
from src.data.rows import Dataset
from src.models import prompt_variants, zeroshot
from src.models.pictures import test_pictures, train_pictures
from src.models.work import ModelWork
from src.models.zeroshot import FittedZeroShot, FoldClassifier, Logits
from src.networks import features, texts
from src.results.model import model_key, save_model
from src.schema.competition import Competition
from src.schema.models import Prompts, ZeroShot
from src.scoring import intervals
from src.scoring.metrics import METRICS_OF
from src.scoring.tables import Gathered

CODE = 2
USUAL = {"class": "accuracy", "labels": "log_loss"}  # metrics that rank prompts, which no key names
PROMPTS_PRINTED = 10  # rows of the leaderboard


class Work(ModelWork):
    stage = "zeroshot"

    def key(self, name: str) -> dict[str, Any]:
        competition, spec = self.competition, self.models[name]
        identity, prompts = features.encoder_identity(spec), competition.prompt_texts
        more = {"precision": features.precision(competition, spec)}
        if spec.ensemble == "greedy" and (judge := zeroshot.ranking_metric(competition)) != USUAL[competition.task]:
            more["ranked_by"] = judge  # its choice
        return model_key(competition, spec, self.data, CODE, clip=identity, prompts=prompts, **more)

    def compute(self, name: str, key: dict[str, Any]) -> None:
        rank(self.competition, name, self.models[name], self.data, key)


def rank(competition: Competition, name: str, spec: ZeroShot, data: Dataset, key: dict) -> None:
    start = time.perf_counter()
    classes, judge, folds = competition.classes, zeroshot.ranking_metric(competition), np.arange(data.n_folds)
    metric, reading = METRICS_OF[competition.task][judge], zeroshot.READINGS[competition.task]
    known = texts.read(competition, spec)
    train, test = (part(competition, data) for part in (train_pictures, test_pictures))
    test.features([spec])  # those that are missing are an error before anything is computed
    feats = train.features([spec])

    def evaluate(candidates: list[Prompts]) -> zeroshot.Scores:
        classifiers = [known.classifier(prompts, classes) for prompts in candidates]
        return reading.scores(feats, data.targets, data.fold, classifiers, known.scale, metric)

    tried = prompt_variants.variants(competition.prompts, classes)
    board = zeroshot.leaderboard(tried, evaluate([variant.prompts for variant in tried]), judge)
    files.write_text(competition.model_folder(name) / "prompts.csv", board.to_csv(index=False, lineterminator="\n"))
    if len(board) > 1:
        print(board_text(name, board, judge, len(data.train)))

    n, k = len(data.train), len(classes)
    oof, logits, facts, fits = Gathered(n, k, competition.target.is_sparse(n, k)), Logits(known, feats), {}, []
    for fold in folds:
        held_out, chosen = data.fold == fold, competition.prompts
        if spec.ensemble == "greedy":
            chosen = zeroshot.greedy(chosen, classes, evaluate, metric, folds[folds != fold])
            facts.setdefault("ensemble", []).append({label: chosen.texts(label) for label in classes})
        fold_texts = [chosen.texts(label) for label in classes]
        learnt = zeroshot.learnt_by(competition, spec, logits, fold_texts, np.flatnonzero(~held_out), data.targets)
        if reading.learns(spec):
            rounded = learnt.round(reading.digits).tolist()
            facts.setdefault(reading.fact, []).append(dict(zip(classes, rounded, strict=True)))
        fits.append(FoldClassifier(fold_texts, learnt))
        oof[held_out] = zeroshot.predicted(competition, logits, fits[-1], np.flatnonzero(held_out))
    probs = FittedZeroShot(competition, spec, fits).predict(test)
    save_model(competition, name, key, data, oof.table(), probs, time.perf_counter() - start, **facts)


def board_text(name: str, board: pd.DataFrame, metric: str, n: int) -> str:
    """A table of the best prompts, by n training rows, and of the whole ensemble if it is not among them."""
    rows = board.reset_index(drop=True)
    rows.index += 1
    rows = rows[(rows.index <= PROMPTS_PRINTED) | (rows["kind"] == "all")].copy()
    numbers = {metric: "{:.4f}".format, "log_loss": "{:.4f}".format}
    rows["se"] = [intervals.error_text(metric, *one, n) for one in zip(rows[metric], rows["se"], strict=True)]
    table = rows.to_string(formatters=numbers, justify="left")
    return f"{name}  prompts on the training rows, {len(rows)} of {len(board)} (all: prompts.csv)\n{table}"
