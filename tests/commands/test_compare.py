"""compare: curves from before training on, the rows they are of, what is reused, and what one failure stops."""

import itertools
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src import config
from src.base import packages
from src.base.errors import UserError
from src.commands.compare import cells, command, contenders, phrasings
from src.data.rows import read_dataset
from src.data.sources.folder import Folder
from src.data.sources.kaggle import Kaggle
from src.models.finetune import resume
from src.models.finetune.resume import Running
from src.models.finetune.training import Training
from src.report import material
from src.report.sections import compare as section_of
from src.results.compare import headline, read_about, read_compare, subjects
from src.schema.models import FineTune, Probe, Prompts, Soup, ZeroShot
from src.schema.settings import Reported
from src.scoring import metrics
from tests import miniatures
from tests.conftest import CLASSES, TINY_CLIP, picture, read_json, set_roots, snapshot, toy_competition, toy_files

KINDS = {"one kind": ("a photo of {}.", "a picture of {}."), "varied": ("{} on a table", "what a {} is")}
ARTICLE = Reported("an article", valid="0.90", epoch=2, model="resnet", note="it says nothing of its optimizer")


def models(**changes):
    clip = FineTune(clip=TINY_CLIP, epochs=2, lr=1e-3, batch_size=8, wise_ft=(0.0, 1.0), img_size=16, **changes)
    return {
        "zeroshot": ZeroShot(clip=TINY_CLIP, stored="float32"),
        "probe": Probe(clip=TINY_CLIP, cs=(1.0, 100.0)),
        "clip": clip,
        "resnet": FineTune(backbone="test_resnet", pretrained=False, img_size=32, epochs=2, lr=1e-3, batch_size=8),
    }


def toy(**changes):
    return toy_competition(**{"models": models(), "reported": (ARTICLE,), **changes})


def with_solution(folder: Path, ignored: int = 2) -> None:
    rows = [{"id": str(100 + i), "label": CLASSES[i % 3], "Usage": "Public"} for i in range(12)]
    df = pd.DataFrame(rows)
    df.loc[: ignored - 1, "Usage"] = "Ignored"
    df.iloc[::-1].to_csv(folder / "solution.csv", index=False)


def square(folder: Path) -> None:
    """Pictures that no crop cuts."""
    for path in folder.rglob("*.png"):
        Image.open(path).resize((16, 16)).save(path)


def known(monkeypatch, **competitions) -> None:
    """The configs that there are."""
    monkeypatch.setattr(config, "load", lambda name, limit=None: competitions[name])


def at(patch: pytest.MonkeyPatch, root: Path, competition) -> None:
    """It is the one config, its files are below `root`, and its phrasings are KINDS."""
    set_roots(patch, root)
    patch.setattr(phrasings, "kinds", {"toy": KINDS}.__getitem__)
    known(patch, toy=competition)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A toy with a solution, compared whole: its folder and its config."""
    root, competition = tmp_path_factory.mktemp("compared"), toy(phrasings="toy")
    folder = toy_files(root / "input" / "toy")
    square(folder)
    with_solution(folder)
    with pytest.MonkeyPatch.context() as patch:
        at(patch, root, competition)
        assert command.run(["toy"]) == 0
    return root, competition


@pytest.fixture
def compared(made, monkeypatch):
    at(monkeypatch, *made)
    return made[1]


def cell(competition, name):
    return read_json(competition.folder / "compare" / name / "cell.json")


def table(competition) -> pd.DataFrame:
    return read_compare(competition.compare_csv)


def answers(ids) -> np.ndarray:
    return np.array([int(id) % 100 % 3 for id in ids])


class TestNumbers:
    def test_those_of_compare_csv_are_of_the_tables(self, compared):
        df = table(compared)
        assert list(dict.fromkeys(df["kind"])) == ["zero-shot", "probe", "fine-tuned", "WiSE-FT"]
        for name, what, epoch in (
            ("zeroshot", "valid", 0), ("probe", "valid", None), ("clip", "epoch0", 0), ("clip", "valid", 2),
            ("resnet", "epoch0", 0), ("resnet", "valid", 2), ("clip+varied", "valid", 2),
        ):  # fmt: skip
            probs = pd.read_parquet(compared.folder / "compare" / name / f"{what}.parquet")
            assert sorted(probs["id"]) == [str(100 + i) for i in range(2, 12)]  # the two that are ignored are not there
            model, _, kind = name.partition("+")
            rows = df[(df["model"] == model) & (df["templates"] == kind) & (df["kind"] != "WiSE-FT")]
            row = rows[rows["epoch"].isna() if epoch is None else rows["epoch"] == epoch].iloc[0]
            score = metrics.METRICS["accuracy"].score(answers(probs["id"]), probs[list(CLASSES)].to_numpy())
            assert (row["score"], row["se"]) == pytest.approx(score)
            assert row["rows"] == 10

    def test_a_clip_begins_as_its_zero_shot_classifier(self, compared):
        folder = compared.folder / "compare"
        zero, start = (pd.read_parquet(folder / name) for name in ("zeroshot/valid.parquet", "clip/epoch0.parquet"))
        start = start.set_index("id").loc[zero["id"]]
        assert np.abs(zero[list(CLASSES)].to_numpy() - start[list(CLASSES)].to_numpy()).max() < 1e-4
        assert cell(compared, "clip")["points"][0]["score"] == cell(compared, "zeroshot")["points"][0]["score"]

    def test_between_start_and_end_lie_both_and_the_alpha_named_beforehand(self, compared):
        about = cell(compared, "clip")
        curve = {point["alpha"]: point for point in about["wise_ft"]}
        assert list(curve) == [0.0, 0.5, 1.0]
        for alpha, point in ((0.0, about["points"][0]), (1.0, about["points"][-1])):
            assert curve[alpha]["log_loss"] == pytest.approx(point["log_loss"], rel=1e-4)
        shown = headline(table(compared))
        assert shown[shown["kind"] == "WiSE-FT"]["alpha"].tolist() == [0.5]

    def test_differences_are_paired(self, compared):
        pairs = read_about(compared.compare_csv)["pairs"]
        assert [(pair["one"], pair["other"]) for pair in pairs] == [
            ("clip", "resnet"),
            ("clip at alpha 0.5", "clip at alpha 1"),
            ("zeroshot with varied templates", "templates of one kind"),
            ("clip with varied templates", "templates of one kind"),
        ]
        folder, right = compared.folder / "compare", []
        for name in ("clip", "resnet"):
            probs = pd.read_parquet(folder / name / "valid.parquet").set_index("id").sort_index()
            right.append(probs[list(CLASSES)].to_numpy().argmax(axis=1) == answers(probs.index))
        difference = right[0].astype(float) - right[1]
        assert pairs[0]["difference"] == pytest.approx(difference.mean())
        assert pairs[0]["se"] == pytest.approx(difference.std() / np.sqrt(10))

    def test_each_kind_of_templates_has_its_own_start(self, compared):
        starts = [
            pd.read_parquet(compared.folder / "compare" / f"clip{kind}" / "epoch0.parquet")[CLASSES[0]].to_numpy()
            for kind in ("", "+one-kind", "+varied")
        ]
        assert all(np.abs(one - other).max() > 1e-4 for one, other in itertools.pairwise(starts))
        assert cell(compared, "clip+varied")["wise_ft"] == []

    def test_costs_count_what_is_trained(self, compared):
        by = {name: cell(compared, name) for name in ("zeroshot", "probe", "clip", "resnet")}
        tower = by["zeroshot"]["parameters"]
        assert {name: one["trained"] for name, one in by.items()} == {
            "zeroshot": 0, "probe": 3 * 17, "clip": tower + 3 * 17, "resnet": by["resnet"]["parameters"]
        }  # fmt: skip
        seconds = [point["seconds"] for point in by["resnet"]["points"]]
        assert seconds[0] == 0 < seconds[1] < seconds[2]

    def test_without_a_solution_fold_0_is_scored_and_never_learnt(self, roots, monkeypatch):
        toy_files(roots / "input" / "toy")
        competition = toy(models={"resnet": models()["resnet"]})
        known(monkeypatch, toy=competition)
        assert command.run(["toy"]) == 0
        data = read_dataset(competition)
        split = cells.split(competition, data)
        assert not split.official
        assert set(split.valid) == set(np.flatnonzero(data.fold == 0))
        assert set(split.train) == set(np.flatnonzero(data.fold != 0))
        assert np.array_equal(split.targets, data.targets[split.train])
        probs = pd.read_parquet(competition.folder / "compare" / "resnet" / "valid.parquet")
        assert sorted(probs["id"]) == sorted(data.train.take(data.fold == 0).ids)


class TestReuse:
    def test_a_second_run_changes_no_file_and_says_so(self, compared, capsys):
        root = compared.folder.parent
        before = snapshot(root)
        assert command.run(["toy"]) == 0
        assert snapshot(root) == before
        said = capsys.readouterr().out
        assert "clip, varied templates  reused: accuracy" in said
        assert "  published" in said
        assert "0.9000 (" in said
        assert "published by an article: it says nothing of its optimizer" in said

    def test_killed_in_the_middle_it_goes_on_to_the_same_numbers(self, roots, monkeypatch, capsys):
        """By a signal between two steps, or dead at once behind the table of an epoch."""
        with_solution(toy_files(roots / "input" / "toy"))
        competition = toy(models={"clip": models(ema_decay=0.5)["clip"]}, reported=())
        known(monkeypatch, toy=competition)
        found = []
        for kill in (None, by_signal, before_saving):
            monkeypatch.setenv("SUBMISSIONS_DIR", str(roots / f"{len(found)}"))
            folder = competition.folder / "compare" / "clip"
            if kill is not None:
                with monkeypatch.context() as patch:
                    kill(patch)
                    with pytest.raises(KeyboardInterrupt):
                        command.run(["toy"])
                assert not (folder / "cell.json").exists()
                capsys.readouterr()
            assert command.run(["toy"]) == 0
            assert kill is None or "resuming after epoch 1" in capsys.readouterr().out
            assert not list(folder.glob("*running*"))
            about = cell(competition, "clip")
            numbers = [(point["score"], point["log_loss"], point.get("loss")) for point in about["points"]]
            found.append([path.read_bytes() for path in sorted(folder.glob("*.parquet"))] + numbers + about["wise_ft"])
        assert found[0] == found[1] == found[2]

    def test_a_changed_recipe_is_made_anew_and_the_others_are_not(self, roots, monkeypatch, capsys):
        with_solution(toy_files(roots / "input" / "toy"))
        both = {name: models()["resnet"] for name in ("one", "other")}
        competition = toy(models=both, reported=())
        known(monkeypatch, toy=competition)
        command.run(["toy"])
        made = (competition.folder / "compare" / "one" / "cell.json").read_bytes()
        capsys.readouterr()
        changed = {**both, "other": both["other"].model_copy(update={"head_lr": 0.01, "views": ("hflip",)})}
        known(monkeypatch, toy=competition.model_copy(update={"models": changed}))
        command.run(["toy"])
        said = capsys.readouterr().out
        assert "one  reused: accuracy" in said
        assert "other  recomputing: head_lr changed (None to 0.01)" in said
        assert (competition.folder / "compare" / "one" / "cell.json").read_bytes() == made


def by_signal(patch) -> None:
    """SIGTERM comes in the second epoch's second step."""
    train_step, steps = Training.train_step, []

    def disturbed(self, *arguments):
        train_step(self, *arguments)
        steps.append(1)
        if len(steps) == 7:  # 5 are an epoch
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Training, "train_step", disturbed)


def before_saving(patch) -> None:
    """It dies between the second epoch's table and its checkpoint."""
    save = Running.save

    def dying(self, tensors, about):
        if about["epoch"] == 2:
            raise KeyboardInterrupt
        save(self, tensors, about)

    patch.setattr(resume, "EVERY_S", 0)  # a checkpoint wherever one may be
    patch.setattr(Running, "save", dying)


class TestFailures:
    def test_one_data_set_that_cannot_be_had_stops_no_other(self, roots, monkeypatch, capsys):
        with_solution(toy_files(roots / "input" / "toy"))
        only = {"resnet": models()["resnet"]}
        gone = toy(models=only, source=Kaggle("gone"), name="gone")
        known(monkeypatch, gone=gone, toy=toy(models=only))
        assert command.run(["gone", "toy", "gone"]) == 1
        out, err = capsys.readouterr()
        assert err.count("error: gone: no data for gone") == 1
        assert out.rstrip().splitlines()[-1].startswith("not made: gone: no data for gone")
        assert set(read_compare(roots / "submissions" / "compare.csv")["data_set"]) == {"toy"}
        assert not gone.folder.exists()

    def test_one_model_that_cannot_be_had_stops_no_other(self, roots, monkeypatch, capsys):
        from src.networks import hub

        def unreached(what, *rest):
            raise UserError(f"{what}: the hub cannot be reached")

        with_solution(toy_files(roots / "input" / "toy"))
        monkeypatch.setattr(hub, "fetch", unreached)
        there = {"far": FineTune(backbone="test_convnext.r160_in1k", epochs=2, lr=1e-3, img_size=32)}
        competition = toy(models={**there, "resnet": models()["resnet"]})
        known(monkeypatch, toy=competition)
        assert command.run(["toy"]) == 1
        assert "not made: toy: far: test_convnext.r160_in1k: the hub cannot be reached" in capsys.readouterr().out
        assert table(competition)["model"].unique().tolist() == ["resnet"]

    def test_a_stage_that_leaves_a_model_out_for_want_of_the_hub_fails_its_cell_alone(self, roots, monkeypatch, capsys):
        from src.networks import hub

        with_solution(toy_files(roots / "input" / "toy"))
        monkeypatch.setattr(hub, "why_offline", lambda: "HF_HUB_OFFLINE is set")
        far = Probe(backbone="test_convnext.r160_in1k", cs=(1.0,))
        known(monkeypatch, toy=toy(models={"far": far, **{name: models()[name] for name in ("probe", "resnet")}}))
        assert command.run(["toy"]) == 1
        assert "not made: toy: far: its stage has left it out" in capsys.readouterr().out
        assert table(toy())["model"].unique().tolist() == ["probe", "resnet"]

    def test_an_unknown_name_begins_nothing(self, roots):
        with pytest.raises(UserError, match="unknown competition 'digts': did you mean 'digits'"):
            command.run(["digits", "digts"])
        assert not (roots / "submissions").exists()

    def test_a_config_with_nothing_to_compare_is_refused(self, roots, monkeypatch):
        known(monkeypatch, toy=toy(compared={}))
        with pytest.raises(UserError, match="toy has no model to compare"):
            command.run(["toy"])

    def test_soups_are_left_out_and_doubtful_labels_refused(self):
        pair = {name: models()["resnet"] for name in ("one", "other")}
        competition = toy(models={**pair, "soup": Soup(of=("one", "other"))}, reported=())
        assert list(subjects(competition).models) == ["one", "other"]
        dropping = {"probe": models()["probe"], "it": pair["one"].model_copy(update={"label_noise": "drop"})}
        with pytest.raises(UserError, match="it has label_noise='drop', which needs folds"):
            subjects(toy(models=dropping, reported=()))


class TestPage:
    def test_it_has_the_section_only_where_something_was_compared(self, compared):
        section = section_of.section(material.read(compared))
        assert set(section.charts) == {"curves", "wise", "templates"}
        constant = read_about(compared.compare_csv)["constant"]
        assert section.about["lines"][0]["name"] == constant["text"]
        assert section.about["lines"][0]["cells"][0]["score"] == f"{constant['score']:.4f}"
        resnet = next(line for line in section.about["lines"] if line["name"] == "resnet")
        assert section.about["head"] == ["no epochs", "epoch 0", "epoch 1", "epoch 2"]
        assert resnet["cells"][-1]["published"].startswith("0.9000 (")
        assert section.about["setups"] == ["an article: it says nothing of its optimizer"]

    def test_a_damaged_comparison_stops_no_page(self, folder):
        competition = toy()
        found = material.read(competition)
        assert section_of.section(found) is None
        competition.folder.mkdir(parents=True)
        competition.compare_csv.write_text("a,b\n1,2\n")
        assert section_of.section(found) is None
        assert [one.what for one in found.left_out if "comparison" in one.what] == ["the comparison"]


def test_other_templates_keep_the_phrases():
    prompts = Prompts(class_templates=dict.fromkeys(CLASSES, ("x {}",)), classnames={"red": ("crimson",)})
    other = contenders.with_templates(toy(prompts=prompts), ("a {}",))
    assert other.prompts.texts("red") == ["a crimson"]
    assert other.prompts.texts("blue") == ["a blue"]


@pytest.mark.parametrize("name", miniatures.MAKERS)
def test_every_data_set_is_compared_from_its_own_format(roots, monkeypatch, name):
    """A miniature of it on disk, as its library reads it: ten classes of two rows; tiny networks of one epoch.

    (What else is compared does not depend on the format: of one data set of each library, all kinds of models.)
    """
    whole = config.load(name)
    few, source, tiny = whole.classes[:10], whole.source, {"epochs": 1, "warmup_epochs": 0.0, "lr": 1e-3, "augment": ()}
    miniatures.MAKERS[name](roots / "input" / source.slug, monkeypatch, few)
    networks = {"resnet": FineTune(backbone="test_resnet", pretrained=False, img_size=32, **tiny)}
    if name in ("imagenette", "iwildcam"):
        networks["zeroshot"] = ZeroShot(clip=TINY_CLIP)
        networks["probe"] = Probe(clip=TINY_CLIP, cs=(1.0,), widen=False, normalise=(True,))
        networks["clip"] = FineTune(clip=TINY_CLIP, **tiny)
    competition = toy_competition(
        **{field: getattr(whole, field) for field in ("source", "train", "test", "id", "image", "label", "group")},
        name=name,
        classes=few,
        models=networks,
    )
    source.fetch(roots / "input")
    train = pd.read_csv(competition.input(competition.train), dtype=str)
    competition.folder.mkdir(parents=True)
    train[["id"]].assign(fold=np.arange(len(train)) % 3).to_csv(competition.folds_csv, index=False)  # too few to split
    known(monkeypatch, **{name: competition})
    assert command.run([name]) == 0
    df, about = table(competition), read_about(competition.compare_csv)
    assert list(dict.fromkeys(df["model"])) == list(networks)
    assert (about["official"], about["train"], about["valid"]) == (True, 20, 10)
    assert (df["rows"] == 10).all()
    assert df["score"].between(0, 1).all()


def test_a_package_that_a_later_data_set_lacks_is_said_before_anything_is_begun(roots, monkeypatch, capsys):
    without_clip = toy_competition(models={"resnet": models()["resnet"]})
    known(monkeypatch, plain=without_clip.model_copy(update={"name": "plain"}), toy=toy())
    monkeypatch.setattr(packages, "version", lambda name: None)
    with pytest.raises(UserError, match="lacks open_clip_torch: pip install"):
        command.run(["plain", "toy"])
    assert capsys.readouterr().out == ""


def test_pictures_of_your_own_are_compared(roots, monkeypatch, tmp_path):
    """A folder a class, of which a fixed share is held out."""
    for label in CLASSES:
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(8):
            picture(label, seed=i).save(tmp_path / "pets" / label / f"{label}{i}.png")
    net = FineTune(backbone="test_resnet", pretrained=False, img_size=32, epochs=1, warmup_epochs=0.0, lr=1e-3)
    probe = Probe(clip=TINY_CLIP, cs=(1.0,), widen=False, normalise=(True,))
    source = Folder(str(tmp_path / "pets"))
    competition = toy_competition(name="pets", source=source, models={"resnet": net, "probe": probe})
    known(monkeypatch, pets=competition)
    assert command.run(["pets"]) == 0
    df, about = table(competition), read_about(competition.compare_csv)
    assert (about["official"], about["train"], about["valid"]) == (True, 18, 6)
    assert df["score"].between(0, 1).all()
    assert set(df["model"]) == {"resnet", "probe"}
