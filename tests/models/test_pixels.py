"""The baseline on pixels: honest inside each fold, the same as scikit-learn's trees, and kept as plain arrays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import r2_score, roc_auc_score

from src import stages
from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models import fitted
from src.models.links import Share, Sigmoids
from src.models.pixels import descriptors, fitting, forest
from src.models.pixels.fitting import TrainRows
from src.results import checkpoints
from src.results.model import model_tables, read_model
from src.schema.models import Pixels
from src.scoring.targets import TARGETS
from src.stages import pixels as stage
from tests.conftest import CLASSES, read_json, snapshot, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
SPEC = Pixels(trees=8)


def train_rows(n=60, d=6, k=3, n_folds=3) -> TrainRows:
    """Classes that features tell apart, with errors."""
    targets = np.arange(n) % k
    feats = RNG.normal(size=(n, d)) + 1.5 * np.eye(k, d)[targets]
    return TrainRows(feats.astype(np.float32), targets, np.arange(n) // k % n_folds, k)


def rows_of(task: str, n: int = 120) -> TrainRows:
    """Labels, or numbers of 10 to 20, that features tell, with errors."""
    feats, fold = RNG.normal(size=(n, 6)).astype(np.float32), np.arange(n) % 3
    noisy = feats[:, :3] + 0.2 * RNG.normal(size=(n, 3))
    if task == "labels":
        return TrainRows(feats, (noisy > 0.3).astype(np.uint8), fold, 3, TARGETS["labels"], Sigmoids())
    numbers = 10 + 10 / (1 + np.exp(-noisy[:, 0]))
    return TrainRows(feats, numbers, fold, 1, TARGETS["number"], Share(10.0, 20.0))


class TestForest:
    def test_it_predicts_as_scikit_learn_does(self):
        feats = RNG.integers(0, 4, (80, 3)).astype(np.float32)  # some rows are the same, and their leaves not pure
        targets = RNG.choice([0, 2, 3], 80)  # nothing of class 1
        theirs = ExtraTreesClassifier(6, random_state=1).fit(feats, targets)
        ours = forest.joined([forest.arrays(tree, 3) for tree in theirs.estimators_])  # their trees number from 0
        new = RNG.normal(1.5, 1.5, (200, 3)).astype(np.float32)
        expected = theirs.predict_proba(new)
        assert ((expected > 0).sum(axis=1) > 1).any()
        assert np.abs(ours.predict(new) - expected).max() < 1e-6
        assert np.abs(ours.predict(feats) - theirs.predict_proba(feats)).max() < 1e-6

    @pytest.mark.parametrize("k", [1, 3])
    def test_of_shares_it_predicts_as_scikit_learn_does(self, k):
        feats, shares = RNG.normal(size=(80, 3)).astype(np.float32), RNG.random((80, k)).round(1)
        theirs = ExtraTreesRegressor(6, random_state=1, max_depth=4).fit(feats, shares)
        ours = forest.joined([forest.arrays(tree, k) for tree in theirs.estimators_])
        new = RNG.normal(size=(200, 3)).astype(np.float32)
        assert np.abs(ours.predict(new) - theirs.predict(new).reshape(-1, k)).max() < 1e-6

    def test_a_missing_class_has_probability_0_and_the_seed_decides(self):
        data = train_rows()
        grown = [forest.grow(data.feats, data.targets * 2, 5, 4, seed).predict(data.feats) for seed in (1, 1, 2)]
        assert grown[0].shape == (60, 5)
        assert (grown[0][:, [1, 3]] == 0).all()
        assert grown[0].sum(axis=1) == pytest.approx(1, abs=1e-6)
        assert (grown[0] == grown[1]).all()
        new = RNG.normal(size=(50, 6)).astype(np.float32)
        assert np.abs(
            np.diff([forest.grow(data.feats, data.targets, 3, 4, s).predict(new) for s in (1, 2)], axis=0)
        ).max()

    def test_a_threshold_in_float32_parts_the_same_numbers(self):
        near = RNG.normal(size=2000).astype(np.float32)
        thresholds = near.astype(np.float64) + RNG.choice([-1e-9, 0, 1e-9], 2000)
        assert ((near <= forest.not_above(thresholds)) == (near <= thresholds)).all()

    def test_it_is_whole_after_its_tensors(self, tmp_path):
        data = train_rows()
        grown = forest.grow(data.feats, data.targets, 3, 4, 1)
        checkpoints.save(tmp_path / "forest.safetensors", grown.tensors(), {})
        read = forest.from_tensors(checkpoints.load(tmp_path / "forest.safetensors"), 3)
        assert (read.predict(data.feats) == grown.predict(data.feats)).all()


class TestDescriptors:
    def test_parts_are_unit_vectors_of_each_picture_alone(self):
        squares = RNG.integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
        feats = descriptors.describe(squares)
        assert feats.shape == (5, 432)
        for part in np.split(feats, [192, 304], axis=1):
            assert np.linalg.norm(part, axis=1) == pytest.approx(1, abs=1e-5)
        assert np.abs(feats[2:3] - descriptors.describe(squares[2:3])).max() < 1e-6

    def test_a_picture_of_one_colour_has_no_gradients_and_no_nan(self):
        feats = descriptors.describe(np.full((1, 64, 64, 3), 255, np.uint8))
        assert np.isfinite(feats).all()
        assert (feats[0, :192] == 0).all()
        assert (feats[0, 304:] == 0).all()

    def test_histograms_are_numpys(self):
        square = RNG.integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
        counts = [np.histogram(square[0, ..., colour], bins=16, range=(0, 256))[0] for colour in range(3)]
        assert descriptors.colours(square)[0] ** 2 * 3 * 4096 == pytest.approx(np.concatenate(counts))
        joint = np.histogramdd(square.reshape(-1, 3), bins=4, range=[(0, 256)] * 3)[0]
        assert descriptors.joint_colours(square)[0] ** 2 * 4096 == pytest.approx(joint.ravel())

    @pytest.mark.parametrize(("axis", "direction"), [(1, 0), (0, 4)])
    def test_a_gradients_direction_is_in_its_bin_and_its_opposite_too(self, axis, direction):
        ramp = np.broadcast_to(np.expand_dims(np.arange(64) * 3, 1 - axis), (64, 64)).astype(np.uint8)
        square = np.stack([ramp, ramp[::-1, ::-1]])[..., None].repeat(3, axis=3)
        cells = descriptors.gradients(square)[:, 8 * 5 : 8 * 6]  # one in the middle
        assert (cells.argmax(axis=1) == direction).all()
        assert (np.delete(cells, direction, axis=1) < 1e-3).all()


class TestFolds:
    def test_nothing_of_a_fold_reaches_its_fit(self):
        data = train_rows()
        held_out = data.fold == 0
        targets, feats = data.targets.copy(), data.feats.copy()
        targets[held_out] = (targets[held_out] + 1) % 3
        feats[held_out] = RNG.normal(5, 3, feats[held_out].shape)
        new = RNG.normal(size=(40, 6)).astype(np.float32)
        one, other = (
            fitting.fit_folds(SPEC, rows, "pixels") for rows in (data, TrainRows(feats, targets, data.fold, 3))
        )
        assert np.abs(one.predict(new, [0]) - other.predict(new, [0])).max() < 1e-3
        assert np.abs(one.predict(new, [1]) - other.predict(new, [1])).max() > 0.05

    @pytest.mark.parametrize("task", ["labels", "number"])
    def test_of_labels_and_numbers_nothing_of_a_fold_reaches_its_fit(self, task):
        data = rows_of(task)
        held_out, targets = data.fold == 0, data.targets.copy()
        targets[held_out] = 1 - targets[held_out] if task == "labels" else 30 - targets[held_out]
        fits = [fitting.fit_folds(SPEC, rows, "pixels") for rows in (data, replace(data, targets=targets))]
        oof = [rows.out_of_fold(one) for rows, one in zip((data, replace(data, targets=targets)), fits, strict=True)]
        assert oof[0].shape == (120, data.k)
        assert np.abs(oof[0] - oof[1])[held_out].max() < 1e-3 * np.ptp(oof[0])
        assert np.abs(oof[0] - oof[1])[~held_out].max() > 0.05 * np.ptp(oof[0])

    def test_labels_are_told_apart_and_shuffled_ones_are_not(self):
        data = rows_of("labels")
        shuffled = replace(data, targets=RNG.permutation(data.targets))
        for rows, least, most in ((data, 0.9, 1.0), (shuffled, 0.3, 0.7)):
            oof = rows.out_of_fold(fitting.fit_folds(SPEC, rows, "pixels"))
            areas = [roc_auc_score(rows.targets[:, label], oof[:, label]) for label in range(3)]
            assert least < np.mean(areas) <= most
            assert ((oof > 0) & (oof < 1)).all()

    def test_numbers_are_found_and_shuffled_ones_are_not(self):
        data = rows_of("number")
        shuffled = replace(data, targets=RNG.permutation(data.targets))
        for rows, least, most in ((data, 0.8, 1.0), (shuffled, -0.5, 0.1)):
            oof = rows.out_of_fold(fitting.fit_folds(SPEC, rows, "pixels"))
            assert least < r2_score(rows.targets, oof[:, 0]) < most
            assert ((oof >= 10) & (oof <= 20)).all()

    def test_each_row_is_predicted_by_the_fit_that_does_not_know_it(self):
        data = train_rows()
        fits = fitting.fit_folds(SPEC, data, "pixels")
        oof = data.out_of_fold(fits, rows_at_once=7)
        for number in range(3):
            rows = data.fold == number
            assert oof[rows] == pytest.approx(fits.predict(data.feats[rows], [number]), abs=1e-6)
        assert fits.predict(data.feats).sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (oof.argmax(axis=1) == data.targets).mean() > 0.6

    def test_the_better_is_chosen(self):
        data = train_rows(n=120)
        straight = fitting.fit_folds(SPEC, data, "pixels")
        corners = RNG.normal(size=(120, 2)).astype(np.float32)  # XOR: no line parts them
        parted = (corners[:, 0] * corners[:, 1] > 0).astype(int)
        bent = fitting.fit_folds(SPEC, TrainRows(corners, parted, np.arange(120) % 3, 2), "pixels")
        assert {fit.share for fit in straight.folds} <= {0.0, 0.5}
        assert {fit.share for fit in bent.folds} <= {0.5, 1.0}
        assert all(fit.losses[1] < fit.losses[0] for fit in bent.folds)

    def test_only_so_many_rows_are_learnt_from(self, monkeypatch):
        data = train_rows(n=90)
        monkeypatch.setattr(fitting, "ROWS", 45)
        seen = []
        monkeypatch.setattr(fitting, "grow", lambda feats, *rest: seen.append(len(feats)) or forest.grow(feats, *rest))
        fits = fitting.fit_folds(SPEC, data, "pixels")
        assert sum(seen) == 45  # three pairs, each without two of three folds
        assert data.out_of_fold(fits).shape == (90, 3)

    @pytest.mark.parametrize(("n", "partners", "count"), [(3, 2, 3), (4, 3, 6), (5, 4, 10), (9, 4, 18)])
    def test_each_fold_has_as_many_partners(self, n, partners, count):
        pairs = fitting.pairs(n)
        assert len(pairs) == count
        assert all(sum(fold in pair for pair in pairs) == partners for fold in range(n))


@pytest.fixture
def toy(folder):
    """A competition with this baseline alone, whose stages before it have run."""
    competition = toy_competition(models={"pixels": SPEC})
    for name in ("data", "folds"):
        run_stage(stages.module(name), competition)
    return competition


def test_it_tells_colours_apart_and_is_reused_by_its_key(toy, capsys):
    assert run_stage(stage, toy) == ["pixels"]
    made = read_model(toy.model_folder("pixels"))
    assert made["cv"] > 0.9
    assert [*made["chosen"][0]] == ["c", "forest"]
    before = snapshot(toy.folder / "models")
    assert run_stage(stage, toy) == []
    assert "pixels  reused: accuracy" in capsys.readouterr().out
    assert snapshot(toy.folder / "models") == before
    assert not [path for path in before if path.endswith((".pkl", ".pickle", ".joblib"))]
    changed = toy.model_copy(update={"models": {"pixels": Pixels(trees=9)}})
    assert run_stage(stage, changed) == ["pixels"]
    assert "recomputing" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_tables(toy):
    run_stage(stage, toy)
    data = read_dataset(toy)
    first = model_tables(toy, "pixels", data)
    for path in toy.model_folder("pixels").iterdir():
        path.unlink()
    run_stage(stage, toy)
    assert all((one == two).all() for one, two in zip(first, model_tables(toy, "pixels", data), strict=True))


def test_other_test_rows_are_predicted_by_the_fits_that_are_there(toy, folder):
    run_stage(stage, toy)
    about = toy.model_folder("pixels")
    before = {path.name: path.stat().st_mtime_ns for path in about.glob("fold*")}
    oof = model_tables(toy, "pixels", read_dataset(toy))[0]
    for name in ("test", "sample_submission"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        table[table["id"] != "105"].to_csv(folder / f"{name}.csv", index=False)
    assert run_stage(stage, toy) == ["pixels"]
    assert {path.name: path.stat().st_mtime_ns for path in about.glob("fold*")} == before
    again, test = model_tables(toy, "pixels", read_dataset(toy))
    assert (again == oof).all()
    assert test.shape == (11, 3)


def test_a_fit_that_is_gone_is_asked_for_by_its_stage(toy):
    run_stage(stage, toy)
    (toy.model_folder("pixels") / "fold0-fold1.safetensors").write_bytes(b"cut off")
    with pytest.raises(
        UserError, match=r"toy:pixels: its .*fold0-fold1.* delete the folder, then \./run\.sh toy pixel"
    ):
        fitted.load(toy, "pixels")


def test_rare_classes_are_no_error(folder):
    train = pd.read_csv(folder / "train.csv", dtype=str)
    train[(train["label"] != "red") | (train.index < 3)].to_csv(folder / "train.csv", index=False)  # one red row
    competition = toy_competition(models={"pixels": SPEC}, rare_classes=True)
    for name in ("data", "folds", "pixels"):
        run_stage(stages.module(name), competition)
    oof, _ = model_tables(competition, "pixels", read_dataset(competition))
    assert np.isfinite(oof).all()
    assert oof.shape == (25, len(CLASSES))
    assert read_json(competition.model_folder("pixels") / "model.json")["log_loss"] < 1.0
