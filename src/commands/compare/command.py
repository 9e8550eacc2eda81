"""compare: scores zero-shot, probes and fine-tuned networks on data sets, epoch by epoch, beside published scores.

    ./run.sh compare
    ./run.sh compare cifar10_official textures
    ./run.sh compare --ray auto

Does a fine-tuned CLIP beat a fine-tuned ResNet50? The models are zero-shot, linear probe and fine-tuned CLIP ViT-B/32,
ResNet50 and ConvNeXt (src/configs/shared/baselines.py), or the config's own `compared`, or else its `models`. Each
network is trained once on all rows to train on. It is scored before training and after each epoch, on the official
rows, or on fold 0 if the test labels are not known.

The table has epochs 0, 1, 5, 10, 15 and 20 with standard errors, paired differences, and the cost: seconds, parameters,
images per second, memory. WiSE-FT counts at alpha 0.5, which is fixed beforehand; its whole curve is shown. The configs
of nine data sets have the scores of a published article, and what is known of how they were measured; aircraft and
flowers102, where the article could not tune CLIP, have further recipes. Templates of one kind are compared with as many
varied ones (src/configs/shared/phrasings/), zero-shot and fine-tuned, with the paired difference.

Writes compare/<cell>/ and compare.csv in submissions/<name>/, submissions/compare.csv over all data sets that were
named, and a section of the report. A finished model is reused, and a killed one resumes. A model that fails does not
stop the others; the exit code is then 1. The models of all data sets go side by side over the GPUs of the machine, or
where --gpus, --at-once and --ray say: ./run.sh help driver

None of the ten data sets has been compared with its published scores yet: that needs a GPU, the hub and the data. Tiny
networks on CIFAR-10 have been: ./run.sh help cifar10_small
"""

from contextlib import ExitStack
from typing import Any

import pandas as pd

from src import config
from src.base import packages
from src.base.errors import UserError, counted
from src.base.locks import exclusive
from src.base.paths import compare_csv, from_here
from src.commands.compare.comparison import Comparison, finish, prepare
from src.commands.compare.work import CellWork
from src.driver.estimates import Estimates
from src.driver.placing import Placing
from src.results import compare
from src.units.unit import Placer


def run(names: list[str] | None = None, hours: float | None = None, **options: Any) -> int:
    """Compare on each data set that is named, or on all; return 1 if a cell failed.

    Args:
        options: Where cells are made: of `Placing`.

    Raises:
        UserError: A name is unknown, its config has nothing to compare, or what one of them imports is missing or too
            old here; or the machine has no such GPUs; then nothing is begun.
    """
    if hours is not None:
        raise UserError("compare takes no --hours: stop it at any time, and the same command goes on from there")
    placing = Placing(**options)
    competitions = [config.load(name) for name in dict.fromkeys(names or data_sets())]
    every = [Comparison(competition, compare.subjects(competition)) for competition in competitions]
    packages.require(sorted(set().union(*(one.subject.packages for one in every))))
    work = CellWork()
    placer = placing.placer(work.inputs)
    for some in [every] if placer.is_wide else [[one] for one in every]:
        make(some, work, placing, placer)
    if tables := [one.table for one in every if one.table is not None and len(one.table)]:
        path = compare_csv()
        compare.write_compare(path, pd.concat(tables).to_dict("records"))
        print(f"== compare: {from_here(path)} has {counted(len(tables), 'data set')}")
    for one in every:
        for fault in one.faults:
            print(f"not made: {one.competition.name}: {fault}")
    return 1 if any(one.faults for one in every) else 0


def data_sets() -> list[str]:
    """The names of the configs of torchvision's and wilds' data sets."""
    from src.data.sources.torchvision_sets import Torchvision
    from src.data.sources.wilds_sets import Wilds

    return [name for name in config.names() if isinstance(config.load(name).source, Torchvision | Wilds)]


def make(some: list[Comparison], work: CellWork, placing: Placing, placer: Placer) -> None:
    """Compare on data sets, of which the cells of all are given to the placer at once."""
    with ExitStack() as stack:
        for one in some:
            print(f"== {one.competition.name}: compare")
            with one.whole():
                stack.enter_context(exclusive(one.competition.folder))
                prepare(one, placing, placer.is_wide)
        bugs = make_cells(some, work, placer)
        for one in some:
            if not one.has_failed:
                with one.whole():
                    finish(one)
    for bug in bugs:
        raise bug


def make_cells(some: list[Comparison], work: CellWork, placer: Placer) -> list[BaseException]:
    """Have the cells made, and note which of them are; return what was no fault of the user's.

    Where they are made one after the other, each says in its turn that it is reused, or has failed.
    """
    of, bugs = {one.competition.name: one for one in some}, []
    work.take([cell for one in some for cell in one.wanted], {name: one.digest for name, one in of.items()})
    units = Estimates().longest_first(work.pending()) if placer.is_wide else list(work.cells)
    failed = {}
    for chosen in [units] if placer.is_wide else [[unit] for unit in units]:
        for unit, error in placer.run(chosen, work).failed.items():
            failed[unit] = error
            if isinstance(error, UserError):
                of[unit.names[0]].fail(work.cells[unit].title, error)
            else:
                bugs.append(error)
    for unit, cell in work.cells.items():
        if unit not in failed:
            of[unit.names[0]].made.append(cell)
    return bugs
