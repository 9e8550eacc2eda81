"""The offline notebook: what is packed, its rehearsal without network, and its way to Kaggle."""

import inspect
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from src.base import packages, paths
from src.base.errors import UserError
from src.commands.pack import command, hidden, notebook, packing, publishing, rehearsal, wheels
from src.commands.pack.rehearsal import Rehearsal
from src.data import tables
from src.data.rows import read_dataset
from src.kaggle.refusals import Refusal
from src.results import shards
from src.schema.competition import Competition
from src.schema.forms import Label, LabelRows
from src.schema.models import FineTune, Pixels, Probe
from src.schema.settings import Blend, Notebook
from src.scoring.tables import of_labels
from src.stages import blend, data, features, finetune, folds, pixels, probe, submission, zeroshot
from tests.conftest import CLASSES, ROOT, TINY_CLIP, picture, read_json, set_roots, snapshot, toy_competition
from tests.running import run_stage
from tests.units.works import has_ended, wait_for

HUB = "models--timm--test_convnext.r160_in1k"
STAGES = (data, folds, features, zeroshot, probe, finetune, blend, submission)
CONFIG = f"""\
from src import config
from src.config import *
from src.config import Kaggle, Competition
CLASSES = {CLASSES!r}
TINY_CLIP = ClipArch(**{TINY_CLIP.model_dump()!r})
{inspect.getsource(toy_competition)}
"""


KEPT = ("folds.csv", "history.csv")


def packed(**changes) -> Competition:
    """The toy, with a probe whose checkpoint is the hub's."""
    from src.schema.models import Probe

    toy = toy_competition()
    models = {**toy.models, "hub": Probe(backbone="test_convnext.r160_in1k", cs=(1.0,), widen=False)}
    return toy.model_copy(update={"models": models, **changes})


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """A finished run of `packed`, with its input, a hub's cache and a repository of which the configs are the code."""
    root = tmp_path_factory.mktemp("packed")
    toy = root / "input" / "toy"
    for part, ids in (("train", range(36)), ("test", range(100, 112))):
        (toy / part).mkdir(parents=True)
        df = pd.DataFrame({"id": [f"{i:03d}" for i in ids], "label": [CLASSES[i % 3] for i in ids]})
        df["image"] = part + "/" + df["id"] + ".png"
        for row in df.itertuples():
            picture(row.label, seed=int(row.id)).save(toy / row.image)
        df.drop(columns=["label"] if part == "test" else []).to_csv(toy / f"{part}.csv", index=False)
    df[["id", "label"]].iloc[::-1].assign(label="red").to_csv(toy / "sample_submission.csv", index=False)
    snapshots = root / "hub" / HUB / "snapshots" / "abc"
    snapshots.mkdir(parents=True)
    torch.manual_seed(7)
    save_file(timm.create_model("test_convnext").state_dict(), root / "weights")
    (snapshots / "model.safetensors").symlink_to(root / "weights")  # as the hub's cache has it
    (root / "hub" / HUB / "refs").mkdir()
    (root / "hub" / HUB / "refs" / "main").write_text("abc")
    add_code(root / "repository", "configs")
    (root / "repository" / "src" / "nothing.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        at(root, patch)
        for stage in STAGES:
            run_stage(stage, packed())
    return root


def add_code(repository: Path, room: str = "") -> None:
    """Copies src, or a room of it, and adds the config of `packed`."""
    code, copy = ROOT / "src" / room, repository / "src" / room
    shutil.copytree(code, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    text = f"{CONFIG}\n\n{inspect.getsource(packed)}\n\ncompetition = packed()\n"
    (repository / "src" / "configs" / "toy.py").write_text(text)


def at(root: Path, patch: pytest.MonkeyPatch) -> None:
    set_roots(patch, root)
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root / "hub"))
    patch.setattr(paths, "ROOT", root / "repository")


@pytest.fixture
def finished(run_once, tmp_path, monkeypatch):
    """The finished run, in folders that the test may change."""
    shutil.copytree(run_once, tmp_path / "run", symlinks=True)
    at(tmp_path / "run", monkeypatch)
    return packed()


@pytest.fixture
def made(finished, tmp_path):
    """A pack without wheels that nobody has rehearsed."""
    packing.pack(finished, tmp_path / "made" / "dataset", with_wheels=False)
    packing.write_notebook(finished, tmp_path / "made" / "notebook", tmp_path / "made" / "dataset", gpu=False)
    return tmp_path / "made"


def csv_of(competition: Competition) -> Path:
    (path,) = competition.folder.glob("blend-cv*.csv")
    return path


def test_a_packed_notebook_answers_as_the_run_without_network(finished, capsys):
    add_code(paths.ROOT)
    finished = finished.model_copy(update={"notebook": Notebook(hidden_rows=30)})
    command.run(finished, with_wheels=False)
    said = capsys.readouterr().out
    assert "| 30 test rows" in said
    assert said.count("predicts with the weights that it has") == 3
    assert said.count("  12 images  ") == 2  # each picture once, by both encoders; of train rows none
    assert "  train " not in said
    assert "downloading" not in said
    assert "rehearsed: none of its 12 real rows' labels are not the run's" in said
    assert "rehearsed: 30 test rows in" in said
    assert f"ready: {finished.pack}" in said
    assert sorted(path.name for path in finished.pack.iterdir()) == ["dataset", "notebook"]
    assert not (finished.folder / ".rehearsal").exists()


def test_nothing_of_the_test_rows_is_packed(finished, made):
    state = made / "dataset" / "state"
    names = [path.name for path in state.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith(("test.parquet", ".csv")) and name not in KEPT]
    train = read_dataset(finished).train
    for folder in sorted((state / "features").glob("*-*/")):
        index = shards.Index(folder)
        assert sorted(index.shas.tolist()) == sorted(set(shards.binary(train.shas).tolist()))
        ours = shards.Index(finished.folder / "features" / folder.name)
        feats = [one.gather(one.find(shards.binary(train.shas))) for one in (index, ours)]
        assert (feats[0] == feats[1]).all()
    assert len(list((state / "features").glob("*-*/"))) == 3  # two views of the CLIP, one of the backbone


def test_what_was_trained_takes_no_second_place_on_the_disk(finished, made):
    weights = made / "dataset" / "state" / "models" / "convnext" / "fold0.safetensors"
    assert weights.samefile(finished.model_folder("convnext") / "fold0.safetensors")


def test_a_folder_is_packed_anew_to_the_same_bytes(finished, made, tmp_path):
    packing.pack(finished, tmp_path / "again" / "dataset", with_wheels=False)
    packing.write_notebook(finished, tmp_path / "again" / "notebook", tmp_path / "again" / "dataset", gpu=False)
    one, two = (snapshot(folder) for folder in (made, tmp_path / "again"))
    assert {name: raw for name, (_, raw) in one.items()} == {name: raw for name, (_, raw) in two.items()}


def test_a_checkpoint_of_the_hub_is_found_in_the_pack_without_the_hub(made, tmp_path):
    packed_file = made / "dataset" / "hub" / HUB / "snapshots" / "abc" / "model.safetensors"
    assert not packed_file.is_symlink()
    code = "from src.networks import hub; print(hub.fetch('m', 'timm/test_convnext.r160_in1k', ('model.safetensors',)))"
    env = {"HF_HUB_CACHE": str(made / "dataset" / "hub"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert found.stdout.strip() == str(packed_file)


def test_a_local_checkpoint_is_packed_where_the_config_has_it(finished, run_once, tmp_path):
    repository = tmp_path / "run" / "repository"
    (repository / "input").mkdir()
    shutil.copyfile(run_once / "weights", repository / "input" / "a.safetensors")
    (repository / "input" / "open_clip_config.json").write_text("{}")
    model = FineTune(backbone="test_convnext.r160_in1k", weights_file="input/a.safetensors", epochs=2, lr=1e-3)
    competition = toy_competition(models={"a": model})
    packing.project(competition, tmp_path / "project")
    assert (tmp_path / "project" / "input" / "a.safetensors").samefile(repository / "input" / "a.safetensors")
    assert (tmp_path / "project" / "input" / "open_clip_config.json").is_file()
    assert (tmp_path / "project" / "src" / "configs" / "toy.py").is_file()


def test_text_files_of_configs_are_packed_with_the_code(finished, tmp_path):
    packing.project(finished, tmp_path / "project")
    texts = sorted(path.relative_to(ROOT) for path in (ROOT / "src" / "configs").rglob("*.txt"))
    assert {"phrasings", "classes"} <= {path.parent.name for path in texts}
    for path in texts:
        assert (tmp_path / "project" / path).read_bytes() == (ROOT / path).read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blend": Blend(csvs=("input/theirs.csv",))}, "blend.csvs have no answers to hidden rows"),
        (
            {"models": {"a": FineTune(backbone="resnet50", weights_file="/a/b.safetensors", epochs=2, lr=1e-3)}},
            "weights_file /a/b",
        ),
        ({"models": {"a": Probe(clip=TINY_CLIP, weights_file="../b.safetensors")}}, "weights_file ../b.safetensors"),
    ],
)
def test_what_a_notebook_cannot_have_is_refused_before_the_run(changes, said):
    with pytest.raises(UserError) as error:
        command.before(toy_competition(**changes))
    assert said in str(error.value)


def test_an_unfinished_run_is_not_packed(finished):
    (finished.model_folder("probe") / "oof.parquet").unlink()
    with pytest.raises(UserError, match=r"nothing to pack of probe: ./run.sh toy makes it"):
        command.run(finished, with_wheels=False)
    assert not finished.pack.exists()


def test_a_failed_rehearsal_leaves_the_pack_before_it_and_pushes_nothing(
    standin, finished, made, tmp_path, monkeypatch
):
    shutil.copytree(made, finished.pack)
    before = snapshot(finished.pack)
    (tmp_path / "cells.py").write_text("# %% inputs\nraise SystemExit('no such thing')\n")
    monkeypatch.setattr(notebook, "TEMPLATE", tmp_path / "cells.py")
    with pytest.raises(UserError, match="the rehearsal failed: no such thing"):
        command.run(finished, push=True, with_wheels=False)
    assert snapshot(finished.pack) == before
    assert not standin.datasets
    assert not standin.kernels


def cell_of(notebook: str, id: str) -> str:
    return next(cell.source for cell in nbformat.reads(notebook, 4).cells if cell.id == id)


STUB = """\
import os, sys
print(sys.argv[1:], *(f"{name}={os.environ.get(name)}" for name in sorted(os.environ) if name.startswith(("HF_", "PRE"))))
print(os.environ["INPUT_DIR"], os.environ["SUBMISSIONS_DIR"], os.getcwd())
sys.exit(len(sys.argv) - 3)
"""


def test_the_stages_run_offline_and_may_not_train(tmp_path, capfd):
    cell = cell_of(notebook.ipynb("Toy", "./run.sh toy pack", "toy", "0" * 64), "stages")
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "src" / "__main__.py").write_text(STUB)
    found = {
        "PACK": tmp_path,
        "SUBMISSIONS": tmp_path / "s",
        "DATA": tmp_path / "in" / "toy",
        "PACKAGES": tmp_path / "p",
    }
    found |= {"os": os, "sys": sys, "subprocess": subprocess}
    exec(cell, {**found, "about": {"arguments": ["toy", "submission"]}})  # noqa: S102
    said = capfd.readouterr().out.splitlines()
    assert said[0] == f"['toy', 'submission'] HF_HUB_CACHE={tmp_path}/hub HF_HUB_OFFLINE=1 PREDICT_ONLY=1"
    assert said[1] == f"{tmp_path}/in {tmp_path}/s {tmp_path}/project"
    with pytest.raises(RuntimeError, match="the stages ended with exit code 2"):
        exec(cell, {**found, "about": {"arguments": ["toy", "submission", "--limit", "5"]}})  # noqa: S102


class TestCells:
    """The notebook's first cell, which looks at what it finds."""

    @pytest.fixture
    def cell(self, made, tmp_path, monkeypatch):
        monkeypatch.setenv("NOTEBOOK_INPUT", str(tmp_path / "kaggle"))
        source = cell_of((made / "notebook" / "toy-inference.ipynb").read_text(), "inputs")
        return lambda: exec(source, found := {}) or found  # noqa: S102

    @pytest.fixture(params=["", "new"])
    def mounted(self, request, made, tmp_path):
        """The dataset, as Kaggle mounts it now and as it did."""
        inputs = tmp_path / "kaggle"
        data, toy = inputs / "toy-pack", inputs / "toy"
        if request.param:
            data, toy = inputs / "datasets" / "somebody" / "toy-pack", inputs / "competitions" / "toy"
        toy.mkdir(parents=True)
        (toy / "test.csv").write_text("id\n")
        shutil.copytree(made / "dataset", data)
        return data

    def test_finds_its_inputs_however_they_are_mounted(self, cell, mounted):
        found = cell()
        assert found["PACK"] == mounted
        assert found["DATA"].name == "toy"

    def test_misses_a_file_that_did_not_arrive(self, cell, mounted):
        (mounted / "state" / "folds.csv").write_text("id,fold\n")
        with pytest.raises(OSError, match=r"1 files of .* are missing or cut off, such as state/folds.csv"):
            cell()

    def test_minds_a_file_without_content_as_little_as_python_does(self, cell, mounted):
        (mounted / "project" / "src" / "nothing.py").unlink()
        assert cell()["PACK"] == mounted

    def test_refuses_another_pack_than_its_own(self, cell, mounted):
        (mounted / "pack.json").write_text("{}")
        with pytest.raises(OSError, match="of another version than this notebook"):
            cell()

    def test_says_what_is_not_attached(self, cell):
        with pytest.raises(FileNotFoundError, match="toy-pack is not attached to this notebook"):
            cell()


def test_the_notebook_is_one_as_jupyter_has_it(made):
    found = nbformat.read(made / "notebook" / "toy-inference.ipynb", 4)
    nbformat.validate(found)
    assert found.cells[0].source.startswith("# Toy: inference\n\n")
    assert "by `./run.sh toy pack`: change it there" in found.cells[0].source


def test_its_metadata_are_as_kaggle_wants_them(made):
    kernel = read_json(made / "notebook" / "kernel-metadata.json")
    data = read_json(made / "dataset" / "dataset-metadata.json")
    assert kernel["enable_internet"] is kernel["enable_gpu"] is False
    assert kernel["is_private"] is True
    assert (made / "notebook" / kernel["code_file"]).is_file()
    assert kernel["competition_sources"] == ["toy"]
    assert kernel["dataset_sources"] == [data["id"]]
    assert notebook.kernel_metadata("toy", "toy", gpu=True)["machine_shape"] == "NvidiaTeslaT4"


@pytest.mark.parametrize("name", ["a", "corn", "corn_small", "a" * 80, "x.y_z"])
def test_names_are_of_the_length_that_kaggle_takes(name):
    for made in (notebook.dataset_metadata(name), notebook.kernel_metadata(name, None, False)):
        slug = made["id"].partition("/")[2]
        assert 6 <= len(slug) <= 50
        assert made["title"].replace(" ", "-") == slug  # Kaggle makes the slug of it


class TestHidden:
    @pytest.fixture
    def toy(self, finished):
        return finished

    @pytest.mark.parametrize("rows", [None, 5, 12, 30])
    def test_has_as_many_rows_as_wanted(self, toy, tmp_path, monkeypatch, rows):
        made_up = hidden.lay_out(toy, rows, tmp_path / "hidden" / "toy")
        n = rows or 12
        assert len(made_up.asked.ids) == n
        assert len(made_up.copied_from) == max(0, n - 12)
        shas = dict(zip((test := read_dataset(toy).test).ids, test.shas, strict=True))
        monkeypatch.setenv("INPUT_DIR", str(tmp_path / "hidden"))
        again = tables.read(toy)
        assert again.sample_submission["id"].tolist() == list(made_up.asked.ids)
        rows_there = read_dataset(toy).test
        assert sorted(rows_there.ids) == sorted(made_up.asked.ids)
        for id, sha in zip(rows_there.ids, rows_there.shas, strict=True):
            assert sha == shas[made_up.copied_from.get(id, id)]

    @pytest.mark.parametrize("form", [Label(id="Id"), LabelRows(row="{id}_{label}")])
    def test_the_sample_may_have_ids_of_its_own(self, folder, tmp_path, form):
        competition = toy_competition(submission=form, metric="log_loss" if form.kind == "label_rows" else "accuracy")
        ids = form.row_ids([str(i) for i in range(100, 112)], competition.classes)
        column = competition.form.columns(competition.label, competition.classes)[0]
        pd.DataFrame({competition.sample_id: ids, column: "red"}).to_csv(folder / "sample_submission.csv", index=False)
        made_up = hidden.lay_out(competition, 14, tmp_path / "toy")
        assert made_up.copied_from == {"100x1": "100", "101x1": "101"}
        of_new = form.row_ids(made_up.copied_from, competition.classes)
        assert list(made_up.asked.ids) == ids + of_new
        assert made_up.rows == 14

    def test_the_ids_may_be_the_paths_of_files(self, folder, tmp_path, monkeypatch):
        sample = pd.DataFrame({"id": [f"test/{i}.png" for i in range(100, 112)], "label": "red"})
        sample.to_csv(folder / "sample_submission.csv", index=False)
        competition = toy_competition(test="test/{file}")
        made_up = hidden.lay_out(competition, 13, tmp_path / "hidden" / "toy")
        assert made_up.copied_from == {"test/100x1.png": "test/100.png"}
        monkeypatch.setenv("INPUT_DIR", str(tmp_path / "hidden"))
        assert sorted(tables.read(competition).test["id"]) == sorted(made_up.asked.ids)

    def test_a_row_may_have_a_folder_of_its_own(self, folder, tmp_path):
        for i in range(100, 112):
            (folder / f"test/{i}").mkdir()
            (folder / f"test/{i}.png").rename(folder / f"test/{i}/{i}.png")
        hidden.lay_out(toy_competition(image="{part}/{id}/{id}.png"), 13, tmp_path / "toy")
        assert (tmp_path / "toy/test/100x1/100x1.png").samefile(folder / "test/100/100.png")

    def test_pictures_that_are_named_by_their_ids_are_linked(self, toy, tmp_path):
        toy = toy.model_copy(update={"image": "{part}/{id}.png"})
        hidden.lay_out(toy, 14, tmp_path / "toy")
        assert (tmp_path / "toy/test/100x1.png").samefile(toy.input("test/100.png"))
        assert (tmp_path / "toy/test/100.png").samefile(toy.input("test/100.png"))
        assert not (toy.input("test") / "100x1.png").exists()

    def test_the_solution_is_not_there(self, toy, tmp_path):
        toy.input("solution.csv").write_text("id,label,Usage\n")
        hidden.lay_out(toy, None, tmp_path / "toy")
        assert not (tmp_path / "toy/solution.csv").exists()
        assert (tmp_path / "toy/train.csv").read_bytes() == toy.input("train.csv").read_bytes()

    def test_new_ids_are_like_none_that_are_there(self):
        assert hidden.unused_ids(["1", "1", "2"], {"1", "2", "1x1", "2x1"}) == ["1x2", "1x3", "2x2"]


class TestComparison:
    @pytest.fixture
    def made_up(self, finished, tmp_path):
        return hidden.lay_out(finished, None, tmp_path / "hidden" / "toy")

    def test_knows_the_same_bytes(self, finished, made_up):
        assert "byte for byte" in rehearsal.compared(finished, csv_of(finished), made_up)

    def test_refuses_other_answers(self, finished, made_up, tmp_path):
        df = pd.read_csv(csv_of(finished), dtype=str)
        df["label"] = df["label"].map({"red": "blue", "blue": "green", "green": "red"})
        df.to_csv(tmp_path / "other.csv", index=False)
        with pytest.raises(UserError, match=r"12 of 12 rows have another answer in the notebook than in the run"):
            rehearsal.compared(finished, tmp_path / "other.csv", made_up)

    def test_refuses_two_answers_to_one_picture(self, finished, tmp_path):
        made_up, df = hidden.lay_out(finished, 24, tmp_path / "a" / "toy"), pd.read_csv(csv_of(finished), dtype=str)
        twins = df.assign(id=df["id"] + "x1")
        pd.concat([df, twins]).to_csv(tmp_path / "same.csv", index=False)
        assert "none of its 12 real rows' labels" in rehearsal.compared(finished, tmp_path / "same.csv", made_up)
        pd.concat([df, twins.assign(label="red")]).to_csv(tmp_path / "other.csv", index=False)
        with pytest.raises(
            UserError, match="8 of 12 rows have another answer in the notebook than for the same picture"
        ):
            rehearsal.compared(finished, tmp_path / "other.csv", made_up)

    def test_passes_it_through_the_doctor(self, finished, made_up, tmp_path):
        pd.read_csv(csv_of(finished), dtype=str)[1:].to_csv(tmp_path / "short.csv", index=False)
        with pytest.raises(UserError, match="the notebook's submission has 1 fault:\n  1 id missing"):
            rehearsal.compared(finished, tmp_path / "short.csv", made_up)

    def test_probabilities_may_differ_in_their_last_digits(self, finished, tmp_path):
        probs = np.full((3, 2), 0.5)
        assert rehearsal.apart(probs, probs + 1e-6)[0] == 0
        assert rehearsal.apart(probs, probs + 0.1)[0] == 3

    def test_tables_of_many_classes_are_compared(self):
        ours, theirs = (of_labels(np.array(labels), 5000) for labels in ([7, 4000, 2, 2], [7, 4000, 3, 2]))
        assert rehearsal.apart(ours, theirs) == (1, 1.0)

    def test_numbers_may_differ_by_a_share_of_their_span(self, folder):
        competition = toy_competition(
            task="number", classes=(), span=(0, 1_000_000), metric="rmse", models={"pixels": Pixels()}, prompts=None
        )
        for part in ("train", "test"):
            df = pd.read_csv(folder / f"{part}.csv", dtype=str)
            df.assign(label=np.arange(len(df)) * 20_000).to_csv(folder / f"{part}.csv", index=False)
        for stage in (data, folds, pixels, blend, submission):
            run_stage(stage, competition)
        made_up, path = hidden.lay_out(competition, None, folder / "hidden" / "toy"), csv_of(competition)
        df = pd.read_csv(path, dtype={"id": str})
        df.assign(label=df["label"] * (1 + 1e-6)).to_csv(folder / "near.csv", index=False)
        assert "its 12 real rows' numbers are the run's to " in rehearsal.compared(
            competition, folder / "near.csv", made_up
        )
        df.assign(label=df["label"] + 20_000).to_csv(folder / "far.csv", index=False)
        with pytest.raises(UserError, match="12 of 12 rows have another answer"):
            rehearsal.compared(competition, folder / "far.csv", made_up)


CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5)"


@pytest.mark.parametrize("blocked", [False, True])
def test_a_rehearsal_reaches_nobody(tmp_path, blocked, monkeypatch, capsys):
    alone, _ = rehearsal.isolation()
    if blocked:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        assert rehearsal.isolation()[0] == []
        (tmp_path / "sitecustomize.py").write_text(rehearsal.BLOCKED)
        alone = []
    elif not alone:
        pytest.skip("this system allows no network namespace")
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = [sys.executable, "-c", CONNECT, str(server.getsockname()[1])]
        rehearsal.run(connect, {}, tmp_path)  # so it would
        with pytest.raises(UserError, match="there is no network in a rehearsal" if blocked else "unreachable"):
            rehearsal.run([*alone, *connect], {"PYTHONPATH": str(tmp_path)}, tmp_path)


def test_a_rehearsal_that_is_stopped_leaves_no_process(tmp_path, monkeypatch):
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    said = []

    def stop(line, **more):
        said.append(line)
        raise KeyboardInterrupt

    monkeypatch.setattr(rehearsal, "print", stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        rehearsal.run([sys.executable, "-c", parent], {}, tmp_path)
    number = int(said[0].removeprefix("| "))
    wait_for(lambda: has_ended(number), 40)


def test_time_and_memory_are_those_of_the_whole_family(tmp_path, capsys):
    code = "x = b'x' * 300_000_000; print('it grew')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    seconds, peak = rehearsal.run([sys.executable, "-c", parent], {}, tmp_path)
    assert 0 < seconds < 200
    assert 3e8 < peak < 6e8
    assert capsys.readouterr().out == "| it grew\n"


def test_what_takes_too_long_or_too_much_is_not_ready():
    done = Rehearsal(100, seconds=7200, peak=20 * 10**9, equals="")
    done.check(Notebook(), gpu=False)
    with pytest.raises(UserError, match=r"takes 2.0 hours here and may take 1.5"):
        done.check(Notebook(hours=1.5), gpu=False)
    with pytest.raises(UserError, match=r"takes 20.0 GB of memory here and may take 16"):
        done.check(Notebook(gb=16.0), gpu=False)
    said = done.summary(Notebook(), gpu=False, cores=4)
    assert "100 test rows in 2h00m of 9 hours (22.2%) and 20.00 of 30 GB (67%), on 4 cores without GPU" in said
    assert "room for at least 150 rows" in said


class TestWheels:
    NEEDED = (*packages.CORE, *packages.NETWORKS)

    def test_are_those_of_what_the_image_lacks(self):
        plain, clip = (wheels.pins(names) for names in (self.NEEDED, (*self.NEEDED, packages.CLIP)))
        assert [pin.partition("==")[0] for pin in plain] == ["filelock"]
        assert {pin.partition("==")[0] for pin in clip} == {"filelock", "ftfy", "open_clip_torch", "wcwidth"}
        assert clip == sorted(clip)

    def test_are_those_of_what_the_image_has_too_old_and_of_what_that_needs(self, monkeypatch):
        there = {"timm": "1.0.3", "torch": "2.10.0", "torchvision": "0.25.0", "huggingface-hub": "1.0.0"}
        monkeypatch.setattr(wheels, "image", lambda: there)
        names = {pin.partition("==")[0].lower() for pin in wheels.pins(["timm", "torch"])}
        assert {"timm", "pyyaml", "safetensors"} <= names
        assert not names & {"torch", "torchvision", "huggingface_hub", "huggingface-hub"}

    def test_are_refused_where_one_is_not_installed_here(self, monkeypatch):
        needs = {packages.CLIP: ["no-such-package"]}
        monkeypatch.setattr("importlib.metadata.requires", lambda name: needs.get(name, []))
        with pytest.raises(UserError, match=r"no-such-package is not installed, which a notebook needs: pip install"):
            wheels.pins([packages.CLIP])

    def test_what_depends_on_the_python_is_asked_of_kaggles(self, monkeypatch):
        lines = ["a; python_version < '3.12'", "b; python_version >= '3.13'", "c; sys_platform == 'win32'", "d"]
        monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
        assert [one.name for one in wheels.requirements("x", "", wheels.PYTHONS)] == ["b", "d"]

    def test_versions_that_differ_from_the_images_are_known(self, monkeypatch):
        monkeypatch.setattr(wheels, "image", lambda: {"timm": "0.9", "torch": packages.version("torch")})
        assert wheels.other_versions(["timm", "torch", "numpy"]) == [f"timm {packages.version('timm')} (0.9)"]

    def test_cannot_be_had_without_an_index(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        with pytest.raises(UserError, match=r"pip cannot get the wheels for Python 3.12 \(ERROR: No matching"):
            wheels.download(["tiny==1.0"], tmp_path, "3.12")

    def test_of_the_pack_before_are_taken_where_they_are_the_same_and_whole(self, tmp_path, monkeypatch):
        wheel = tmp_path / "before" / "wheels" / "tiny-1.0-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        wheel.write_bytes(b"wheel")
        about = {"packages": ["tiny==1.0"], "python": wheels.PYTHONS}
        about["files"] = packing.contents(tmp_path / "before")
        (tmp_path / "before" / "pack.json").write_text(json.dumps(about))
        wheels.collect(["tiny==1.0"], tmp_path / "wheels", tmp_path / "before")
        assert (tmp_path / "wheels" / wheel.name).read_bytes() == b"wheel"
        wheel.write_bytes(b"whe")
        asked = []
        monkeypatch.setattr(wheels, "download", lambda pins, folder, python: asked.append(python))
        wheels.collect(["tiny==1.0"], tmp_path / "again", tmp_path / "before")
        assert asked == ["3.12", "3.13"]

    def test_are_added_to_what_the_image_has_and_no_other_package_is_there(self, tmp_path):
        """As on Kaggle: what no wheel brings is not there."""
        python = rehearsal.image(tmp_path / "image", ["timm"])
        wheel = tmp_path / "wheels" / "timm-99.0-py3-none-any.whl"
        wheel.parent.mkdir()
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("timm.py", "answer = 42\n")
            archive.writestr("timm-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: timm\nVersion: 99.0\n")
            archive.writestr(
                "timm-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr("timm-99.0.dist-info/RECORD", "")
        (tmp_path / "project").symlink_to(ROOT)
        cell = cell_of(notebook.ipynb("Toy", "./run.sh toy pack", "toy", "0" * 64), "packages")
        asked = "from importlib.util import find_spec; print([name for name in sys.argv[1:] if find_spec(name)])"

        def run(needed, pins):
            about = {"needed": needed, "packages": pins, "python": wheels.PYTHONS}
            given = (
                f"import shutil, subprocess, sys\nfrom pathlib import Path\nPACK = SCRATCH = Path('.')\nabout = {about}"
            )
            look = f"sys.path.insert(0, 'packages')\nimport timm\nprint(timm.answer)\n{asked}"
            names = ["torch", "torchvision", "timm", "numpy", "open_clip", "altair", "aiohttp", "pytest"]
            command = [python, "-c", f"{given}\n{cell}\n{look}", *names]
            env = {"PIP_CONFIG_FILE": "/dev/null"}
            return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

        done = run(["torch", "timm"], ["timm==99.0"])
        assert done.stdout.splitlines()[1:] == ["42", "['torch', 'torchvision', 'timm', 'numpy']"], done.stderr
        assert "this image has no timm, or too old a one, and . brings none" in run(["torch", "timm"], []).stderr
        failed = run(["timm"], ["timm==98.0"])
        assert "the wheels are for Python 3.12, 3.13, and this is 3." in failed.stderr


class TestPush:
    def test_sends_the_dataset_and_then_the_notebook(self, standin, finished, made, capsys):
        assert publishing.push(finished, made, gpu=False) == "https://www.kaggle.com/code/me/toy-inference"
        (version,) = standin.datasets["me/toy-pack"]
        assert version["request"]["isPrivate"] is True
        assert sorted(version["files"]) == ["hub.zip", "pack.json", "project.zip", "state.zip"]
        assert version["files"]["pack.json"] == (made / "dataset" / "pack.json").read_bytes()
        told = {}
        for name in ("hub", "project", "state"):
            with zipfile.ZipFile(io.BytesIO(version["files"][f"{name}.zip"])) as archive:
                told |= {f"{name}/{entry.filename}": entry.file_size for entry in archive.infolist()}
        files = read_json(made / "dataset" / "pack.json")["files"]
        assert {name: told[name] for name in files} == {name: about["size"] for name, about in files.items()}
        (kernel,) = standin.kernels["me/toy-inference"]
        assert kernel["enableInternet"] is False
        assert kernel["isPrivate"] is True
        assert kernel["competitionDataSources"] == ["toy"]
        assert kernel["datasetDataSources"] == ["me/toy-pack"]
        publishing.push(finished, made, gpu=False)
        assert len(standin.datasets["me/toy-pack"]) == len(standin.kernels["me/toy-inference"]) == 2
        said = capsys.readouterr().out
        assert "making a new version of the dataset me/toy-pack" in said
        assert "does not resolve" not in said  # the client, of a title that is not the slug's

    def test_waits_until_a_notebook_can_read_the_dataset(self, standin, finished, made, monkeypatch, capsys):
        monkeypatch.setattr(publishing, "POLLS", (0,))
        standin.dataset_statuses = ("BLOBS_RECEIVED", "BLOBS_DECOMPRESSED", "READY")
        publishing.push(finished, made, gpu=False)
        assert capsys.readouterr().out.count("waiting for the dataset me/toy-pack: blobs_") == 2
        standin.dataset_statuses = ("READY", "FAILED")
        with pytest.raises(Refusal, match=r"could not make the dataset me/toy-pack \(failed\)"):
            publishing.push(finished, made, gpu=False)
        assert len(standin.kernels["me/toy-inference"]) == 1

    def test_makes_no_dataset_of_a_part_of_its_files(self, standin, finished, made, monkeypatch):
        from kaggle.api.kaggle_api_extended import KaggleApi

        upload = KaggleApi._upload_blob

        def lossy(self, path, *arguments):
            return None if path.endswith("state.zip") else upload(self, path, *arguments)

        monkeypatch.setattr(KaggleApi, "_upload_blob", lossy)
        with pytest.raises(Refusal, match="1 of 4 uploads did not arrive at Kaggle"):
            publishing.push(finished, made, gpu=False)
        assert not standin.datasets
        assert not standin.kernels

    def test_says_what_kaggle_refuses(self, standin, finished, made):
        standin.slug = "other"
        with pytest.raises(Refusal, match="Kaggle refuses the notebook: it finds no toy"):
            publishing.push(finished, made, gpu=False)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [({"limit": 30}, "a smoke run of 30 rows is not pushed"), ({"source": None}, "not a Kaggle competition")],
    )
    def test_is_of_a_whole_run_of_a_competition_of_kaggles(self, finished, changes, said):
        from src.schema.source import Source

        changes = {name: value or Source(slug="toy") for name, value in changes.items()}
        with pytest.raises(UserError, match=said):
            command.run(finished.model_copy(update=changes), push=True)
