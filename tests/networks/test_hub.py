"""The hub: the cache first, and one sentence within 20 seconds when it cannot be reached."""

import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from src.networks import hub
from tests.conftest import ROOT, serving

FETCH = """
import sys
from src.networks import hub
from src.base.errors import UserError
try:
    print(hub.fetch("ViT-H-14 (laion2b_s32b_b79k)", "some/repo", ("model.safetensors", "model.bin")))
except UserError as error:
    print(error)
"""


def fetch(code: str = FETCH, **env) -> tuple[str, float]:
    """What `hub.fetch` says in a fresh process (the hub's client reads its settings at import), and its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": "", **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), time.perf_counter() - start


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no.such.host.invalid"])
def test_an_unreachable_hub_is_one_sentence_that_names_the_model_and_the_way_out(tmp_path, endpoint):
    said, seconds = fetch(HF_HOME=str(tmp_path), HF_ENDPOINT=endpoint)
    assert "ViT-H-14 (laion2b_s32b_b79k) needs its weights from the hub, which cannot be reached" in said
    assert f"download model.safetensors from {endpoint}/some/repo" in said
    assert 'weights_file="input/model.safetensors"' in said
    assert len(said.splitlines()) == 1
    assert seconds < 20


def test_a_silent_hub_is_given_up_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        port = silent.getsockname()[1]
        shorter = FETCH.replace("try:", "hub.HUB_TIMEOUT_S = 0.5\ntry:")
        said, seconds = fetch(shorter, HF_HOME=str(tmp_path), HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "cannot be reached (no answer in 0.5 seconds)" in said
    assert seconds < 0.5 + 8
    assert hub.HUB_TIMEOUT_S < 10  # a command that loads torch says it within 20


def test_an_offline_hub_says_so(tmp_path):
    said, _ = fetch(HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in said


def test_the_local_cache_needs_no_network(tmp_path):
    snapshot = tmp_path / "hub/models--some--repo/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_bytes(b"x")
    (tmp_path / "hub/models--some--repo/refs").mkdir()
    (tmp_path / "hub/models--some--repo/refs/main").write_text("abc")
    said, _ = fetch(HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert said == str(snapshot / "model.bin")


@pytest.fixture
def stand_in():
    """A hub on this machine with one file, model.bin; `breaks` makes it drop the connection in the middle of it."""
    body = bytes(range(256)) * 4000

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            if self.path == "/":
                self.send_response(200)
            elif self.path.endswith("/model.bin"):
                self.send_response(200)
                self.send_header("ETag", '"abc"')
                self.send_header("X-Repo-Commit", "c" * 40)
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            if self.path.endswith("/model.bin"):
                self.wfile.write(body[: len(body) // 2] if server.breaks else body)

        def log_message(self, *args):
            pass

    with serving(Handler) as server:
        server.breaks, server.body = False, body
        yield server


def test_a_file_is_downloaded_once(tmp_path, stand_in):
    where = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{stand_in.server_port}"}
    said, _ = fetch(**where)
    assert said.splitlines()[0].startswith("downloading the weights of ViT-H-14 (laion2b_s32b_b79k)")
    assert Path(said.splitlines()[-1]).read_bytes() == stand_in.body
    stand_in.shutdown()
    again, _ = fetch(**where)
    assert again == said.splitlines()[-1]


def test_a_hub_without_the_file_says_so(tmp_path, stand_in):
    code = FETCH.replace("model.bin", "other.bin")
    said, _ = fetch(code, HF_HOME=str(tmp_path), HF_ENDPOINT=f"http://127.0.0.1:{stand_in.server_port}")
    assert "some/repo has none of model.safetensors, other.bin" in said


def test_a_hub_that_goes_away_in_the_middle_says_so(tmp_path, stand_in):
    stand_in.breaks = True
    at_once = FETCH.replace("try:", "import time\ntime.sleep = lambda seconds: None\ntry:")  # the client tries again
    said, _ = fetch(at_once, HF_HOME=str(tmp_path), HF_ENDPOINT=f"http://127.0.0.1:{stand_in.server_port}")
    assert "the hub went away during the download" in said.splitlines()[-1]
