"""finetune: trains each network on each fold's training rows and predicts its held-out rows and the test rows.

Reads the images and folds.csv, and a probe's judgement of the labels if doubtful ones are dropped. Writes
models/<model>/ with history.csv; for each fold, and each further seed, first fold<k>.safetensors, then its tables, and
fold<k>.json, which records how they were made. Soups are made last, from the weights of finished models. Prints a line
per epoch and the score of each fold.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from src.models.finetune import heads, soups
from src.models.finetune.assembling import assemble
from src.models.finetune.cost import rate_of, run_cost
from src.models.finetune.fold import Shared, run_fold
from src.models.finetune.keys import CODE
from src.models.finetune.run import Run, check_networks, runs_of
from src.models.probe.judging import JUDGE, judge_of
from src.models.work import FITTED, StageWork, model_files
from src.networks import encoders
from src.networks.flops import flops
from src.results.model import has_result, is_reused, model_key, read_model
from src.schema.models import Soup
from src.units.unit import Key, Unit

STARTS, ASSEMBLE = "starts", "assemble"  # behind a model's name: the probes that it starts from; its folds' tables

check = check_networks  # before anything is computed


class Work(StageWork):
    """A unit a model, fold and seed; one that assembles each model; and one a soup."""

    stage = "finetune"

    def shared(self, name: str) -> Shared:
        """What the runs of a model share, which is kept until another's is asked for."""
        if self.kept is None or self.kept.name != name:
            self.kept = Shared(self.competition, name, self.data)
        return self.kept

    kept: Shared | None = None

    @property
    def soups(self) -> dict[str, Soup]:
        return {name: spec for name, spec in self.competition.of_stage(self.stage).items() if spec.ingredients}

    def units(self) -> Iterator[Unit]:
        for name, spec in self.competition.trained.items():
            judge = (("probe", judge_of(self.competition, spec), JUDGE),) if spec.needs_judge else ()
            held_out = len(self.data.train) - self.data.n_learnt
            work = run_cost(spec, self.data.n_learnt, held_out, len(self.data.test), flops(spec)).total
            after = (("pictures", name), *judge)
            what = {"gpus": 1, "after": after, "work": work, "rate": rate_of(spec), "whole": name}
            if spec.start == "probe":
                features = (("features", encoders.slug(spec.encoder)),)
                yield Unit(
                    self.stage, (name, STARTS), gpus=1, after=features, work=FITTED * self.data.n_learnt, whole=name
                )
                what["after"] += ((self.stage, name, STARTS),)
            for one in self.runs(name):
                yield Unit(self.stage, (name, one.number, one.seed), **what)
            runs = tuple((self.stage, name, number) for number in range(self.data.n_folds))
            yield Unit(self.stage, (name, ASSEMBLE), after=runs, work=0.0, whole=name, here=True)
        for name, spec in self.soups.items():
            after = tuple((self.stage, other) for other in spec.of)
            pictures = len(spec.of) * len(self.data.train) * flops(self.competition.models[spec.of[0]]).forward
            yield Unit(self.stage, (name,), gpus=1, after=after, work=pictures, rate=f"soup {name}", whole=name)

    def pending(self, before: Collection[Key] = ()) -> Iterator[Unit]:
        """As any stage's.

        Raises:
            UserError: Labels are not judged that are to be, and no unit will: before the first night of training.
        """
        self.reused: dict[str, bool] = {}
        judged = [self.shared(name) for name in self.competition.trained if not self.waits_for_judge(name, before)]
        for shared in judged:
            shared.doubtful  # noqa: B018
        yield from super().pending(before)

    def waits_for_judge(self, name: str, before: Collection[Key]) -> bool:
        spec = self.competition.models[name]
        return spec.needs_judge and ("probe", judge_of(self.competition, spec), JUDGE) in before

    def is_reused(self, name: str, what: int | str = "", seed: int | None = None) -> bool:
        if name not in self.reused:  # a line a model, before those of its runs
            key = self.soup_key(name) if name in self.soups else self.shared(name).key
            self.reused[name] = is_reused(self.folder(name), key)
        if self.reused[name] or name in self.soups or what == ASSEMBLE:
            return self.reused[name]
        if what == STARTS:
            return self.is_done(name, what)
        one = self.named(name, what, seed)
        if is_there := one.done(self.shared(name).key) is not None:
            print(f"{one.title}  reused")
        return is_there

    def runs(self, name: str) -> Iterator[Run]:
        for number in range(self.data.n_folds):
            yield from runs_of(self.competition, name, number)

    def folder(self, name: str) -> Path:
        return self.competition.model_folder(name)

    def soup_key(self, name: str) -> dict[str, Any]:
        spec = self.soups[name]
        ingredients = {other: read_model(self.folder(other))["key"] for other in spec.of}
        scored = self.competition.scorer_key
        return model_key(self.competition, spec, self.data, CODE, ingredients=ingredients, **scored)

    def run(self, name: str, what: int | str = "", seed: int | None = None) -> None:
        if self.is_done(name, what, seed):
            return
        if name in self.soups:
            soups.mix(self.competition, name, self.data, self.soup_key(name))
        elif what == ASSEMBLE:
            assemble(self.shared(name))
        elif what == STARTS:
            self.shared(name).starts  # noqa: B018 which writes them
        else:
            run_fold(self.competition, name, what, seed, self.shared(name))

    def is_done(self, name: str, what: int | str = "", seed: int | None = None) -> bool:
        if name in self.soups:
            return has_result(self.folder(name), self.soup_key(name))
        if what == STARTS:
            return heads.has_probes(self.competition, name, self.data)
        key = self.shared(name).key
        return (
            has_result(self.folder(name), key)
            if what == ASSEMBLE
            else self.named(name, what, seed).done(key) is not None
        )

    def named(self, name: str, number: int, seed: int | None) -> Run:
        return Run(self.competition, name, number, self.competition.models[name].seed if seed is None else seed)

    def outputs(self, name: str, what: int | str = "", seed: int | None = None) -> list[Path]:
        if name in self.soups or what == ASSEMBLE:
            return model_files(self.folder(name))
        return [heads.probes_file(self.competition, name)] if what == STARTS else self.named(name, what, seed).files

    def seconds(self, name: str, what: int | str = "", seed: int | None = None) -> float | None:
        if name in self.soups or what in (ASSEMBLE, STARTS):
            return None
        return self.named(name, what, seed).done(self.shared(name).key)["seconds"]

    def makes(self, name: str, what: int | str = "", seed: int | None = None) -> str | None:
        return name if name in self.soups or what == ASSEMBLE else None
