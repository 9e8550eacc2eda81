"""The doctor: what stands between a machine and a submission, each cause told apart and with an exit code of its own."""

from datetime import UTC, datetime, timedelta

import pytest

from src.base import packages
from src.commands import doctor
from src.kaggle import credentials
from src.kaggle.refusals import CODES
from tests.conftest import needs_kaggle_2_2_4, snapshot


def lines(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_all_is_well(toy, standin, capsys, roots):
    before = snapshot(roots)
    assert doctor.run(toy) == 0
    said = capsys.readouterr().out
    for part in (
        f"kaggle {packages.version('kaggle')}",
        "KAGGLE_API_TOKEN (access token): taken",
        "valid, of me",
        "A competition",
        "accepted",
    ):
        assert part in said
    assert "5 left today, 0 used" in said or "nothing was sent yet: at most 5 a day" in said
    assert said.endswith("doctor: all is well\n")
    assert standin.token_text not in said
    assert snapshot(roots) == before
    assert not standin.calls("CreateSubmission", "StartSubmissionUpload", "DownloadDataFiles")


@pytest.mark.parametrize(
    ("setting", "cause", "said"),
    [
        ({"token": False, "introspection": 401}, "token", "make a new one at https://www.kaggle.com/settings"),
        ({"token": False, "introspection": 200}, "token", "make a new token at https://www.kaggle.com/settings"),
        ({"known": False}, "competition", "it lists no competition 'toy'"),
        ({"entered": False}, "rules", "accept them at https://www.kaggle.com/competitions/toy/rules"),
        ({"disabled": True}, "closed", "not taken any more"),
        ({"kernels_only": True}, "notebook", "./run.sh toy pack makes one"),
        pytest.param(
            {"quota": 0},
            "quota",
            "none is left today, 5 used: the next day begins at 00:00 UTC",
            marks=needs_kaggle_2_2_4,
        ),
    ],
)
def test_each_cause_has_its_line_and_its_exit_code(toy, standin, capsys, setting, cause, said):
    for name, value in setting.items():
        setattr(standin, name, value)
    assert doctor.run(toy) == CODES[cause]
    wrong = [line for line in lines(capsys) if line.startswith("no ")]
    assert len(wrong) == 1
    assert said in wrong[0]


def test_a_passed_deadline_is_told_by_kaggles_clock(toy, standin, capsys):
    standin.deadline = datetime.now(UTC) + timedelta(minutes=59, seconds=30)
    assert doctor.run(toy) == 0
    assert any("deadline" in line and "in 59 minutes" in line for line in lines(capsys))
    standin.skew = 7200
    assert doctor.run(toy) == 0
    said = capsys.readouterr().out
    assert "this machine's is 120 minutes behind Kaggle's" in said
    assert "late submissions are scored and have no rank" in said


@needs_kaggle_2_2_4
def test_a_stale_token_that_a_key_stands_in_for_is_said(toy, standin, monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", standin.token_text)
    standin.fail("IntrospectToken", times=2, status=403)
    assert doctor.run(toy) == 0
    said = capsys.readouterr().out
    assert "!   token        that in KAGGLE_API_TOKEN is not valid: Kaggle was asked with a legacy key instead" in said


def test_no_credentials(toy, roots, capsys):
    assert doctor.run(toy) == CODES["credentials"]
    assert "none: make a token at https://www.kaggle.com/settings" in capsys.readouterr().out


def test_nobody_is_asked_of_a_competition_that_is_not_kaggles(capsys, roots, monkeypatch):
    from src.config import load

    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    assert doctor.run(load("digits")) == 0
    assert "digits is not a Kaggle competition" in capsys.readouterr().out


class TestCredentials:
    @pytest.fixture
    def home(self, roots):
        folder = roots / "home" / ".kaggle"
        folder.mkdir(parents=True)
        return folder

    def test_none(self, roots):
        assert credentials.find_all() == []
        assert credentials.active() is None

    def test_a_token_of_the_environment_wins(self, home, monkeypatch):
        for name in ("access_token", "kaggle.json", "credentials.json"):
            (home / name).write_text("x" if name == "access_token" else '{"username": "me", "key": "k"}')
            (home / name).chmod(0o600)
        monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
        assert [one.where for one in credentials.find_all()] == [
            "KAGGLE_API_TOKEN",
            *(str(home / name) for name in ("access_token", "kaggle.json", "credentials.json")),
        ]
        assert credentials.active_source() == "KAGGLE_API_TOKEN"
        monkeypatch.delenv("KAGGLE_API_TOKEN")
        assert credentials.active_source() == str(home / "access_token")

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("not even JSON", "it is not JSON"),
            ('{"token": "x"}', "it has no 'username': a token of the new kind goes into ~/.kaggle/access_token"),
            ("[1]", "it is not JSON"),
        ],
    )
    def test_a_file_that_the_client_passes_over_is_said(self, home, text, fault):
        (home / "kaggle.json").write_text(text)
        (one,) = credentials.find_all()
        assert one.fault == fault
        assert credentials.active() is None

    def test_half_a_key_of_the_environment_is_said(self, roots, monkeypatch):
        monkeypatch.setenv("KAGGLE_KEY", "k")
        (one,) = credentials.find_all()
        assert one.fault == "KAGGLE_USERNAME is not set"

    def test_a_file_that_others_may_read_is_said(self, home, capsys, toy):
        (home / "access_token").write_text("")
        (home / "access_token").chmod(0o644)
        doctor.run(toy)
        assert f"others may read it (mode 644): chmod 600 {home / 'access_token'}" in capsys.readouterr().out
