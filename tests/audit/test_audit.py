"""The audit: what was planted is found with its kind, nothing else is; ids of both parts, keys, kills, wrong tables."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src.audit import duplicates, outliers
from src.base import files
from src.base.errors import UserError
from src.data.rows import read_dataset
from src.results import audit
from src.results.model import best_model, finished_models, save_model
from src.schema.models import Probe
from src.scoring import bootstrap
from src.stages import audit as stage
from src.stages import data, features, folds
from tests.conftest import TINY_CLIP, broken_off, read_json, snapshot, toy_competition
from tests.running import run_stage

PAIRED = ["id", "part", "other_id", "other_part", "label", "suggested_label"]


@pytest.fixture(autouse=True)
def few(few_candidates, monkeypatch):
    monkeypatch.setattr(bootstrap, "REPLICATES", 5)


def ready(**changes):
    """The toy competition, up to its features."""
    competition = toy_competition(**{"models": {"probe": Probe(clip=TINY_CLIP)}, **changes})
    for before in (data, folds, features):
        run_stage(before, competition)
    return competition


def folded(models):
    competition = toy_competition(models=models)
    folds.run(competition)
    return competition


def finished(competition, name="probe", wrong=(7, 20), sure=0.95, **key):
    """A model that is right and sure but for some rows, in which it is as sure of the next class."""
    rows = read_dataset(competition)
    classes = rows.targets.copy()
    classes[list(wrong)] = (classes[list(wrong)] + 1) % 3
    oof = np.where(np.eye(3)[classes] == 1, sure, (1 - sure) / 2)
    save_model(competition, name, {**rows.key, **key}, rows, oof, np.full((12, 3), 1 / 3), 1.0)


def found(competition) -> pd.DataFrame:
    return pd.read_csv(competition.audit_csv, dtype=str, keep_default_na=False)


def of_kind(competition, kind: str) -> list[list[str]]:
    table = found(competition)
    return table.loc[table["kind"] == kind, PAIRED].to_numpy().tolist()


@pytest.fixture
def planted(folder):
    """Faults of every kind but wrong labels."""
    shutil.copy(folder / "train/000.png", folder / "train/003.png")
    darker = Image.open(folder / "train/005.png").point(lambda value: 0.7 * value)
    darker.save(folder / "train/004.png")
    shutil.copy(folder / "train/002.png", folder / "test/105.png")
    Image.open(folder / "test/106.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "test/107.png")
    Image.new("RGB", (20, 18), "gray").save(folder / "test/108.png")
    Image.open(folder / "train/010.png").resize((4, 4)).save(folder / "train/010.png")
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for what one test of this module has made and the next ones need not make again."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def paired(planted, kept):
    """The planted faults, up to a model and the pairs of near-duplicates."""
    competition = toy_competition(models={"probe": Probe(clip=TINY_CLIP)})
    if not any(kept.iterdir()):
        ready()
        finished(competition)
        stage.run(competition)
        competition.audit_csv.unlink()
        shutil.copytree(competition.folder, kept, dirs_exist_ok=True)
    else:
        shutil.copytree(kept, competition.folder)
        data.run(competition)  # the images lie elsewhere
    return competition


def test_finds_what_was_planted_and_nothing_else(planted, capsys):
    competition = ready()
    finished(competition)
    stage.run(competition)
    assert of_kind(competition, "duplicate") == [["003", "train", "000", "train", "blue", ""]]
    assert of_kind(competition, "conflict") == [["005", "train", "004", "train", "red", "green"]]
    assert of_kind(competition, "leak") == [["105", "test", "002", "train", "", "red"]]
    assert of_kind(competition, "test_duplicate") == [["107", "test", "106", "test", "", ""]]
    assert of_kind(competition, "constant") == [["108", "test", "", "", "", ""]]
    assert of_kind(competition, "outlier") == [["108", "test", "", "", "", ""]]
    assert of_kind(competition, "tiny") == [["010", "train", "", "", "", ""]]
    assert of_kind(competition, "label") == [
        ["007", "train", "", "", "green", "red"],
        ["020", "train", "", "", "red", "blue"],
    ]
    scores = found(competition).set_index("id")["score"].astype(float)
    assert scores["003"] == scores["105"] == 1
    assert 0.75 < scores["005"] < 1
    assert scores["010"] == 4
    assert scores["007"] == pytest.approx(0.025)
    said = " ".join(capsys.readouterr().out.split())
    assert "in train with different labels 1 005 red = 004 green in train and in test 1 105 = 002 red" in said
    assert "labels judged by probe, out of fold; noise ceiling" in said
    assert 'folds=Folds(groups="near-duplicates")' in said
    assert "./run.sh toy ab label_noise drop" in said


def test_the_same_input_is_reused_and_no_file_changes(paired, capsys):
    competition = paired
    stage.run(competition)
    before = snapshot(competition.folder)
    capsys.readouterr()
    stage.run(competition)
    assert capsys.readouterr().out.startswith(f"reused {competition.audit_csv}: ")
    assert snapshot(competition.folder) == before
    competition.audit_csv.unlink()
    stage.run(competition)
    whole = {name: content for name, (_, content) in snapshot(competition.folder).items()}
    assert whole == {name: content for name, (_, content) in before.items()}


def test_a_new_model_judges_the_labels_again_and_looks_at_no_pair_again(paired, capsys, monkeypatch):
    competition = paired
    stage.run(competition)
    finished(competition, wrong=(9,))
    monkeypatch.setattr(duplicates, "find_pairs", None)
    stage.run(competition)
    assert "audit.csv: oof changed" in capsys.readouterr().out
    assert [row[0] for row in of_kind(competition, "label")] == ["009"]


def test_without_a_model_labels_are_not_judged_and_the_rest_is(paired, capsys):
    competition = paired
    shutil.rmtree(competition.model_folder("probe"))
    stage.run(competition)
    assert "not looked for: labels: no model of these folds and rows is finished" in capsys.readouterr().out
    assert of_kind(competition, "label") == []
    assert of_kind(competition, "leak") != []
    assert read_json(competition.folder / "audit.json")["ceiling"] is None


def test_a_label_that_is_mended_is_no_conflict_any_more(planted, paired):
    competition = paired
    shutil.rmtree(competition.model_folder("probe"))
    stage.run(competition)
    assert len(of_kind(competition, "conflict")) == 1
    df = pd.read_csv(planted / "train.csv", dtype=str)
    df.loc[df["id"] == "004", "label"] = "red"
    df.to_csv(planted / "train.csv", index=False)
    folds.run(competition)
    stage.run(competition)
    assert of_kind(competition, "conflict") == []
    assert [row[0] for row in of_kind(competition, "duplicate")] == ["003", "005"]


def test_without_an_encoder_outliers_are_not_looked_for_and_the_rest_is(planted, capsys):
    competition = ready(models={"convnext": toy_competition().models["convnext"]}, prompts=None)
    stage.run(competition)
    assert "not looked for: outliers: the config has no encoder" in capsys.readouterr().out
    assert len(of_kind(competition, "leak")) == len(of_kind(competition, "conflict")) == 1
    assert read_json(competition.folder / "audit.json")["encoder"] is None


def judge(competition, rows):
    return best_model(competition, finished_models(competition, rows))


def test_the_blend_judges_before_the_best_model_and_no_model_of_other_folds(folder):
    models = {name: Probe(clip=TINY_CLIP) for name in ("weak", "strong", "other")}
    competition = folded(models)
    rows = read_dataset(competition)
    assert judge(competition, rows) is None
    finished(competition, "weak", wrong=(1, 2, 3, 4))
    finished(competition, "strong")
    finished(competition, "other", wrong=(), folds="other folds")
    assert judge(competition, rows) == "strong"
    finished(competition, "blend", wrong=range(9))
    assert judge(competition, rows) == "blend"


def test_the_best_model_is_so_by_a_metric_that_is_better_when_less(folder):
    models = {name: Probe(clip=TINY_CLIP) for name in ("weak", "strong")}
    competition = folded(models)
    for name, sure in (("weak", 0.5), ("strong", 0.9)):
        finished(competition, name, wrong=(), sure=sure)
    other = competition.model_copy(update={"metric": "log_loss"})  # the models were scored by accuracy
    assert judge(other, read_dataset(competition)) == "strong"


def test_ids_that_are_in_both_parts_are_told_apart(folder):
    for part in ("test", "sample_submission"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        df["id"] = df["id"].str.replace("1", "0", n=1)
        df.to_csv(folder / f"{part}.csv", index=False)
    shutil.copy(folder / "train/002.png", folder / "test/105.png")  # now the test row 005
    shutil.copy(folder / "train/008.png", folder / "test/108.png")
    competition = ready(ids_overlap=True)
    stage.run(competition)
    assert of_kind(competition, "leak") == [
        ["005", "test", "002", "train", "", "red"],
        ["008", "test", "008", "train", "", "red"],
    ]
    rows = read_dataset(competition)
    assert len(audit.read(competition, rows.train.ids, rows.test.ids).found) == 2
    before = snapshot(competition.folder)
    competition.audit_csv.unlink()
    stage.run(competition)  # by the pairs that are kept
    assert {name: content for name, (_, content) in snapshot(competition.folder).items()} == {
        name: content for name, (_, content) in before.items()
    }


def test_an_image_that_is_gone_is_named(planted, paired):
    competition = paired
    (planted / "train/007.png").unlink()
    with pytest.raises(UserError, match=r"1 image cannot be used.*\n  007: .*train/007\.png is missing"):
        stage.run(competition)
    assert not competition.audit_csv.exists()


def test_killed_half_way_it_goes_on(planted, monkeypatch):
    competition = ready()
    finished(competition)
    with broken_off(duplicates, "find_pairs", 1, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        stage.run(competition)
    assert [path.name for path in (competition.folder / "duplicates").iterdir()] == ["train.json"]
    with broken_off(files, "write_json", 0, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        stage.run(competition)  # audit.csv is there, and what it is of was not said
    assert audit.about(competition) is None
    whole = competition.audit_csv.read_bytes()
    stage.run(competition)
    assert competition.audit_csv.read_bytes() == whole
    assert audit.about(competition) is not None


def test_a_changed_image_is_looked_at_again(planted, paired):
    competition = paired
    shutil.copy(planted / "train/020.png", planted / "test/101.png")
    run_stage(features, competition)
    stage.run(competition)
    assert [row[0] for row in of_kind(competition, "leak")] == ["101", "105"]


class TestReader:
    @pytest.fixture
    def competition(self, paired):
        stage.run(paired)
        return paired

    IDS = [f"{i:03d}" for i in range(36)], [f"{100 + i}" for i in range(12)]

    def test_gives_what_was_found_with_numbers_for_scores(self, competition):
        read = audit.read(competition, *self.IDS)
        assert read.found["score"].dtype == float
        assert read.about["counts"] == {**dict.fromkeys(audit.FINDING_KINDS, 1), "label": 2}
        assert list(dict.fromkeys(read.found["kind"])) == list(audit.FINDING_KINDS)

    def test_gives_none_where_there_is_none(self, toy):
        assert audit.read(toy, *self.IDS) is None

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("kind", "sort", "its columns are id, part, sort"),
            ("leak", "leek", "unknown kind 'leek': did you mean 'leak'"),
            (",test,leak", ",tests,leak", "unknown part 'tests'"),
            ("003,train", "993,train", "id '993' is not in train"),
            (",000,train", ",100,train", "other_id '100' is not in train"),
            ("tiny,4.000000", "tiny,small", "a score is no number"),
            ("tiny,4.000000,", "tiny,4.000000,003", "only conflict, leak"),
            ("red,blue", "red,blu", "unknown suggested_label 'blu'"),
        ],
    )
    def test_refuses_what_is_no_audit_of_these_rows(self, competition, old, new, said):
        text = competition.audit_csv.read_text()
        assert text.count(old) >= 1
        with pytest.raises(UserError, match=r"audit\.csv was changed since it was made"):
            self.read(competition, text.replace(old, new, 1), tell=False)
        with pytest.raises(UserError, match=rf"audit\.csv: {said}.*: run \./run\.sh toy audit"):
            self.read(competition, text.replace(old, new, 1), tell=True)

    def read(self, competition, text, tell):
        files.write_text(competition.audit_csv, text)
        if tell:
            path = competition.folder / "audit.json"
            files.write_json(path, {**read_json(path), "sha256": files.text_sha256(text)})
        return audit.read(competition, *self.IDS)

    def test_refuses_an_audit_of_other_rows(self, competition):
        with pytest.raises(UserError, match="id '105' is not in test: it is of other rows"):
            audit.read(competition, self.IDS[0], self.IDS[1][:5])


class TestOutliers:
    def test_far_ones_are_few_and_found(self):
        rng = np.random.default_rng(0)
        feats = rng.normal(size=(500, 20)) * 0.3 + rng.choice([-1, 1], size=(500, 1)) * np.ones(20)
        assert outliers.detect_outliers(feats).mask.sum() == 0
        feats[77] = np.tile([3, -3], 10)
        far = outliers.detect_outliers(feats)
        assert np.flatnonzero(far.mask).tolist() == [77]
        assert far.score.argmin() == 77

    def test_of_many_rows_a_sample_is_compared(self, monkeypatch):
        monkeypatch.setattr(outliers, "MAX_SAMPLE_ROWS", 200)
        rng = np.random.default_rng(0)
        feats = rng.normal(size=(1000, 20)) * 0.3 + np.ones(20)
        feats[[5, 999]] = np.tile([3, -3], 10), np.tile([-3, 3], 10)
        assert set(np.flatnonzero(outliers.detect_outliers(feats).mask)) == {5, 999}

    @pytest.mark.parametrize("n", [2, 3, 30])
    def test_pictures_that_are_all_the_same_are_none(self, n):
        far = outliers.detect_outliers(np.ones((n, 8)) / np.sqrt(8))
        assert not far.mask.any()
        assert np.isfinite(far.score).all()

    def test_tiny_is_beside_the_others_and_small(self):
        assert outliers.is_tiny(np.array([100, 120, 24, 26, 100])).tolist() == [False, False, True, False, False]
        assert not outliers.is_tiny(np.array([2000, 2000, 70])).any()  # there is enough to see
        assert not outliers.is_tiny(np.array([8, 8, 8])).any()

    def test_constant_is_what_shows_nothing(self):
        assert outliers.is_constant(np.array([0, 0.4, 1.0, 30])).tolist() == [True, True, False, False]
