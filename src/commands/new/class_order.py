"""The order of the classes: a fact of the competition where they are grades, and no alphabet."""

import re
from collections.abc import Sequence

from src.base.errors import UserError
from src.commands.new.guess import Guess, names_in
from src.scoring.metrics import METRICS_OF

ROMAN = re.compile(r"(?=[IVX])X{0,3}(IX|IV|V?I{0,3})")
NUMBER = re.compile(r"(?P<before>.*?)(?P<number>-?\d+(?:\.\d+)?|\b[IVX]+\b)(?P<after>.*)", re.DOTALL)
DIGITS = {"I": 1, "V": 5, "X": 10}


def settle(guess: Guess, order: str | None) -> None:
    """Bring the classes into the order that --classes gives, or into that of the numbers in their names.

    Raises:
        UserError: --classes names others than there are; or the metric depends on an order that nothing tells.
    """
    if order is not None:
        guess.classes, why = named_order(guess.classes, order), "in the order of --classes"
    elif (by_number := numeric_order(guess.classes)) is not None:
        guess.classes, why = by_number, "in the order of the numbers in their names"
    elif guess.classes and METRICS_OF[guess.task][guess.metric].is_ordinal:
        names = ",".join(guess.classes)
        raise UserError(
            f"{guess.metric} counts how many places two classes are apart, and nothing tells the order of "
            f"{len(guess.classes)} classes: give all of them, the lowest first, by --classes (not as here, by the "
            f"alphabet: --classes {names!r})"
        )
    else:
        return
    if guess.classes != tuple(sorted(guess.classes)):
        guess.why["classes"] = f"{guess.why['classes'].removesuffix(', sorted')}, {why}"


def named_order(classes: Sequence[str], order: str) -> tuple[str, ...]:
    """The classes that are named, with commas between them; an unknown, doubled or missing one raises a UserError."""
    named = names_in("--classes", order, classes)
    for name in named:
        if named.count(name) > 1:
            raise UserError(f"--classes names {name!r} twice")
    if missing := [name for name in classes if name not in named]:
        raise UserError(f"--classes lacks {', '.join(map(repr, missing))}: name all {len(classes)} classes in order")
    return named


def numeric_order(classes: Sequence[str]) -> tuple[str, ...] | None:
    """The classes by the number in each, such as `grade 2` before `grade 10`, or `II` before `IV`.

    None if one has no number, two have the same, or the texts around the numbers differ, so that these may be names.
    """
    found = [NUMBER.fullmatch(name) for name in classes]
    if not all(found) or len({(one["before"], one["after"]) for one in found}) > 1:
        return None
    values = [value_of(one["number"]) for one in found]
    if None in values or len(set(values)) < len(values):
        return None
    return tuple(name for _, name in sorted(zip(values, classes, strict=True)))


def value_of(number: str) -> float | None:
    if not ROMAN.fullmatch(number):
        return float(number) if number[-1].isdigit() else None
    digits = [DIGITS[digit] for digit in number]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))
