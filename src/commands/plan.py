"""plan: shows what a run would compute, how long that takes here, and on what; computes nothing.

    ./run.sh corn plan
    ./run.sh corn plan --hours 8
    ./run.sh corn plan --gpus 4

Times are of units of work that this machine has finished, of this competition or others with the same networks
(submissions/rates.csv): of what it never did no time is shown. With --hours it says which models would be left out as
things are known now. PFLOP are counted from the networks' shapes; of fits to features they are a guess. Beside a run
that is at work it shows what that one has not finished yet.
"""

from collections.abc import Mapping

from src.base import machine
from src.base.errors import counted
from src.base.text import align, duration
from src.driver import run as driver
from src.driver.estimates import Estimates
from src.driver.placing import Placing
from src.schema.competition import Competition
from src.units.deadline import admit
from src.units.schedule import simulate
from src.units.unit import Key, Unit

HEAD = ("stage", "model or encoder", "units", "PFLOP", "each", "all")


def run(competition: Competition, gpus: int | None = None, **options: object) -> None:
    """Print the pending units by model, and how long they take together, after the stages data and folds.

    Args:
        gpus: So many are reckoned with, whether they are there or not.
    """
    placing, estimates = Placing(**options), Estimates()
    units = driver.list_pending(competition)
    if not units:
        what = "the blend, the submission and the report, as far as they are not up to date"
        print(f"all models are finished: {competition.command()} makes {what}")
        return
    known = estimates.known(units)
    print("\n".join(align([HEAD, *rows(units, known)])))
    there, at_once = placing.places
    number = there if gpus is None else gpus
    print(f"on {places(number, at_once)}: {together(units, known, number, at_once)}")
    if placing.hours is not None:
        print_left_out(units, known, 3600 * placing.hours, number, at_once)


def rows(units: list[Unit], known: Mapping[Key, float]) -> list[tuple[str, ...]]:
    """A line for the units of a stage and model: how many, their work, and their seconds where these are known."""
    by_model: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        if not unit.here:
            by_model.setdefault((unit.stage, str(unit.names[0])), []).append(unit)
    lines = []
    for (stage, name), some in by_model.items():
        seconds = [known[unit.key] for unit in some if unit.key in known]
        whole = len(seconds) == len(some)
        each = duration(sum(seconds) / len(some)) if whole else "not measured here"
        work = sum(unit.work for unit in some) / 1e15
        lines.append((stage, name, str(len(some)), f"{work:.3g}", each, duration(sum(seconds)) if whole else ""))
    return lines


def places(gpus: int, at_once: int) -> str:
    if not gpus:
        return machine.device_name() + (f", {at_once} units at once" if at_once > 1 else "")
    return f"{counted(gpus, 'GPU')}" + (f" ({machine.device_name()})" if machine.gpus() else "")


def together(units: list[Unit], known: Mapping[Key, float], gpus: int, at_once: int) -> str:
    """How long all units take, by those that were measured."""
    some = [unit for unit in units if unit.key in known]
    missing = list(dict.fromkeys(unit.whole or unit.title for unit in units if unit.key not in known))
    more = f"; never measured here, and not counted: {', '.join(missing)}" if missing else ""
    if not any(known.values()):
        return "no time is known yet: the first run measures it"
    seconds = simulate(some, known, gpus, float("inf") if gpus else at_once).makespan
    return f"about {duration(seconds)}, {duration(sum(known.values()))} of units one after the other{more}"


def print_left_out(units: list[Unit], known: Mapping[Key, float], left: float, gpus: int, at_once: int) -> None:
    groups = {unit.key: unit.whole for unit in units if unit.whole}
    made = admit(units, known, groups, left, gpus, float("inf") if gpus else at_once)
    for name, reason in made.left_out.items():
        print(f"would be left out, for want of time: {name} ({reason})")
    if made.unmeasured:
        print(f"would be measured by their first epochs: {', '.join(made.unmeasured)}")
    if not made.left_out and not made.unmeasured:
        print(f"all fit into {duration(left)}")
