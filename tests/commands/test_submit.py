"""submit and scores: the real client against a stand-in. No file is sent twice, and the ledger loses no row."""

import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src.base import files
from src.base.errors import UserError
from src.commands import scores, submit
from src.config import load
from src.data.rows import read_dataset
from src.kaggle import api as kaggle_api
from src.kaggle import refusals
from src.kaggle.refusals import CODES, Refusal
from src.leaderboard import sending
from src.leaderboard.counts import BoardSizes
from src.leaderboard.forecast import Standing
from src.results import ledger
from src.results.model import save_model
from src.stages import data, folds, submission
from tests.conftest import needs_kaggle_2_2_4, roots_at, toy_competition, toy_files

RIGHT = np.eye(3, dtype=np.float32)[np.arange(12) % 3] * 0.7 + 0.1


def blend(competition, test=RIGHT, oof=None):
    """A finished run whose blend answers `test`; returns its CSV."""
    data.run(competition)
    folds.run(competition)
    rows = read_dataset(competition)
    if oof is None:
        oof = np.eye(3)[rows.targets] * 0.7 + 0.1
        oof[:6] = np.roll(oof[:6], 1, axis=1)  # 30 of 36 are right
    save_model(competition, "blend", {}, rows, oof, test, 1.0)
    return submission.run(competition)


@pytest.fixture(scope="module")
def blended(tmp_path_factory):
    """The submissions folder of the finished run, which most tests begin with."""
    roots = tmp_path_factory.mktemp("blended")
    with roots_at(roots):
        toy_files(roots / "input" / "toy")
        blend(toy_competition())
    return roots / "submissions"


@pytest.fixture
def csv(toy, blended):
    shutil.copytree(blended / "toy", toy.folder)
    (path,) = toy.folder.glob("blend-cv*.csv")
    return path


def entries(competition):
    return ledger.read(competition.scores_csv)


def test_a_submission_is_sent_scored_and_recorded(toy, csv, standin, capsys):
    standin.pending_for = 3
    capsys.readouterr()
    assert submit.run(toy) == 0
    said = capsys.readouterr().out
    (sent,) = standin.submissions
    sha = files.sha256(csv)
    assert sent.content == csv.read_bytes()
    assert sent.description == f"{csv.name} cv=0.8333 sha={sha[:7]}"
    (entry,) = entries(toy)
    assert (entry.file, entry.sha256, entry.cv, entry.se) == (csv.name, sha, "0.8333", "0.0621")
    assert (entry.public, entry.private, entry.status, entry.ref) == ("1.00000", "", "complete", str(sent.ref))
    assert entry.time.endswith("Z")
    assert "its CV of 0.8333 predicts, 19 times of 20:" in said
    assert f"{csv.name}: public 1.00000" in said
    assert standin.token_text not in said


def test_the_users_own_words_stand_in_the_message(toy, csv, standin):
    submit.run(toy, csv, "three seeds")
    assert standin.submissions[0].description == f"three seeds cv=0.8333 sha={files.sha256(csv)[:7]}"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_row_that_was_written_by_hand_has_no_number(toy, csv, standin, is_there):
    submit.run(toy)
    (entry,) = entries(toy)
    if not is_there:
        standin.submissions.clear()
    by_hand = replace(entry, ref="", status="pending", public="", time="yesterday")
    ledger.put(toy.scores_csv, by_hand, instead_of=entry)
    if not is_there:
        with pytest.raises(Refusal, match=r"this file was sent on yesterday: do not spend a submission on it"):
            submit.run(toy)
        return
    assert submit.run(toy) == 0
    assert [one.ref for one in entries(toy)] == [str(standin.submissions[0].ref)]


def test_the_row_is_written_before_the_upload(toy, csv, standin, monkeypatch):
    seen = []
    upload = kaggle_api.upload
    monkeypatch.setattr(kaggle_api, "upload", lambda *given: seen.extend(entries(toy)) or upload(*given))
    submit.run(toy)
    assert [entry.status for entry in seen] == ["sending"]


def test_the_same_content_is_not_sent_twice(toy, csv, standin):
    submit.run(toy)
    other = csv.with_name("renamed.csv")
    other.write_bytes(csv.read_bytes())
    for path in (None, csv, other):
        with pytest.raises(Refusal, match=r"was sent before: public 1.00000") as refused:
            submit.run(toy, path)
        assert refused.value.code == CODES["sent"]
    assert len(standin.submissions) == 1


def test_the_same_answers_in_another_order_are_not_sent_either(toy, csv, standin):
    submit.run(toy)
    header, *rows = csv.read_text().splitlines()
    (csv.parent / "turned.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    with pytest.raises(Refusal, match=r"turned.csv: 0 rows differ from blend-cv.*do not spend a submission") as refused:
        submit.run(toy, csv.parent / "turned.csv")
    assert refused.value.code == CODES["sent"]
    assert len(standin.submissions) == 1


def test_what_another_machine_sent_is_found_on_kaggles_list(toy, csv, standin):
    standin.page_cap = 1
    submit.run(toy)
    standin.submit("later.csv", csv.read_bytes(), {"submissionDescription": "another"})  # it is on the second page now
    toy.scores_csv.unlink()
    with pytest.raises(Refusal, match="was sent before"):
        submit.run(toy)
    assert [entry.status for entry in entries(toy)] == ["complete"]
    assert len(standin.submissions) == 2


@pytest.mark.parametrize(
    ("method", "arrives"),
    [("StartSubmissionUpload", False), ("upload", False), ("CreateSubmission", False), ("CreateSubmission", True)],
)
def test_a_stopped_run_is_completed_by_the_next(toy, csv, standin, monkeypatch, method, arrives):
    # as kill -9 would leave it: nothing after the broken call is done
    class Killed(BaseException):
        pass

    def killed(*given):
        if arrives:
            create(*given)
        raise Killed

    create = kaggle_api.create
    name = {"StartSubmissionUpload": "upload", "upload": "create", "CreateSubmission": "create"}[method]
    with monkeypatch.context() as patch:
        patch.setattr(kaggle_api, name, killed)
        with pytest.raises(Killed):
            submit.run(toy)
    assert [entry.status for entry in entries(toy)] == ["sending"]
    assert submit.run(toy) == 0
    assert len(standin.submissions) == 1
    assert [entry.status for entry in entries(toy)] == ["complete"]


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 500}, {"drop": "before"}, {"status": 503}])
def test_a_lost_answer_is_looked_for_and_never_asked_again(toy, csv, standin, fault):
    standin.fail("CreateSubmission", **fault)
    if fault == {"drop": "after"}:
        assert submit.run(toy) == 0
    else:
        with pytest.raises(Refusal, match="it is not known whether it arrived: run the same command again"):
            submit.run(toy)
        assert [entry.status for entry in entries(toy)] == ["sending"]
        assert standin.calls("CreateSubmission") == ["CreateSubmission"]
        assert submit.run(toy) == 0
    assert len(standin.submissions) == 1
    assert [entry.status for entry in entries(toy)] == ["complete"]


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("StartSubmissionUpload", {"status": 429}),
        ("StartSubmissionUpload", {"status": 500}),
        ("upload", {"status": 503}),
        ("upload", {"cut": 20}),
        ("upload", {"drop": "before"}),
        ("CreateSubmission", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("GetSubmission", {"status": 500}),
        ("GetSubmission", {"drop": "after"}),
        ("ListSubmissions", {"status": 429}),
        pytest.param("GetSubmissionLimits", {"status": 503}, marks=needs_kaggle_2_2_4),
    ],
)
def test_what_passes_is_waited_out(toy, csv, standin, method, fault):
    standin.fail(method, **fault)
    assert submit.run(toy) == 0
    assert len(standin.submissions) == 1
    assert standin.submissions[0].content == csv.read_bytes()


def test_an_upload_that_never_arrives_is_the_failure_that_it_is(toy, csv, standin):
    standin.fail("upload", times=99, status=400)
    with pytest.raises(Refusal, match=r"did not arrive at Kaggle .* nothing was sent: run again") as refused:
        submit.run(toy)
    assert refused.value.code == CODES["upload"]
    assert standin.submissions == []
    standin.faults.clear()
    assert submit.run(toy) == 0
    assert [entry.status for entry in entries(toy)] == ["complete"]


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ({"token": False}, "token"),
        ({"known": False}, "competition"),
        ({"entered": False}, "rules"),
        ({"disabled": True}, "closed"),
        ({"kernels_only": True}, "notebook"),
        pytest.param({"quota": 0}, "quota", marks=needs_kaggle_2_2_4),
    ],
)
def test_what_is_not_allowed_is_refused_before_a_byte_is_sent(toy, csv, standin, setting, cause):
    for name, value in setting.items():
        setattr(standin, name, value)
    with pytest.raises(Refusal) as refused:
        submit.run(toy)
    assert refused.value.code == CODES[cause]
    assert "\n" not in str(refused.value)
    assert not standin.calls("StartSubmissionUpload", "CreateSubmission")
    assert entries(toy) == []


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ({"disabled": True}, "closed"),
        ({"kernels_only": True}, "notebook"),
        pytest.param({"quota": 0}, "quota", marks=needs_kaggle_2_2_4),
    ],
)
def test_what_kaggle_refuses_in_the_last_moment_is_told_by_its_words(toy, csv, standin, monkeypatch, setting, cause):
    monkeypatch.setattr("src.leaderboard.preflight.require_can_submit", lambda api, competition: None)
    for name, value in setting.items():
        setattr(standin, name, value)
    with pytest.raises(Refusal) as refused:
        submit.run(toy)
    assert refused.value.code == CODES[cause]
    (entry,) = entries(toy)
    assert entry.status == "refused"
    assert entry.reason == str(refused.value)
    # it may be sent once that has changed, and is an entry of its own
    standin.disabled, standin.kernels_only, standin.quota = False, False, 5
    assert submit.run(toy) == 0
    scores.run(toy)
    assert [entry.status for entry in entries(toy)] == ["refused", "complete"]


def test_a_rejection_is_told_with_kaggles_reason(toy, csv, standin):
    standin.rejects = "Submission must have 12 rows"
    with pytest.raises(Refusal, match=r"Kaggle rejected .*: Submission must have 12 rows: see https") as refused:
        submit.run(toy)
    assert refused.value.code == CODES["rejected"]
    (entry,) = entries(toy)
    assert (entry.status, entry.reason) == ("error", "Submission must have 12 rows")
    with pytest.raises(Refusal, match="was sent before: Kaggle rejected it"):
        submit.run(toy)


def test_a_score_that_does_not_come_is_fetched_later(toy, csv, standin, monkeypatch, capsys):
    monkeypatch.setattr(sending, "SCORE_TIMEOUT_S", 0.05)
    standin.pending_for = 10**6
    with pytest.raises(Refusal, match=r"no score for it after .*: ./run.sh toy scores looks again") as refused:
        submit.run(toy)
    assert refused.value.code == CODES["pending"]
    assert entries(toy)[0].status == "pending"
    standin.pending_for = 0
    scores.run(toy)
    assert entries(toy)[0].status == "complete"
    assert len(standin.submissions) == 1


def test_a_file_with_faults_is_not_sent(toy, csv, standin):
    csv.write_text(csv.read_text().replace("blue", "Blue", 1))
    with pytest.raises(Refusal, match="1 fault") as refused:
        submit.run(toy, csv)
    assert refused.value.code == CODES["check"]
    assert standin.requests == []


def test_a_file_with_warnings_is_sent_only_when_that_is_asked_for(toy, csv, standin, capsys):
    pd.read_csv(csv, dtype=str).assign(label="red").to_csv(csv.with_name("red.csv"), index=False)
    with pytest.raises(Refusal, match=r"red.csv is not sent: look at its warnings, or .* with --anyway") as refused:
        submit.run(toy, csv.with_name("red.csv"))
    assert refused.value.code == CODES["check"]
    assert "warning: the answer is 'red' in all 12 rows" in capsys.readouterr().out
    assert standin.requests == []
    assert submit.run(toy, csv.with_name("red.csv"), anyway=True) == 0
    assert len(standin.submissions) == 1


def test_two_at_a_time_send_one(toy, csv, standin):
    outcomes = []

    def attempt():
        try:
            outcomes.append(submit.run(toy))
        except Refusal as refused:
            outcomes.append(refused.cause)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(standin.submissions) == 1
    assert 0 in outcomes


def test_the_file_of_the_last_run_is_sent_though_another_was_written_later(toy, csv):
    """As when a config is changed and changed back, or the clock goes back."""
    other = blend(toy, RIGHT[:, ::-1])
    assert submit.newest(toy) == other
    ahead = 2 * other.stat().st_mtime
    os.utime(other, (ahead, ahead))
    assert blend(toy) == csv
    assert submit.newest(toy) == csv
    last = blend(toy, np.roll(RIGHT, 1, axis=1))
    assert submit.newest(toy) == last


def test_a_file_that_a_run_replaces_meanwhile_is_a_sentence(toy, csv, standin, monkeypatch):
    inspected = submit.submission.inspect

    def replaced(*given):
        found = inspected(*given)
        csv.unlink()
        return found

    monkeypatch.setattr(submit.submission, "inspect", replaced)
    with pytest.raises(UserError, match="is gone: a run has replaced it: run the same command again"):
        submit.run(toy)
    assert standin.submissions == []
    assert not toy.scores_csv.exists()


def test_a_file_that_a_run_replaces_while_kaggle_is_asked_leaves_no_row(toy, csv, standin, monkeypatch):
    allowed = submit.preflight.require_can_submit

    def replaced(*given):
        allowed(*given)
        csv.unlink()

    monkeypatch.setattr(submit.preflight, "require_can_submit", replaced)
    with pytest.raises(UserError, match="is gone: a run has replaced it: run the same command again"):
        submit.run(toy)
    assert standin.submissions == []
    assert not toy.scores_csv.exists()


def test_a_file_that_a_run_replaces_while_the_newest_is_looked_for_is_none(toy, csv, monkeypatch):
    gone = csv.with_name("blend-cv0.1000-0000000.csv")
    monkeypatch.setattr(submit.Path, "glob", lambda *given: iter([csv, gone]))
    assert submit.newest(toy) == csv


def test_smoke_runs_and_data_sets_without_a_board_are_not_sent(folder, standin):
    with pytest.raises(UserError, match="a smoke run of 9 rows is not sent"):
        submit.run(toy_competition(limit=9))
    with pytest.raises(UserError, match="digits is not a Kaggle competition"):
        submit.run(load("digits"))
    with pytest.raises(UserError, match=r"make one by ./run.sh toy"):
        submit.run(toy_competition())
    assert standin.requests == []


class TestScores:
    def test_late_scores_and_foreign_submissions_come_into_the_ledger(self, toy, csv, standin, capsys):
        submit.run(toy)
        half = csv.read_text().replace("blue", "red")
        standin.submit("by_hand.csv", half.encode(), {"submissionDescription": "on the site"})
        standin.over = True
        standin.board = [("a", "0.90000", "0.80000"), ("b", "0.50000", "0.50000"), ("c", "1.00000", "1.00000")]
        capsys.readouterr()
        scores.run(toy)
        ours, theirs = entries(toy)
        assert (ours.private, theirs.file, theirs.public, theirs.message) == (
            "1.00000",
            "by_hand.csv",
            "0.50000",
            "on the site",
        )
        said = capsys.readouterr().out
        assert "2 rows brought up to date" in said
        line = next(line for line in said.splitlines() if csv.name in line)
        assert "0.8333 ± 0.0621" in line
        assert "1 of " in line
        scores.run(toy)
        assert "scores.csv is up to date" in capsys.readouterr().out

    def test_scores_are_counts_once_the_split_is_known(self, toy, csv, standin, capsys):
        text = csv.read_text().replace("\n111,red", "\n111,blue")  # 7/8 of the private rows: 8 of them, or none
        assert text != csv.read_text()
        standin.submit("another.csv", text.encode(), {"submissionDescription": "one is wrong"})
        standin.over = True
        submit.run(toy)
        scores.run(toy)
        said = capsys.readouterr().out
        assert Standing(toy).split == BoardSizes(4, 8)
        assert "1.00000 = 4/4 (0.5101 to 1.0000)" in said
        assert "0.87500 = 7/8 (0.5291 to 0.9776)" in said

    def test_a_score_outside_of_what_cv_predicts_is_flagged(self, toy, standin, capsys):
        wrong = np.roll(RIGHT, 1, axis=1)
        csv = blend(toy, wrong)
        submit.run(toy)
        book = toy.scores_csv
        (entry,) = ledger.read(book)
        assert entry.public == "0.00000"
        standing = Standing(toy)
        object.__setattr__(standing, "split", type("Split", (), {"public": 4, "private": 8, "how": "cut"})())
        assert standing.verdict(entry).startswith("public is below what CV predicted (")
        assert csv.name == entry.file

    def test_the_correlation_of_cv_and_public(self):
        rows = [("0.8", "0.79"), ("0.7", "0.71"), ("0.6", "0.59")]
        known = [ledger.Entry("", "", cv=cv, public=public) for cv, public in rows]
        assert scores.correlation(known) == (
            "CV and public: correlation 0.99 over 3 submissions; public is CV -0.0033 on average"
        )
        assert scores.correlation(known[:2]) is None

    def test_without_a_leaderboard_there_are_scores(self, toy, csv, standin, capsys):
        submit.run(toy)
        standin.fail("DownloadLeaderboard", times=9, status=404)
        scores.run(toy)
        said = capsys.readouterr().out
        assert "the leaderboard is not available" in said
        assert csv.name in said

    def test_nothing_sent(self, toy, standin, capsys):
        scores.run(toy)
        assert "nothing was sent to toy yet" in capsys.readouterr().out

    def test_a_row_that_was_written_by_hand_is_found_by_file_and_message(self, toy, csv, standin):
        standin.submit("old.csv", csv.read_bytes(), {"submissionDescription": "a try"})
        ledger.put(toy.scores_csv, ledger.Entry("2022-11-07T00:00:00Z", "old.csv", message="a try"))
        scores.run(toy)
        (entry,) = entries(toy)
        assert (entry.time, entry.public, entry.status) == ("2022-11-07T00:00:00Z", "1.00000", "complete")

    @pytest.mark.parametrize("words", ["", "mine"])
    def test_what_is_sent_for_a_row_without_a_mark_gets_one_before(self, toy, csv, standin, monkeypatch, words):
        sha = files.sha256(csv)
        monkeypatch.setattr(sending, "SECOND_LOOKS", (0,))
        ledger.put(toy.scores_csv, ledger.Entry("2022-11-07T00:00:00Z", csv.name, sha, message=words))
        submit.run(toy, csv)
        (entry,) = entries(toy)
        assert entry.message == f"{words or csv.name} sha={sha[:7]}"
        assert [one.description for one in standin.submissions] == [entry.message]


class TestLedger:
    def test_what_is_no_ledger_is_refused(self, tmp_path):
        path = tmp_path / "scores.csv"
        path.write_text("a,b\n1,2\n")
        with pytest.raises(UserError, match="is no ledger: it lacks the column 'time'"):
            ledger.read(path)
        path.write_text("time,file,status,mine\n1,2,3,4\n")
        with pytest.raises(UserError, match="has the column 'mine', which no ledger has"):
            ledger.read(path)

    def test_a_score_that_is_no_number_is_refused_with_its_line(self, tmp_path):
        path = tmp_path / "scores.csv"
        path.write_text("time,file,status,cv\na,b,complete,0.8\nc,d,complete,0.8 +- 0.1\n")
        with pytest.raises(UserError, match=r"scores.csv, line 3: cv '0.8 \+- 0.1' is no number"):
            ledger.read(path)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("Sending,", r"line 2: unknown status 'Sending': did you mean 'sending'"),
            (",", r"line 2: unknown status '': one of sending, pending, complete, error, refused"),
            ("pending,abc", r"line 2: ref 'abc' is no number of a submission: leave it empty"),
        ],
    )
    def test_a_mistyped_state_is_refused_with_its_line(self, tmp_path, row, said):
        path = tmp_path / "scores.csv"
        path.write_text(f"time,file,status,ref\na,b,{row}\n")
        with pytest.raises(UserError, match=said):
            ledger.read(path)

    def test_a_row_may_be_written_by_hand(self, tmp_path):
        path = tmp_path / "scores.csv"
        path.write_text("time,file,status,public\n2022-11-07T00:00:00Z,old.csv,complete,0.71982\n")
        (entry,) = ledger.read(path)
        assert (entry.public, entry.private, entry.ref) == ("0.71982", "", "")

    def test_texts_come_back_as_they_were(self, tmp_path):
        entry = ledger.Entry("t", "a,b.csv", message='say "no",\nplease', reason="é ∑", public="0.10000")
        ledger.put(tmp_path / "scores.csv", entry)
        assert ledger.read(tmp_path / "scores.csv") == [entry]
        assert list(pd.read_csv(tmp_path / "scores.csv").columns) == ledger.COLUMNS


def test_an_answer_in_words_that_nobody_knows_is_quoted(toy, csv, standin):
    standin.fail("CreateSubmission", status=400, message="The moon is not full")
    with pytest.raises(Refusal, match="The moon is not full") as refused:
        submit.run(toy)
    assert refused.value.code == CODES["refused"]


def test_an_answer_without_a_word_is_told_by_its_number(toy, csv, standin):
    standin.fail("CreateSubmission", status=400, message="")
    with pytest.raises(Refusal, match=r"refuses .* \(400\): see "):
        submit.run(toy)


def test_every_cause_has_a_code_of_its_own():
    assert len(set(refusals.CODES.values())) == len(refusals.CODES)
    assert not {0, 1, 2} & set(refusals.CODES.values())
