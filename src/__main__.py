"""./run.sh <competition> [stage ...] [--limit N]

Runs a competition's stages in their order: data folds features zeroshot probe finetune blend submission. A stage that
is named runs with what it needs. What is finished and still of the same key is reused: a killed run goes on.
find_lr runs only where it is named: it suggests the learning rates of the models that are fine-tuned.

  <competition>   a file in src/configs/
  --limit N       a smoke run on N train and N test rows, in folders of its own
  test            lint, format check and tests (./run.sh test [pytest arguments])
  bench           timings beside other people's code (./run.sh bench --help)
"""

import ast
import fcntl
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

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
}
ASKED = ("find_lr",)  # stages that run only where they are named
INSTALL = "pip install -r requirements.txt, or let run.sh make its .venv (without USE_CURRENT_ENV=1)"
RESERVED = ("submit", "scores", "report")  # names of stages to come


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


def parse(arguments: list[str]) -> tuple[str, list[str], int | None]:
    """(competition, stages with what they need in order, limit) of a command line that asks for no help."""
    words, limit, given = [], None, iter(arguments)
    for word in given:
        option, _, value = word.partition("=")
        if option == "--limit":
            value = value or next(given, "")
            if not value.isdecimal() or int(value) < 1:
                raise UserError(f"--limit takes a number of rows, not {value!r}")
            limit = int(value)
        elif word.startswith("-"):
            raise UserError(unknown("option", word, ["--limit", "--help"]))
        else:
            words.append(word)
    if not words:
        raise UserError("no competition is named: ./run.sh <competition> [stage ...] [--limit N]")
    competition, *named = words
    if competition not in titles():
        raise UserError(unknown("competition", competition, titles()))
    for stage in named:
        if stage in RESERVED:
            raise UserError(f"the stage {stage!r} is not built yet: the stages are {', '.join(STAGES)}")
        if stage not in STAGES:
            raise UserError(unknown("stage", stage, STAGES))
    needed = set(named or [stage for stage in STAGES if stage not in ASKED])
    for stage in reversed(STAGES):
        if stage in needed:
            needed.update(STAGES[stage])
    return competition, [stage for stage in STAGES if stage in needed], limit


def run(name: str, stages: list[str], limit: int | None) -> None:
    """Runs the stages in order, after they have checked what the config asks of them."""
    from src.config import load  # pydantic and all the rest: not for a mistyped name or --help

    start = time.perf_counter()
    competition = load(name, limit)
    made, submission, checked = set(), None, False
    with alone(competition.folder):
        for i, stage in enumerate(stages):
            print(f"== {competition.folder.name}: {stage}")
            if stage not in ("data", "folds") and not checked:  # here torch is imported
                for later in stages[i:]:
                    getattr(stage_module(later), "check", lambda competition: None)(competition)
                checked = True
            result = stage_module(stage).run(competition)
            if isinstance(result, Path):
                submission = result
            else:
                made.update(result or ())
        if submission:
            from src import summary
            from src.progress import duration

            print(f"== {competition.folder.name}: done in {duration(time.perf_counter() - start)}")
            print(summary.table(competition, made))
            print(summary.next_step(competition, submission))


def stage_module(stage: str) -> ModuleType:
    return importlib.import_module(f"src.stages.{stage}")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps a second run out of it; a folder that stays empty goes again.

    Raises:
        UserError: Another process is in it, or it cannot be made.
    """
    from src.files import refusals

    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it, however the process ends
        yield
    except BlockingIOError as error:
        raise UserError(f"another run of {folder.name} is at work: wait for it, or stop it") from error
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()


def main(arguments: list[str]) -> int:
    """The exit code: 0, 2 for the user's mistake, 130 for Ctrl-C, 143 for SIGTERM. A bug keeps its traceback."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.reconfigure(line_buffering=True)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(usage())
        return 0 if arguments else 2
    try:
        run(*parse(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "src").partition(".")[0] == "src":
            raise
        print(f"error: the package {error.name!r} is missing: {INSTALL}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        print(f"error: torch and torchvision do not fit each other ({error}): {INSTALL}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("\nstopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        return 128 + (error.args[0] if error.args else signal.SIGINT)
    except BrokenPipeError:  # whoever read our lines has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
