"""The submission: sample_submission's columns, ids and order, checked before it gets its name."""

import numpy as np
import pandas as pd
import pytest

from src.base import files
from src.base.errors import UserError
from src.data import tables
from src.data.rows import read_dataset
from src.leaderboard import solution, votes
from src.leaderboard import submission as submissions
from src.results import summary
from src.results.model import read_model, save_model
from src.schema.competition import Competition
from src.schema.settings import Blend, Folds, Reported
from src.scoring.targets import TARGETS
from src.stages import data, folds, submission
from tests.conftest import toy_competition

PROBS = np.eye(3, dtype=np.float32)[np.arange(12) % 3] * 0.7 + 0.1


def finish(competition: Competition, test: np.ndarray = PROBS, name: str = "blend") -> None:
    """Writes a model, or the blend, that answers `test`."""
    data.run(competition)
    folds.run(competition)
    rows = read_dataset(competition)
    save_model(competition, name, {}, rows, np.full((36, 3), 1 / 3), test, 1.0)


def test_has_the_samples_ids_and_columns_in_their_order(toy, folder):
    finish(toy)
    path = submission.run(toy)
    sub, sample = (pd.read_csv(file, dtype=str) for file in (path, folder / "sample_submission.csv"))
    assert list(sub.columns) == list(sample.columns)
    assert sub["id"].tolist() == sample["id"].tolist()
    truth = {f"{100 + i}": ("blue", "green", "red")[i % 3] for i in range(12)}
    assert dict(zip(sub["id"], sub["label"], strict=True)) == truth


def test_ids_that_are_paired_by_row_would_be_wrong(toy, folder):
    # the trap of the corn competition (sample_submission is not in test.csv's order): by position most rows are wrong
    finish(toy)
    sub = pd.read_csv(submission.run(toy), dtype=str)
    by_position = np.array(toy.classes)[PROBS.argmax(axis=1)]
    assert (sub["label"].to_numpy() == by_position).mean() < 0.5


def test_is_named_by_its_score_and_content_and_written_once(toy):
    finish(toy)
    path = submission.run(toy)
    assert path.name.startswith("blend-cv0.3333-")
    assert len(path.stem.rsplit("-", 1)[1]) == 7
    changed = path.stat().st_mtime_ns
    assert submission.run(toy) == path
    assert path.stat().st_mtime_ns == changed
    finish(toy, PROBS[:, [1, 2, 0]])
    assert submission.run(toy) != path


def test_probabilities_where_the_metric_wants_them(folder):
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(red=0.3, blue=0.3, green=0.4).to_csv(folder / "sample_submission.csv", index=False)
    competition = toy_competition(metric="log_loss")
    finish(competition)
    sub = pd.read_csv(submission.run(competition), dtype={"id": str})
    assert list(sub.columns) == ["id", "red", "blue", "green"]
    assert sub.set_index("id").loc["100"].to_dict() == pytest.approx({"blue": 0.8, "green": 0.1, "red": 0.1})


def test_passes_the_check(toy):
    finish(toy)
    assert submissions.inspect(toy, submission.run(toy)).faults == []


def test_a_wrong_submission_is_our_fault_and_gets_no_name(toy, monkeypatch):
    finish(toy)
    monkeypatch.setattr(submissions, "csv_of", lambda *arguments: "id,label\n100,Blue\n")
    with pytest.raises(AssertionError, match=r"our fault and not yours: 11 ids missing, .*; 1 label in another case"):
        submission.run(toy)
    assert list(toy.folder.glob("*-cv*.csv")) == []


class TestReported:
    def test_models_have_a_submission_each(self, folder, capsys):
        rows = tuple(Reported(name, public=0.5, model=name) for name in ("probe", "convnext", "blend"))
        competition = toy_competition(reported=rows)
        finish(competition)
        green = np.tile(np.float32([0.2, 0.6, 0.2]), (12, 1))
        finish(competition, green, "probe")  # convnext is not made, and zeroshot is none of the reported
        finish(competition, green, "zeroshot")
        path = submission.run(competition)
        assert path.name.startswith("blend-cv0.3333-")
        (of_probe,) = set(competition.folder.glob("*-cv*.csv")) - {path}
        assert of_probe.name.startswith("probe-cv0.3333-")
        assert set(pd.read_csv(of_probe)["label"]) == {"green"}
        assert files.sha256(of_probe).startswith(of_probe.stem.rsplit("-", 1)[1])
        assert submissions.inspect(competition, of_probe).faults == []

    def test_models_are_scored_again_where_the_metric_changed(self, folder):
        competition = toy_competition(reported=(Reported("theirs", model="probe"),))
        finish(competition)
        finish(competition, PROBS, "probe")
        other = competition.model_copy(update={"metric": "macro_f1"})
        finish(other)
        submission.run(other)
        assert read_model(other.model_folder("probe"))["metric"] == "macro_f1"
        assert len(list(other.folder.glob("probe-cv*.csv"))) == 1


class TestSolution:
    @pytest.fixture
    def solution(self, folder):
        labels = [("blue", "green", "red")[i % 3] for i in range(12)]
        usage = ["Public"] * 3 + ["Private"] * 9
        df = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": labels, "Usage": usage})
        df.loc[[0, 5], "label"] = "red", "blue"  # one mistake in each part
        df.sample(frac=1, random_state=0).to_csv(folder / "solution.csv", index=False)
        return folder / "solution.csv"

    def test_gives_public_and_private_scores(self, toy, solution, capsys):
        finish(toy)
        submission.run(toy)
        said = capsys.readouterr().out
        assert "public: accuracy 0.6667 (0.2077 to 0.9385) on 3 rows" in said
        assert "private: accuracy 0.8889 (0.5650 to 0.9801) on 9 rows" in said

    def test_without_it_there_is_no_score(self, toy, capsys):
        finish(toy)
        submission.run(toy)
        assert "public" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("Usage", "Use", "lacks the column 'Usage'"),
            ("\n100,", "\n999,", "lacks 1 test id, such as '100'"),
            (",green", ",gren", "no classes"),
        ],
    )
    def test_that_is_wrong_is_said(self, toy, solution, old, new, said):
        finish(toy)
        solution.write_text(solution.read_text().replace(old, new))
        with pytest.raises(UserError, match=said):
            submission.run(toy)


def test_a_majority_submission_scores_the_majority_rate(folder):
    competition = toy_competition(folds=Folds(n=3))
    test = np.tile(np.float32([0.2, 0.6, 0.2]), (12, 1))
    pd.DataFrame(
        {"id": [f"{100 + i}" for i in range(12)], "label": ["green"] * 9 + ["red"] * 3, "Usage": "Public"}
    ).to_csv(folder / "solution.csv", index=False)
    finish(competition, test)
    score, se, n = solution.graded(competition, read_dataset(competition).test.ids, test)["public"]
    assert (score, n) == (0.75, 12)
    assert se == pytest.approx(np.sqrt(0.75 * 0.25 / 12))


class TestVotes:
    @pytest.fixture
    def voted(self, toy, tmp_path):
        """voted(change, ...) runs the stage with a CSV for each function that changes a right one's rows."""

        def run(*changes, **fields):
            paths = []
            for i, change in enumerate(changes):
                right = pd.DataFrame({"id": [f"{100 + j}" for j in range(12)], "label": list(toy.classes) * 4})
                paths.append(tmp_path / f"theirs{i}.csv")
                change(right).to_csv(paths[-1], index=False)
            competition = toy_competition(blend=Blend(csvs=tuple(map(str, paths))), **fields)
            finish(competition)
            return competition, submission.run(competition)

        return run

    def test_are_the_majority_of_the_blend_and_the_csvs_by_id(self, voted, capsys):
        green = {"label": "green"}  # as they say of all rows; the third has them in another order, and is right
        competition, path = voted(
            lambda df: df.assign(**green), lambda df: df.assign(**green), lambda df: df[::-1], lambda df: df
        )
        (path_of_votes,) = competition.folder.glob("votes-of5-???????.csv")
        sub = pd.read_csv(path_of_votes, dtype=str)
        assert sub["id"].tolist() == pd.read_csv(path, dtype=str)["id"].tolist()
        truth = dict(zip((f"{100 + j}" for j in range(12)), list(competition.classes) * 4, strict=True))
        assert dict(zip(sub["id"], sub["label"], strict=True)) == truth
        said = capsys.readouterr().out
        assert "the vote has no CV score of its own" in said
        assert path.name.startswith("blend-cv")
        submission.run(competition)
        assert f"{path_of_votes.name}  reused" in capsys.readouterr().out
        listed = summary.next_step(competition, path).splitlines()
        assert listed[1].endswith(f"{path_of_votes.name}  the majority of the blend and 4 CSVs, without a CV score")

    def test_that_tie_go_to_the_more_frequent_class(self):
        ballots, prior = np.array([[0, 2, 1, 0], [1, 1, 2, 0]]), np.array([10, 20, 20])
        assert votes.majority(ballots, prior).tolist() == [1, 1, 1, 0]  # of equally frequent ones the first

    def test_of_labels_are_the_majority_of_each_and_of_a_tie_what_most_rows_have(self):
        ballots = np.array([[[1, 1, 0], [1, 1, 1]], [[0, 0, 0], [1, 0, 0]]], bool)
        targets = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0]], np.uint8)
        assert votes.elect(TARGETS["labels"], ballots, targets, 3).tolist() == [[1, 0, 0], [1, 0, 0]]
        three = np.concatenate([ballots, [[[0, 1, 1], [0, 0, 1]]]])
        assert votes.elect(TARGETS["labels"], three, targets, 3).tolist() == [[0, 1, 0], [1, 0, 1]]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda df: df.rename(columns={"label": "class"}),
                "the column 'label' is missing and 'class' is one too many",
            ),
            (lambda df: df.assign(more=1), "the column 'more' is one too many"),
            (lambda df: df[["label", "id"]], "its columns are in the order label, id"),
            (lambda df: df[2:], r"theirs0.csv has 1 fault to fix:\n  2 ids missing, the first '101'"),
            (
                lambda df: df.assign(id="9" + df["id"]),
                r"has 2 faults to fix:\n  12 ids missing, .*\n  12 ids unknown, the first '9100'",
            ),
            (lambda df: pd.concat([df, df[:1]]), "1 id in more than one row, the first '100'"),
            (lambda df: df.replace("green", "gren"), "unknown class 'gren': did you mean 'green'"),
        ],
    )
    def test_a_csv_that_does_not_fit_is_refused(self, voted, change, said):
        with pytest.raises(UserError, match=said):
            voted(change)

    def test_of_a_smoke_run_are_of_its_rows(self, voted, tmp_path):
        competition, _ = voted(lambda df: df)
        ids = tables.read(smoke := competition.model_copy(update={"limit": 8})).test["id"].tolist()
        assert len(ids) == 8
        right = [int(id) % 100 % 3 for id in ids]
        assert votes.read(smoke, str(tmp_path / "theirs0.csv"), ids).tolist() == right

    def test_a_csv_that_is_missing_is_refused_before_anything_is_computed(self):
        with pytest.raises(UserError, match="there is no file"):
            submission.check(toy_competition(blend=Blend(csvs=("nope.csv",))))

    def test_probabilities_are_not_voted_on(self):
        with pytest.raises(ValueError, match="log_loss wants probabilities, and averaging submissions of these is not"):
            toy_competition(metric="log_loss", blend=Blend(csvs=("theirs.csv",)))
