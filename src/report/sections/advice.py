"""The section 'next': what to try, each with its reason in numbers and with what to type.

Rules of thumb, each of which speaks only where the numbers carry it: differences on the same rows are paired, and
differences between folds have the folds' own standard error. They are in the order of what they cost if ignored.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice

from src.report import doubts, tuning
from src.report.figures import Advice
from src.report.material import Material
from src.report.page import Section

MAX_ADVICE = 5
RULES: tuple[Callable[[Material], Iterator[Advice]], ...] = (
    doubts.unfinished,
    doubts.learnt_nothing,
    doubts.leaks,
    doubts.split_duplicates,
    doubts.doubtful_labels,
    doubts.sure_mistakes,
    doubts.nothing_sent,
    tuning.epochs,
    tuning.near_identical_models,
    tuning.temperature,
    tuning.views,
    tuning.seeds,
)


def section(evidence: Material) -> Section | None:
    """The first MAX_ADVICE that apply; None where none does."""
    found = list(islice(chain.from_iterable(rule(evidence) for rule in RULES), MAX_ADVICE))
    return Section("next", "What to try next", {"advice": found}) if found else None
