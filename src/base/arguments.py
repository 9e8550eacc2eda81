"""What is typed behind a command: argparse's parser, whose mistakes are UserErrors."""

import argparse
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from src.base.errors import UserError, unknown

MOST_HOURS = 100_000  # eleven years; an alarm of the system takes no more than some hundred


class Parser(argparse.ArgumentParser):
    """A parser of options spelled in full, between which other words may stand.

    Args:
        prog: The words typed before the arguments.
        description: The text of the help between usage and arguments, in lines that stay as they are.
        elsewhere: Options that the caller reads, which a mistyped one may have meant.
    """

    def __init__(self, prog: str, description: str = "", elsewhere: tuple[str, ...] = ("--help",)):
        lines = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, formatter_class=lines, allow_abbrev=False, add_help=False)
        self.register("type", None, not_empty)
        self.elsewhere = elsewhere

    def given(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the arguments by name, without those that were left out.

        Raises:
            UserError: A word or option is unknown, lacks its value or does not fit; or one that is needed is missing.
        """
        namespace, rest = self.parse_known_intermixed_args(words)
        for word in rest:
            option = word.partition("=")[0]
            if option.startswith("-"):
                raise UserError(unknown("option", option, [*self._option_string_actions, *self.elsewhere]))
        if rest:
            self.error(f"{self.prog.rpartition(' ')[2]} does not take {rest[0]!r}")
        return {name: value for name, value in vars(namespace).items() if value}

    @property
    def synopsis(self) -> str:
        """The usage as one line."""
        return " ".join(self.format_usage().split()[1:])

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: {self.synopsis}")


def not_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


def count_or_none(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text!r}")
    return int(text)


def hours(text: str) -> float:
    """Hours as `8.5`, or hours and minutes as `8:30`."""
    found = re.fullmatch(r"(\d+):([0-5]\d)", text)
    try:
        value = float(found[1]) + float(found[2]) / 60 if found else float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MOST_HOURS:
        said = f"must be hours, as 8.5 or 8:30, and no more than {MOST_HOURS}"
        raise argparse.ArgumentTypeError(f"{said}, not {text!r}")
    return value
