"""reproduce: the verdict on each reported score, the reason it stands with, and the exact tests behind it."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from src import config
from src.base import files
from src.base.errors import UserError
from src.commands import reproduce
from src.data.rows import read_dataset
from src.leaderboard import counts
from src.results import ledger
from src.results.ledger import Entry
from src.results.model import save_model
from src.schema.competition import Competition
from src.schema.settings import Reported
from src.scoring import significance
from src.scoring.significance import Pairs, outcome
from src.stages import data, folds
from tests.conftest import CLASSES, toy_competition

PUBLIC, PRIVATE = 120, 480
ROWS = PUBLIC + PRIVATE
# enough of them for the split to be the only one
OTHERS = tuple(
    Reported(f"of {k} and {m}", public=float(counts.cut(k, PUBLIC)), private=float(counts.cut(m, PRIVATE)))
    for k, m in ((71, 301), (77, 359), (83, 401))
)


@pytest.fixture
def wide(folder):
    """The toy competition with 600 test rows, for which tables are enough."""
    ids = [f"{1000 + i}" for i in range(ROWS)]
    test = pd.DataFrame({"id": ids, "image": [f"test/{id}.png" for id in ids]})
    test.to_csv(folder / "test.csv", index=False)
    test[["id"]].iloc[::-1].assign(label="red").to_csv(folder / "sample_submission.csv", index=False)
    return folder


def reporting(*reported: Reported, **changes) -> Competition:
    return toy_competition(reported=(*OTHERS, *reported), **changes)


def theirs(k: int | None = 91, m: int | None = 370, model: str | None = "probe", **fields) -> Reported:
    """A reported row of k public and m private rows that are right."""
    public, private = (
        None if count is None else float(counts.cut(count, n)) for count, n in ((k, PUBLIC), (m, PRIVATE))
    )
    return Reported("theirs", public=public, private=private, model=model, **fields)


def sent(k: int | None = 91, m: int | None = 370, model: str = "probe", time: str = "2026-01-02", **fields) -> Entry:
    """The ledger's entry of a scored submission of ours."""
    scores = {
        part: "" if count is None else counts.cut(count, n)
        for part, count, n in (("public", k, PUBLIC), ("private", m, PRIVATE))
    }
    return Entry(**{"time": time, "file": f"{model}-cv0.7500-abc1234.csv", "status": "complete", **scores, **fields})


def said(competition: Competition, capsys, *entries: Entry) -> str:
    """What the stage prints."""
    if entries:
        ledger.write(competition.scores_csv, entries)
    reproduce.run(competition)
    return capsys.readouterr().out


def row_of(text: str, title: str = "theirs") -> list[str]:
    """The lines of a reported row: the table's and what is beneath."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{title} "))
    rest = itertools.takewhile(lambda line: line.startswith(" "), lines[start + 1 :])
    return [lines[start], *rest]


class TestVerdict:
    @pytest.mark.parametrize(
        ("k", "m", "verdict"),
        [
            (91, 370, "reproduced"),
            (94, 361, "reproduced"),  # 6 fewer in all
            (100, 400, "better"),
            (80, 335, "worse"),
            (105, 356, "reproduced"),  # public is better alone, but together they are 461 as theirs
        ],
    )
    def test_is_of_both_parts_together(self, wide, capsys, k, m, verdict):
        first, *_ = row_of(said(reporting(theirs()), capsys, sent(k, m)))
        assert first.endswith(verdict)

    def test_stands_beside_the_counts_and_the_difference_in_images(self, wide, capsys):
        public, private, beneath, *_ = row_of(said(reporting(theirs()), capsys, sent(94, 361)))
        p = f"{significance.binomial(455, 461, 600):.3f}"
        assert public.split()[3:] == ["0.75833", "91/120", "0.78333", "94/120", "+3", p, "reproduced"]
        assert private.split() == ["private", "0.77083", "370/480", "0.75208", "361/480", "-9"]
        assert "ours: probe-cv0.7500-abc1234.csv, by the leaderboard; exact binomial, with 461/600" in beneath

    def test_changes_where_p_passes_0_05(self):
        ps = {k: significance.binomial(k, 460, 600) for k in range(430, 491)}
        for k, p in ps.items():
            found = outcome(k, 460, 600).verdict
            assert found == ("reproduced" if p >= 0.05 else "better" if k > 460 else "worse")
        assert min(ps.values()) < 0.05 < max(ps.values())

    def test_the_newest_scored_submission_is_ours(self, wide, capsys):
        entries = [
            sent(100, 400, time="2026-01-03"),
            sent(80, 300, time="2026-01-01"),
            sent(70, 300, time="2026-01-04", status="error"),
            sent(70, 300, time="2026-01-05", model="convnext"),
            Entry("2026-01-06", "probe-cv0.7500-abc1235.csv", status="pending"),
        ]
        assert "100/120" in row_of(said(reporting(theirs()), capsys, *entries))[0]

    def test_a_part_that_ours_lacks_is_left_out(self, wide, capsys):
        public, private, *_ = row_of(said(reporting(theirs()), capsys, sent(94, None)))
        assert f"{significance.binomial(94, 91, 120):.3f}" in public
        assert private.split() == ["private", "0.77083", "370/480"]

    def test_a_part_of_too_few_digits_is_left_out_and_said(self, wide, capsys):
        lines = row_of(said(reporting(theirs(k=90)), capsys, sent(94, 370)))  # 0.75: 91 of 120 is cut to 0.75, too
        assert lines[0].split()[3:5] == ["0.75", "0.78333"]
        assert lines[0].endswith("1.000  reproduced")
        assert "public is left out: 0.75 has too few digits to be one count" in lines[3]

    def test_a_note_stands_beneath(self, wide, capsys):
        lines = row_of(said(reporting(theirs(note="What it was is not said.")), capsys, sent()))
        assert lines[-1] == "  note: What it was is not said."

    def test_the_blend_is_one_of_our_models(self, wide, capsys):
        assert row_of(said(reporting(theirs(model="blend")), capsys, sent(model="blend")))[0].endswith("reproduced")

    def test_the_split_is_said_first(self, wide, capsys):
        text = said(reporting(theirs()), capsys)
        assert text.startswith("120 public and 480 private rows: there all 8 known scores are whole counts, cut after")


class TestNotRun:
    @pytest.mark.parametrize(
        ("entries", "reason"),
        [
            ((), "probe is not made yet: ./run.sh toy"),
            ((sent(model="convnext"),), "probe is not made yet: ./run.sh toy"),
            (
                (Entry("", "probe-cv0.7500-abc1234.csv", status="pending"),),
                "its submission has no score yet: ./run.sh toy scores",
            ),
            ((Entry("", "probe-cv0.7500-abc1234.csv", status="refused"),), "probe is not made yet"),
        ],
    )
    def test_says_what_to_run(self, wide, capsys, entries, reason):
        first, _, beneath = row_of(said(reporting(theirs()), capsys, *entries))
        assert first.endswith("not run")
        assert reason in beneath

    def test_a_model_that_is_made_is_to_be_sent(self, toy, capsys):
        finish(toy, np.eye(3)[np.arange(12) % 3])
        competition = toy_competition(reported=(Reported("theirs", public=0.66666, model="probe"),))
        lines = row_of(said(competition, capsys))
        assert lines[0].endswith("not run")
        assert "probe is made, but no submission of it has a score: ./run.sh toy submit FILE" in lines[1]


class TestNotComparable:
    def reason(self, competition: Competition, capsys, *entries: Entry) -> str:
        lines = row_of(said(competition, capsys, *entries))
        assert lines[0].endswith("not comparable")
        return " ".join(line.strip() for line in lines if "/" not in line)

    def test_a_row_without_a_model_of_ours(self, wide, capsys):
        assert "no model of ours is of its kind" in self.reason(reporting(theirs(model=None)), capsys)

    def test_a_row_without_a_score(self, wide, capsys):
        competition = reporting(Reported("theirs", model="probe", note="CV alone."))
        assert "neither its public nor its private score is given" in self.reason(competition, capsys)

    def test_scores_of_other_rows(self, toy, capsys):
        competition = reporting(theirs())  # 12 test rows
        text = self.reason(competition, capsys)
        assert "the known scores are no counts of these 12 test rows" in text

    def test_scores_of_the_whole_test_table_are_not_those_of_a_smoke_run(self, wide, capsys):
        competition = reporting(theirs(), limit=30)
        assert "no counts of these 30 test rows" in self.reason(competition, capsys)

    def test_a_split_that_is_open(self, wide, capsys):
        competition = toy_competition(reported=(theirs(60, None),))  # 0.5: of one digit
        entry = Entry("", "probe-cv0.7500-abc1234.csv", status="complete", public="0.51")
        assert "splits fit: how many rows are behind the scores is not known" in self.reason(competition, capsys, entry)

    def test_too_few_digits(self, wide, capsys):
        competition = reporting(Reported("theirs", private=0.77, model="probe"))
        assert "0.77 has too few digits to be one count" in self.reason(competition, capsys, sent())

    def test_other_parts(self, wide, capsys):
        competition = reporting(theirs(None, 370))
        text = self.reason(competition, capsys, sent(90, None))
        assert "theirs is known of the private rows, ours of the public rows" in text

    def test_a_metric_that_is_no_share_of_rows_has_the_plain_difference(self, wide, capsys):
        competition = toy_competition(
            metric="macro_f1", reported=(Reported("theirs", public=0.71982, private=0.7, model="probe"),)
        )
        entry = Entry("", "probe-cv0.7500-abc1234.csv", status="complete", public="0.72000", private="0.69000")
        public, private, reason, *_ = row_of(said(competition, capsys, entry))
        assert public.split()[-4:] == ["0.72000", "+0.00018", "not", "comparable"]
        assert private.split()[-1] == "-0.01000"
        assert "macro_f1 is no share of rows: of the plain difference there is no exact test" in reason

    def test_corn_small_has_other_rows(self, folder, capsys):
        # the test rows that a machine without the competition's whole zip may have
        corn_small = config.load("corn_small")
        fake(corn_small, 144)
        text = said(corn_small, capsys)
        rows = [line for line in text.splitlines() if line.endswith("not comparable")]
        assert len(rows) == len(corn_small.reported) > 0
        assert "no counts of these 144 test rows" in text

    def test_corn_is_not_run_or_not_comparable_before_anything_is_made(self, folder, capsys):
        corn = config.load("corn")
        fake(corn, 3479)
        text = said(corn, capsys)
        assert text.startswith("696 public and 2783 private rows")
        for reported in corn.reported:
            first = row_of(text, reported.title)[0]
            assert first.endswith("not run" if reported.model else "not comparable")
        assert "0.71982 501/696" in text
        assert "0.82429 2294/2783" in text


def fake(corn: Competition, rows: int) -> None:
    """Tables of the corn competition with so many test rows."""
    folder = corn.input(corn.train).parent
    folder.mkdir(parents=True)
    train = [{"seed_id": f"{i}", "image": f"train/{i}.png", "label": corn.classes[i % 4]} for i in range(20)]
    test = [{"seed_id": f"{1000 + i}", "image": f"test/{i}.png"} for i in range(rows)]
    pd.DataFrame(train).to_csv(folder / "train.csv", index=False)
    pd.DataFrame(test).to_csv(folder / "test.csv", index=False)
    sample = pd.DataFrame(test)[["seed_id"]].assign(label="pure")
    sample.to_csv(folder / "sample_submission.csv", index=False)


def test_nothing_reported_says_where_to_write_it(toy, capsys):
    assert "toy: its config has no scores of others to compare ours with: write reported=(" in said(toy, capsys)


def test_without_the_data_what_others_reported_is_printed_as_it_is(roots, capsys):
    corn = config.load("corn")
    entry = sent(model="convnext_base", sha256=files.text_sha256("seed_id,label\n"))
    files.write_text(corn.folder / entry.file, "seed_id,label\n")
    text = said(corn, capsys, entry)
    assert text.startswith("how many test rows there are is not known without the data: ./run.sh corn data fetches it")
    for reported in corn.reported:
        assert row_of(text, reported.title)[0].endswith("not comparable")
    assert "how many test rows are behind the scores is not known" in text
    assert f"0.76149  {entry.public} " in text


TRUE = np.arange(12) % 3  # the class of each of the toy's test rows, sorted by id


def finish(competition: Competition, test: np.ndarray, model: str = "probe") -> None:
    """Writes a model that answers `test`, (12, 3)."""
    data.run(competition)
    folds.run(competition)
    rows = read_dataset(competition)
    save_model(competition, model, {}, rows, np.full((36, 3), 1 / 3), test, 1.0)


def answering(wrong: list[int]) -> np.ndarray:
    """(12,) labels of the toy's test rows, those of these rows wrong."""
    return (TRUE + np.isin(np.arange(12), wrong)) % 3


class TestSolution:
    @pytest.fixture
    def solved(self, folder):
        """The first 3 test rows are public."""
        df = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": np.array(CLASSES)[TRUE]})
        df["Usage"] = ["Public"] * 3 + ["Private"] * 9
        df.sample(frac=1, random_state=0).to_csv(folder / "solution.csv", index=False)
        return folder

    def reporting(self, **fields) -> Competition:
        """Their answers have rows 1 and 7 wrong."""
        row = Reported("theirs", public=0.66666, private=0.88888, model="probe", **fields)
        return toy_competition(reported=(row,))

    def test_grades_a_model_that_was_not_sent(self, solved, capsys):
        competition = self.reporting()
        finish(competition, np.eye(3)[answering([2, 5, 6])])
        public, private, beneath, *_ = row_of(said(competition, capsys))
        assert public.split()[3:8] == ["0.66666", "2/3", "0.66666", "2/3", "+0"]
        assert private.split() == ["private", "0.88888", "8/9", "0.77777", "7/9", "-1"]
        assert "ours: probe's test table, by solution.csv" in beneath

    def test_decides_between_splits(self, solved, capsys):
        competition = toy_competition(reported=(Reported("theirs", public=0.66666, model="probe"),))
        assert len(counts.board_sizes(competition, [], 12)) == 3
        finish(competition, np.eye(3)[answering([])])
        text = said(competition, capsys)
        assert "2/3" in row_of(text)[0]
        assert "3 public and 9 private rows: there the one known score is a whole count, cut" in text

    def test_scores_may_be_rounded(self, solved, capsys):
        """Cut, they are of 7 and 5 rows: 5/7 and 4/5."""
        competition = toy_competition(reported=(Reported("theirs", public=0.7, private=0.8, model="probe"),))
        finish(competition, np.eye(3)[answering([])])
        assert "2/3" in row_of(said(competition, capsys))[0]

    def test_all_rows_may_be_of_one_part(self, solved, capsys):
        df = pd.read_csv(solved / "solution.csv", dtype=str)
        df.assign(Usage="Private").to_csv(solved / "solution.csv", index=False)
        competition = toy_competition(reported=(Reported("theirs", private=0.75, model="probe"),))
        finish(competition, np.eye(3)[answering([5])])
        text = said(competition, capsys)
        assert row_of(text)[0].split()[2:8] == ["private", "0.75", "9/12", "0.91666", "11/12", "+2"]
        competition = toy_competition(reported=(Reported("theirs", public=0.75, private=0.75, model="probe"),))
        assert "0 public and 12 private rows, by the solution: there it is not so that all 2" in said(
            competition, capsys
        )

    def test_a_leaderboard_of_other_rows_is_not_compared(self, solved, capsys):
        competition = toy_competition(reported=(Reported("theirs", public=0.5, private=0.8333, model="probe"),))
        assert counts.board_sizes(competition, [], 12)  # 6 and 6 would fit, but public are 3
        finish(competition, np.eye(3)[answering([])])
        lines = row_of(said(competition, capsys))
        assert lines[0].endswith("not comparable")

    def test_pairs_both_answers(self, solved, capsys):
        theirs = write(solved / "theirs.csv", answering([1, 7]))
        competition = self.reporting(csv=str(theirs))
        finish(competition, np.eye(3)[answering([2, 5, 6])])
        first, _, beneath, *_ = row_of(said(competition, capsys))
        assert "exact McNemar, with 2 rows right in ours alone and 3 in theirs alone" in beneath
        assert first.split()[-2:] == [f"{mcnemar_by_hand(2, 3):.3f}", "reproduced"]

    def test_pairs_only_the_rows_of_the_parts_that_are_compared(self, solved, capsys):
        theirs = write(solved / "theirs.csv", answering([1, 7]))
        competition = self.reporting(csv=str(theirs))
        path = write(competition.folder / "probe-cv0.7500-abc1234.csv", answering([5, 6]))
        entry = Entry("", path.name, sha256=files.sha256(path), status="complete", public="1.00000")  # no private yet
        beneath = " ".join(line.strip() for line in row_of(said(competition, capsys, entry)))
        assert "exact McNemar, with 1 row right in ours alone and 0 in theirs alone" in beneath

    def test_pairs_answers_that_are_the_same(self, solved, capsys):
        competition = self.reporting(csv=str(write(solved / "theirs.csv", answering([1, 7]))))
        finish(competition, np.eye(3)[answering([1, 7])])
        assert row_of(said(competition, capsys))[0].split()[-2:] == ["1.000", "reproduced"]

    def test_a_csv_that_is_not_that_of_the_scores_is_not_paired(self, solved, capsys):
        theirs = write(solved / "theirs.csv", answering([1, 7, 8, 9]))
        competition = self.reporting(csv=str(theirs))
        finish(competition, np.eye(3)[answering([2, 5, 6])])
        lines = row_of(said(competition, capsys))
        assert "not paired: ours is -1 by the scores, but it is +1 by solution.csv: are both CSVs" in lines[3]
        assert "exact binomial" in lines[2]


class TestPairedWithoutSolution:
    def compare(self, folder, capsys, ours: np.ndarray, csv: np.ndarray | None, public: str = "0.58333") -> list[str]:
        """Of 12 rows, all public but one; theirs has 6 public rows right of 11 and 1 of 1, ours `public`."""
        reported = Reported("theirs", public=0.54545, private=1.0, model="probe", csv=str(folder / "theirs.csv"))
        competition = toy_competition(reported=(reported, Reported("another", public=0.63636)))
        if csv is not None:
            write(folder / "theirs.csv", csv)
        name = "probe-cv0.7500-abc1234.csv"
        path = write(competition.folder / name, ours)
        entry = Entry("2026", name, sha256=files.sha256(path), status="complete", public=public, private="1.00000")
        return row_of(said(competition, capsys, entry))

    def test_the_largest_p_of_the_rows_that_differ_is_taken(self, folder, capsys):
        lines = self.compare(folder, capsys, answering([]), answering([0, 1, 2, 3, 4]), public="0.72727")
        largest = max(mcnemar_by_hand(b, b - 2) for b in range(2, 6) if 2 * b - 2 <= 5)
        assert lines[0].split()[-4:] == ["at", "most", f"{largest:.3f}", "reproduced"]
        assert "exact McNemar, the largest p of answers that differ in 5 rows at most" in " ".join(
            line.strip() for line in lines
        )

    def test_the_same_answers_are_as_good(self, folder, capsys):
        lines = self.compare(folder, capsys, answering([]), answering([]), public="0.54545")
        assert lines[0].split()[-2:] == ["1.000", "reproduced"]

    def test_answers_that_differ_in_fewer_rows_than_the_scores_are_not_theirs(self, folder, capsys):
        lines = self.compare(folder, capsys, answering([]), answering([0]), public="0.72727")
        assert "not paired: ours is +2 by the scores, but they differ in 1 row: are both" in lines[3]

    def test_a_csv_that_is_not_there_is_said(self, folder, capsys):
        lines = self.compare(folder, capsys, answering([]), None, public="0.72727")
        assert "not paired: there is no file" in lines[3]
        assert "exact binomial" in lines[2]

    def test_a_file_of_ours_that_has_changed_is_not_paired(self, folder, capsys):
        self.compare(folder, capsys, answering([]), answering([0, 1, 2]), public="0.72727")
        competition = toy_competition(
            reported=(Reported("theirs", public=0.54545, private=1.0, model="probe", csv=str(folder / "theirs.csv")),)
        )
        path = competition.folder / "probe-cv0.7500-abc1234.csv"
        path.write_text(path.read_text() + "\n")
        assert "not paired: our file is not there as it was sent" in row_of(said(competition, capsys))[3]

    def test_a_faulty_csv_is_refused(self, folder, capsys):
        (folder / "theirs.csv").write_text("id,label\n100,red\n")
        with pytest.raises(UserError, match=r"theirs\.csv has .* fault"):
            self.compare(folder, capsys, answering([]), None, public="0.72727")


def write(path, labels: np.ndarray):
    """A submission of these labels, sorted otherwise than the test rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    df = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": np.array(CLASSES)[labels]})
    df.iloc[::-1].to_csv(path, index=False)
    return path


def mcnemar_by_hand(only_ours: int, only_theirs: int) -> float:
    """Of all ways in which the rows that one answer has right could be ours or theirs: how many are as uneven."""
    n = only_ours + only_theirs
    uneven = [abs(2 * sum(ways) - n) >= abs(only_ours - only_theirs) for ways in itertools.product((0, 1), repeat=n)]
    return float(np.mean(uneven))


class TestExact:
    @pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (0, 6), (7, 2), (4, 4), (3, 8), (1, 10)])
    def test_mcnemar_is_a_count_of_all_ways(self, b, c):
        assert significance.mcnemar(b, c) == pytest.approx(mcnemar_by_hand(b, c))

    def test_the_largest_p_is_that_of_a_search_through_all_pairs(self):
        for differ in range(13):
            for images in range(-differ, differ + 1):
                all_pairs = [(c + images, c) for c in range(differ + 1) if 0 <= c + images <= differ - c]
                largest = max(significance.mcnemar(*pair) for pair in all_pairs)
                assert significance.mcnemar_at_most(images, differ) == pytest.approx(largest, abs=1e-12)

    def test_more_images_than_rows_that_differ_are_refused(self):
        with pytest.raises(ValueError, match="4 images, but 3 rows differ"):
            significance.mcnemar_at_most(4, 3)

    @pytest.mark.parametrize(("k", "k0", "n"), [(8, 6, 12), (6, 6, 12), (0, 6, 12), (12, 11, 12), (3, 9, 20)])
    def test_binomial_is_a_sum_over_counts_that_are_no_likelier(self, k, k0, n):
        rate = k0 / n
        likely = [math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(n + 1)]
        by_hand = sum(one for one in likely if one <= likely[k] * (1 + 1e-7))
        assert significance.binomial(k, k0, n) == pytest.approx(by_hand)

    @pytest.mark.parametrize(("k", "k0", "p"), [(12, 12, 1.0), (0, 0, 1.0), (11, 12, 0.0), (1, 0, 0.0)])
    def test_binomial_at_the_ends(self, k, k0, p):
        assert significance.binomial(k, k0, 12) == p

    def test_pairs_fit_only_the_difference_that_they_have(self):
        assert Pairs(5).fit(-5)
        assert not Pairs(5).fit(6)
        assert Pairs(5, 3, 1).fit(2)
        assert not Pairs(5, 3, 1).fit(1)

    def test_pairs_find_what_two_counts_alone_cannot(self):
        assert outcome(480, 460, 600).verdict == "reproduced"
        assert outcome(480, 460, 600, Pairs(60)).verdict == "better"
        assert outcome(480, 460, 600, Pairs(60, 25, 5)).p == "< 0.001"
        assert outcome(440, 460, 600, Pairs(60)).verdict == "worse"
