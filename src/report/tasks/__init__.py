"""What the page shows of a row's target and of predictions for it, by the task: one file a task, which sections ask."""

from src.report.tasks.base import Groups, Task
from src.report.tasks.classes import Classes
from src.report.tasks.labels import Labels
from src.report.tasks.numbers import Numbers
from src.schema.competition import Competition

__all__ = ["Groups", "Task", "of"]

TASKS: dict[str, type[Task]] = {"class": Classes, "labels": Labels, "number": Numbers}


def of(competition: Competition) -> Task:
    return TASKS[competition.task](competition)
