"""What else can be typed, one command a file or folder (`compare/ new/ pack/ predict/`); `__init__` has the table."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from src.base import packages
from src.base.arguments import Parser, count
from src.base.paths import from_caller
from src.base.text import docstring


def csv_argument(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=from_caller, help="a submission CSV")


def unit_arguments(parser: Parser) -> None:
    parser.add_argument("stage", metavar="STAGE", help="the first word of a unit, as units prints it")
    parser.add_argument("names", metavar="NAME", nargs="*", help="its other words")


def submit_arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", type=from_caller, help="a CSV instead of the blend's newest")
    parser.add_argument("-m", "--message", metavar="TEXT", help="your own words in the submission's message")
    parser.add_argument("--anyway", action="store_true", help="send it in spite of warnings")


def pack_arguments(parser: Parser) -> None:
    parser.add_argument("--push", action="store_true", help="send what was rehearsed to Kaggle")


def ab_arguments(parser: Parser) -> None:
    parser.add_argument("field", metavar="FIELD", help="a field of Probe in src/schema/models.py")
    parser.add_argument("value", metavar="VALUE", help="its other value, as a config has it; a text needs no quotes")


def predict_arguments(parser: Parser) -> None:
    parser.add_argument("words", metavar="IMAGE|FOLDER|URL", nargs="*", help="pictures")
    parser.add_argument("--models", metavar="MODEL", nargs="+", help="clip:ARCH/TAG, timm:NAME or COMPETITION[:MODEL]")
    parser.add_argument("--classes", metavar="imagenet|A,B,C|FILE", help="what a CLIP chooses from")
    parser.add_argument("--top", metavar="N", type=count, help="how many classes are shown of a picture")
    parser.add_argument("--csv", metavar="FILE", type=from_caller, help="where a table is written")
    parser.add_argument("--html", metavar="FILE", type=from_caller, help="where a page is written")
    parser.add_argument("--allow-urls", action="store_true", help="fetch pictures from the network")


def compare_arguments(parser: Parser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="competitions; all data sets if none is named")


def new_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="SLUG|FOLDER", help="a competition's slug or page, or a folder of pictures")
    parser.add_argument("--name", metavar="NAME", help="what the config is called")
    parser.add_argument("--id", metavar="COLUMN", help="the column of ids")
    parser.add_argument("--image", metavar="COLUMN", help="the column of pictures, or a pattern of their paths")
    parser.add_argument("--label", metavar="COLUMN", help="the column of labels")
    parser.add_argument("--metric", metavar="METRIC", help="the metric, where Kaggle's page does not say it")
    parser.add_argument("--classes", metavar="A,B,C", help="the order of the classes, where it counts: lowest first")
    parser.add_argument("--positive", metavar="CLASS", help="the class that one probability is of; several with commas")
    parser.add_argument("--small", action="store_true", help="models for two cores, for a machine without GPU")
    parser.add_argument("--force", action="store_true", help="replace a config of that name")


def help_arguments(parser: Parser) -> None:
    parser.add_argument("topics", metavar="TOPIC", nargs="*", help="a name from the list that help alone prints")


WHERE = ("--gpus", "--at-once", "--ray", "--hours")  # and until when


@dataclass(frozen=True)
class Command:
    """A command acts on finished files, or on files that it names."""

    add_arguments: Callable[[Parser], None] = lambda parser: None
    stands: Literal["behind", "alone", "both"] = "behind"  # a competition, without one, either
    after_stages: bool = False  # may stand behind stages, which then run first
    has_units: bool = False  # takes the options of where units run, and how long
    packages: tuple[str, ...] = ()  # what it imports, by distribution; see src/base/packages.py
    optional: tuple[str, ...] = ()  # what it can do without


COMMANDS = {
    "plan": Command(has_units=True, packages=packages.NETWORKS),
    "units": Command(packages=packages.NETWORKS),
    "unit": Command(unit_arguments, packages=packages.NETWORKS),
    "doctor": Command(packages=packages.KAGGLE),
    "check": Command(csv_argument),
    "grade": Command(csv_argument),
    "submit": Command(submit_arguments, after_stages=True, packages=packages.KAGGLE),
    "scores": Command(packages=packages.KAGGLE),
    "reproduce": Command(),
    "pack": Command(pack_arguments, after_stages=True, packages=(*packages.NETWORKS, *packages.NOTEBOOK)),
    "ab": Command(ab_arguments, after_stages=True, packages=packages.NETWORKS),
    "report": Command(after_stages=True, packages=packages.PAGE, optional=(packages.CHARTS,)),
    "predict": Command(predict_arguments, "both", packages=(*packages.NETWORKS, *packages.PAGE, "requests")),
    "compare": Command(compare_arguments, "alone", has_units=True, packages=packages.NETWORKS),
    "new": Command(new_arguments, "alone", packages=(*packages.CORE, "Jinja2")),
    "help": Command(help_arguments, "alone"),
}
ALONE = tuple(name for name, command in COMMANDS.items() if command.stands != "behind")


def file_of(name: str) -> Path:
    """The file that describes a command, and runs it."""
    folder = Path(__file__).parent
    return folder / name / "command.py" if (folder / name).is_dir() else folder / f"{name}.py"


def module(name: str) -> ModuleType:
    """The module of a command, imported when it is wanted, since most import torch."""
    path = file_of(name).relative_to(Path(__file__).parent).with_suffix("")
    return importlib.import_module(".".join(("src.commands", *path.parts)))


def parser(name: str, competition: str | None = None) -> Parser:
    """The parser of a command; its usage has `competition` in front where the command may stand behind one."""
    stands = COMMANDS[name].stands
    behind = {"behind": competition or "<competition>", "alone": None, "both": competition}[stands]
    elsewhere = (*("--limit",) * (behind is not None), *WHERE * COMMANDS[name].has_units, "--help")
    parser = Parser(" ".join(filter(None, ("./run.sh", behind, name))), docstring(file_of(name)), elsewhere)
    COMMANDS[name].add_arguments(parser)
    return parser
