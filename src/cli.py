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

Commands that need no competition:
  predict IMAGE|FOLDER|URL ... [--models M ...] [--classes imagenet|A,B,C|FILE] [--top N] [--csv FILE] [--html FILE]
          [--allow-urls]   what a CLIP and a ResNeXt say of any picture, and how long they take; behind a competition
                  (./run.sh corn predict photo.jpg) what its blend says
  compare [NAME ...]   zero-shot, probe and fine-tuned CLIP against ResNet50 and ConvNeXt on data sets, epoch by epoch
  new SLUG|FOLDER [--name N] [--id C] [--image C] [--label C] [--metric M] [--small] [--force]
                  writes src/configs/<name>.py for a competition or a folder of pictures by looking at its files
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from src.base.errors import UserError, unknown
from src.base.paths import from_caller
from src.commands import ALONE, COMMANDS, NEEDED, WORDS, Command, Option
from src.configs import titles
from src.stages import ASKED, STAGES


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    competition: str | None  # None: a command that stands alone
    stages: tuple[str, ...] = ()  # with what they need, in order
    limit: int | None = None
    command: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the command
    whole: bool = False  # all stages, since none was named: then the report is written too


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
    if competition in ALONE:
        if limit is not None:
            raise UserError(f"{competition} takes no --limit: ./run.sh {synopsis(competition)}")
        return Request(None, command=competition, arguments=arguments_of(competition, rest))
    if competition.startswith("-"):
        raise UserError(unknown("option", competition, ["--limit", "--help"]))
    if competition not in titles():
        raise UserError(unknown("competition", competition, [*titles(), *ALONE]))
    at = next((i for i, word in enumerate(rest) if word in COMMANDS), len(rest))
    named, command = rest[:at], rest[at] if at < len(rest) else None
    if command is not None and COMMANDS[command].stands == "alone":
        raise UserError(f"{command} stands without a competition: ./run.sh {synopsis(command)}")
    arguments = {} if command is None else arguments_of(command, rest[at + 1 :])
    for stage in named:
        if stage.startswith("-"):
            raise UserError(unknown("option", stage, ["--limit", "--help"]))
        if stage not in STAGES:
            raise UserError(unknown("stage", stage, [*STAGES, *(name for name in COMMANDS if name not in ALONE)]))
    whole = command is None and not named
    if whole:
        named = [stage for stage in STAGES if stage not in ASKED]
    elif named and command and not COMMANDS[command].after_stages:
        raise UserError(f"{command} stands alone: ./run.sh {competition} {arguments_said(command)}")
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
    command, found, left = COMMANDS[name], {}, list(words)
    needed = list(command.words)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if option in command.options:
            values = [value] if equals else taken(command, command.options[option], left)
            found |= read(name, option, values)
        elif word in command.flags:
            found[word.lstrip("-").replace("-", "_")] = True
        elif word.startswith("-"):
            raise UserError(unknown("option", word, [*command.options, *command.flags, "--limit", "--help"]))
        elif needed:
            found[needed.pop(0)] = word
        elif command.rest:
            found.setdefault(command.rest, []).append(word)
        elif command.file is None or "file" in found:
            raise UserError(f"{name} does not take {word!r}: ./run.sh {synopsis(name)}")
        else:
            found["file"] = from_caller(word)
    if command.file and "file" not in found:
        raise UserError(f"{name} needs a file: ./run.sh {synopsis(name)}")
    if needed:
        raise UserError(f"{name} needs {NEEDED.get(needed[0], f'a {needed[0]}')}: ./run.sh {synopsis(name)}")
    return found


def taken(command: Command, option: Option, left: list[str]) -> list[str]:
    """The values of an option, which are taken from the words that are left."""
    values = left[:1]
    if option.many:
        known = {*command.options, *command.flags}
        ends = (i for i, word in enumerate(left) if word.partition("=")[0] in known)
        values = left[: next(ends, len(left))]
    del left[: len(values)]
    return values


def read(name: str, option: str, values: list[str]) -> dict[str, Any]:
    """{argument: value} of an option of a command."""
    asked = COMMANDS[name].options[option]
    if not all(values) or not values:
        what = f"a {asked.value.lower()}" if asked.value.isalpha() else asked.value
        raise UserError(f"{name} {option} takes {what}: ./run.sh {synopsis(name)}")
    try:
        given = [asked.read(value) for value in values]
    except ValueError as error:
        raise UserError(f"{name} {option} takes {error}, not {values[0]!r}") from error
    return {asked.name: given if asked.many else given[0]}


def synopsis(name: str) -> str:
    """`<competition> submit [FILE] [-m TEXT]`."""
    stands = COMMANDS[name].stands
    return ("<competition> " if stands == "behind" else "") + arguments_said(name)


def arguments_said(name: str) -> str:
    """`submit [FILE] [-m TEXT]`."""
    command, options = COMMANDS[name], {}
    for word, option in command.options.items():
        options.setdefault(option.name, f" [{word} {option.value}{' ...' if option.many else ''}]")
    file = {True: " FILE", False: " [FILE]", None: ""}[command.file]
    words = "".join(f" {WORDS.get(word, word.upper())}" for word in command.words)
    rest = f" {WORDS[command.rest]}" if command.rest else ""
    return name + words + file + rest + "".join(options.values()) + "".join(f" [{flag}]" for flag in command.flags)
