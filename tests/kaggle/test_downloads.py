"""Downloads: the real client against a stand-in that misbehaves. What is wrong for a while is waited out, nothing is lost."""

import shutil
import zipfile
from collections import namedtuple

import pytest

from src.base.errors import UserError
from src.kaggle import api as kaggle_api
from src.kaggle import downloads, refusals
from src.kaggle.refusals import CODES, Refusal

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def part(roots, standin, monkeypatch):
    """The folder to download to; a megabyte is a kilobyte."""
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 1000)
    folder = roots / "input" / ".toy.download"
    folder.mkdir()
    return folder


def whole(part, standin) -> None:
    """The zip is there, byte for byte, and nothing else."""
    assert [path.name for path in part.iterdir()] == ["toy.zip"]
    assert (part / "toy.zip").read_bytes() == standin.archive


def test_a_competition_is_downloaded(part, standin, capsys):
    assert kaggle_api.download("toy", part) == part / "toy.zip"
    whole(part, standin)
    assert standin.token_text not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 500},
        {"status": 503},
        {"drop": "before"},
        {"drop": "after"},
    ],
)
@pytest.mark.parametrize("method", ["DownloadDataFiles", "download", "IntrospectToken"])
def test_what_passes_is_waited_out(part, standin, capsys, method, fault):
    standin.fail(method, times=2, **fault)
    kaggle_api.download("toy", part)
    whole(part, standin)


def test_it_waits_as_long_as_kaggle_asks_by_kaggles_clock(part, standin, monkeypatch):
    waited = []
    monkeypatch.setattr(refusals.time, "sleep", waited.append)
    standin.skew = 5000
    standin.fail("DownloadDataFiles", status=429, headers={"Retry-After": "7"})
    standin.fail("DownloadDataFiles", status=429, headers={"Retry-After": standin.http_date(30)})
    kaggle_api.download("toy", part)
    assert waited[0] == 7
    assert 8 < waited[1] <= 31


def test_a_broken_connection_is_gone_on_from(part, standin, capsys):
    standin.fail("download", cut=2500)
    standin.fail("download", cut=2500)
    kaggle_api.download("toy", part)
    whole(part, standin)
    assert "resuming from" in capsys.readouterr().out
    # the bytes that had arrived were not asked for again
    assert standin.calls("download", "resume")


def test_more_breaks_than_waits_do_no_harm_while_bytes_arrive(part, standin):
    standin.fail("download", times=8, cut=1500)
    kaggle_api.download("toy", part)
    whole(part, standin)


def test_a_killed_download_is_gone_on_from_by_the_next_run(part, standin, monkeypatch, capsys):
    monkeypatch.setattr(refusals, "RETRY_WAITS_S", ())
    standin.fail("download", cut=3000)
    with pytest.raises(Refusal):
        kaggle_api.download("toy", part)
    assert (part / "toy.part").stat().st_size >= 2000
    capsys.readouterr()
    kaggle_api.download("toy", part)
    whole(part, standin)
    assert "resuming from" in capsys.readouterr().out


def test_no_byte_is_added_to_another_zips(part, standin, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_WAITS_S", ())
    standin.fail("download", cut=3000)
    with pytest.raises(Refusal):
        kaggle_api.download("toy", part)
    with zipfile.ZipFile(part / "new.zip", "w") as zipped:
        zipped.writestr("train.csv", "another day's\n" * 1000)
    standin.archive = (part / "new.zip").read_bytes()
    (part / "new.zip").unlink()
    kaggle_api.download("toy", part)
    whole(part, standin)


def test_a_slow_drip_arrives(part, standin):
    standin.fail("download", drip=(4000, 0.01))
    kaggle_api.download("toy", part)
    whole(part, standin)


def test_a_silent_connection_is_given_up(part, standin, monkeypatch):
    from src.kaggle import api as module

    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    standin.fail("DownloadDataFiles", stall=5)
    kaggle_api.download("toy", part)
    whole(part, standin)


def test_a_truncated_zip_is_refused_and_not_kept(part, standin):
    standin.truncated = 2000
    with pytest.raises(Refusal, match=r"Kaggle sent a damaged toy.zip \(2,000 bytes\): run again") as refused:
        kaggle_api.download("toy", part)
    assert refused.value.code == CODES["download"]
    assert list(part.iterdir()) == []


def test_a_full_disk_is_said_before_the_first_byte(part, standin, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, len(standin.archive)))
    with pytest.raises(UserError, match="make room, or set INPUT_DIR"):
        kaggle_api.download("toy", part)
    assert not (part / "toy.part").exists()


@pytest.mark.parametrize(
    ("setting", "cause", "said"),
    [
        ({"token": False, "introspection": 401}, "token", "is not valid: make a new one"),
        ({"entered": False}, "rules", "accept the rules at https://www.kaggle.com/competitions/toy/rules"),
        ({"known": False}, "competition", "it lists no competition 'toy'"),
    ],
)
def test_a_refusal_is_one_sentence_with_its_cause(part, standin, setting, cause, said):
    for name, value in setting.items():
        setattr(standin, name, value)
    with pytest.raises(Refusal) as refused:
        kaggle_api.download("toy", part)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.code == CODES[cause]
    assert standin.token_text not in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "cause"), [({"status": 429}, "busy"), ({"status": 500}, "broken"), ({"drop": "before"}, "network")]
)
def test_what_does_not_pass_is_said_with_another_way(part, standin, fault, cause):
    standin.fail("DownloadDataFiles", times=9, **fault)
    with pytest.raises(
        Refusal, match=r"or put toy.zip from https://www.kaggle.com/competitions/toy/data into"
    ) as refused:
        kaggle_api.download("toy", part)
    assert refused.value.code == CODES[cause]


def test_a_mistyped_slug_is_told_from_rules_that_are_not_accepted(part, standin):
    standin.others = ["toys", "toyland"]
    standin.known = False
    with pytest.raises(Refusal, match="it lists no competition 'toy': did you mean toys, toyland") as refused:
        kaggle_api.download("toy", part)
    assert refused.value.code == CODES["competition"]
    standin.known, standin.entered = True, False
    standin.fail("DownloadDataFiles", status=404, message="")
    with pytest.raises(Refusal, match=r"\(404\): join the competition and accept its rules at") as refused:
        kaggle_api.download("toy", part)
    assert refused.value.code == CODES["rules"]
