"""The pipeline, one stage a file; `__init__` has their order and what each needs.

A stage that is named runs with the stages that it needs: `./run.sh corn probe blend`. Two stages run only if they are
named: find_lr and audit.
"""

import importlib
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from src.base.packages import CORE, DUPLICATES, NETWORKS

if TYPE_CHECKING:
    from src.schema.competition import Competition


WITHOUT_NETWORKS = ("data", "folds")
ASKED = ("find_lr", "audit")  # stages that run only where they are named
BEFORE_BLEND = {  # each with the stages it needs; in the order in which they run
    "data": (),
    "folds": ("data",),
    "pixels": ("folds",),
    "features": ("data", "folds"),
    "zeroshot": ("features",),
    "probe": ("features",),
    "neighbours": ("features",),
    "find_lr": ("folds",),
    "finetune": ("folds",),
}
STAGES = {
    **BEFORE_BLEND,
    "blend": tuple(name for name in BEFORE_BLEND if name not in ASKED),
    "submission": ("blend",),
    "audit": ("features",),
}


def module(name: str) -> ModuleType:
    """The module of a stage, imported when it is wanted, since most import torch."""
    return importlib.import_module(f"src.stages.{name}")


def packages(names: tuple[str, ...], competition: "Competition | None") -> set[str]:
    """The packages that stages import, by distribution; without a competition, those that any config's import."""
    needed = {*CORE, *(DUPLICATES,) * ("audit" in names)}
    groups = competition is not None and competition.folds.groups is not None and "folds" in names
    if groups or {*names} - {*WITHOUT_NETWORKS}:
        needed |= {*NETWORKS, *(competition.packages if competition else ())}
    return needed


def run(competition: "Competition", names: tuple[str, ...]) -> None:
    """Run stages in order, after they have checked the config."""
    start, whole = time.perf_counter(), competition
    computed, submission, checked = set(), None, False
    for i, name in enumerate(names):
        print(f"== {competition.folder.name}: {name}")
        if name not in WITHOUT_NETWORKS and not checked:  # here torch is imported
            for later in names[i:]:
                getattr(module(later), "check", lambda competition: None)(competition)
            competition, checked = importlib.import_module("src.models.at_hand").without_hub(competition), True
        result = module(name).run(competition)
        if isinstance(result, Path):
            submission = result
        else:
            computed.update(result or ())
    if submission:
        from src.base.text import duration
        from src.results import summary

        print(f"== {competition.folder.name}: done in {duration(time.perf_counter() - start)}")
        print(summary.table(whole, computed))
        print(summary.next_step(competition, submission))
