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

# Each fetch is a process of its own, which has imported all but the client: that one takes the credentials at import.
FETCH = """
import json, os, sys
from pathlib import Path
from src.config import Kaggle
from src.base.errors import UserError
import requests.exceptions
assert not {"kaggle", "kagglesdk"} & sys.modules.keys()
for folder, variables in json.loads(sys.argv[1]).items():
    if (number := os.fork()):
        Path(folder, "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])))
        continue
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT), stream)
    os.environ.update(variables)
    try:
        Kaggle("corn").fetch(Path(folder, "input"))
    except UserError as error:
        print("error:", error)
        sys.exit(error.code)
    sys.exit()
"""
WAYS = ["KAGGLE_API_TOKEN", "a file that it names", "access_token", "kaggle.json", "KAGGLE_USERNAME and KAGGLE_KEY"]
GIVEN = [way for way in WAYS if way.startswith("KAGGLE_")]  # with blanks around the secret
GIVEN += [f"{way} in {encoding}" for way in WAYS[1:4] for encoding in ("utf-8-sig", "utf-16")]
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LEGACY = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": kaggle_standin.TOKEN}
CASES = {
    "token": {},
    "legacy": {"KAGGLE_API_TOKEN": "", **LEGACY},
    "refused": {},
    "faulty": {"KAGGLE_API_TOKEN": "a b", **LEGACY},
}


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """The folders of all fetches of a competition of one table, with input/, home/, and what each said and returned."""
    root = tmp_path_factory.mktemp("fetched")
    (root / "served" / "corn").mkdir(parents=True)
    (root / "served" / "corn" / "train.csv").write_text("seed_id,label\n1,pure\n")
    kaggle, refusing = (kaggle_standin.Kaggle("corn", root / "served") for _ in range(2))
    refusing.token, refusing.introspection = False, 200
    variables = {}
    with kaggle_standin.serving(kaggle), kaggle_standin.serving(refusing):
        for name in (*CASES, *GIVEN):
            folder, (way, _, encoding) = root / name, name.partition(" in ")
            for empty in ("input", "home"):
                (folder / empty).mkdir(parents=True)
            given = CASES.get(name)
            if given is None:
                given = give(way, f' "{kaggle_standin.TOKEN}"\r\n', folder / "home", encoding or "utf-8")
                given = {"KAGGLE_API_TOKEN": "", "VERBOSE": "1", **given}
            url = (refusing if name == "refused" else kaggle).url
            roots = {"HOME": str(folder / "home"), "INPUT_DIR": str(folder / "input")}
            client = kaggle_standin.client_environment(url, root / "client")
            variables[str(folder)] = {**client, "SUBMISSIONS_DIR": str(folder / "submissions"), **roots, **given}
        unset = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", *CERTIFICATES)
        env = {name: value for name, value in os.environ.items() if name not in unset}
        command = [sys.executable, "-c", FETCH, json.dumps(variables)]
        done = subprocess.run(command, cwd=ROOT, env={**env, **client}, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    return root


def answer(folder: Path) -> tuple[int, str]:
    """What a fetch without files of credentials returned and said."""
    said, erred = ((folder / name).read_text() for name in ("stdout", "stderr"))
    assert "Traceback" not in erred
    assert kaggle_standin.TOKEN not in said + erred
    assert list((folder / "home").rglob("*")) == []  # the client would make a folder there
    assert not any(kaggle_standin.TOKEN in str(content) for _, content in snapshot(folder / "input").values())
    return int((folder / "code").read_text()), said


def test_a_competition_is_downloaded_and_unpacked(fetched):
    code, said = answer(fetched / "token")
    assert code == 0
    assert "downloading corn with the credentials in KAGGLE_API_TOKEN" in said
    inputs = fetched / "token" / "input"
    assert (inputs / "corn/corn/train.csv").read_text() == "seed_id,label\n1,pure\n"
    assert sorted(path.name for path in inputs.iterdir()) == ["corn", "corn.zip"]


def test_a_legacy_key_is_believed_too(fetched):
    code, said = answer(fetched / "legacy")
    assert code == 0
    assert "with the credentials in KAGGLE_USERNAME and KAGGLE_KEY" in said


def test_a_client_that_exits_at_import_is_one_sentence(fetched):
    code, said = answer(fetched / "refused")
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert code == 11
    assert "Kaggle did not accept the credentials in KAGGLE_API_TOKEN: make a new token at" in line
    assert "Authentication required" not in said
    assert snapshot(fetched / "refused" / "input") == {}


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


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_around_a_secret_is_no_part_of_it_and_it_is_shown_nowhere(fetched, name):
    folder = fetched / name
    said, erred, code = ((folder / one).read_text() for one in ("stdout", "stderr", "code"))
    assert code == "0", erred
    assert (folder / "input/corn/corn/train.csv").is_file()
    written = "".join(str(content) for _, content in snapshot(folder / "input").values())
    assert kaggle_standin.TOKEN not in said + erred + written


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


def test_a_faulty_token_hides_no_key(fetched):
    code, said = answer(fetched / "faulty")
    assert code == 0
    assert "with the credentials in KAGGLE_USERNAME and KAGGLE_KEY" in said


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize(("content", "fault"), [(None, "cannot be read"), ("no PEM", "holds no certificates")])
def test_certificates_that_cannot_be_read_are_one_sentence(roots, monkeypatch, name, content, fault):
    path = roots / "proxy.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    monkeypatch.setenv(name, str(path))
    with (
        pytest.raises(Refusal, match=f"{name} names {path}, which {fault}.*or unset {name}"),
        session("corn", "a word"),
    ):
        pass
