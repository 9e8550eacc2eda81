"""The needs of a submission, checked one by one before anything is computed or sent: the doctor's examination."""

import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from src.base import gpu, machine, packages
from src.base.errors import UserError, counted
from src.base.text import examples
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import Refusal, page_of
from src.schema.competition import Competition

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

METHODS = {"ACCESS_TOKEN": "access token", "LEGACY_API_KEY": "legacy key", "OAUTH": "OAuth"}  # the client's, and ours
CPU_PIXELS = 160  # a side, up to which networks are trained on a CPU in minutes or hours; None is their own, mostly 224
SKEW = timedelta(minutes=5)  # a clock that is further off is worth a word


@dataclass(frozen=True)
class Check:
    what: str
    said: str
    cause: str = ""  # the obstacle, one of refusals.CODES; empty: there is none
    warning: bool = False  # nothing stands in the way, but it should be seen to


def require_kaggle_competition(competition: Competition, otherwise: str) -> None:
    """Raise a UserError where Kaggle does not hold the competition; `otherwise` says what follows from that."""
    if competition.source.page is None:
        raise UserError(f"{competition.name} is not a Kaggle competition: {otherwise}")


def require_whole_run(competition: Competition, done: str, command: str) -> None:
    """Raise a UserError in a smoke run, of which nothing is `done` (`sent`) by `command` (`submit`)."""
    if competition.limit is not None:
        rows = f"a smoke run of {competition.limit} rows"
        raise UserError(f"{rows} is not {done}: ./run.sh {competition.name} {command}")


def gpu_check(competition: Competition) -> Check:
    """Check whether torch can use this machine's GPU. Where there is none, torch is not imported.

    Whether that is a warning is told by the pixels that networks are trained on.
    """
    if gpu.is_there() and packages.version("torch") is not None:
        if fault := gpu.find_fault():
            return Check("gpu", fault, warning=True)
        if machine.device().type == "cuda":
            return Check("gpu", f"{machine.device_name()} (driver {gpu.driver_version() or 'unknown'})")
    large = [name for name, spec in competition.trained.items() if (spec.img_size or math.inf) > CPU_PIXELS]
    if not large:
        return Check("gpu", "none: networks run on the CPU")
    effort = f"{competition.command('plan')} says how much there is to compute"
    said = f"none: networks run on the CPU, which may take days to train {examples(large, 3)}: {effort}"
    return Check("gpu", said, warning=True)


def local() -> Iterator[Check]:
    """Check versions and credentials, without a call to anybody."""
    yield Check("python", platform.python_version())
    version = packages.version("kaggle")
    yield Check("client", f"kaggle {version}" if version else "kaggle is not installed: pip install kaggle")
    active = credentials.active()
    for one in credentials.find_all():
        what = "taken" if one == active else one.fault or "there too, and not needed"
        yield Check("credentials", f"{one.where} ({one.kind}): {what}", warning=bool(one.fault))
        if one.warning:
            yield Check("credentials", one.warning, warning=True)
    if active is None:
        remedy = f"make a token at {credentials.TOKEN_PAGE} and set KAGGLE_API_TOKEN to it"
        yield Check("credentials", f"none: {remedy}", "credentials")


def remote(api: "KaggleApi", competition: Competition) -> Iterator[Check]:
    """Check Kaggle's answers about us and the competition.

    Raises:
        Refusal: Kaggle refuses to answer: the token, or the competition's name.
    """
    slug, page = competition.source.slug, competition.source.page
    described = kaggle_api.competition(api, slug)
    user = api.config_values.get(api.CONFIG_NAME_USER)
    active, used = credentials.active(), METHODS.get(api.config_values.get(api.CONFIG_NAME_AUTH_METHOD))
    if active and used and active.kind != used:
        invalid = f"that in {active.where} is not valid"
        yield Check("token", f"{invalid}: Kaggle was asked with a {used} instead", warning=True)
    yield Check("token", f"valid{f', of {user}' if user else ''}")
    if abs(api.clock) > SKEW:
        minutes = round(abs(api.clock).total_seconds() / 60)
        way = "behind" if api.clock > timedelta(0) else "ahead of"
        difference = f"this machine's is {minutes} minutes {way} Kaggle's"
        yield Check("clock", f"{difference}, which is the one that is used", warning=True)
    yield Check("competition", described.title or slug)
    if not described.user_has_entered:
        yield Check("rules", f"not accepted: join the competition and accept them at {page}/rules", "rules")
        return
    yield Check("rules", "accepted")
    yield deadline(api, described)
    if described.submissions_disabled:
        yield Check("submissions", f"not taken any more: see {page}", "closed")
    elif described.is_kernels_submissions_only:
        yield Check("submissions", f"from notebooks only: ./run.sh {competition.name} pack makes one", "notebook")
    else:
        yield Check("submissions", "a CSV is taken")
        most = described.max_daily_submissions
        yield quota(kaggle_api.limits(api, slug, most), most)


def deadline(api: "KaggleApi", described: Any) -> Check:
    """Check whether it has passed, by Kaggle's clock. Late submissions are scored, where Kaggle takes any."""
    if not described.deadline:
        return Check("deadline", "none is given")
    end = described.deadline.replace(tzinfo=UTC)
    left = end - datetime.now(UTC) - api.clock
    if left < timedelta(0):
        return Check("deadline", f"passed on {day(end)}: late submissions are scored and have no rank", warning=True)
    return Check("deadline", f"{day(end)}, in {span(left)}")


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def span(left: timedelta) -> str:
    """Return `3 days`, `5 hours` or `12 minutes`."""
    seconds = int(left.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * length:
            return counted(seconds // length, unit)
    return counted(seconds // 60, "minute")


def quota(limits: Any, most_a_day: int | None) -> Check:
    """Check how many submissions are left. For a team that has sent none yet, Kaggle has 0 of everything."""
    left, today = limits.num_allowed_now, limits.num_today
    if not (left or today or limits.num_total):
        most = f": at most {most_a_day} a day" if most_a_day else ""
        return Check("quota", f"nothing was sent yet{most}")
    if left:
        return Check("quota", f"{left} left today, {today} used")
    if limits.limited_by_total:
        return Check("quota", f"none is left: all {limits.num_total} of the competition are used", "quota")
    return Check("quota", f"none is left today, {today} used: the next day begins at 00:00 UTC", "quota")


def require_can_submit(api: "KaggleApi", competition: Competition) -> None:
    """Raise a Refusal with the first obstacle, before hours of work or a submission.

    Raises:
        Refusal: With the first thing that stands in the way.
    """
    for check in remote(api, competition):
        if check.cause:
            slug = competition.source.slug
            raise Refusal(check.cause, f"nothing can be sent to {slug}: {check.what} {check.said} ({page_of(slug)})")
