"""The Kaggle API as the data stage meets it: in a process of its own, which nothing is patched in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.kaggle import credentials
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
