"""A trained competition's models, for any picture: each says of it what its stage would say of a test row."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from src.base import files
from src.base.errors import UserError
from src.commands.predict.sight import Opinion, Seen, Sight
from src.data.rows import read_dataset
from src.models.blend import methods
from src.models.blend.methods import Pool, Weighted
from src.models.finetune import averaging, heads, training
from src.models.finetune.run import Run, runs_of
from src.models.probe.fitting import ProbeRows
from src.models.probe.nested import Fit
from src.networks import classifiers, features, texts
from src.networks.inference import Tower
from src.results import checkpoints
from src.results.model import BLEND, best_model, finished_models, model_tables, read_model
from src.schema.competition import Competition
from src.schema.models import FineTune, Probe, Soup, ZeroShot
from src.scoring import calibration
from src.scoring.metrics import METRICS


def best(competition: Competition) -> str:
    """The blend, or where there is none the finished model with the best score.

    Raises:
        UserError: Nothing is finished.
    """
    if (name := best_model(competition, finished_models(competition))) is None:
        raise UserError(f"{competition.name} has no finished model: {competition.command()}")
    return name


@dataclass(frozen=True)
class Finished:
    """A finished model of a competition, or its blend."""

    name: str  # as it is shown: `corn:probe_h14`
    competition: Competition
    model: str

    @property
    def spec(self) -> ZeroShot | Probe | FineTune | Soup:
        return self.competition.models[self.model]

    @property
    def command(self) -> str:
        return self.competition.command(BLEND if self.model == BLEND else self.spec.stage)

    @cached_property
    def made(self) -> dict[str, Any]:
        """What its model.json says."""
        if (made := read_model(self.competition.model_folder(self.model))) is None:
            raise UserError(f"{self.name} is not finished: {self.command}")
        return made

    @property
    def key(self) -> dict[str, Any]:
        return self.made["key"]

    @property
    def folds(self) -> range:
        return range(len(self.made["folds"]))

    def other(self, model: str) -> "Finished":
        return Finished(f"{self.competition.name}:{model}", self.competition, model)

    def check(self) -> None:
        """Refuses what is not finished, or not of the config as it is now, or has lost its weights.

        Raises:
            UserError: With the command that makes it.
        """
        have = {"classes": self.key["classes"], "model": self.key.get("model", {})}
        wanted = {"classes": list(self.competition.classes), "model": {}}
        if self.model != BLEND:
            wanted["model"] = files.plain(self.spec.model_dump(mode="json", exclude={"weights_file"}))
        prompts = self.key.get("prompts")
        if prompts is not None and self.competition.prompts is not None:
            have["prompts"] = prompts
            wanted["prompts"] = self.competition.prompt_texts
        self.refuse_other(have, wanted)
        checks = {
            ZeroShot: self.check_encoders,
            Probe: self.check_probe,
            FineTune: self.check_runs,
            Soup: self.check_soup,
        }
        (self.check_blend if self.model == BLEND else checks[type(self.spec)])()

    def refuse_other(self, have: dict[str, Any], wanted: dict[str, Any]) -> None:
        if have != wanted:
            why = files.changed(have, wanted)
            raise UserError(f"{self.name} is not of the config as it is now ({why}): {self.command} makes it anew")

    def fetch(self) -> None:
        """Its weights are there."""

    def look(self, sight: Sight) -> Opinion:
        looks = {ZeroShot: self.look_zeroshot, Probe: self.look_probe, FineTune: self.look_runs, Soup: self.look_soup}
        return (self.look_blend if self.model == BLEND else looks[type(self.spec)])(sight)

    def opinion(self, probs: np.ndarray, model_ms: dict[str, float], prepare_ms: dict[str, float]) -> Opinion:
        return Opinion(self.name, self.competition.classes, probs, model_ms, prepare_ms)

    # What looks through an encoder

    def check_encoders(self) -> None:
        specs = self.spec.encoders if isinstance(self.spec, Probe) else (self.spec,)
        have = self.key["encoders"] if isinstance(self.spec, Probe) else [self.key["clip"]]
        for spec, known in zip(specs, have, strict=True):
            self.refuse_other(known, features.encoder_identity(spec))

    def look_zeroshot(self, sight: Sight) -> Opinion:
        competition, made = self.competition, self.made
        times, known, classes = sight.features(self.spec), texts.read(competition, self.spec), competition.classes
        feats, total = Seen(sight, [self.spec]), 0.0
        for fold in self.folds:
            told = made["ensemble"][fold] if "ensemble" in made else made["key"]["prompts"]
            classifier = np.stack([known.mean(told[label]) for label in classes], axis=1)
            bias = made["bias"][fold] if "bias" in made else {}
            logits = known.scale * feats.dot(classifier) + np.array([bias.get(label, 0.0) for label in classes])
            total = total + softmax(logits, axis=1)
        return self.opinion(total / len(self.folds), *times)

    def check_probe(self) -> None:
        self.check_encoders()
        for path in self.probes:
            if "normalise" not in (checkpoints.about(path) or {}):
                raise UserError(
                    f"{self.name}: its {path} is missing or damaged: delete the folder, then {self.command}"
                )

    @property
    def probes(self) -> list[Path]:
        """The file of each fold's."""
        return [self.competition.model_folder(self.model) / f"fold{fold}.safetensors" for fold in self.folds]

    def look_probe(self, sight: Sight) -> Opinion:
        model_ms, prepare_ms = {}, {}
        for spec in self.spec.encoders:
            more, prepare = sight.features(spec)
            model_ms, prepare_ms = model_ms | more, prepare_ms | prepare
        split, total = Looked(self.competition, self.spec, sight), 0.0
        for path in self.probes:
            about, tensors = checkpoints.about(path), checkpoints.load(path)
            coef, intercept = (tensors[name].numpy() for name in ("coef", "intercept"))
            fit = Fit(coef, intercept, about["c"], about["normalise"], np.nan, {})
            total = total + split.predict(fit, np.arange(len(sight)))
        return self.opinion(total / len(self.probes), model_ms, prepare_ms)

    # What is fine-tuned

    def check_runs(self) -> None:
        for fold in self.folds:
            for one in runs_of(self.competition, self.model, fold):
                if why := one.untrained(self.key):
                    raise UserError(f"{self.name}: the weights of {one.title} are gone ({why}): {self.command}")

    def look_runs(self, sight: Sight) -> Opinion:
        spec, made = self.spec, self.made
        alphas = made["wise_ft"]["chosen"] if spec.wise_ft else [None] * len(self.folds)
        starts = self.starts() if any(alpha not in (None, 1.0) for alpha in alphas) else alphas  # 1: what was trained
        reads = [
            partial(weights, one, alpha, start)
            for fold, alpha, start in zip(self.folds, alphas, starts, strict=True)
            for one in runs_of(self.competition, self.model, fold)
        ]
        probs, *times = self.mean_of(sight, spec, reads, self.key.get("pictures"))
        if spec.temperature:
            probs = calibration.scale(probs, made["temperature"])
        return self.opinion(probs, *times)

    def starts(self) -> list[averaging.State]:
        """The weights that each fold's training started from, where their head is not random."""
        spec, competition = self.spec, self.competition
        if spec.start == "probe":
            print(
                f"{self.name} lies between the weights that were trained and those where it started, with a probe of "
                "each fold's training rows as its head: that is made again"
            )
            known = heads.starts(competition, spec, read_dataset(competition))
        else:
            known = [heads.zero_shot(competition, spec)] * len(self.folds)
        origin = classifiers.create(spec, len(competition.classes), spec.seed, True).state_dict()
        tensors = [(torch.from_numpy(head.coef), torch.from_numpy(head.intercept)) for head in known]
        return [{**origin, "head.weight": coef, "head.bias": intercept} for coef, intercept in tensors]

    def check_soup(self) -> None:
        for other in self.spec.of:
            one = self.other(other)
            one.check()
            if one.key != self.key["ingredients"][other]:
                raise UserError(f"{self.name} is of another {other} than there is now: {self.command} makes it anew")

    def look_soup(self, sight: Sight) -> Opinion:
        first, ingredients = self.competition.models[self.spec.of[0]], self.made["ingredients"]

        def read(fold: int) -> averaging.State:
            taken = [tuple(one.rsplit(" ", 1)) for one in ingredients[fold]]
            every = sorted((model, int(seed)) for model, seed in taken)
            return averaging.mean(
                [checkpoints.load(Run(self.competition, model, fold, seed).finished) for model, seed in every]
            )

        side = self.key["ingredients"][self.spec.of[0]].get("pictures")
        reads = [partial(read, fold) for fold in self.folds]
        return self.opinion(*self.mean_of(sight, first, reads, side))

    def mean_of(self, sight: Sight, spec: FineTune, reads: list, side: int | None) -> tuple:
        """The mean (n, k) of what networks of one kind say, and the times of them all.

        Args:
            reads: Each gives the weights of one.
        """
        data, total, model_ms, prepare = classifiers.data_config(spec), 0.0, {}, {}
        with torch.random.fork_rng():
            model = classifiers.create(spec, len(self.competition.classes), 0, pretrained=False)
        model = training.placed(model.eval().requires_grad_(False))
        tower = Tower(model, classifiers.geometry(spec), data.mean, data.std)
        for i, read in enumerate(reads):
            model.load_state_dict(read())
            title = f"{self.name}, network {i + 1} of {len(reads)}"
            options = {"precision": spec.precision, "side": side, "timed_as": self.name}
            logits, model_ms[title], prepare = sight.look(title, tower, spec.views, **options)
            total = total + np.mean([softmax(one, axis=1) for one in logits.values()], axis=0)
        return total / len(reads), model_ms, prepare

    # The blend

    def check_blend(self) -> None:
        for name, known in self.key["models"].items():
            one = self.other(name)
            if name not in self.competition.models:
                raise UserError(
                    f"{self.name} has a model {name!r}, which the config lacks: {self.command} makes it anew"
                )
            folder = self.competition.model_folder(name)
            tables = [folder / f"{part}.parquet" for part in ("oof", "test")]
            if one.made and files.digest([files.sha256(table) for table in tables]) != known:
                raise UserError(f"{self.name} is of another {name} than there is now: {self.command} makes it anew")
            if name in self.weighted:
                one.check()

    @property
    def weighted(self) -> dict[str, float]:
        """The models that it is made of, each with its weight; of a stack, which has none, all."""
        made = self.made
        if made["method"] == "stack":
            return dict.fromkeys(made["key"]["models"], 1.0)
        some = {name: weight for name, weight in made["weights"].items() if weight > 0}
        if made["method"] == "mean":  # of which four digits are kept
            some = dict.fromkeys(some, 1.0)
        total = sum(some.values())
        return {name: weight / total for name, weight in some.items()}

    def look_blend(self, sight: Sight) -> Opinion:
        weights = self.weighted
        opinions = [self.other(name).look(sight) for name in weights]
        model_ms, prepare_ms = {}, {}
        for one in opinions:
            model_ms, prepare_ms = {**model_ms, **one.model_ms}, {**prepare_ms, **one.prepare_ms}
        blender = self.stack() if self.made["method"] == "stack" else Weighted(np.array(list(weights.values())))
        return self.opinion(blender.predict(np.stack([one.probs for one in opinions])), model_ms, prepare_ms)

    def stack(self) -> methods.Blender:
        """Solved again of the models' out-of-fold tables: its coefficients are not kept."""
        data = read_dataset(self.competition)
        oofs = np.stack([model_tables(self.competition, name, data)[0] for name in self.weighted])
        pool = Pool(oofs, data.targets, data.fold, METRICS[self.competition.metric])
        return methods.METHODS["stack"](pool, [()])[0]


def weights(run: Run, alpha: float | None, start: averaging.State | None) -> averaging.State:
    """Those that a run predicts with."""
    trained = checkpoints.load(run.finished)
    return trained if alpha in (None, 1.0) else averaging.interpolated(start, trained, alpha)


class Looked(ProbeRows):
    """What a probe looks at of the pictures of a sight."""

    def __init__(self, competition: Competition, spec: Probe, sight: Sight):
        self.n, self.views = len(sight), len(spec.views) if spec.views_as == "rows" else 1
        self.feats = {unit: Seen(sight, spec.encoders, unit, spec.views_as) for unit in spec.normalise}.__getitem__
        self.offset = None
        if spec.towards == "zeroshot":
            known = texts.read(competition, spec)
            classifier = known.classifier(competition.prompts, competition.classes)
            self.offset = known.scale * Seen(sight, [spec], True, spec.views_as).dot(classifier)
