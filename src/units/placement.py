"""Pending units on their way through processes: begun when they may, and begun again when their process was lost."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from src.base.errors import UserError
from src.base.interrupts import StopRequest, deferred_signals
from src.base.progress import LINE_INTERVAL_S
from src.base.text import examples
from src.units import apart
from src.units.cluster import Need, host
from src.units.inline import fail
from src.units.process import Report
from src.units.processes import Answer, Lost, Processes
from src.units.unit import Key, NotDone, Outcome, Unit, Work, needs

RETRIES = 3  # of a unit whose process was lost
SHOWN = 6  # units that are named in a line of progress


class Placement:
    """Units, and what has become of them so far."""

    def __init__(
        self,
        units: list[Unit],
        given: Mapping[Unit, Need],
        processes: Processes,
        work: Work,
        inputs: Callable[[Unit], Collection[Path]],
    ):
        """`given`: what each gets; `inputs`: see `Rays`."""
        self.given, self.processes, self.work, self.inputs = given, processes, work, inputs
        self.place = {unit: i for i, unit in enumerate(units)}
        self.waiting = dict.fromkeys(units)  # those that are not begun, or are to be begun again
        self.unfinished, self.needs = {unit.key for unit in units}, needs(units)
        self.sent: dict[Key, list[str]] = {}  # the outputs of what is done by now, for machines apart
        self.losses: Counter[Unit] = Counter()
        self.outcome, self.n, self.told = Outcome(), len(units), time.monotonic()

    def run(self) -> Outcome:
        """Have the units run, each after those that it waits for: see `Placer.run`."""
        with deferred_signals() as request:
            try:
                while self.waiting or self.processes.units:
                    self.step(request)
            except BaseException:
                self.processes.stop(request)
                raise
        self.processes.dismiss(())
        return self.outcome

    def step(self, request: StopRequest) -> None:
        """Begin what may begin, and go on with what has ended."""
        ready = sorted(filter(self.is_ready, self.waiting), key=self.place.get)
        here = next((unit for unit in ready if unit.here), None)
        full = set()  # of what there is no room for: what is alike need not be tried
        for unit in ready:
            if unit.here or (unit.keeps, self.given[unit]) in full:
                continue
            if self.processes.begin(unit, self.given[unit], partial(self.files, unit)):
                del self.waiting[unit]
            else:
                full.add((unit.keeps, self.given[unit]))
        self.processes.dismiss({unit.keeps for unit in ready if unit in self.waiting})
        if here is not None:
            del self.waiting[here]
            self.answered(here, self.run_here(here))
        elif self.processes.begun:
            for reference in self.processes.wait(request):
                if (answer := self.processes.answer(reference)) is not None:
                    self.answered(*answer)
        request.raise_if_set()
        self.tell()

    def is_ready(self, unit: Unit) -> bool:
        return self.needs[unit.key].isdisjoint(self.unfinished)

    def files(self, unit: Unit) -> list[str]:
        """The files that a machine apart has to have, by their names below SUBMISSIONS_DIR."""
        if self.processes.home.shelf is None:
            return []
        of_others = [name for key in self.needs[unit.key] for name in self.sent.get(key, ())]
        return list(dict.fromkeys([*apart.names(self.inputs(unit)), *of_others]))

    def run_here(self, unit: Unit) -> Report:
        start, error = time.perf_counter(), None
        try:
            self.work.run(unit)
        except UserError as raised:
            error = raised
        return Report(host(), time.perf_counter() - start, error)

    def answered(self, unit: Unit, answer: Answer) -> None:
        """Go on with what became of a unit."""
        try:
            if isinstance(answer, Lost):
                self.lost(unit, answer)
            elif isinstance(answer, Report):
                self.ended(unit, answer)
            else:
                self.failed(unit, answer)
        except UserError as error:
            self.failed(unit, error)

    def lost(self, unit: Unit, lost: Lost) -> None:
        """Have a unit begun again, which goes on from what it has saved; not one that is skipped by now.

        Raises:
            UserError: That was so three times.
        """
        if unit in self.outcome.skipped:
            return
        self.losses[unit] += lost.at_work
        if self.losses[unit] > RETRIES:
            raise UserError(f"its process was lost {self.losses[unit]} times, at last on {lost.host}: {lost.why}")
        print(f"{unit.title}: its process on {lost.host} was lost, and it is begun again: {lost.why}", file=sys.stderr)
        self.waiting[unit] = None

    def ended(self, unit: Unit, report: Report) -> None:
        """Let those begin that wait for a unit, if its files say that it is done.

        Raises:
            UserError: It has failed, or the files here do not say so.
        """
        if report.error is not None:
            raise report.error
        if not self.work.is_done(unit):
            raise NotDone(
                f"{unit.title} has ended on {report.host}, and its files here do not say so: it was made by other code,"
                " or other versions of packages, than are here"
            )
        self.work.settle(unit, report.seconds)
        if self.processes.home.shelf is not None:
            self.sent[unit.key] = apart.names(self.work.outputs(unit))
        self.unfinished.discard(unit.key)

    def failed(self, unit: Unit, error: BaseException) -> None:
        self.waiting.pop(unit, None)
        fail(unit, error, [*self.waiting, *self.processes.units], self.outcome)
        for other in self.outcome.skipped:
            self.waiting.pop(other, None)
        self.processes.cancel(self.outcome.skipped)

    def tell(self) -> None:
        """Say how far the units are, as seldom as other progress does."""
        if (now := time.monotonic()) - self.told >= LINE_INTERVAL_S:
            self.told = now
            begun = [unit.title for unit in self.processes.units]
            titles = f", begun: {examples(begun, SHOWN)}" if begun else ""
            print(f"units  {self.n - len(self.unfinished)}/{self.n} done{titles}", flush=True)
