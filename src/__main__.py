"""The command line's stages and commands, run one after the other: python -m src <competition> [stage ...]."""

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
from typing import TYPE_CHECKING

from src.commandline import Request, parse, usage
from src.errors import UserError

if TYPE_CHECKING:
    from src.config import Competition

INSTALL = "pip install -r requirements.txt, or let run.sh make its .venv (without USE_CURRENT_ENV=1)"


def run(request: Request) -> int:
    """Runs what is asked for and returns the exit code.

    What sends something to Kaggle in the end asks first whether that will be allowed: not after hours of training.
    """
    from src.config import load  # pydantic and all the rest: not for a mistyped name or --help

    competition = load(request.competition, request.limit)
    command = stage_module(request.command) if request.command else None
    if request.stages:
        getattr(command, "before", lambda competition, **arguments: None)(competition, **request.arguments)
        with alone(competition.folder):
            run_stages(competition, request.stages)
    if request.whole:
        report(competition)
    # a command reads what is finished: it may stand beside a run that trains
    return 0 if command is None else command.run(competition, **request.arguments) or 0


def run_stages(competition: "Competition", stages: tuple[str, ...]) -> None:
    """Runs the stages in order, after they have checked what the config asks of them."""
    start = time.perf_counter()
    made, submission, checked = set(), None, False
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


def report(competition: "Competition") -> None:
    """What a whole run ends with. A machine that lacks the packages for it has everything else."""
    try:
        stage_module("report").run(competition)
    except ModuleNotFoundError as error:
        if (error.name or "src").partition(".")[0] == "src":
            raise
        print(f"no report: the package {error.name!r} is missing: {INSTALL}")


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
    """The exit code: 0, 2 or a cause's own for the user's mistake, 130 for Ctrl-C, 143 for SIGTERM.

    A bug keeps its traceback.
    """

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.reconfigure(line_buffering=True)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(usage())
        return 0 if arguments else 2
    try:
        return run(parse(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
