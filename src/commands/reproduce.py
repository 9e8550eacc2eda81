"""reproduce: the scores that others reported beside ours, in images, and whether chance explains the difference.

Reads the config's `reported`, scores.csv and the submissions it names, the models' test tables, and the solution if one
exists. Writes nothing. Prints for each reported score its count of images, ours, the difference, an exact p-value and a
verdict.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from src.base.errors import counted
from src.base.paths import resolve
from src.base.text import align
from src.leaderboard import counts, scored, submission
from src.leaderboard.forecast import BOARD_PARTS
from src.leaderboard.scored import Known, ModelScores, Score
from src.schema.competition import Competition
from src.schema.settings import Reported
from src.scoring.agreement import differing
from src.scoring.significance import LEVEL, Outcome, Pairs, outcome

NOT_RUN, NOT_COMPARABLE = "not run", "not comparable"
WIDTH = 120  # of the remarks beneath a row


@dataclass(frozen=True)
class Row:
    """A reported score beside ours; scores are by part of the board."""

    reported: Reported
    theirs: Mapping[str, Score]
    ours: Mapping[str, Score]
    outcome: Outcome
    remarks: Sequence[str]


def run(competition: Competition) -> None:
    """Print a table with a verdict a row.

    Raises:
        UserError: A table, the ledger, the solution or a CSV cannot be read.
    """
    if not competition.on_board:
        example = "reported=(Reported('whose', public=0.7198),)"
        print(f"{competition.name}: its config has no scores of others to compare ours with: write {example} there")
        return
    if competition.input("").is_dir():
        known = scored.read(competition)
        told = known.sizes.get("public", 0) if known.sizes else None
        print(counts.sizes_sentence(competition, known.entries, known.rows, told))
    else:
        known = scored.without_rows(competition)
        print(f"how many test rows there are is not known without the data: {competition.command('data')} fetches it")
    print(table(competition, [compare(known, reported) for reported in competition.on_board]))


def compare(known: Known, reported: Reported) -> Row:
    """The row of a reported score. Its two parts are compared together where both are known."""
    scores = {part: score for part in BOARD_PARTS if (score := getattr(reported, part)) is not None}
    theirs = {part: known.score(part, counts.digits_shown(score)) for part, score in scores.items()}
    ours = ModelScores({}, "") if reported.model is None else scored.model_scores(known, reported.model)
    source = f"ours: {ours.source}" if ours.scores else ""
    note = f"note: {reported.note}" if reported.note else ""
    if reasons := incomparable(known, reported, theirs, ours):
        remarks = ["; ".join(reasons), source, note]
        return Row(reported, theirs, ours.scores, Outcome(NOT_COMPARABLE, p="", how=""), remarks)
    if not ours.scores:
        return Row(reported, theirs, {}, Outcome(NOT_RUN, p="", how=""), [ours.source, note])
    parts = both(theirs, ours.scores)
    k, k0 = (sum(scores[part].k for part in parts) for scores in (ours.scores, theirs))
    pairs, why_not = pair(known, reported, ours, parts, k - k0)
    result = outcome(k, k0, sum(theirs[part].n for part in parts), pairs)
    left_out = [f"{part} is left out: {why}" for part, why in uncounted(theirs, ours.scores).items()]
    return Row(reported, theirs, ours.scores, result, [f"{source}; {result.how}", why_not, *left_out, note])


def both(theirs: Mapping[str, Score], ours: Mapping[str, Score]) -> list[str]:
    """The parts in which both are counts."""
    return [part for part in theirs if part in ours and None not in (theirs[part].k, ours[part].k)]


def uncounted(theirs: Mapping[str, Score], ours: Mapping[str, Score]) -> dict[str, str]:
    """{part: why it cannot be compared} of those that both have."""
    return {
        part: f"{few[0]} has too few digits to be one count"
        for part in theirs
        if part in ours and (few := [score.text for score in (theirs[part], ours[part]) if score.k is None])
    }


def incomparable(known: Known, reported: Reported, theirs: Mapping[str, Score], ours: ModelScores) -> list[str]:
    """The reasons why no test can compare the scores; none if one can, or if only ours are wanting."""
    metric, is_share, reasons = known.competition.metric, known.competition.scorer.is_share, []
    if not theirs:
        reasons.append("neither its public nor its private score is given")
    elif is_share and not known.splits:
        no_counts = f"the known scores are no counts of these {known.rows} test rows"
        reasons.append(no_counts if known.rows else "how many test rows are behind the scores is not known")
    if reported.model is None:
        reasons.append("no model of ours is of its kind")
    if reasons or not ours.scores:
        return reasons
    if not is_share:
        return [f"{metric} is no share of rows: of the plain difference there is no exact test"]
    if len(known.splits) > 1:
        return [f"{len(known.splits)} splits fit: how many rows are behind the scores is not known"]
    if not theirs.keys() & ours.scores.keys():
        return [f"theirs is known of the {' and '.join(theirs)} rows, ours of the {' and '.join(ours.scores)} rows"]
    return [] if both(theirs, ours.scores) else list(uncounted(theirs, ours.scores).values())


def pair(
    known: Known, reported: Reported, ours: ModelScores, parts: Sequence[str], images: int
) -> tuple[Pairs | None, str]:
    """The two answers row by row; or the reason why there are no pairs, which is empty where no CSV is reported.

    In the parts that are compared, ours has `images` more right.
    """
    competition = known.competition
    if reported.csv is None:
        return None, ""
    path = resolve(reported.csv)
    if not competition.scorer.of_labels:
        return None, f"not paired: {competition.metric} is not of labels"
    if not path.is_file():
        return None, f"not paired: there is no file {path}"
    if ours.probs is None:
        return None, "not paired: our file is not there as it was sent"
    answers = ours.probs, submission.answers(competition, path, known.ids)
    other = differing(competition.target, *answers)
    n = sum(ours.scores[part].n for part in parts)
    pairs, fact = Pairs(min(int(other.sum()), n)), f"they differ in {counted(int(other.sum()), 'row')}"
    if known.sizes:  # of rows with two answers one at most is right
        right = [hits(known, probs, other, parts) for probs in answers]
        pairs, fact = Pairs(pairs.differ, *right), f"it is {right[0] - right[1]:+d} by {competition.solution}"
    if not pairs.fit(images):
        return None, f"not paired: ours is {images:+d} by the scores, but {fact}: are both CSVs those of the scores?"
    return pairs, ""


def hits(known: Known, probs: np.ndarray, among: np.ndarray, parts: Sequence[str]) -> int:
    """The number of test rows in these parts, where a mask (n,) is true, that are right by the solution."""
    ids = [id for id, one in zip(known.ids, among, strict=True) if one]
    graded = scored.graded(known.competition, ids, probs[among])
    return sum(round(score * n) for part, (score, n) in graded.items() if part in parts)


def table(competition: Competition, rows: Sequence[Row]) -> str:
    """The rows, with the remarks beneath each."""
    unit = "images" if competition.scorer.is_share else "difference"
    head = ("reported", "our model", "part", "theirs", "ours", unit, "p", "verdict")
    blocks = [cells(row, unit) for row in rows]
    header, *aligned = align([head, *(line for block in blocks for line in block)])
    lines = [header, rule := "-" * max(map(len, [header, *aligned]))]
    for row, block in zip(rows, blocks, strict=True):
        lines += [aligned.pop(0) for _ in block]
        lines += [textwrap.fill(one, WIDTH, initial_indent="  ", subsequent_indent="  ") for one in row.remarks if one]
    footer = f"p: two-sided, of no difference, public and private together; better or worse below {LEVEL}"
    return "\n".join([*lines, rule, footer])


def cells(row: Row, unit: str) -> list[tuple[str, ...]]:
    """A line a part of their score, one at least; title, model and verdict stand in the first."""
    title, model = row.reported.title, row.reported.model or ""
    verdict = row.outcome.p, row.outcome.verdict
    lines = []
    for part in row.theirs or [""]:
        theirs, ours = row.theirs.get(part), row.ours.get(part)
        scores = part, str(theirs or ""), str(ours or ""), difference(theirs, ours, unit)
        lines.append(("", "", *scores, "", "") if lines else (title, model, *scores, *verdict))
    return lines


def difference(theirs: Score | None, ours: Score | None, unit: str) -> str:
    """Ours - theirs; empty where it is not known in this unit."""
    if theirs is None or ours is None:
        return ""
    if unit == "images":
        return "" if None in (theirs.k, ours.k) else f"{ours.k - theirs.k:+d}"
    return f"{Decimal(ours.text) - Decimal(theirs.text):+}"
