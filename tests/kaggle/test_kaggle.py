"""The Kaggle API as the data stage meets it: in a process of its own, which nothing is patched in."""

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from src.data.sources.kaggle import Kaggle
from src.kaggle import credentials
from src.kaggle.api import session
from src.kaggle.refusals import Refusal
from tests import standin as kaggle_standin
from tests.conftest import ROOT, snapshot

FETCH = """
import sys
from pathlib import Path
from src.config import Kaggle
from src.base.errors import UserError
try:
    Kaggle("corn").fetch(Path(sys.argv[1]))
except UserError as error:
    print("error:", error)
    sys.exit(error.code)
"""


@pytest.fixture
def served(tmp_path):
    """A competition of one table."""
    (tmp_path / "served" / "corn").mkdir(parents=True)
    (tmp_path / "served" / "corn" / "train.csv").write_text("seed_id,label\n1,pure\n")
    with kaggle_standin.serving(kaggle_standin.Kaggle("corn", tmp_path / "served")) as kaggle:
        yield kaggle


@pytest.fixture
def fetch(roots):
    """fetch(url, **env) fetches the competition and returns (exit code, what was said)."""
    (roots / "input").mkdir()
    (roots / "home").mkdir()

    def run(url: str, **more: str) -> tuple[int, str]:
        env = {**os.environ, **kaggle_standin.client_environment(url, roots / "client"), **more}
        command = [sys.executable, "-c", FETCH, str(roots / "input")]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
        assert "Traceback" not in done.stderr
        assert kaggle_standin.TOKEN not in done.stdout + done.stderr
        assert list((roots / "home").rglob("*")) == []  # the client would make a folder there
        assert not any(kaggle_standin.TOKEN in str(content) for _, content in snapshot(roots / "input").values())
        return done.returncode, done.stdout

    return run


def test_a_competition_is_downloaded_and_unpacked(served, fetch, roots):
    code, said = fetch(served.url)
    assert code == 0
    assert "downloading corn with the credentials in KAGGLE_API_TOKEN" in said
    assert (roots / "input/corn/corn/train.csv").read_text() == "seed_id,label\n1,pure\n"
    assert sorted(path.name for path in (roots / "input").iterdir()) == ["corn", "corn.zip"]


def test_a_legacy_key_is_believed_too(served, fetch, roots):
    code, said = fetch(served.url, KAGGLE_API_TOKEN="", KAGGLE_USERNAME="me", KAGGLE_KEY=kaggle_standin.TOKEN)
    assert code == 0
    assert "with the credentials in KAGGLE_USERNAME and KAGGLE_KEY" in said


def test_a_client_that_exits_at_import_is_one_sentence(served, fetch, roots):
    served.token, served.introspection = False, 200
    code, said = fetch(served.url)
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert code == 11
    assert "Kaggle did not accept the credentials in KAGGLE_API_TOKEN: make a new token at" in line
    assert "Authentication required" not in said
    assert snapshot(roots / "input") == {}


def test_nothing_of_ours_imports_kaggle_or_calls_anybody_at_import():
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "src").rglob("*.py")
        if path.stem not in ("__init__", "__main__", "template")
    )
    code = (
        "import socket, sys, importlib\n"
        "def refuse(*args, **kwargs): raise SystemExit(f'a connection at import: {args}')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "assert 'kaggle' not in sys.modules\n"
        "assert not sys.modules['torch'].cuda.is_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def test_credentials_are_named_and_never_shown(roots, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", kaggle_standin.TOKEN)
    assert kaggle_standin.TOKEN not in repr(credentials.find_all())
    assert not Path(credentials.active_source()).exists()


WAYS = ["KAGGLE_API_TOKEN", "a file that it names", "access_token", "kaggle.json", "KAGGLE_USERNAME and KAGGLE_KEY"]


def give(way: str, secret: str, home: Path, encoding: str = "utf-8") -> dict[str, str]:
    """Gives a secret in a way; returns the variables for that."""
    folder = home / ".kaggle"
    folder.mkdir(parents=True)
    key = json.dumps({"username": "me", "key": secret}) if way == "kaggle.json" else secret
    for name in {"a file that it names": ["token"], "access_token": [way], "kaggle.json": [way]}.get(way, []):
        (folder / name).write_bytes(key.encode(encoding))
        (folder / name).chmod(0o600)
    if way == "a file that it names":
        return {"KAGGLE_API_TOKEN": f"{folder / 'token'}\n"}
    if way == "KAGGLE_USERNAME and KAGGLE_KEY":
        return {"KAGGLE_USERNAME": "me\r\n", "KAGGLE_KEY": secret}
    return {"KAGGLE_API_TOKEN": secret if way == "KAGGLE_API_TOKEN" else ""}


def printed_and_written(done: subprocess.CompletedProcess, *folders: Path) -> str:
    return done.stdout + done.stderr + "".join(str(content) for one in folders for _, content in snapshot(one).values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_is_around_a_secret_is_no_part_of_it_and_it_is_shown_nowhere(served, roots, way, encoding):
    (roots / "input").mkdir()
    given = give(way, f' "{kaggle_standin.TOKEN}"\r\n', roots / "home", encoding)
    env = {**os.environ, **kaggle_standin.client_environment(served.url, roots / "client"), "KAGGLE_API_TOKEN": ""}
    command = [sys.executable, "-c", FETCH, str(roots / "input")]
    env = {**env, **given, "VERBOSE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert (roots / "input/corn/corn/train.csv").is_file()
    assert kaggle_standin.TOKEN not in printed_and_written(done, roots / "input")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inside", ["\n", " ", "é"])
def test_a_secret_that_no_header_holds_is_refused_and_shown_nowhere(roots, monkeypatch, capsys, way, inside):
    for name, text in give(way, f"one-half{inside}other-half", roots / "home").items():
        monkeypatch.setenv(name, text)
    with pytest.raises(Refusal, match="has a blank, a line end or a letter in it that no token has") as refusal:
        Kaggle("corn").fetch(roots / "input")
    assert refusal.value.cause == "credentials"
    with pytest.raises(Refusal, match="there are no Kaggle credentials"), session("corn", "a word"):
        pass
    said = "".join([*traceback.format_exception(refusal.value), *capsys.readouterr(), repr(credentials.find_all())])
    assert "half" not in said


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"username":"me","key":"half"}', "it holds the content of kaggle.json and no token"),
        ("~/half/token", "it is a path, and no file is there"),
        (" \n", "it is empty"),
    ],
)
def test_what_is_no_token_is_said(roots, monkeypatch, text, fault):
    monkeypatch.setenv("KAGGLE_API_TOKEN", text)
    (one,) = credentials.find_all()
    assert one.fault == fault
    assert credentials.active() is None


def test_a_kaggle_json_to_which_windows_added_an_ending_is_said(roots):
    (roots / "home/.kaggle").mkdir(parents=True)
    (roots / "home/.kaggle/kaggle.json.txt").write_text('{"username": "me", "key": "k"}')
    assert credentials.none_to_take().endswith("kaggle.json.txt: it is not called kaggle.json: rename it)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"refresh_token": "secret"}'.encode("utf-8-sig"), "it is UTF-8 with a byte order mark: save it as such"),
        ('{"refresh_token": "secret"}'.encode("utf-16"), "it is UTF-16 with a byte order mark: save it as such"),
        (b"secret", "it is not JSON in plain UTF-8: save it as such"),
        (b'{"access_token": "secret"}', "it has no 'refresh_token': run kaggle auth login again"),
    ],
)
def test_a_file_of_oauth_that_the_client_cannot_read_is_said(roots, content, said):
    path = roots / "home/.kaggle/credentials.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert credentials.active() is None
    assert said in credentials.none_to_take()
    assert "secret" not in credentials.none_to_take()
    path.write_text('{"refresh_token": "secret"}')
    assert credentials.active().kind == "OAuth"


def test_a_faulty_token_hides_no_key(served, fetch, roots):
    code, said = fetch(served.url, KAGGLE_API_TOKEN="a b", KAGGLE_USERNAME="me", KAGGLE_KEY=kaggle_standin.TOKEN)
    assert code == 0
    assert "with the credentials in KAGGLE_USERNAME and KAGGLE_KEY" in said


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(("content", "fault"), [(None, "cannot be read"), ("no PEM", "holds no certificates")])
def test_certificates_that_cannot_be_read_are_one_sentence(roots, monkeypatch, name, content, fault):
    path = roots / "proxy.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, str(path))
    with (
        pytest.raises(Refusal, match=f"{name} names {path}, which {fault}.*or unset {name}"),
        session("corn", "a word"),
    ):
        pass
