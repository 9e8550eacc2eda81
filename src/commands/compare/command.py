"""compare: scores zero-shot, probes and fine-tuned networks on data sets, epoch by epoch, beside published scores.

    ./run.sh compare
    ./run.sh compare cifar10_official textures

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
stop the others; the exit code is then 1.

None of the ten data sets has been compared with its published scores yet: that needs a GPU, the hub and the data. Tiny
networks on CIFAR-10 have been: ./run.sh help cifar10_small
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

from src import config, stages
from src.base import packages
from src.base.errors import UserError, counted
from src.base.locks import exclusive
from src.base.paths import compare_csv, from_here
from src.base.text import align
from src.commands.compare import cells, contenders, phrasings
from src.commands.compare.cells import Cell
from src.data.rows import read_dataset
from src.driver import run as driver
from src.models.finetune.run import check_networks
from src.networks import encoders
from src.results import compare
from src.results.compare import ALPHA, WISE_FT
from src.results.model import none_if_nan
from src.schema.competition import Competition
from src.scoring.constant import constant_answer


def run(names: list[str] | None = None) -> int:
    """Compare on each data set that is named, or on all; return 1 if a cell failed.

    Raises:
        UserError: A name is unknown, its config has nothing to compare, or what one of them imports is missing or too
            old here; then nothing is begun.
    """
    competitions = [config.load(name) for name in dict.fromkeys(names or data_sets())]
    subjects = {competition.name: compare.subjects(competition) for competition in competitions}
    packages.require(sorted(set().union(*(subject.packages for subject in subjects.values()))))
    tables, failed = [], {}
    for competition in competitions:
        print(f"== {competition.name}: compare")
        try:
            with exclusive(competition.folder):
                faults = compare_models(competition, subjects[competition.name])
                tables.append(compare.read_compare(competition.compare_csv))
        except UserError as error:
            faults = [str(error)]
            print_error(competition.name, error)
        if faults:
            failed[competition.name] = faults
    if tables := [df for df in tables if len(df)]:
        path = compare_csv()
        compare.write_compare(path, pd.concat(tables).to_dict("records"))
        print(f"== compare: {from_here(path)} has {counted(len(tables), 'data set')}")
    for name, faults in failed.items():
        for fault in faults:
            print(f"not made: {name}: {fault}")
    return 1 if failed else 0


def data_sets() -> list[str]:
    """The names of the configs of torchvision's and wilds' data sets."""
    from src.data.sources.torchvision_sets import Torchvision
    from src.data.sources.wilds_sets import Wilds

    return [name for name in config.names() if isinstance(config.load(name).source, Torchvision | Wilds)]


def print_error(what: str, error: UserError) -> None:
    print(f"error: {what}: {error}", file=sys.stderr)


def compare_models(competition: Competition, subject: Competition) -> list[str]:
    """Make all cells of a data set, write and print their results, and return the faults of those that failed."""
    kinds = phrasings.kinds(competition.phrasings) if competition.phrasings and subject.prompts else {}
    for encoder in subject.encoders:
        encoders.identity(encoder)
    check_networks(subject)
    driver.run(subject, ("data", "folds"))
    data = read_dataset(subject)
    split, faults = cells.split(subject, data), []

    def attempt(what: str, make: Callable[[], Any]) -> bool:
        try:
            make()
        except UserError as error:
            print_error(f"{competition.name}: {what}", error)
            faults.append(f"{what}: {error}")
            return False
        return True

    quick = [name for name in subject.models if name not in subject.trained]
    needed = ("features", *(stage for stage in stages.STAGES if any(name in subject.of_stage(stage) for name in quick)))
    missing = [] if not quick or attempt(" and ".join(quick), lambda: driver.run(subject, needed)) else quick
    wanted = [Cell(subject, name, "", data, split) for name in subject.models if name not in missing]
    wanted += [cell for cell in template_cells(subject, kinds, data, split) if cell.model not in missing]
    print(f"== {competition.name}: {counted(len(wanted), 'cell')} of the comparison")
    made = [cell for cell in wanted if attempt(cell.title, lambda cell=cell: contenders.make(cell))]
    if made:
        write(competition, split, made)
        report(competition)
    return faults


def template_cells(subject: Competition, kinds: dict, data: Any, split: cells.Holdout) -> list[Cell]:
    """The cells of models that start from prompts, with templates of each kind."""
    competitions = {kind: contenders.with_templates(subject, templates) for kind, templates in kinds.items()}
    names = [name for name, spec in subject.models.items() if spec.starts_from_prompts]
    return [Cell(other, name, kind, data, split) for name in names for kind, other in competitions.items()]


def pairs(made: list[Cell]) -> list[dict[str, Any]]:
    """Differences on the same rows: of the first CLIP to each backbone, of WiSE-FT to the end, of templates."""
    tuned = [cell for cell in made if not cell.templates and cell.spec.is_trained]
    towers = [cell for cell in tuned if cell.spec.clip is not None]
    differences = []
    for tower in towers:
        others = [cell for cell in tuned if cell.spec.clip is None] if tower is towers[0] else []
        differences += [cells.pair(tower, other, (tower.model, other.model)) for other in others]
        if tower.spec.wise_ft:
            titles = f"{tower.model} at alpha {ALPHA:g}", f"{tower.model} at alpha 1"
            differences.append(cells.pair(tower, tower, titles, f"valid-alpha{ALPHA:g}"))
    by_model: dict[str, dict[str, Cell]] = {}
    for cell in [cell for cell in made if cell.templates]:
        by_model.setdefault(cell.model, {})[cell.templates] = cell
    for name, by_kind in by_model.items():
        if by_kind.keys() == set(phrasings.PHRASING_KINDS):
            one, varied = (by_kind[kind] for kind in phrasings.PHRASING_KINDS)
            titles = f"{name} with {varied.templates} templates", f"templates of {one.templates}"
            differences.append({**cells.pair(varied, one, titles), "templates": True})
    return differences


def write(competition: Competition, split: cells.Holdout, made: list[Cell]) -> None:
    rows = [row for cell in made for row in compare.rows_of(competition, cell.about())]
    constant = constant_answer(competition.scorer, split.valid_targets, competition.classes)._asdict()
    constant["se"] = none_if_nan(constant["se"])
    about, path = {**split.about, "pairs": pairs(made), "constant": constant}, competition.compare_csv
    compare.put(path.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    compare.write_compare(path, rows)


def report(competition: Competition) -> None:
    """Print the content of compare.csv and compare.json."""
    path = competition.compare_csv
    df, about = compare.read_compare(path), compare.read_about(path)
    print(f"== {competition.name}: {competition.metric}, {compare.rows_text(about)}")
    if len(compare.headline(df)):
        print(compare.table(df, compare.constant_texts(about, competition.metric)))
    for one in compare.setups(competition, df):
        print(f"published by {one}")
    if (df["kind"] == WISE_FT).any():
        print("\n".join(compare.curves(df)))
    if about["pairs"]:
        print("differences, where positive is better:")
    for pair in about["pairs"]:
        print(compare.pair_text(pair))
    print("\n".join(align([compare.COSTS, *compare.costs(df)])))
    print(f"{from_here(path)}; on the page: {competition.command('report')}")
