"""./run.sh <competition> [stage ...] [command] [--limit N]

Runs a competition's stages in their order: data folds features zeroshot probe finetune blend submission, and then the
report. A stage that is named runs with what it needs. What is finished and still of the same key is reused: a killed
run goes on. Two stages run only where they are named: find_lr suggests the learning rates of the models that are
fine-tuned, audit looks for doubtful labels, near-duplicates, images in both train and test, and outliers.

  <competition>   a file in src/configs/
  --limit N       a smoke run on N train and N test rows, in folders of its own
  test            lint, format check and tests (./run.sh test [pytest arguments])
  bench           timings beside other people's code (./run.sh bench --help)

Commands, each for what a run has made (./run.sh corn doctor):
  doctor          is Kaggle reached, with which token, are the rules accepted, how many submissions are left
  check FILE      what is wrong with a submission CSV, offline
  grade FILE      its public and private score, where there is a solution.csv
  submit [FILE] [-m TEXT] [--anyway]   sends the CSV, the blend's newest if none is named, and waits for its score;
                  one with warnings only with --anyway
  scores          brings the ledger scores.csv up to date: CV beside public and private, rank
  reproduce       what others reported beside ours, as counts of images
  pack [--push]   the notebook that a notebook-only competition wants, rehearsed without network
  ab FIELD VALUE  the probe with one field of the config changed beside the probe as it is, on the same folds
  report          report.html: results, mistakes, curves, the map of the features, doubtful labels; whatever is there
"""

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.errors import UserError, unknown

STAGES = {  # each with the stages it needs; in the order in which they run
    "data": (),
    "folds": ("data",),
    "features": ("data", "folds"),
    "zeroshot": ("features",),
    "probe": ("features",),
    "find_lr": ("folds",),
    "finetune": ("folds",),
    "blend": ("zeroshot", "probe", "finetune"),
    "submission": ("blend",),
    "audit": ("features",),
}
ASKED = ("find_lr", "audit")  # stages that run only where they are named


@dataclass(frozen=True)
class Command:
    """What acts on finished files, with the arguments that it takes."""

    file: bool | None = None  # needed, may be left out, or None: takes none
    options: Mapping[str, str] = field(default_factory=dict)  # each with the argument's name
    flags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # names of words that are needed, in their order
    after_stages: bool = False  # may stand behind stages, which then run first


COMMANDS = {
    "doctor": Command(),
    "check": Command(file=True),
    "grade": Command(file=True),
    "submit": Command(False, {"-m": "message", "--message": "message"}, flags=("--anyway",), after_stages=True),
    "scores": Command(),
    "reproduce": Command(),
    "pack": Command(flags=("--push",), after_stages=True),
    "ab": Command(words=("field", "value"), after_stages=True),
    "report": Command(after_stages=True),
}


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    competition: str
    stages: tuple[str, ...] = ()  # with what they need, in order
    limit: int | None = None
    command: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the command
    whole: bool = False  # all stages, since none was named: then the report is written too


def titles() -> dict[str, str]:
    """The title of every competition, read without running its config."""
    configs = (Path(__file__).parent / "configs").glob("*.py")
    return {path.stem: title_of(path) for path in sorted(configs) if path.stem != "__init__"}


def title_of(config: Path) -> str:
    """The first text that the file gives a title: Competition(title="...") or update={"title": "..."}."""
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return "(cannot be read)"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        else:
            continue
        for name, value in pairs:
            if name == "title" and isinstance(value, ast.Constant):
                return str(value.value)
    return ""


def usage() -> str:
    width = max(map(len, titles()), default=0)
    lines = [f"  {name:{width}}  {title}".rstrip() for name, title in titles().items()]
    return f"{__doc__}\nCompetitions:\n" + "\n".join(lines)


def parse(words: list[str]) -> Request:
    """What a command line that asks for no help wants.

    Raises:
        UserError: A word is not known, or stands where it cannot.
    """
    words, limit = without_limit(words)
    if not words:
        raise UserError("no competition is named: ./run.sh <competition> [stage ...] [--limit N]")
    competition, *rest = words
    if competition.startswith("-"):
        raise UserError(unknown("option", competition, ["--limit", "--help"]))
    if competition not in titles():
        raise UserError(unknown("competition", competition, titles()))
    at = next((i for i, word in enumerate(rest) if word in COMMANDS), len(rest))
    named, command = rest[:at], rest[at] if at < len(rest) else None
    arguments = {} if command is None else arguments_of(command, rest[at + 1 :])
    for stage in named:
        if stage.startswith("-"):
            raise UserError(unknown("option", stage, ["--limit", "--help"]))
        if stage not in STAGES:
            raise UserError(unknown("stage", stage, [*STAGES, *COMMANDS]))
    whole = command is None and not named
    if whole:
        named = [stage for stage in STAGES if stage not in ASKED]
    elif named and command and not COMMANDS[command].after_stages:
        raise UserError(f"{command} stands alone: ./run.sh {competition} {synopsis(command)}")
    return Request(competition, with_needs(named), limit, command, arguments, whole)


def without_limit(words: list[str]) -> tuple[list[str], int | None]:
    """The other words, and the number of --limit, which may stand anywhere."""
    others, limit, given = [], None, iter(words)
    for word in given:
        option, _, value = word.partition("=")
        if option != "--limit":
            others.append(word)
            continue
        value = value or next(given, "")
        if not value.isdecimal() or int(value) < 1:
            raise UserError(f"--limit takes a number of rows, not {value!r}")
        limit = int(value)
    return others, limit


def with_needs(named: list[str]) -> tuple[str, ...]:
    """The stages and those that they need, in the order in which they run."""
    needed = set(named)
    for stage in reversed(STAGES):
        if stage in needed:
            needed.update(STAGES[stage])
    return tuple(stage for stage in STAGES if stage in needed)


def arguments_of(name: str, words: list[str]) -> dict[str, Any]:
    """The arguments of a command, by the names that its `run` has for them."""
    command, found, given = COMMANDS[name], {}, iter(words)
    needed = list(command.words)
    for word in given:
        option, equals, value = word.partition("=")
        if option in command.options:
            value = value if equals else next(given, None)
            if not value:
                raise UserError(f"{name} {option} takes a text: ./run.sh <competition> {synopsis(name)}")
            found[command.options[option]] = value
        elif word in command.flags:
            found[word.lstrip("-")] = True
        elif word.startswith("-"):
            raise UserError(unknown("option", word, [*command.options, *command.flags, "--limit", "--help"]))
        elif needed:
            found[needed.pop(0)] = word
        elif command.file is None or "file" in found:
            raise UserError(f"{name} does not take {word!r}: ./run.sh <competition> {synopsis(name)}")
        else:
            found["file"] = from_caller(word)
    if command.file and "file" not in found:
        raise UserError(f"{name} needs a file: ./run.sh <competition> {synopsis(name)}")
    if needed:
        raise UserError(f"{name} needs a {needed[0]}: ./run.sh <competition> {synopsis(name)}")
    return found


def synopsis(name: str) -> str:
    """`submit [FILE] [-m TEXT]`."""
    command = COMMANDS[name]
    file = {True: " FILE", False: " [FILE]", None: ""}[command.file]
    options = " [-m TEXT]" if command.options else ""
    words = "".join(f" {word.upper()}" for word in command.words)
    return name + words + file + options + "".join(f" [{flag}]" for flag in command.flags)


def from_caller(file: str) -> Path:
    """A path as it was typed: relative to where the user stands, from which run.sh goes to its own folder."""
    return Path(os.environ.get("CALLED_FROM", "."), Path(file).expanduser())
