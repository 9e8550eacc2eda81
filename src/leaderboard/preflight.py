"""What a submission needs, checked one by one before anything is computed or sent: the doctor's examination."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from src.base.errors import UserError
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import Refusal, page_of
from src.schema.competition import Competition

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

METHODS = {"ACCESS_TOKEN": "access token", "LEGACY_API_KEY": "legacy key", "OAUTH": "OAuth"}  # the client's, and ours
SKEW = timedelta(minutes=5)  # a clock that is further off is worth a word


@dataclass(frozen=True)
class Check:
    what: str
    said: str
    cause: str = ""  # what stands in the way, one of refusals.CODES; empty: nothing does
    warning: bool = False  # nothing stands in the way, but it should be seen to


def require_kaggle_competition(competition: Competition, otherwise: str) -> None:
    """Raises UserError: Kaggle does not hold the competition; `otherwise` says what follows from that."""
    if competition.source.page is None:
        raise UserError(f"{competition.name} is not a Kaggle competition: {otherwise}")


def require_whole_run(competition: Competition, done: str, command: str) -> None:
    """Raises UserError: This is a smoke run, for which nothing is `done` (`sent`) by `command` (`submit`)."""
    if competition.limit is not None:
        rows = f"a smoke run of {competition.limit} rows"
        raise UserError(f"{rows} is not {done}: ./run.sh {competition.name} {command}")


def local() -> Iterator[Check]:
    """Versions and credentials, without a word to anybody."""
    yield Check("python", platform.python_version())
    version = kaggle_api.version()
    yield Check("client", f"kaggle {version}" if version else "kaggle is not installed: pip install kaggle")
    taken = credentials.winner()
    for one in credentials.found():
        what = "taken" if one == taken else one.fault or "there too, and not needed"
        yield Check("credentials", f"{one.where} ({one.kind}): {what}", warning=bool(one.fault))
        if one.warning:
            yield Check("credentials", one.warning, warning=True)
    if taken is None:
        said = f"none: make a token at {credentials.TOKEN_PAGE} and set KAGGLE_API_TOKEN to it"
        yield Check("credentials", said, "credentials")


def remote(api: "KaggleApi", competition: Competition) -> Iterator[Check]:
    """What Kaggle says of us and of the competition.

    Raises:
        Refusal: Kaggle refuses to answer: the token, or the competition's name.
    """
    slug, page = competition.source.slug, competition.source.page
    found = kaggle_api.competition(api, slug)
    user = api.config_values.get(api.CONFIG_NAME_USER)
    taken, used = credentials.winner(), METHODS.get(api.config_values.get(api.CONFIG_NAME_AUTH_METHOD))
    if taken and used and taken.kind != used:
        said = f"that in {taken.where} is not valid: Kaggle was asked with a {used} instead"
        yield Check("token", said, warning=True)
    yield Check("token", f"valid{f', of {user}' if user else ''}")
    if abs(api.clock) > SKEW:
        minutes = round(abs(api.clock).total_seconds() / 60)
        way = "behind" if api.clock > timedelta(0) else "ahead of"
        said = f"this machine's is {minutes} minutes {way} Kaggle's, which is the one that is used"
        yield Check("clock", said, warning=True)
    yield Check("competition", found.title or slug)
    if not found.user_has_entered:
        yield Check("rules", f"not accepted: join the competition and accept them at {page}/rules", "rules")
        return
    yield Check("rules", "accepted")
    yield deadline(api, found)
    if found.submissions_disabled:
        yield Check("submissions", f"not taken any more: see {page}", "closed")
        return
    if found.is_kernels_submissions_only:
        said = f"from notebooks only: ./run.sh {competition.name} pack makes one"
        yield Check("submissions", said, "notebook")
        return
    yield Check("submissions", "a CSV is taken")
    yield quota(kaggle_api.limits(api, slug), found)


def deadline(api: "KaggleApi", found: Any) -> Check:
    """Whether it has passed, by Kaggle's clock. After it Kaggle scores late submissions, where it takes any."""
    if not found.deadline:
        return Check("deadline", "none is given")
    end = found.deadline.replace(tzinfo=UTC)
    left = end - kaggle_api.now(api)
    if left < timedelta(0):
        return Check("deadline", f"passed on {day(end)}: late submissions are scored and have no rank", warning=True)
    return Check("deadline", f"{day(end)}, in {span(left)}")


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def span(left: timedelta) -> str:
    """`3 days`, `5 hours`, `12 minutes`."""
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (n := int(left.total_seconds() // seconds)) >= 2 or unit == "minute":
            return f"{n} {unit}{'' if n == 1 else 's'}"
    raise AssertionError


def quota(limits: Any, found: Any) -> Check:
    """How many submissions are left. Of a team that has sent none yet, Kaggle says 0 of everything."""
    left, today = limits.num_allowed_now, limits.num_today
    if not (left or today or limits.num_total):
        most = f": at most {found.max_daily_submissions} a day" if found.max_daily_submissions else ""
        return Check("quota", f"nothing was sent yet{most}")
    if left:
        return Check("quota", f"{left} left today, {today} used")
    if limits.limited_by_total:
        return Check("quota", f"none is left: all {limits.num_total} of the competition are used", "quota")
    return Check("quota", f"none is left today, {today} used: the next day begins at 00:00 UTC", "quota")


def require_can_submit(api: "KaggleApi", competition: Competition) -> None:
    """The examination in short, before hours of work or a submission.

    Raises:
        Refusal: With the first thing that stands in the way.
    """
    for check in remote(api, competition):
        if check.cause:
            slug = competition.source.slug
            raise Refusal(check.cause, f"nothing can be sent to {slug}: {check.what} {check.said} ({page_of(slug)})")
