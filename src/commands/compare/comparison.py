"""A data set's comparison: what its cells need, which they are, and compare.csv of those that were made."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from src import stages
from src.base.errors import UserError, counted
from src.base.paths import from_here
from src.base.text import align
from src.commands.compare import cells, contenders, phrasings
from src.commands.compare.cells import Cell, Holdout
from src.data import checked
from src.data.rows import Dataset, read_dataset
from src.driver import run as driver
from src.driver.placing import Placing
from src.models.finetune.run import check_networks
from src.networks import encoders
from src.results import compare
from src.results.compare import ALPHA, WISE_FT
from src.results.model import none_if_nan
from src.schema.competition import Competition
from src.scoring.constant import constant_answer


@dataclass
class Comparison:
    """A data set, and what has become of its comparison so far."""

    competition: Competition
    subject: Competition  # with nothing but what is compared
    split: Holdout | None = None
    wanted: list[Cell] = field(default_factory=list)
    made: list[Cell] = field(default_factory=list)
    digest: str | None = None  # of the rows, where other processes read them
    faults: list[str] = field(default_factory=list)
    has_failed: bool = False  # as a whole: then nothing of it is made
    table: pd.DataFrame | None = None  # compare.csv

    def fail(self, what: str, error: UserError) -> None:
        """Note what was not made, and say so."""
        print_error(f"{self.competition.name}: {what}", error)
        self.faults.append(f"{what}: {error}")

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A block in which a UserError ends the comparison on this data set, and on no other."""
        try:
            yield
        except UserError as error:
            self.has_failed, self.wanted, self.faults = True, [], [str(error)]
            print_error(self.competition.name, error)


def print_error(what: str, error: UserError) -> None:
    print(f"error: {what}: {error}", file=sys.stderr)


def prepare(one: Comparison, placing: Placing, apart: bool) -> None:
    """Run the stages that the cells need, and say how many cells are wanted.

    Args:
        apart: They are made by other processes.
    """
    competition, subject = one.competition, one.subject
    kinds = phrasings.kinds(competition.phrasings) if competition.phrasings and subject.prompts else {}
    for encoder in subject.encoders:
        encoders.identity(encoder)
    check_networks(subject)
    driver.run(subject, ("data", "folds"), placing)
    data = read_dataset(subject)
    one.split = cells.split(subject, data)
    if apart:
        one.digest = checked.write(subject, data)
    quick = [name for name in subject.models if name not in subject.trained]
    needed = ("features", *(stage for stage in stages.STAGES if any(name in subject.of_stage(stage) for name in quick)))
    try:
        if quick:
            driver.run(subject, needed, placing)
    except UserError as error:
        one.fail(" and ".join(quick), error)
    missing = quick if one.faults else []
    wanted = [Cell(subject, name, "", data, one.split) for name in subject.models]
    wanted += template_cells(subject, kinds, data, one.split)
    one.wanted = [cell for cell in wanted if cell.model not in missing]
    print(f"== {competition.name}: {counted(len(one.wanted), 'cell')} of the comparison")


def finish(one: Comparison) -> None:
    """Write and print the results of the cells that were made."""
    if one.made:
        write(one.competition, one.split, one.made)
        report(one.competition)
    one.table = compare.read_compare(one.competition.compare_csv)


def template_cells(subject: Competition, kinds: dict, data: Dataset, split: Holdout) -> list[Cell]:
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


def write(competition: Competition, split: Holdout, made: list[Cell]) -> None:
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
