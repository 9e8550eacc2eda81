"""The command line's stages and commands, run one after the other: python -m src <competition> [stage ...]."""

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from src import commands, stages
from src.base import gpu, packages
from src.base.errors import UserError
from src.base.files import OS_ERRORS, REMEDY
from src.base.paths import provide_home
from src.cli import Request, parse

if TYPE_CHECKING:
    from src.schema.competition import Competition


def run(request: Request) -> int:
    """Run a request and return the exit code.

    A command that sends something to Kaggle in the end asks first whether it may: not after hours of training.
    """
    if request.competition is None:
        require_packages(request, None)
        return commands.module(request.command).run(**request.arguments, **request.placing) or 0
    competition = None
    if not packages.unmet(packages.CORE):
        from src.config import load  # pydantic and all the rest: not for a mistyped name or --help

        competition = load(request.competition, request.limit)
    require_packages(request, competition)
    from src.base.locks import exclusive

    command = commands.module(request.command) if request.command else None
    if request.stages:
        getattr(command, "before", lambda competition, **arguments: None)(competition, **request.arguments)
        with exclusive(competition.folder):
            has_time = run_stages(competition, request)
    if request.whole and has_time:
        report(competition)
    elif request.whole:
        print(f"no report, for want of time: {competition.command('report')}")
    # a command reads what is finished: it may stand beside a run that trains
    placing = request.placing if command and commands.COMMANDS[request.command].has_units else {}
    return 0 if command is None else command.run(competition, **request.arguments, **placing) or 0


def run_stages(competition: "Competition", request: Request) -> bool:
    """Run the stages of a request where and as long as its options say; return whether time is left for a report."""
    from src.driver import run as driver
    from src.driver.placing import Placing

    return driver.run(competition, request.stages, Placing(**request.placing))


def report(competition: "Competition") -> None:
    """Write the report that ends a whole run. A machine that lacks the packages for it has everything else."""
    try:
        commands.module("report").run(competition)
    except (ImportError, OSError, ValueError) as error:
        if (said := packages.unusable(error)) is None:
            raise
        print(f"no report: {said}")


def require_packages(request: Request, competition: "Competition | None") -> None:
    """Raise a UserError for all packages that the request lacks here; of a competition, where its config can be read.

    Raises:
        UserError: One is not installed, or too old; or torch is needed, and cannot use the GPU that is there.
    """
    command = commands.COMMANDS[request.command] if request.command else commands.Command()
    needed = {*command.packages, *(stages.packages(request.stages, competition) if request.competition else ())}
    optional = {*command.optional, *(packages.LABELS,) * ("audit" in request.stages)}
    if request.whole:  # it ends with the report
        optional |= {*packages.PAGE, packages.CHARTS}
    packages.require(sorted(needed), sorted(optional - needed))
    if "torch" in needed:
        gpu.require_usable()


def exit_code(work: Callable[[], int], stopped: str) -> int:
    """The exit code: that of the work, 2 or a cause's own for the user's mistake, 130 for Ctrl-C, 143 for SIGTERM.

    A bug keeps its traceback.
    """

    received = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)  # so that temporary folders are removed
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have asked to ignore it
        signal.signal(signal.SIGINT, stop)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # a class may have a name beyond ASCII
    sys.stderr.reconfigure(errors="backslashreplace")
    provide_home()
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:
        # libraries that were interrupted in the middle make another error of it, such as a ValueError of safetensors
        if received or isinstance(error, KeyboardInterrupt):
            print(f"\n{stopped}", file=sys.stderr)
            return 128 + [*received, *error.args, signal.SIGINT][0]
        if not isinstance(error, UserError):
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.code


def main(arguments: list[str]) -> int:
    def work() -> int:
        if not arguments:
            commands.module("help").run()
            return 2
        try:
            return run(parse(arguments))
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            if (said := packages.unusable(error)) is None:
                raise
            raise UserError(said) from error

    try:
        code = exit_code(work, "stopped; what was finished is kept, and the same command resumes from there")
        sys.stdout.flush()
        return code
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and can_write(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more
        if isinstance(error, BrokenPipeError):  # whoever read our lines has gone
            return 141
        reason = OS_ERRORS.get(error.errno, error.strerror)
        print(f"error: cannot write the output: {reason}: {REMEDY}", file=sys.stderr)
        return UserError.code


def can_write(output: TextIO) -> bool:
    """Whether an output takes another line, which is an empty one."""
    try:
        print(file=output, flush=True)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
