"""./run.sh bench [decode] [features] [probe] [finetune] [--quick] [--images FOLDER] [--model NAME] [--rows N]

Times this repository's code side by side with what people use elsewhere; all benchmarks where none is named.

  decode           pictures to squares on one core, beside open_clip's own transform
  features         pictures to stored features, beside the model alone, open_clip's README loop and clip_benchmark
  probe            the linear probe, beside scikit-learn
  finetune         an epoch of training, beside the model alone and a DataLoader with Pillow and albumentations
  --quick          few pictures and rounds: does it run? its numbers mean little
  --images FOLDER  real pictures (PNG, JPEG) instead of made-up ones
  --model NAME     of features, one model alone: tiny, ViT-B-32, and on a GPU ViT-L-14, ViT-H-14
  --rows N         of features, another case alone: the memory it takes to write, find and read N rows of features

For people there is a table, for programs a line of JSON for each comparison.
"""

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from src.base.errors import UserError, unknown

BENCHES = ("decode", "features", "probe", "finetune")
OPTIONS = ("--quick", "--images", "--model", "--rows", "--help")


@dataclass
class Asked:
    """A command line."""

    benches: list[str]
    quick: bool = False
    images: Path | None = None
    model: str | None = None
    rows: int | None = None


def parse(arguments: list[str]) -> Asked:
    """Raises UserError: An unknown benchmark or option, or a value that does not fit."""
    asked, given = Asked([]), iter(arguments)
    for word in given:
        option, _, value = word.partition("=")
        if word == "--quick":
            asked.quick = True
        elif option in ("--images", "--model", "--rows"):
            setattr(asked, option[2:], taken(option, value or next(given, "")))
        elif word.startswith("-"):
            raise UserError(unknown("option", word, OPTIONS))
        elif word not in BENCHES:
            raise UserError(unknown("benchmark", word, BENCHES))
        else:
            asked.benches.append(word)
    if (asked.rows or asked.model) and asked.benches != ["features"]:
        raise UserError("--rows and --model are options of one benchmark: ./run.sh bench features ...")
    asked.benches = [bench for bench in BENCHES if bench in asked.benches or not asked.benches]
    return asked


def taken(option: str, value: str) -> Path | str | int:
    """An option's value."""
    if not value:
        raise UserError(f"{option} needs a value")
    if option == "--images":
        folder = Path(os.environ.get("CALLED_FROM", "")) / value  # run.sh has changed the folder
        if not folder.is_dir():
            raise UserError(f"--images: there is no folder {folder}")
        return folder
    if option == "--rows" and not (value.isdecimal() and int(value) >= 1):
        raise UserError(f"--rows takes a number of rows, not {value!r}")
    return int(value) if option == "--rows" else value


def run(asked: Asked) -> None:
    options = {
        "decode": {"images": asked.images},
        "features": {"images": asked.images, "model": asked.model, "rows": asked.rows},
        "probe": {},
        "finetune": {"images": asked.images},
    }
    for bench in asked.benches:
        print(f"== bench: {bench}")
        importlib.import_module(f"src.bench.{bench}").run(quick=asked.quick, **options[bench])


def main(arguments: list[str]) -> int:
    """The exit code: 0, 2 for the user's mistake, 130 for Ctrl-C, 143 for SIGTERM. A bug keeps its traceback."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)  # so that folders for a time are cleared away
    sys.stdout.reconfigure(line_buffering=True)
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        run(parse(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("\nstopped", file=sys.stderr)
        return 128 + (error.args[0] if error.args else signal.SIGINT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
