"""submit: sends a CSV to Kaggle, the blend's newest if none is named, and waits for its score.

    ./run.sh corn submit
    ./run.sh corn submit my.csv -m "three seeds" --anyway
    ./run.sh corn blend submission submit

Nothing is sent unless this command is typed. It refuses a file with faults, a file with warnings (unless --anyway is
given), answers that were sent before (by sha256, also from another machine), and what Kaggle would refuse. Behind
stages, it asks Kaggle first whether a submission will be allowed, and then runs the stages.

Nothing is sent twice: the row in scores.csv is written before the upload and completed after it. A run that was killed
in between, or whose answer was lost, looks for the sha256 in the messages of Kaggle's list before it sends anything.

The score that is expected, and how scores are read: ./run.sh help leaderboard
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from src.base import files, locks, provenance
from src.base.errors import UserError, counted, listed
from src.base.paths import ROOT
from src.kaggle import api as kaggle_api
from src.kaggle.refusals import Refusal
from src.leaderboard import preflight, sending, submission
from src.leaderboard.forecast import BOARD_PARTS, Standing, score_of
from src.results import ledger
from src.results.ledger import Entry
from src.schema.competition import Competition

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi


def before(competition: Competition, **arguments: object) -> None:
    """Raise a Refusal that would otherwise come after hours of training."""
    require_can_be_sent(competition)
    with kaggle_api.session(competition.source.slug, "a submission later") as api:
        preflight.require_can_submit(api, competition)


def run(competition: Competition, file: Path | None = None, message: str | None = None, anyway: bool = False) -> int:
    """Send `file`, with warnings only if `anyway`; return 0 once there is a score, or raise a Refusal."""
    require_can_be_sent(competition)
    path, slug = newest(competition) if file is None else file, competition.source.slug
    findings = submission.inspect(competition, path)
    for warning in findings.warnings:
        print(f"warning: {warning}")
    if findings.faults:
        raise Refusal("check", f"{path.name} has {counted(len(findings.faults), 'fault')}:\n{listed(findings.faults)}")
    if findings.warnings and not anyway:
        raise Refusal("check", f"{path.name} is not sent: look at its warnings, or send it as it is with --anyway")
    standing = Standing(competition)
    with kaggle_api.session(slug, f"the submission of {path.name}") as api:
        with locks.locked(competition.folder / ".submit.lock"):  # two at a time would send a file twice
            entry = send(api, competition, standing, path, message, findings.repeats)
        entry = sending.wait_for_score(api, entry, competition.scores_csv, print)
    return end(competition, standing, entry)


def newest(competition: Competition) -> Path:
    """The blend's CSV that was written last."""
    written = []
    for path in competition.folder.glob("blend-cv*-???????.csv"):
        with suppress(FileNotFoundError):  # a run at work may replace it
            written.append((path.stat().st_mtime, path))
    if not written:
        remedy = f"make one by {competition.command()}, or name a file"
        raise UserError(f"there is no submission in {competition.folder}: {remedy}")
    return max(written)[1]


def send(
    api: "KaggleApi",
    competition: Competition,
    standing: Standing,
    path: Path,
    message: str | None,
    repeats: Sequence[str],
) -> Entry:
    """The ledger's entry of the file, which Kaggle has: from before, or sent now.

    `repeats` are sentences that Kaggle has its answers already, from another file.
    """
    require_there(path)
    book, sha, slug = competition.scores_csv, files.sha256(path), competition.source.slug
    entry = earlier(book, sha)
    if entry is None:
        entry = draft(competition, path, sha, message)
        if (one := sending.find_listed(entry, kaggle_api.submissions(api, slug))) is not None:  # from another machine
            entry = ledger.put(book, sending.with_state(entry, one))
    elif is_uncertain(entry):
        arrived = sending.look(api, slug, entry, book, sending.SECOND_LOOKS)
        if arrived is not None:
            print(f"{path.name} had arrived at Kaggle: it is not sent again")
            return arrived
    if entry.status in (ledger.COMPLETE, ledger.ERROR):
        raise Refusal(
            "sent", f"{path.name} was sent before: {score_text(standing, entry)}: spend the submission on another"
        )
    if entry.status == ledger.PENDING and not is_uncertain(entry):
        print(f"{path.name} was sent at {entry.time} and had no score yet")
        return entry
    if repeats:
        raise Refusal("sent", f"{path.name}: {repeats[0]}")
    preflight.require_can_submit(api, competition)
    require_there(path)  # once the ledger has it, no run removes it
    if promise := standing.promise(entry):
        print(promise)
    if sending.marker(sha) not in entry.message:  # a row that was written by hand: Kaggle's list tells it by that alone
        marked = replace(entry, message=sending.message_text(entry, message or entry.message))
        entry = ledger.put(book, marked, instead_of=entry)
    if entry not in ledger.read(book):
        ledger.put(book, entry)
    print(f"sending {path.name} to {slug}: {entry.message}")
    return sending.send(api, slug, path, entry, book)


def require_there(path: Path) -> None:
    """Raise a UserError if a run at work has removed the file."""
    if not path.is_file():
        raise UserError(f"{path.name} is gone: a run has replaced it: run the same command again")


def is_uncertain(entry: Entry) -> bool:
    """Whether a run was stopped between the ledger's row and Kaggle's answer; or somebody wrote the row by hand."""
    return entry.status == ledger.SENDING or (entry.status == ledger.PENDING and not entry.ref)


def earlier(book: Path, sha: str) -> Entry | None:
    """The last entry of a file of the same content, unless that was refused."""
    same = [entry for entry in ledger.read(book) if entry.sha256 == sha and entry.status != ledger.REFUSED]
    return same[-1] if same else None


def draft(competition: Competition, path: Path, sha: str, message: str | None) -> Entry:
    """The entry of a file before it is sent."""
    cv, se = score_of(competition, path, sha)
    entry = Entry(sending.stamp(datetime.now(UTC)), path.name, sha, provenance.commit(ROOT), cv, se)
    return replace(entry, message=sending.message_text(entry, message))


def score_text(standing: Standing, entry: Entry) -> str:
    """`public 0.83333 = 580/696 ± 0.0141, private ...`, or the reason why there is no score."""
    if entry.status == ledger.ERROR:
        return f"Kaggle rejected it ({entry.reason or 'without a reason'})"
    scores = [f"{part} {standing.shown(getattr(entry, part), part)}" for part in BOARD_PARTS if getattr(entry, part)]
    return ", ".join(scores) or "its score is not shown"


def end(competition: Competition, standing: Standing, entry: Entry) -> int:
    """Print the score; raise a Refusal if it was rejected, or has no score yet."""
    if entry.status == ledger.ERROR:
        reason, page = entry.reason or "it gives no reason", f"{competition.source.page}/submissions"
        raise Refusal("rejected", f"Kaggle rejected {entry.file}: {reason}: see {page}")
    if entry.status == ledger.PENDING:
        minutes = sending.SCORE_TIMEOUT_S // 60
        waited = f"Kaggle has {entry.file} and no score for it after {minutes} minutes"
        raise Refusal("pending", f"{waited}: ./run.sh {competition.name} scores looks again")
    print(f"{entry.file}: {score_text(standing, entry)}")
    if verdict := standing.verdict(entry):
        print(f"{entry.file}: {verdict}")
    print(f"next: ./run.sh {competition.name} scores")
    return 0


def require_can_be_sent(competition: Competition) -> None:
    """Raise a UserError if Kaggle does not hold the competition, or for a smoke run."""
    preflight.require_kaggle_competition(competition, "there is nobody to send a submission to")
    preflight.require_whole_run(competition, "sent", "submit")
