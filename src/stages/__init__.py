"""The pipeline, one stage a file; `__init__` has their order and what each needs.

A stage that is named runs with the stages that it needs: `./run.sh corn probe blend`. Two stages run only if they are
named: find_lr and audit.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from src.base.packages import CORE, DUPLICATES, NETWORKS

if TYPE_CHECKING:
    from src.schema.competition import Competition


WITHOUT_NETWORKS = ("data", "folds")
ASKED = ("find_lr", "audit")  # stages that run only where they are named
# Stages whose module has a `Work`, the units that it is made of; the others have a `run`.
WITH_UNITS = ("pixels", "features", "zeroshot", "probe", "neighbours", "find_lr", "finetune")
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
