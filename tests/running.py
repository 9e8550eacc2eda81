"""A stage alone, as a run has it."""

from types import ModuleType

from src.driver.placing import Placing
from src.driver.run import Run
from src.schema.competition import Competition


def run_stage(module: ModuleType, competition: Competition) -> list[str]:
    """Run one stage; return the names of the models that were computed and not reused."""
    run = Run(competition, (module.__name__.rpartition(".")[2],), Placing())
    run.run()
    return sorted(run.computed)
