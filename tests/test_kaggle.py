"""The Kaggle API: the real client against a stand-in server on this machine."""

import io
import json
import os
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler

import pytest

from src import kaggle
from tests.conftest import ROOT, serving, snapshot

FETCH = """
import sys
from pathlib import Path
from kagglesdk import kaggle_env  # 2.2.4 heeds KAGGLE_API_ENVIRONMENT in some calls only: here is where all look
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv[2]
from src.config import Kaggle
from src.errors import UserError
try:
    Kaggle("corn").fetch(Path(sys.argv[1]))
except UserError as error:
    print("error:", error)
"""


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("corn/train.csv", "seed_id,label\n1,pure\n")
    return buffer.getvalue()


@pytest.fixture
def server():
    """A server that knows one competition; `server.status` other than 200 is what it answers to a download."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if server.status != 200:
                self.answer(
                    server.status, json.dumps({"code": server.status, "message": "no"}).encode(), "application/json"
                )
            elif self.path.endswith("DownloadDataFiles"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/files/corn.zip")
                self.end_headers()
            else:
                self.answer(200, b'{"active": true, "username": "me"}', "application/json")

        def do_GET(self):
            self.answer(200, archive(), "application/zip")

        def answer(self, status, body, kind):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with serving(Handler) as server:
        server.status = 200
        yield server


@pytest.fixture
def fetch(roots):
    """Fetches the competition in a fresh process, with a key that only the stand-in would believe."""
    (roots / "input").mkdir()
    (roots / "home").mkdir()

    def run(port: int) -> str:
        env = {**os.environ, "KAGGLE_USERNAME": "me", "KAGGLE_KEY": "not-a-secret"}
        command = [sys.executable, "-c", FETCH, str(roots / "input"), f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert "not-a-secret" not in done.stdout + done.stderr
        return done.stdout

    return run


def test_a_competition_is_downloaded_and_unpacked(server, fetch, roots):
    assert "downloading corn with the credentials in KAGGLE_USERNAME and KAGGLE_KEY" in fetch(server.server_port)
    assert (roots / "input/corn/corn/train.csv").read_text() == "seed_id,label\n1,pure\n"
    assert sorted(path.name for path in (roots / "input").iterdir()) == ["corn", "corn.zip"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the token is not valid"),
        (403, "are the rules accepted (https://www.kaggle.com/competitions/corn/rules)"),
        (404, "is the slug right"),
    ],
)
def test_a_refusal_is_one_sentence(server, fetch, roots, status, said):
    server.status = status
    lines = [line for line in fetch(server.server_port).splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert said in lines[0]
    assert snapshot(roots / "input") == {}


def test_no_server_is_one_sentence(fetch, roots):
    lines = [line for line in fetch(9).splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "put corn.zip from https://www.kaggle.com/competitions/corn/data into" in lines[0]


def test_credentials_are_found_and_not_read(roots, monkeypatch):
    assert kaggle.credentials() is None
    folder = roots / "home" / ".kaggle"
    folder.mkdir(parents=True)
    (folder / "kaggle.json").write_text("not even JSON")
    assert kaggle.credentials() == str(folder / "kaggle.json")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    assert kaggle.credentials() == "KAGGLE_API_TOKEN"


@pytest.mark.parametrize("order", [sorted, lambda modules: sorted(modules, reverse=True)], ids=["from a", "from z"])
def test_nothing_of_ours_imports_kaggle_or_calls_anybody_at_import(order):
    modules = order(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "src").rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    )
    code = (
        "import socket, sys, importlib\n"
        "def refuse(*args, **kwargs): raise SystemExit(f'a connection at import: {args}')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "import torch\n"
        "assert 'kaggle' not in sys.modules\n"
        "assert not torch.cuda.is_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
