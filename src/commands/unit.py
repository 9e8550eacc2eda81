"""unit: runs one unit of work by its names, here and now.

    ./run.sh corn unit finetune convnext 0 42

`./run.sh corn units` lists them. Several may run side by side, on one machine or on many that share the folder: each
waits while another process is at the same one, and one that is done is left as it is. A killed one resumes.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from src.base.errors import UserError, unknown
from src.driver import run as driver
from src.schema.competition import Competition
from src.stages import WITH_UNITS
from src.units.unit import needs


def run(competition: Competition, stage: str, names: Sequence[str] = ()) -> None:
    """Run a unit.

    Raises:
        UserError: There is no such unit, or it waits for others that are not done.
    """
    title = " ".join([stage, *names])
    if stage not in WITH_UNITS:
        raise UserError(unknown("stage with units", stage, WITH_UNITS))
    with redirect_stdout(sys.stderr):
        work, units = driver.pending(competition, {stage})
    if (unit := work.find(title)) is None:
        of_stage = [one for one in units if one.stage == stage] or [*work.of(stage).units()]
        if not of_stage:
            raise UserError(f"the stage {stage} has no units: no model of the config is of it")
        raise UserError(unknown("unit", title, [one.title for one in of_stage]))
    if unit not in units:
        print(f"{title} is done")
        return
    if before := [" ".join(map(str, key)) for key in needs(units)[unit.key]]:
        raise UserError(f"{title} waits for {', '.join(sorted(before))}: run that first")
    try:
        work.run(unit)
    except UserError as error:
        if not work.of(stage).recover(error, *unit.names):
            raise
        work.run(unit)
