"""How long a unit may take, told to the process that runs it, and whether it will keep to that: by its pace so far."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from src.base.text import duration
from src.units.unit import OutOfTime

PART = 1 / 40  # of the work: so much is done between two looks
SLACK = 0.05  # of the time allowed: so much later is no reason to throw away what was computed


@dataclass(frozen=True)
class Allowance:
    """What runs may take so many seconds, and has to end at that moment of time.monotonic()."""

    seconds: float = math.inf
    ends: float = math.inf


FOREVER = Allowance()
ALLOWANCE: ContextVar[Allowance] = ContextVar("allowance", default=FOREVER)


@contextmanager
def allowed(seconds: float) -> Iterator[None]:
    """Let what runs in the block, in this thread, take so many seconds."""
    token = ALLOWANCE.set(Allowance(seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        ALLOWANCE.reset(token)


class Pace:
    """The pace of work that goes on evenly, after a start that is slower, and whether it ends in the time allowed.

    It is taken of parts of the work. The first counts for nothing: pictures are decoded, processes started, networks
    compiled then; nor does the slowest of the others, which something else may have held up. Too slow is what would
    end too late at two looks one after the other, a part apart.
    """

    def __init__(self, total: float):
        self.total, self.allowance = total, ALLOWANCE.get()
        self.looked: tuple[float, float] | None = None  # how much was done at the last look, and when that was
        self.parts: list[tuple[float, float]] = []  # seconds of a piece of work, and pieces
        self.late = 0  # looks, one after the other

    @property
    def each(self) -> float | None:
        """Seconds of a piece of work; None: that is not known yet."""
        counted = sorted(self.parts[1:])[:-1]
        done = sum(pieces for _, pieces in counted)
        return sum(each * pieces for each, pieces in counted) / done if done else None

    @property
    def seconds(self) -> float | None:
        """How long all of the work takes at this pace; None: that is not known yet."""
        return None if self.each is None else self.each * self.total

    def left(self, done: float) -> float:
        """How long the rest takes at this pace, or at least."""
        return (self.each or 0.0) * (self.total - done)

    def is_too_slow(self, done: float) -> bool:
        """Whether it will end too late, or has not ended when it should have; `done`: so much of the total."""
        now, ends = time.monotonic(), self.allowance.ends + SLACK * self.allowance.seconds
        if math.isinf(ends):
            return False
        if self.looked is None:
            self.looked = done, now
        before, then = self.looked
        if done - before >= PART * self.total:
            self.parts.append(((now - then) / (done - before), done - before))
            self.looked = done, now
            self.late = self.late + 1 if now + self.left(done) > ends else 0
        return self.late >= 2 or now > ends

    def error(self, title: str, done: float, saved: str) -> OutOfTime:
        """Say how much time is missing; `saved`: where what is on the disk ends, such as `epoch 3`."""
        more = "ends later than it may" if self.each is None else f"takes {duration(self.left(done))} more at its pace"
        left = duration(max(0.0, self.allowance.ends - time.monotonic()))
        return OutOfTime(
            f"{title}: it {more}, and {left} is left to it: stopped after {saved}, where a later run with more time "
            f"goes on",
            self.seconds,
        )
