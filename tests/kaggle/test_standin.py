"""The stand-in of Kaggle, asked by the real client."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from fractions import Fraction

import pandas as pd
import pytest
import requests

from src.kaggle import api as kaggle_api
from tests.conftest import ROOT, read_json
from tests.standin import TOKEN, Kaggle, accuracy, client_environment, cut, serving

IDS = [f"{i:03d}" for i in range(8)]
SOLUTION = pd.DataFrame({"id": IDS, "label": "x", "Usage": ["Public"] * 3 + ["Private"] * 5})  # 007 is not 7
SUBMISSION = "id,label\n" + "".join(f"{id},{'x' if id in ('000', '001', '007') else 'y'}\n" for id in IDS)
REFUSED = requests.exceptions.HTTPError


@pytest.fixture
def kaggle(roots):
    """A stand-in that serves a zip of 3 MB."""
    with serving(Kaggle("toy", os.urandom(3_000_000), accuracy(SOLUTION))) as kaggle:
        yield kaggle


@pytest.fixture
def api(kaggle, monkeypatch):
    """The real client in this process, led to the stand-in."""
    from kagglesdk import kaggle_env

    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, kaggle.url)
    from kaggle.api.kaggle_api_extended import KaggleApi

    api = KaggleApi()
    api.authenticate()
    kaggle.requests.clear()
    return api


@pytest.fixture
def naps(monkeypatch):
    """What the client would have slept, in seconds."""
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    return naps


@pytest.fixture
def sub(tmp_path):
    (tmp_path / "sub.csv").write_text(SUBMISSION)
    return tmp_path / "sub.csv"


def download(api, folder):
    api.competition_download_files("toy", path=str(folder))
    return (folder / "toy.zip").read_bytes()


def submit(api, path):
    return api.competition_submit(str(path), "a message", "toy", quiet=True)


def test_the_real_client_downloads_submits_and_reads(kaggle, api, sub, tmp_path):
    assert download(api, tmp_path) == kaggle.archive
    assert submit(api, sub).ref == 50000001
    (told,) = api.competition_submissions("toy")
    assert (told.ref, told.file_name, told.description) == (50000001, "sub.csv", "a message")
    assert (told.status.name, told.public_score, told.private_score) == ("COMPLETE", "0.66666", "")
    assert abs(told.date - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
    api.clock = timedelta(0)
    limits = kaggle_api.limits(api, "toy", 5)
    assert (limits.num_today, limits.num_allowed_now) == (1, 4)
    assert kaggle.submissions[0].content.decode() == SUBMISSION
    assert kaggle.calls("StartSubmissionUpload", "upload", "CreateSubmission") == kaggle.calls()[2:5]


def test_a_process_is_led_to_it_and_imports_nothing_for_that(kaggle, tmp_path):
    code = (
        "import sys; print([name for name in sys.modules if 'kaggle' in name])\n"
        "import kaggle; print(kaggle.api.get_config_value('username'))"
    )
    env = {**os.environ, **client_environment(kaggle.url, tmp_path / "client")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == ["[]", "me"], done.stderr
    assert kaggle.calls() == ["IntrospectToken"]
    assert kaggle.requests[0].authorization == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (Fraction(501, 696), "0.71982"),
        (Fraction(2, 3), "0.66666"),
        (0.71983, "0.71983"),
        (1, "1.00000"),
        (-0.25, "-0.25000"),
    ],
)
def test_scores_are_cut_not_rounded(score, shown):
    assert cut(score) == shown


def test_a_client_that_cannot_ask_for_the_limits_counts_what_was_sent(kaggle, api, sub, monkeypatch):
    api.clock = timedelta(0)
    monkeypatch.delattr(type(api), "competition_get_submission_limits", raising=False)
    submit(api, sub)
    kaggle.rejects = "Evaluation Exception: no"
    submit(api, sub)
    limits = kaggle_api.limits(api, "toy", 5)
    assert (limits.num_today, limits.num_allowed_now, limits.num_total) == (1, 4, 1)
    assert kaggle_api.limits(api, "toy", 1).num_allowed_now == 0
    api.clock = timedelta(days=1)
    assert kaggle_api.limits(api, "toy", 1).num_allowed_now == 1


def test_private_scores_are_shown_after_the_deadline(kaggle, api, sub):
    submit(api, sub)
    kaggle.deadline = datetime.now(UTC) - timedelta(days=1)
    assert api.competition_submissions("toy")[0].private_score == "0.20000"
    kaggle.over = False
    assert api.competition_submissions("toy")[0].private_score == ""


@pytest.mark.parametrize(
    ("knobs", "call", "status", "message"),
    [
        ({"token": False}, download, 401, "Unauthenticated"),
        ({"entered": False}, download, 403, "You must accept this competition's rules before"),
        ({"entered": False}, submit, 403, "You cannot submit until you accept the competition rules"),
        ({"known": False}, submit, 403, "Permission 'competitions.participate' was denied"),
        ({"disabled": True}, submit, 400, "Submissions have been disabled"),
        ({"kernels_only": True}, submit, 400, "only accepts Submissions from Notebooks"),
        ({"quota": 0}, submit, 400, "has used its daily Submission allowance (5) today"),
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_a_refusal_is_answered_as_kaggle_words_it(kaggle, api, sub, tmp_path, knobs, call, status, message, flat):
    for name, value in {**knobs, "flat": flat}.items():
        setattr(kaggle, name, value)
    with pytest.raises(REFUSED) as raised:
        call(api, sub if call is submit else tmp_path)
    said = raised.value.response.json()
    assert raised.value.response.status_code == status
    assert message in (said if flat else said["error"])["message"]
    assert (message in str(raised.value)) == flat  # of what api.kaggle.com says, the client tells nothing
    assert kaggle.submissions == []


def test_a_submission_is_made_though_its_answer_is_lost(kaggle, api, sub):
    kaggle.fail("CreateSubmission", drop="before")
    kaggle.fail("CreateSubmission", drop="after")
    for made in (0, 1):
        with pytest.raises(requests.exceptions.ConnectionError):
            submit(api, sub)
        assert len(kaggle.submissions) == made
    submit(api, sub)  # both faults are used up
    assert len(kaggle.submissions) == 2


def test_the_client_resumes_a_download_that_was_cut(kaggle, api, naps, tmp_path):
    kaggle.fail("download", cut=1_000_000)
    kaggle.fail("download", cut=500_000, drip=(100_000, 0.01))
    assert download(api, tmp_path) == kaggle.archive
    assert kaggle.calls("download") == ["download"] * 3
    assert len(naps) == 2


def test_the_client_starts_again_where_the_file_is_another_meanwhile(kaggle, api, monkeypatch, tmp_path):
    kaggle.fail("download", cut=1_000_000)
    other = os.urandom(3_000_000)
    monkeypatch.setattr(time, "sleep", lambda seconds: setattr(kaggle, "archive", other))
    assert download(api, tmp_path) == other


def test_a_file_without_ranges_comes_whole_or_truncated(kaggle, api, naps, tmp_path):
    kaggle.ranges, kaggle.truncated = False, 2_000_000
    kaggle.fail("download", cut=1_000_000)
    assert download(api, tmp_path) == kaggle.archive[:2_000_000]


def test_a_folder_is_served_as_a_zip(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("id\n")
    assert zipfile.ZipFile(io.BytesIO(Kaggle("toy", tmp_path).archive)).read("data/train.csv") == b"id\n"


def test_the_client_sends_a_cut_upload_again(kaggle, api, naps, tmp_path):
    (tmp_path / "big.csv").write_bytes(bytes(300_000))
    kaggle.fail("upload", cut=100_000)
    kaggle.fail("upload", drop="after")
    submit(api, tmp_path / "big.csv")
    assert kaggle.calls("upload") == ["upload"] * 3
    assert kaggle.submissions[0].content == bytes(300_000)
    assert naps == [1.0]


def test_the_client_gives_up_an_upload_that_is_refused_without_an_error(kaggle, api, sub):
    kaggle.fail("upload", status=503)
    said = submit(api, sub)
    assert (said.ref, said.message) == (0, "Could not submit to competition")
    assert kaggle.submissions == []


def test_a_submission_is_pending_for_a_while_and_an_error_costs_nothing(kaggle, api, sub):
    kaggle.pending_for, kaggle.rejects = 2, "Evaluation Exception: no"
    submit(api, sub)
    told = [api.competition_submissions("toy")[0] for _ in range(3)]
    assert [submission.status.name for submission in told] == ["PENDING", "PENDING", "ERROR"]
    assert [submission.error_description for submission in told] == ["", "", "Evaluation Exception: no"]
    assert kaggle.quota == 5


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id\n000\n", "must have the columns: id, label"),
        (SUBMISSION + "008,x\n", "must have 8 rows"),
        (SUBMISSION.replace("007", "7"), "must have 8 rows"),
    ],
)
def test_a_submission_that_does_not_fit_is_an_error(kaggle, api, tmp_path, text, fault):
    (tmp_path / "sub.csv").write_text(text)
    submit(api, tmp_path / "sub.csv")
    assert fault in api.competition_submissions("toy")[0].error_description


def test_submissions_come_in_pages_the_newest_first(kaggle, api, sub):
    from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

    for _ in range(5):
        submit(api, sub)
    request, refs, pages = ApiListSubmissionsRequest(), [], 0
    request.competition_name, request.page_size, kaggle.page_cap = "toy", 50, 2
    with api.build_kaggle_client() as client:
        while pages == 0 or request.page_token:
            answer = client.competitions.competition_api_client.list_submissions(request)
            refs += [submission.ref for submission in answer.submissions]
            request.page_token, pages = answer.next_page_token, pages + 1
    assert (pages, refs) == (3, [50000005, 50000004, 50000003, 50000002, 50000001])


def test_the_leaderboard_has_the_other_teams_and_ours(kaggle, api, sub, tmp_path):
    kaggle.board = [("first", "0.90000", "0.10000"), ("last", "0.10000", "0.90000")]
    submit(api, sub)
    api.competition_leaderboard_download("toy", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "toy.zip") as archive:
        df = pd.read_csv(archive.open(archive.namelist()[0]), encoding="utf-8-sig", dtype=str)
    assert list(zip(df["Rank"], df["TeamName"], df["Score"], strict=True)) == [
        ("1", "first", "0.90000"),
        ("2", "me", "0.66666"),
        ("3", "last", "0.10000"),
    ]
    kaggle.over = True
    assert [team.team_name for team in api.competition_leaderboard_view("toy")] == ["last", "me", "first"]


def test_its_clock_can_be_off_and_tells_when_to_retry(kaggle, api, sub):
    kaggle.skew = 7200
    kaggle.fail("CreateSubmission", status=429, headers={"Retry-After": kaggle.http_date(60)})
    with pytest.raises(REFUSED) as raised:
        submit(api, sub)
    headers = {name: parsedate_to_datetime(raised.value.response.headers[name]) for name in ("Date", "Retry-After")}
    assert 58 <= (headers["Retry-After"] - headers["Date"]).total_seconds() <= 61
    assert timedelta(seconds=7190) < headers["Date"] - datetime.now(UTC) < timedelta(seconds=7210)


def test_a_dataset_is_uploaded_resumed_and_versioned(kaggle, api, tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/weights.bin").write_bytes(bytes(300_000))
    metadata = {"id": "me/weights", "title": "Weights", "licenses": [{"name": "CC0-1.0"}]}
    (tmp_path / "pack/dataset-metadata.json").write_text(json.dumps(metadata))
    kaggle.fail("upload", status=503)
    assert api.dataset_create_new(str(tmp_path / "pack"), quiet=True).status == "Ok"
    calls = kaggle.calls("upload", "resume")
    assert calls in (["upload", "resume", "upload"], ["upload", "upload"])  # kaggle 2.0.2 begins again
    api.dataset_create_version(str(tmp_path / "pack"), "second", quiet=True)
    assert [version["files"] for version in kaggle.datasets["me/weights"]] == [{"weights.bin": bytes(300_000)}] * 2
    kaggle.dataset_statuses = ("BLOBS_RECEIVED", "READY")
    assert [api.dataset_status("me/weights") for _ in range(3)] == ["blobs_received", "ready", "ready"]


def test_a_notebook_is_pushed_and_what_it_writes_submitted(kaggle, api, tmp_path):
    (tmp_path / "predict.py").write_text("print()")
    metadata = {"id": "me/predict", "title": "Predict", "code_file": "predict.py", "language": "python"}
    metadata |= {"kernel_type": "script", "dataset_sources": ["me/weights"], "competition_sources": ["toy"]}
    (tmp_path / "kernel-metadata.json").write_text(json.dumps(metadata))
    kaggle.kernels_only, kaggle.kernel_output = True, SUBMISSION.encode()
    kaggle.kernel_statuses = ("QUEUED", "ERROR")
    kaggle.kernel_failure = "out of memory"
    pushed = api.kernels_push(str(tmp_path))
    assert (pushed.version_number, pushed.invalid_dataset_sources) == (1, ["me/weights"])
    assert kaggle.kernels["me/predict"][0]["text"] == "print()"
    told = [api.kernels_status("me/predict") for _ in range(2)]
    assert [(status.status.name, status.failure_message) for status in told] == [
        ("QUEUED", ""),
        ("ERROR", "out of memory"),
    ]
    api.competition_submit_code("submission.csv", "a message", "toy", "me/predict", 1)
    assert (kaggle.submissions[0].file_name, kaggle.submissions[0].public) == ("submission.csv", "0.66666")


def test_a_fault_of_no_method_is_refused():
    with pytest.raises(ValueError, match="'CreateSubmision' is none of:"):
        Kaggle("toy", faults={"CreateSubmision": [{"drop": "after"}]})


def test_it_stops_in_the_middle_of_a_silence():
    with serving(Kaggle("toy", b"zip")) as kaggle:
        kaggle.fail("download", stall=1000)
        errors = []

        def ask():
            try:
                requests.get(f"{kaggle.url}/files/toy.zip")
            except requests.exceptions.ConnectionError as error:
                errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while not kaggle.requests:
            time.sleep(0.01)
    asking.join(timeout=10)
    assert len(errors) == 1


def test_it_serves_as_a_process_of_its_own(tmp_path):
    SOLUTION.to_csv(tmp_path / "solution.csv", index=False)
    (tmp_path / "toy.zip").write_bytes(b"zip")
    command = [sys.executable, "-m", "tests.standin", "--slug", "toy", "--zip", str(tmp_path / "toy.zip")]
    command += ["--solution", str(tmp_path / "solution.csv"), "--state", str(tmp_path / "state.json")]
    command += ["--set", "pending_for=1", "--set", 'faults={"upload": [{"status": 503}]}']
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        about = {"competitionName": "toy", "fileName": "a.csv", "contentLength": len(SUBMISSION)}
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        service = f"{url}/v1/competitions.CompetitionApiService"
        upload = session.post(f"{service}/StartSubmissionUpload", json=about).json()
        assert [session.put(upload["createUrl"], data=SUBMISSION).status_code for _ in range(2)] == [503, 200]
        session.post(f"{service}/CreateSubmission", json={**about, "blobFileTokens": upload["token"]})
        (submission,) = read_json(tmp_path / "state.json")["submissions"]
        assert (submission["status"], submission["public"], submission["content"]) == ("PENDING", "0.66666", SUBMISSION)
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()
