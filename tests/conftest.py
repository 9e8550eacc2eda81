"""A competition of a few small made-up pictures, with tiny models: whole runs in seconds, no network, no GPU."""

import atexit
import functools
import gc
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from src.base import packages, provenance
from src.data.sources.kaggle import Kaggle
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune, Probe, Prompts, ZeroShot
from src.schema.networks import ClipArch
from src.schema.settings import Folds
from tests import standin as kaggle_standin

# A test has the numbers of a CPU, and so have the processes that it starts: those of GPUs are in tests/gpu, on one that
# is pretended. torch looks at this when it is first asked for a GPU.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["RAY_DEDUP_LOGS"] = "0"  # Ray looks when it is imported, which tests may do before what they test
torch.set_num_threads(1)  # models so small lose more by handing out the work than they gain

ROOT = Path(__file__).parent.parent
CLASSES = ("blue", "green", "red")
TINY_CLIP = ClipArch(
    name="tiny-test",
    embed_dim=16,
    vision_cfg={"image_size": 16, "patch_size": 8, "layers": 1, "width": 32, "head_width": 16},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
)

# An older client cannot ask how many submissions are left, nor does it say which credentials it took.
needs_kaggle_2_2_4 = pytest.mark.skipif(
    packages.released(packages.version("kaggle")) < (2, 2, 4), reason="this kaggle is older"
)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """The libraries live as long as the tests: where each look for garbage goes through all of them, it takes 0.4 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # else triton says of all that it has that it leaks


@contextmanager
def broken_off(owner: object, name: str, after: int, error: BaseException) -> Iterator[None]:
    """In the block, `owner.name` raises `error` after so many whole calls."""
    whole, calls = getattr(owner, name), itertools.count()

    def broken(*arguments):
        if next(calls) == after:
            raise error
        return whole(*arguments)

    with mock.patch.object(owner, name, broken):
        yield


def picture(label: str, seed: int, size: tuple[int, int] = (20, 18)) -> Image.Image:
    """Noise around the class's colour."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (size[1], size[0], 3))
    pixels[..., {"red": 0, "green": 1, "blue": 2}[label]] += 110
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """Files are written as ever, and no test waits until they would outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_loaders():
    """torch gives each process of a loader that is to end 5 s, of which hanging ones make use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_commit():
    """git says once of which commit the results are, and not of each model: it takes 5 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "commit", functools.cache(provenance.commit))
        yield


@pytest.fixture(autouse=True)
def own_signals():
    """No test leaves a handler of signals behind, as a run of the command line does.

    Processes that later tests fork would have it, and one that is told to end just before it waits for a lock would not
    hear of it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:  # None: one of native code
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def fresh_draws(request):
    """A module's RNG begins again for each test: what one draws does not depend on which ran before it."""
    if (rng := getattr(request.module, "RNG", None)) is not None:
        rng.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Empty input and submissions folders, to which the paths of every config lead."""
    set_roots(monkeypatch, tmp_path)
    kaggles = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR")
    certificates = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # of a proxy: reading them takes each session 20 ms
    for name in (*kaggles, *certificates):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@contextmanager
def roots_at(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """In the block the roots are below `folder`, for a fixture that lives longer than a test's `roots`."""
    with pytest.MonkeyPatch.context() as patch:
        set_roots(patch, folder)
        yield patch


def set_roots(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("INPUT_DIR", str(folder / "input"))
    patch.setenv("SUBMISSIONS_DIR", str(folder / "submissions"))
    patch.delenv("SCRATCH_DIR", raising=False)


@pytest.fixture(scope="session")
def ray_home(tmp_path_factory):
    """A home with the token by which Ray's processes know each other: a process that has used Ray keeps to it."""
    return str(tmp_path_factory.mktemp("ray-home"))


def miss_soon(patch: pytest.MonkeyPatch) -> None:
    """Have Ray, when it is started, miss a machine after a moment and not after half a minute."""
    for name, value in (("initial_delay", "0"), ("period", "200"), ("timeout", "2000")):
        patch.setenv(f"RAY_health_check_{name}_ms", value)


@pytest.fixture
def folder(roots):
    """input/toy/: see `toy_files`."""
    return toy_files(roots / "input" / "toy")


def png(image: Image.Image) -> bytes:
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@functools.cache
def toy_content() -> dict[str, bytes]:
    """{path: content} of the toy's files: hundreds of tests have the same ones, which are made once."""
    rows, found = {"train": [], "test": []}, {}
    for part, n in (("train", 36), ("test", 12)):
        for i in range(n):
            label, id = CLASSES[i % 3], f"{i if part == 'train' else 100 + i:03d}"
            found[f"{part}/{id}.png"] = png(picture(label, int(id)))
            rows[part].append({"id": id, "image": f"{part}/{id}.png", "label": label})
    train, test = (pd.DataFrame(rows[part]) for part in ("train", "test"))
    sample = test[["id"]].iloc[::-1].assign(label="red")
    tables = {"train": train, "test": test[["id", "image"]], "sample_submission": sample}
    return found | {f"{name}.csv": df.to_csv(index=False).encode() for name, df in tables.items()}


def toy_files(folder: Path) -> Path:
    """Writes 36 train rows and 12 test rows with their pictures; the sample is in another order than test.csv."""
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
    for name, content in toy_content().items():
        (folder / name).write_bytes(content)
    return folder


def toy_competition(**changes) -> Competition:
    fields = {
        "title": "Toy",
        "source": Kaggle("toy"),
        "train": "train.csv",
        "test": "test.csv",
        "sample_submission": "sample_submission.csv",
        "id": "id",
        "image": "image",
        "label": "label",
        "classes": CLASSES,
        "metric": "accuracy",
        "folds": Folds(n=3),
        "prompts": Prompts(templates=("a {} thing.", "something {}.")),
        "models": {
            "zeroshot": ZeroShot(clip=TINY_CLIP),
            "probe": Probe(clip=TINY_CLIP, views=("identity", "hflip"), cs=(1.0, 100.0, 10000.0)),
            "convnext": FineTune(
                backbone="test_convnext",
                backbone_args={"depths": (1, 1, 1, 1)},
                pretrained=False,
                img_size=32,
                epochs=2,
                batch_size=8,
                lr=3e-3,
                ema_decay=0.5,
                augment=(Augment("HorizontalFlip", p=0.5), Augment("Affine", rotate=(-10, 10), p=0.5)),
            ),
        },
        "name": "toy",
    }
    return Competition(**{**fields, **changes})


@pytest.fixture
def toy(folder):
    return toy_competition()


@pytest.fixture
def saved_each_step(monkeypatch):
    """A minute passes at each step of a training, which goes on when its checkpoint is written."""
    from src.models.finetune import resume

    save = resume.Checkpointer.save

    def saving(self, *arguments):
        save(self, *arguments)
        self.wait()

    monkeypatch.setattr(resume, "EVERY_S", 0)
    monkeypatch.setattr(resume.Checkpointer, "save", saving)


@pytest.fixture
def few_candidates(monkeypatch):
    """Fewer candidates for near-duplicates, and pairs that tell of unrelated pictures: each takes milliseconds."""
    from src.audit import duplicates

    monkeypatch.setattr(duplicates, "DRAWN", 40)
    monkeypatch.setattr(duplicates, "CANDIDATES", {"upright": 1, "turned": 1, "features": 1})
    monkeypatch.setattr(duplicates, "BACK", 1)


@pytest.fixture
def hide(monkeypatch):
    """hide("open_clip", "cleanlab"): this environment has no such packages."""

    def hide(*modules: str) -> None:
        names, version = {packages.IMPORTED_AS.get(module, module) for module in modules}, packages.version
        monkeypatch.setattr(packages, "version", lambda name: None if name in names else version(name))
        for module in modules:
            for loaded in [name for name in sys.modules if name.startswith(f"{module}.")]:
                monkeypatch.delitem(sys.modules, loaded)
            monkeypatch.setitem(sys.modules, module, None)

    return hide


@pytest.fixture
def run_sh(roots):
    """Runs ./run.sh with the interpreter of the tests: run_sh("digits", ...) -> CompletedProcess."""

    def run(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
        ours = {"USE_CURRENT_ENV": "1", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}  # as for torch, above
        env = {**os.environ, **ours, **env}
        return subprocess.run(
            [str(ROOT / "run.sh"), *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=200
        )

    return run


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A server on a free port of this machine, in a thread, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # the seconds until it sees that it is to end
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """{path: (time of change, content)} of all files below `folder`."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def read_json(path: Path):
    return json.loads(path.read_text())


@pytest.fixture
def standin(folder, monkeypatch):
    """A Kaggle that knows the toy competition, in this process; growing waits are none. Its grades are by a solution."""
    from src.kaggle import refusals
    from src.leaderboard import sending

    solution = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": [CLASSES[i % 3] for i in range(12)]})
    solution["Usage"] = ["Public"] * 4 + ["Private"] * 8
    kaggle = kaggle_standin.Kaggle("toy", folder, kaggle_standin.accuracy(solution))
    kaggle.token_text = kaggle_standin.TOKEN
    monkeypatch.setattr(refusals, "RETRY_WAITS_S", (0, 0, 0))
    monkeypatch.setattr(sending, "LOOKS", (0, 0, 0))
    monkeypatch.setattr(sending, "SECOND_LOOKS", (0, 0))
    monkeypatch.setattr(sending, "POLLS", (0.01,))
    with kaggle_standin.serving(kaggle):
        from kagglesdk import kaggle_env

        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, kaggle.url)
        monkeypatch.setenv("KAGGLE_API_TOKEN", kaggle_standin.TOKEN)
        yield kaggle
