"""./run.sh <competition> [stage ...] [command [arguments]] [--limit N]

Runs a competition's stages in their order, and then writes the report. A stage that is named runs with what it needs.
Finished work is reused if nothing it depends on has changed; a killed run resumes.

  <competition>   a file in src/configs/
  --limit N       a smoke run on N train and N test rows, in folders of its own
  --hours H       ends within so many hours with the best submission that they allow: ./run.sh help driver
  --gpus N        at most N GPUs, of which all are used by default; --at-once N: so many units side by side on a CPU
  --ray ADDRESS   on a cluster, by `auto` or HOST:PORT: ./run.sh help driver
  --help          behind a stage or a command: what it does and takes (./run.sh corn submit --help)
  help TOPIC      the description of any name below (./run.sh help probe)
  test            lint, format check and tests (./run.sh test [pytest arguments])
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from src import commands
from src.base.arguments import Parser, count, count_or_none, hours
from src.base.errors import UserError, unknown
from src.commands import ALONE, COMMANDS, WHERE
from src.configs import titles
from src.stages import ASKED, STAGES

OPTIONS = ("--limit", *WHERE, "--help")


@dataclass(frozen=True)
class Request:
    """A parsed command line."""

    competition: str | None  # None: a command that stands alone
    stages: tuple[str, ...] = ()  # with the stages that they need, in order
    limit: int | None = None
    command: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the command
    whole: bool = False  # all stages, since none was named: then the report is written too
    placing: Mapping[str, Any] = field(default_factory=dict)  # --gpus, --at-once, --ray and --hours


def parse(words: list[str]) -> Request:
    """The request of a command line; a word that is unknown, or stands where it cannot, raises a UserError."""
    if {"-h", "--help"} & set(words):
        return help_request(words)
    words, limit, placing = without_options(words)
    if not words:
        raise UserError("no competition is named: ./run.sh <competition> [stage ...] [--limit N]")
    competition, *rest = words
    if competition in ALONE:
        parser = commands.parser(competition)
        if limit is not None:
            raise UserError(f"{competition} takes no --limit: {parser.synopsis}")
        if placing and not COMMANDS[competition].has_units:
            raise UserError(f"{competition} takes no --{option(placing)}: {parser.synopsis}")
        return Request(None, command=competition, arguments=parser.given(rest), placing=placing)
    if competition.startswith("-"):
        raise UserError(unknown("option", competition, OPTIONS))
    if competition not in titles():
        if competition in (*STAGES, *COMMANDS):
            raise UserError(f"{competition} stands behind a competition: ./run.sh <competition> {shlex.join(words)}")
        raise UserError(unknown("competition", competition, [*titles(), *ALONE]))
    at = next((i for i, word in enumerate(rest) if word in COMMANDS), len(rest))
    named, command = rest[:at], rest[at] if at < len(rest) else None
    if command is not None and COMMANDS[command].stands == "alone":
        raise UserError(f"{command} stands without a competition: {commands.parser(command).synopsis}")
    arguments = {} if command is None else commands.parser(command, competition).given(rest[at + 1 :])
    for stage in named:
        if stage.startswith("-"):
            raise UserError(unknown("option", stage, OPTIONS))
        if stage not in STAGES:
            raise UserError(unknown("stage", stage, [*STAGES, *(name for name in COMMANDS if name not in ALONE)]))
    whole = command is None and not named
    if whole:
        named = [stage for stage in STAGES if stage not in ASKED]
    elif named and command and not COMMANDS[command].after_stages:
        raise UserError(f"{command} stands alone: {commands.parser(command, competition).synopsis}")
    if placing and not named and not COMMANDS[command].has_units:
        synopsis = commands.parser(command, competition).synopsis
        raise UserError(f"{command} takes no --{option(placing)}, which is of stages: {synopsis}")
    return Request(competition, with_needs(named), limit, command, arguments, whole, placing)


def help_request(words: list[str]) -> Request:
    """The request of --help: the command that is named, or else the stages, or else the list."""
    command = next((word for word in words if word in COMMANDS), None)
    topics = [command] if command else [word for word in words if word in STAGES]
    arguments = {"topics": topics, "competition": words[0] if words[0] in titles() else None}
    return Request(None, command="help", arguments={name: value for name, value in arguments.items() if value})


def without_options(words: list[str]) -> tuple[list[str], int | None, dict[str, Any]]:
    """The other words, the number of --limit, and the options of where and how long; they may stand anywhere."""
    parser = Parser("./run.sh <competition> [stage ...] [command]")
    parser.add_argument("--limit", metavar="N", type=count)
    parser.add_argument("--gpus", metavar="N", type=count_or_none)
    parser.add_argument("--at-once", metavar="N", type=count)
    parser.add_argument("--ray", metavar="ADDRESS")
    parser.add_argument("--hours", metavar="H", type=hours)
    given, others = parser.parse_known_args(words)
    placing = {name: value for name, value in vars(given).items() if value is not None}
    return others, placing.pop("limit", None), placing


def option(placing: Mapping[str, Any]) -> str:
    """The first of the options, as it is typed."""
    return next(iter(placing)).replace("_", "-")


def with_needs(named: list[str]) -> tuple[str, ...]:
    """The stages and those that they need, in the order of their runs."""
    needed = set(named)
    for stage in reversed(STAGES):
        if stage in needed:
            needed.update(STAGES[stage])
    return tuple(stage for stage in STAGES if stage in needed)
