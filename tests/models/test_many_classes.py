"""Many classes: from folds to the report with tables of the likeliest classes alone, as with all of them."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src import stages
from src.base.errors import UserError
from src.commands import check, report
from src.data.rows import read_dataset
from src.data.units import Units
from src.leaderboard import submission as submissions
from src.leaderboard import votes
from src.models.blend import methods
from src.models.blend.pool import Pool
from src.models.gathering import gathered
from src.models.neighbours.searching import Nearest
from src.models.neighbours.voting import Said, Vote, least
from src.report import charts
from src.results import predictions, summary
from src.results.model import model_tables, read_model, save_model
from src.schema.forms import OneProbability, Ranking
from src.schema.models import FineTune, Neighbours, Pixels, Probe, Prompts, ZeroShot
from src.schema.settings import Unit
from src.scoring import calibration, tables, targets
from src.scoring.metrics import METRICS_OF
from src.scoring.sparse import KEPT, SparseTable
from src.scoring.tables import SparseTables, of_dense
from src.scoring.targets import TARGETS
from src.stages import audit, blend, data, folds, submission
from tests.conftest import TINY_CLIP, toy_competition
from tests.running import run_stage

K, N, M = 60, 180, 40
NAMES = tuple(f"kind {i:02d}" for i in range(K))
TARGETS_OF = np.arange(N) % K
FOLD = np.arange(N) // K
MODELS = {"one": Neighbours(clip=TINY_CLIP), "two": Neighbours(clip=TINY_CLIP, ks=(1,)), "three": Pixels()}


@pytest.fixture
def is_many(monkeypatch):
    """Tables of 60 classes and as many rows are sparse."""
    monkeypatch.setattr(tables, "CELLS", 40 * K - 1)
    monkeypatch.setattr(tables, "FEWEST", K - 1)


@pytest.fixture
def kinds(roots):
    """Three train rows of each of 60 classes, with their pictures."""
    folder, rows = roots / "input" / "toy", {"train": [], "test": []}
    for part, n in (("train", N), ("test", M)):
        (folder / part).mkdir(parents=True)
        for i in range(n):
            pixels = np.random.default_rng(i + 1000 * (part == "test")).integers(0, 255, (8, 9, 3), np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{part}{i:03d}.png")
            rows[part].append({"id": f"{part}{i:03d}", "image": f"{part}/{part}{i:03d}.png", "label": NAMES[i % K]})
        pd.DataFrame(rows[part]).to_csv(folder / f"{part}.csv", index=False)
    test = pd.read_csv(folder / "test.csv")
    test[["id"]].assign(label="kind 00").to_csv(folder / "sample_submission.csv", index=False)
    test[["id", "label"]].assign(Usage=["Public", "Private"] * (M // 2)).to_csv(folder / "solution.csv", index=False)
    return folder


def competition(**changes):
    return toy_competition(**{"classes": NAMES, "models": MODELS, "prompts": None, **changes})


def probs(targets, skill, seed):
    """Dense probabilities, of which the KEPT likeliest are all that a table would keep."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(targets), K)) + skill * np.eye(K)[targets] * rng.random((len(targets), 1))
    odds = np.exp(logits)
    return of_dense((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)).toarray()


def run(one, capsys, checked="right"):
    """The whole pipeline from made-up tables; what it printed, and the submission."""
    data.run(one)
    folds.run(one)
    rows = read_dataset(one)
    for seed, (name, skill) in enumerate({"one": 6, "two": 4, "three": 0.0}.items()):
        made = probs(rows.targets, skill, seed), probs(np.arange(M) % K, skill, seed + 10)
        oof, test = (of_dense(of) if one.target.is_sparse(len(of), K) else of for of in made)
        save_model(one, name, {**rows.key, "skill": skill}, rows, oof, test, 1.0)
    blend.run(one)
    path = submission.run(one)
    assert check.run(one, path) == 0
    summary.table(one, [])
    return capsys.readouterr().out, path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metric": "map5", "submission": Ranking(separator=";")},
        {"metric": "log_loss", "submission": OneProbability("kind 01", "kind 02")},
    ],
)
def test_a_run_gives_what_it_gives_with_whole_tables(kinds, capsys, monkeypatch, changes):
    one = competition(**changes, blend={"method": "weights"})
    dense, path = run(one, capsys)
    whole = read_model(one.model_folder("blend")), pd.read_csv(path)
    for name in (*MODELS, "blend"):
        for file in one.model_folder(name).glob("*"):
            file.unlink()
    path.unlink()
    monkeypatch.setattr(tables, "CELLS", M * K - 1)
    monkeypatch.setattr(tables, "FEWEST", K - 1)
    said, path = run(one, capsys)
    made, answers = read_model(one.model_folder("blend")), pd.read_csv(path)
    assert isinstance(model_tables(one, "blend", read_dataset(one))[0], SparseTable)
    assert made["cv"] == pytest.approx(whole[0]["cv"], rel=1e-3)
    assert made["log_loss"] == pytest.approx(whole[0]["log_loss"], rel=1e-3)
    assert made["weights"] == pytest.approx(whole[0]["weights"], abs=1e-3)
    if one.form.kind == "one_probability":
        assert answers["label"].to_numpy() == pytest.approx(whole[1]["label"].to_numpy(), abs=2e-3)
    else:
        assert answers.equals(whole[1])
    assert f"tables of {N} x {K} would take 0.0 GB each: the {KEPT} likeliest classes of each row are kept" in said
    assert "would take" not in dense


def test_what_is_fitted_to_whole_tables_decides_of_more_test_rows_too(kinds, capsys, monkeypatch):
    """Biases and a stack, of fewer train rows than there are test rows."""
    one = competition(metric="macro_f1", blend={"method": "stack"})
    _, path = run(one, capsys)
    whole, expected = pd.read_csv(path), model_tables(one, "blend", read_dataset(one))[1]
    for name in (*MODELS, "blend"):
        (one.model_folder(name) / "model.json").unlink()
    path.unlink()
    monkeypatch.setattr(targets, "is_large", lambda n, k: n == M)
    _, path = run(one, capsys)
    oof, test = model_tables(one, "blend", read_dataset(one))
    assert isinstance(test, SparseTable)
    assert not isinstance(oof, SparseTable)
    assert test.toarray() == pytest.approx(expected, abs=2e-3)
    assert read_model(one.model_folder("blend"))["decision"]
    assert (pd.read_csv(path)["label"] == whole["label"]).mean() > 0.9


@pytest.mark.parametrize("method", ["greedy", "stack"])
def test_a_blend_that_needs_whole_tables_is_refused_before_anything_is_fitted(kinds, is_many, method):
    one = competition(blend={"method": method})
    data.run(one)
    with pytest.raises(UserError, match=rf"blend\.method='{method}' of 180 rows and 60 classes is not offered"):
        folds.run(one)
    folds.run(one.model_copy(update={"models": {"one": MODELS["one"]}}))  # which is passed through


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_choice_among_methods_the_audit_and_the_report_do_without_whole_tables(
    kinds, capsys, is_many, few_candidates, monkeypatch, metric
):
    monkeypatch.setattr(charts, "SCALE", 0.1)  # small pictures are drawn in half the time
    one = competition(metric=metric)
    said, _ = run(one, capsys)
    assert f"greedy and stack are left out: of {K} classes the tables keep the likeliest of each row alone" in said
    assert metric != "accuracy" or "left out: three, no better than" in said
    assert ("No biases of classes are fitted." in said) == (metric == "macro_f1")
    audit.run(one)
    assert f"not looked for: labels: of {K} classes the tables keep" in capsys.readouterr().out
    report.run(one)
    assert one.report_html.stat().st_size > 10_000
    assert "report: without" not in capsys.readouterr().out


def test_a_metric_of_columns_is_refused_before_anything_is_learnt(kinds, is_many):
    one = competition(metric="auc")
    sample = pd.read_csv(kinds / "sample_submission.csv")
    sample.drop(columns="label").assign(**dict.fromkeys(NAMES, 1 / K)).to_csv(
        kinds / "sample_submission.csv", index=False
    )
    data.run(one)
    with pytest.raises(UserError, match="auc of 180 rows and 60 classes is not offered"):
        folds.run(one)


def test_neighbours_say_what_they_say_with_all_classes(is_many, monkeypatch):
    rng = np.random.default_rng(0)
    near = Nearest(
        rng.integers(0, N, (N, 12)).astype(np.int32), np.sort(rng.random((N, 12)))[:, ::-1].astype(np.float32)
    )
    near.rows[:, 0] = np.where(rng.random(N) < 0.5, np.arange(N), near.rows[:, 0])
    near.rows[3, 5:], near.rows[4] = -1, -1
    said, mean = Said(TARGETS_OF, K), rng.dirichlet(np.full(K, 0.5))
    for vote in (Vote(12, 0.1, 0.1), Vote(1, 0.02, 1.0)):
        found, losses = vote.predict(near, said, mean), vote.losses(near, said, mean, TARGETS_OF)
        assert isinstance(found, SparseTable)
        with monkeypatch.context() as patch:
            patch.setattr(tables, "CELLS", 10**9)
            whole = vote.predict(near, said, mean)
        top = np.argsort(-whole, axis=1)[:, :20]
        assert np.take_along_axis(found.toarray(), top, 1) == pytest.approx(np.take_along_axis(whole, top, 1), abs=1e-4)
        assert losses == pytest.approx(TARGETS["class"].loss(TARGETS_OF, whole), abs=1e-6)
        assert TARGETS["class"].find_fault(found) is None
    votes_of = [Vote(k, 0.1, prior) for k in (1, 12) for prior in (0.01, 1.0)]
    chosen = least(votes_of, near, TARGETS_OF, said, mean, TARGETS["class"])
    monkeypatch.setattr(tables, "CELLS", 10**9)
    assert least(votes_of, near, TARGETS_OF, said, mean, TARGETS["class"]) == pytest.approx(chosen)


def test_batches_of_a_network_are_cut_one_by_one(is_many):
    torch = pytest.importorskip("torch")
    whole = probs(TARGETS_OF, 3, 0)
    found = gathered(iter(torch.from_numpy(whole).split(50)), N, TARGETS["class"])
    assert found.toarray() == pytest.approx(whole, abs=1e-6)
    assert isinstance(gathered(iter(torch.from_numpy(whole).split(50)), N, TARGETS["labels"]), np.ndarray)


def test_temperatures_are_those_of_whole_tables():
    whole = calibration.scale(probs(TARGETS_OF, 3, 0), 0.4)
    kept = of_dense(whole)
    found = calibration.temperature(kept, TARGETS_OF)
    assert found == pytest.approx(calibration.temperature(kept.toarray(), TARGETS_OF), rel=1e-3)
    assert calibration.scale(kept, found).toarray() == pytest.approx(calibration.scale(kept.toarray(), found), abs=1e-6)
    fitted = calibration.cross_fitted(kept, TARGETS_OF, FOLD)
    assert fitted.toarray() == pytest.approx(calibration.cross_fitted(kept.toarray(), TARGETS_OF, FOLD), abs=1e-4)


@pytest.mark.parametrize("by", ["mean", "max"])
def test_pictures_of_a_unit_are_combined_as_in_whole_tables(by):
    one, which = competition(unit=Unit("who", by=by)), np.random.default_rng(0).permutation(np.arange(N) % 70)
    units, table = Units([f"{i:03d}" for i in range(70)], which), of_dense(probs(TARGETS_OF, 3, 0))
    found, whole = units.combine(one, table), units.combine(one, table.toarray())
    assert found.toarray() == pytest.approx(of_dense(whole).toarray(), abs=1e-4)
    assert TARGETS["class"].find_fault(found) is None


def test_blenders_are_those_of_whole_tables():
    parts = [of_dense(probs(TARGETS_OF, skill, seed)) for seed, skill in enumerate((5, 4, 0))]
    metric = METRICS_OF["class"]["accuracy"]
    kept = Pool(SparseTables(parts), TARGETS_OF, np.arange(N) % 5, metric)
    whole = Pool(np.stack([part.toarray() for part in parts]), kept.targets, kept.fold, metric)
    fitted = [{name: methods.fit(name, pool) for name in ("best", "mean", "weights")} for pool in (kept, whole)]
    for name, found in fitted[0].items():
        shares = found.final.shares(3), fitted[1][name].final.shares(3)
        assert shares[0] == pytest.approx(shares[1], abs=1e-3)
        assert found.oof.toarray() == pytest.approx(of_dense(fitted[1][name].oof).toarray(), abs=1e-3)
        inner = found.inner[2]
        assert np.isnan(inner.rest[kept.fold == 2]).all()
        assert np.isfinite(inner.rest[kept.fold != 2]).all()
        less = [
            methods.without_model(name, pool, fits[name], 0) for pool, fits in zip((kept, whole), fitted, strict=True)
        ]
        assert less[0].toarray() == pytest.approx(of_dense(less[1]).toarray(), abs=1e-3)
    chosen = [methods.choose(pool, fits)[:2] for pool, fits in zip((kept, whole), fitted, strict=True)]
    assert chosen[0] == chosen[1]


def test_votes_and_submissions_are_read_without_a_table_of_all_classes(kinds, is_many, tmp_path):
    one = competition()
    data.run(one)
    path, ids = tmp_path / "theirs.csv", [f"test{i:03d}" for i in range(M)]
    pd.DataFrame({"id": ids, "label": NAMES[:M]}).to_csv(path, index=False)
    found = submissions.answers(one, path, ids)
    assert isinstance(found, SparseTable)
    assert (found.argmax() == np.arange(M)).all()
    ranked = competition(metric="map5", submission=Ranking(k=2, separator=";"))
    pd.DataFrame({"id": ids, "label": [f"{NAMES[i + 1]};{NAMES[i]}" for i in range(M)]}).to_csv(path, index=False)
    found = submissions.answers(ranked, path, ids)
    assert isinstance(found, SparseTable)
    for target, value in ((np.arange(M) + 1, 1), (np.arange(M), 0.5), (np.arange(M) + 2, 0)):
        assert METRICS_OF["class"]["map5"].value(target, found) == value
    ballots = np.stack([np.arange(M), np.arange(M), np.full(M, 7)])
    assert (votes.elect(one.target, ballots, TARGETS_OF, K).argmax() == np.arange(M)).all()


def test_tables_on_the_disk_that_were_whole_are_cut_when_they_are_read(tmp_path, monkeypatch):
    one, ids = competition(), [str(i) for i in range(N)]
    predictions.write(tmp_path / "oof.parquet", one, ids, whole := probs(TARGETS_OF, 3, 0))
    assert isinstance(predictions.read(tmp_path / "oof.parquet", one, ids), np.ndarray)
    monkeypatch.setattr(tables, "CELLS", N * K - 1)
    monkeypatch.setattr(tables, "FEWEST", K - 1)
    found = predictions.read(tmp_path / "oof.parquet", one, ids)
    assert found.toarray() == pytest.approx(whole, abs=1e-6)


KINDS = {
    "zeroshot": ZeroShot(clip=TINY_CLIP, prior="train"),
    "probe": Probe(clip=TINY_CLIP, cs=(1.0,), widen=False, normalise=(True,)),
    "neighbours": Neighbours(clip=TINY_CLIP),
    "pixels": Pixels(trees=20),
    "finetune": FineTune(
        backbone="test_convnext",
        backbone_args={"depths": (1, 1, 1, 1)},
        pretrained=False,
        img_size=32,
        epochs=1,
        warmup_epochs=0,
        batch_size=32,
        lr=3e-3,
        temperature=True,
    ),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_of_model_writes_the_likeliest_of_what_it_writes_whole(kinds, monkeypatch, kind):
    prompts = Prompts(templates=("a photo of {}.",)) if kind == "zeroshot" else None
    one = competition(models={kind: KINDS[kind]}, prompts=prompts, rare_classes=True)
    for name in ("data", "folds", "features"):
        run_stage(stages.module(name), one)
    run_stage(stages.module(kind), one)
    rows = read_dataset(one)
    whole, made = model_tables(one, kind, rows), read_model(one.model_folder(kind))
    shutil.rmtree(one.model_folder(kind))
    monkeypatch.setattr(tables, "CELLS", M * K - 1)
    monkeypatch.setattr(tables, "FEWEST", K - 1)
    run_stage(stages.module(kind), one)
    for found, dense in zip(model_tables(one, kind, rows), whole, strict=True):
        assert isinstance(found, SparseTable)
        top = np.argsort(-dense, axis=1)[:, :10]
        near = 6e-3 if kind == "zeroshot" else 2e-3  # the prior is fitted to some of the rows
        assert np.take_along_axis(found.toarray(), top, 1) == pytest.approx(np.take_along_axis(dense, top, 1), abs=near)
    again = read_model(one.model_folder(kind))
    assert (again["cv"], again["log_loss"]) == pytest.approx((made["cv"], made["log_loss"]), rel=2e-2)
    assert again["key"] == made["key"]
