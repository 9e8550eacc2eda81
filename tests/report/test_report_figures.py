"""The report's figures: numbers on the page are those of their sources, whatever a run has left; advice is earned."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
import vl_convert
from scipy import stats
from scipy.special import softmax

from src import config
from src.base import files
from src.data.rows import Dataset, Rows
from src.data.sources.folder import Folder
from src.leaderboard import counts
from src.report import (
    charts,
    choices,
    configs,
    doubts,
    figures,
    forecast,
    head,
    histories,
    material,
    page,
    reliability,
    tuning,
)
from src.report.material import Material
from src.report.page import Section
from src.report.sections import advice, blend, data, labels, mistakes, provenance, result, training, trust
from src.results import audit, checkpoints, ledger, predictions
from src.results.ab import Comparison
from src.results.ledger import COMPLETE, Entry
from src.results.model import read_model, save_model
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune, Probe, Prompts, Soup, ZeroShot
from src.schema.settings import Blend, Folds, Reported
from src.scoring import agreement, calibration
from src.scoring.metrics import METRICS
from tests.conftest import TINY_CLIP, toy_competition

N, M, EPOCHS = 300, 120, 6
FOLDS = 3
SECTIONS = (result, advice, training, blend, trust, provenance)
CLASSES = ("<b>red</b>", "grün", "🌽")


def competition_of(roots, n: int = N, m: int = M, k: int = 3, **changes) -> Competition:
    """Tables of n train and m test rows in k classes, without pictures, and folds."""
    classes = tuple(f"class {i}" for i in range(k)) if k != 3 else CLASSES
    rng, folder = np.random.default_rng(0), roots / "input" / "toy"
    labels = np.array(classes)[np.concatenate([np.arange(2 * k) % k, rng.integers(0, k, n + m - 2 * k)])]
    rows = pd.DataFrame({"id": np.arange(n + m).astype(str), "image": "a.png", "label": labels})
    of_labels = METRICS[changes.get("metric", "accuracy")].of_labels
    answer = rows[["id", "label"]] if of_labels else rows[["id"]].assign(**dict.fromkeys(classes, 1 / k))
    usage = np.where(np.arange(n + m) % 5 == 0, "Public", "Private")
    tables = {
        "train": rows[:n],
        "test": rows[n:][["id", "image"]],
        "sample_submission": answer[n:],
        "kept-solution": rows[["id", "label"]].assign(Usage=usage)[n:],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    models = {"a": fine_tuned(), "b": fine_tuned(lr=2e-3)}
    given = {"classes": classes, "prompts": None, "models": models, **changes}
    competition = toy_competition(**given)
    fold = np.arange(n) % competition.folds.n
    files.write_text(competition.folds_csv, rows[:n][["id"]].assign(fold=fold).to_csv(index=False))
    return competition


def fine_tuned(**fields) -> FineTune:
    given = {"backbone": "test_resnet", "pretrained": False, "epochs": EPOCHS, "lr": 1e-3, "augment": (), **fields}
    return FineTune(**given)


@pytest.fixture
def toy(roots) -> Competition:
    return competition_of(roots)


def rows_of(competition: Competition) -> tuple[Dataset, np.ndarray]:
    """The rows, and the test rows' targets."""
    folder, index = competition.input(""), {name: i for i, name in enumerate(competition.classes)}
    train, test, kept = (pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("train", "test", "kept-solution"))
    both = [Rows(part["id"].tolist(), [], ["0"] * len(part), np.zeros((len(part), 2))) for part in (train, test)]
    targets, fold = train["label"].map(index).to_numpy(), pd.read_csv(competition.folds_csv)["fold"].to_numpy()
    data = Dataset(both[0], targets, both[1], fold=fold, folds_sha=files.sha256(competition.folds_csv))
    return data, kept["label"].map(index).to_numpy()


def guess(targets: np.ndarray, k: int, skill: float, seed: int) -> np.ndarray:
    """Probabilities that are right: the true class is drawn with them, as far as a prior of equal shares goes."""
    noise = np.random.default_rng(seed).normal(size=(len(targets), k))
    return softmax(skill * (noise + skill * np.eye(k)[targets]), axis=1).astype(np.float32)


def save(competition: Competition, name: str, skill: float = 1.5, seed: int = 0, oof=None, test=None, **facts):
    """A finished model; returns its out-of-fold probabilities."""
    data, kept = rows_of(competition)
    k, spec = len(competition.classes), competition.models.get(name)
    oof = guess(data.targets, k, skill, seed) if oof is None else np.asarray(oof, np.float32)
    test = guess(kept, k, skill, seed + 1) if test is None else test
    stored = {} if spec is None else {"model": spec.model_dump(mode="json", exclude={"weights_file"})}
    save_model(competition, name, {**stored, "precision": "float32", **data.key}, data, oof, test, 90.0, **facts)
    return oof


def history(valid=lambda fold, epoch: 1 / epoch, epochs: int = EPOCHS, seeds: int = 1) -> pd.DataFrame:
    """What a training writes down; `valid` is its validation log loss."""
    return pd.DataFrame(
        {
            "fold": fold,
            "seed": 42 + seed,
            "epoch": epoch,
            "step": epoch * 10,
            "lr": 1e-3 / epoch,
            "loss": 1.5 / epoch + 0.1 * fold + 0.01 * seed,
            "valid_accuracy": 0.5 + 0.01 * fold,
            "valid_log_loss": valid(fold, epoch),
            "images_per_second": 100.0 + epoch,
            "waited": 0.25,
            "micro_batch": 8,
            "seconds": 1.0,
        }
        for fold, seed, epoch in itertools.product(range(FOLDS), range(seeds), range(1, epochs + 1))
    )


def put_history(competition: Competition, name: str, df: pd.DataFrame) -> None:
    files.write_text(competition.model_folder(name) / "history.csv", df.to_csv(index=False))


def blended(competition: Competition, parts: dict[str, dict[str, float]], oof=None, **facts) -> None:
    """A blend whose model.json says that of its models."""
    given = {"share": 0.5, "cv": 0.7, "se": 0.01, "lost": 0.01, "lost_se": 0.001}
    models = {name: {**given, **part} for name, part in parts.items()}
    weights = {name: part["share"] for name, part in models.items()}
    save(competition, "blend", oof=oof, method="mean", weights=weights, models=models, **facts)


def sent(competition: Competition, name: str, public: int, private: int, cv: str = "0.7000", **fields) -> Entry:
    """A ledger's entry of which so many of 24 public and 96 private rows are right."""
    file = f"{name}-cv{cv}-{'a' * 7}.csv"
    scores = {"public": counts.cut(public, 24), "private": counts.cut(private, 96)}
    given = {"cv": cv, "se": "0.0200", "status": COMPLETE, **scores, **fields}
    return ledger.put(competition.scores_csv, Entry("2024-01-01T00:00:00Z", file, "a" * 64, **given))


def drawn(section: Section, name: str) -> list[dict]:
    """All rows of data of a chart."""
    return [row for rows in charts.specification(section.charts[name])["datasets"].values() for row in rows]


def left_out(found: Material) -> dict[str, str]:
    return {one.what: one.why for one in found.left_out}


def measured(probs: np.ndarray, targets: np.ndarray) -> reliability.Reliability:
    """The bins of the likeliest class's probabilities (n, k)."""
    return reliability.measure(probs.max(axis=1).astype(float), probs.argmax(axis=1) == targets)


def row_of(section: Section, name: str) -> dict:
    return next(row for row in section.about["rows"] if row["name"] == name)


class TestResult:
    def test_numbers_are_those_of_model_json(self, toy):
        for name, skill in (("a", 1), ("b", 2)):
            save(toy, name, skill)
        blended(toy, {"a": {"share": 0.25}, "b": {"share": 0.75}}, oof=save(toy, "a", 1))
        put_history(toy, "b", history())
        section = result.section(material.read(toy))
        for name in ("a", "b", "blend"):
            made, row = read_model(toy.model_folder(name)), row_of(section, name)
            assert row["cv"] == f"{made['cv']:.4f} ± {made['se']:.4f}"
            assert row["folds"] == f"{min(made['folds']):.4f} to {max(made['folds']):.4f}"
            assert row["log_loss"] == f"{made['log_loss']:.4f}"
            assert row["time"] == "1m30s"
        assert [row_of(section, name)["weight"] for name in ("a", "b", "blend")] == ["0.250", "0.750", "mean"]
        assert [row_of(section, name)["speed"] for name in ("a", "b")] == ["", "104"]  # the median of 101 to 106
        assert [row["name"] for row in section.about["rows"] if row["best"]] == ["b"]
        marks = [row for row in drawn(section, "cv") if "cv" in row]
        assert [row["model"] for row in marks] == ["b", "a", "blend"]  # the best first, of equal ones the config's
        assert marks[0]["cv"] == read_model(toy.model_folder("b"))["cv"]

    def test_of_a_loss_the_least_is_the_best(self, roots):
        toy = competition_of(roots, metric="log_loss")
        save(toy, "a", 1)
        save(toy, "b", 2)
        section = result.section(material.read(toy))
        assert [row["name"] for row in section.about["rows"] if row["best"]] == ["b"]

    def test_the_vote_of_the_blend_and_csvs_is_listed_with_its_scores(self, toy):
        save(toy, "a")
        toy = toy.model_copy(update={"blend": Blend(csvs=("theirs.csv", "others.csv"))})
        assert result.section(material.read(toy)).about["vote"] is None
        path = toy.votes(3, "abcdef0123")
        path.write_text("id,label\n")
        toy.votes(2, "abcdef0123").write_text("of another config")
        said = {"name": path.name, "about": "the majority of the blend and 2 CSVs, without a CV score"}
        section = result.section(material.read(toy))
        assert section.about["vote"] == {**said, "public": "", "private": ""}
        top = {"lead": [], "tiles": [], "left_out": []}
        assert path.name in page.render(toy.title, top, [section], "key", "now", {}).html

    def test_scores_of_the_ledger_are_counts_and_have_their_errors(self, toy):
        save(toy, "a")
        for k in (18, 11, 7):  # so many that one split is left
            sent(toy, f"other{k}", k, 3 * k + 1)
        sent(toy, "a", 20, 83, cv="0.8000")
        sent(toy, "a", 1, 1, status="error")
        found = material.read(toy)
        section = result.section(found)
        assert row_of(section, "a")["public"] == {"score": "0.83333", "count": "20/24"}
        assert row_of(section, "a")["private"] == {"score": "0.86458", "count": "83/96"}
        (dot,) = [row for row in drawn(section, "private") if row.get("name") == "a"]
        assert (dot["cv"], dot["cv_se"], dot["score"], dot["count"]) == (0.8, 0.02, 0.86458, "83 of 96 rows")
        assert dot["score_se"] == pytest.approx(np.sqrt(83 / 96 * 13 / 96 / 96))
        assert dot["high"] - dot["low"] == pytest.approx(2 * dot["score_se"])
        assert len(section.about["agreement"]) == 2

    def test_scores_are_the_solutions_where_nothing_was_sent(self, toy):
        _, kept = rows_of(toy)
        save(toy, "a", test=np.eye(3, dtype=np.float32)[np.where(np.arange(M) < 12, (kept + 1) % 3, kept)])
        toy.input("kept-solution.csv").rename(toy.input("solution.csv"))
        section = result.section(material.read(toy))
        assert row_of(section, "a")["public"] == {"score": "0.87500", "count": "21/24"}
        assert row_of(section, "a")["private"] == {"score": "0.90625", "count": "87/96"}
        (dot,) = [row for row in drawn(section, "public") if row.get("name") == "a"]
        assert dot["cv"] == read_model(toy.model_folder("a"))["cv"]
        assert dot["score"] == 0.875

    def test_a_metric_that_is_no_share_of_rows_has_no_counts(self, roots):
        toy = competition_of(roots, metric="log_loss")
        save(toy, "a")
        sent(toy, "a", 20, 83)
        section = result.section(material.read(toy))
        assert row_of(section, "a")["public"] == {"score": "0.83333", "count": ""}

    def test_reported_scores_stand_beside_ours(self, roots):
        rows = (Reported("Theirs", public="0.75000", private="0.72916", model="a"), Reported("Alone", public="0.5"))
        toy = competition_of(roots, reported=rows)
        save(toy, "a")
        sent(toy, "a", 20, 83)
        sent(toy, "b", 11, 50)
        first, second = result.section(material.read(toy)).about["reported"]
        assert (first["public"]["count"], first["our_public"]["count"]) == ("18/24", "20/24")
        assert (first["private"]["count"], first["our_private"]["count"]) == ("70/96", "83/96")
        assert second["our_public"]["score"] == second["private"]["score"] == ""

    def test_notes_name_what_is_not_as_the_config_has_it(self, toy):
        save(toy, "another")
        save(toy, "a")
        changed = toy.model_copy(update={"models": {**toy.models, "a": fine_tuned(lr=5e-3)}})
        (toy.model_folder("a") / "test.parquet").write_bytes(b"damaged")
        found = material.read(changed)
        section = result.section(found)
        assert row_of(section, "another")["note"] == "not in the config"
        assert (
            row_of(section, "a")["note"]
            == "made with another config: lr changed (0.001 to 0.005); no table of the test rows"
        )
        assert "a on the test rows" in left_out(found)

    def test_a_model_of_another_metric_is_scored_by_the_configs(self, toy):
        oof = save(toy, "a")
        now = toy.model_copy(update={"metric": "macro_f1"})
        found = material.read(now)
        model = found.models["a"]
        assert model.made["metric"] == "macro_f1"
        value, se = METRICS["macro_f1"].score(found.targets, model.decided)
        assert row_of(result.section(found), "a")["cv"] == f"{value:.4f} ± {se:.4f}"
        assert "decision" in model.made
        assert np.array_equal(oof, model.oof)

    def test_before_any_model_names_the_command(self, toy):
        html = rendered(toy)
        assert "./run.sh toy</code> makes them" in html
        assert "<svg" not in html


class TestTraining:
    def test_lines_are_folds_and_their_mean_over_seeds(self, toy):
        save(toy, "a")
        put_history(toy, "a", history(seeds=2))
        section = training.section(material.read(toy))
        rows = [row for row in drawn(section, "loss") if row["what"] == "training" and row["epoch"] == 3]
        assert {row["fold"]: row["value"] for row in rows} == {"0": 0.505, "1": 0.605, "2": 0.705, "mean": 0.605}
        (line,) = section.about["runs"]
        assert (line["epochs"], line["seeds"], line["loss"], line["waited"]) == (6, 2, "0.3550", "25 %")

    def test_a_history_that_is_cut_off_is_shown_as_far_as_it_goes(self, toy):
        save(toy, "a")
        put_history(toy, "a", history())
        path = toy.model_folder("a") / "history.csv"
        path.write_bytes(path.read_bytes()[:-60])
        found = material.read(toy)
        read = histories.read(found)["a"].epochs
        assert len(read) == FOLDS * EPOCHS - 1
        assert left_out(found)["a's history.csv"] == "1 of its lines are damaged"

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b'"'])
    def test_a_history_that_is_none_is_left_out(self, toy, content):
        save(toy, "a")
        (toy.model_folder("a") / "history.csv").write_bytes(content)
        found = material.read(toy)
        assert training.section(found).about["switch"] is None
        assert "a's history.csv" in left_out(found)

    def test_a_run_that_stopped_shows_the_epochs_that_are_there(self, toy):
        folder, rows = toy.model_folder("b"), history().to_dict("records")
        key = {"model": toy.models["b"].model_dump(mode="json")}
        whole, begun = (rows[:EPOCHS], rows[EPOCHS : EPOCHS + 2])
        for name, some in (("fold0", whole), ("fold1.running-000002", begun), ("fold1.running-000001", begun[:1])):
            checkpoints.save(folder / f"{name}.safetensors", {"w": torch.zeros(3)}, {"key": key, "history": some})
        checkpoints.save(
            folder / "fold2.safetensors", {"w": torch.zeros(3)}, {"key": {"model": {"lr": 9}}, "history": whole}
        )
        (folder / "fold3.safetensors").write_bytes(b"damaged")
        found = material.read(toy)
        read = histories.read(found)["b"]
        assert read.epochs.groupby("fold")["epoch"].max().to_dict() == {0: EPOCHS, 1: 2}
        assert read.unfinished == "1 of 3 folds are trained, and 2 of 6 epochs of the next"
        assert len(drawn(training.section(found), "lr")) == EPOCHS

    def test_of_many_epochs_some_are_drawn_and_the_last_is(self, toy):
        save(toy, "a")
        put_history(toy, "a", history(epochs=200))
        epochs = sorted({row["epoch"] for row in drawn(training.section(material.read(toy)), "lr")})
        assert len(epochs) <= training.EPOCHS
        assert epochs[-1] == 200

    def test_a_training_cut_short_by_its_steps_is_drawn_to_its_end(self, toy):
        short = fine_tuned(epochs=50, max_steps=EPOCHS, batch_size=10_000)
        toy = toy.model_copy(update={"models": {**toy.models, "a": short}})
        save(toy, "a")
        put_history(toy, "a", history())
        assert max(row["done"] for row in drawn(training.section(material.read(toy)), "models")) == 1

    def test_the_curves_of_all_models_stay_inside_their_chart(self, toy):
        save(toy, "a")
        put_history(toy, "a", history())
        y = charts.specification(training.section(material.read(toy)).charts["models"])["encoding"]["y"]
        assert y["scale"]["padding"] == figures.EDGE

    @pytest.mark.parametrize("n", [2, 3, 24])
    def test_epochs_are_whole_and_stand_once_on_their_axis(self, n):
        df = pd.DataFrame({"model": "a", "epoch": range(1, n + 1), "value": range(n)})
        spec = charts.specification(training.mean_chart(df, "a", "lr", ""))
        spec["encoding"]["y"]["axis"] = None
        svg = vl_convert.vegalite_to_svg(charts.sized(spec), config=charts.theme("light"))
        shown = re.findall(r">(\d+)</text>", svg)
        assert len({*shown}) == len(shown) > 1

    def test_the_sweep_marks_what_each_fold_chose(self, roots):
        toy = competition_of(roots, models={"a": Probe(clip=TINY_CLIP)})
        picks = [{"c": 1.0, "normalise": True}, {"c": 10.0, "normalise": False}, {"c": 1.0, "normalise": True}]
        curves = [{"unit": {"1": 0.5 + i, "10": 0.7}, "raw": {"1": 0.9, "10": 0.4}} for i in range(3)]
        save(toy, "a", chosen=picks, c_curves=curves)
        section = training.section(material.read(toy))
        rows = drawn(section, "sweep")
        chosen = [(row["fold"], row["kind"], row["c"]) for row in rows if row["picked"]]
        assert chosen == [("0", "unit vectors", 1), ("1", "as they are", 10), ("2", "unit vectors", 1)]
        (mean,) = [row["loss"] for row in rows if (row["fold"], row["kind"], row["c"]) == ("mean", "unit vectors", 1)]
        assert mean == 1.5
        said = "1 (unit vectors) in 2 of 3 folds, 10 (as they are) in 1 of 3 folds"
        assert section.about["chosen"] == [{"name": "a", "chosen": said}]

    def test_wise_ft_says_how_many_folds_chose_an_alpha(self, toy):
        curve = [{"alpha": alpha, "score": 0.5 + alpha / 10, "se": 0.01} for alpha in (0.0, 0.5, 1.0)]
        save(toy, "a", wise_ft={"curve": curve, "chosen": [0.5, 1.0, 0.5]})
        rows = drawn(training.section(material.read(toy)), "wise")
        assert [(row["alpha"], row["folds"]) for row in rows] == [(0, 0), (0.5, 2), (1, 1)]
        assert rows[1]["low"] == pytest.approx(0.54)

    def test_the_best_and_the_worst_prompts_are_shown_and_the_ensemble(self, roots):
        toy = competition_of(roots, metric="log_loss", models={"a": fine_tuned()})
        save(toy, "a")
        rows = [["template", "", f"<i>{{}} {i}", 1 + i / 10, 0.01] for i in range(30)]
        rows[14] = ["all", "", "", 2.4, 0.01]
        df = pd.DataFrame(rows, columns=["kind", "class", "text", "log_loss", "se"])
        files.write_text(toy.model_folder("a") / "prompts.csv", df.to_csv(index=False))
        (counts,) = training.section(material.read(toy)).about["prompts"]
        assert [row["rank"] for row in counts["rows"]] == [*range(1, 11), 15, *range(26, 31)]
        assert counts["rows"][3]["score"] == "1.3000 ± 0.0100"
        assert [row["rank"] for row in counts["rows"] if row["gap"]] == [15, 26]

    @pytest.mark.parametrize("file", ["prompts.csv", "lr.csv"])
    @pytest.mark.parametrize("content", [b"", b"lr,smooth\n1", b"\xff"])
    def test_a_damaged_side_file_never_stops_the_page(self, toy, file, content):
        save(toy, "a")
        (toy.model_folder("a") / file).write_bytes(content)
        training.section(material.read(toy))

    def test_the_range_of_learning_rates_stands_beside_the_configs(self, toy):
        files.write_text(toy.model_folder("a") / "lr.csv", "lr,loss,smooth\n1e-5,2,2.1\n1e-4,1,1.5\n")
        rows = drawn(training.section(material.read(toy)), "range")
        assert [row["smooth"] for row in rows if "smooth" in row] == [2.1, 1.5]
        assert [row["lr"] for row in rows if "smooth" not in row] == [1e-3]

    def test_a_soup_names_its_ingredients(self, toy):
        save(toy, "a", ingredients=[["a 42", "b 42"], ["a 42"], ["b 42"]])
        assert choices.soups(material.read(toy)) == [{"name": "a", "folds": ["a 42, b 42", "a 42", "b 42"]}]


class TestBlend:
    def test_disagreement_and_correlation_are_those_of_the_labels(self, toy):
        oofs = [save(toy, name, 1, seed) for seed, name in enumerate(("a", "b", "another"))]
        found = material.read(toy)
        section = blend.section(found)
        names = list(found.models)
        apart = {(row["a"], row["b"]): row["value"] for row in drawn(section, "disagreement")}
        alike = {(row["a"], row["b"]): row["value"] for row in drawn(section, "errors")}
        wrong = np.stack([oof.argmax(axis=1) != found.targets for oof in oofs])
        for i, j in itertools.permutations(range(3), 2):
            assert apart[names[i], names[j]] == agreement.disagreement(toy.target, oofs)[i, j]
            assert alike[names[i], names[j]] == pytest.approx(np.corrcoef(wrong)[i, j], abs=1e-5)

    def test_a_model_without_mistakes_has_no_correlation(self, toy):
        data, _ = rows_of(toy)
        save(toy, "a", oof=np.eye(3)[data.targets])
        save(toy, "b", 1)
        section = blend.section(material.read(toy))
        assert set(section.charts) == {"disagreement"}

    def test_says_what_the_blend_says_of_itself(self, toy):
        for name in toy.models:
            save(toy, name)
        methods = {"mean": {"cv": 0.7, "se": 0.01, "log_loss": 0.5, "gain": 0.0, "gain_se": 0.0}}
        methods["stack"] = {"cv": 0.71, "se": 0.01, "log_loss": 0.4, "gain": 0.01, "gain_se": 0.02}
        auto = {"gain": 0.003, "gain_se": 0.004, "chosen_by_fold": ["mean", "stack", "mean"]}
        left_out = {"c": "no better than always 'blue'"}
        parts = {"a": {"share": 0.3, "lost": -0.002}, "b": {"share": 0.7}}
        blended(toy, parts, methods=methods, auto=auto, left_out=left_out)
        section = blend.section(material.read(toy))
        facts = section.about["blend"]
        assert facts["left_out"] == [("c", "no better than always 'blue'")]
        assert facts["picks"] == "mean in 2 of 3 folds, stack in 1 of 3 folds"
        assert facts["gain"] == "+0.0030 ± 0.0040"
        assert facts["methods"][1]["gain"] == "+0.0100 ± 0.0200"
        assert [(row["name"], row["lost"]) for row in facts["parts"]] == [
            ("b", "+0.0100 ± 0.0010"),
            ("a", "-0.0020 ± 0.0010"),
        ]
        (low,) = [row["low"] for row in drawn(section, "lost") if row.get("model") == "a"]
        assert low == pytest.approx(-0.003)

    @pytest.mark.parametrize("facts", [{}, {"method": "mean", "weights": {"a": 1.0}}])
    def test_of_one_model_or_of_another_version_is_shown(self, toy, facts):
        save(toy, "a")
        save(toy, "blend", **facts)
        section = blend.section(material.read(toy))
        assert section.about["closest"] is None
        assert "lost" not in section.charts


class TestReliability:
    TARGETS = np.random.default_rng(5).integers(0, 3, 6000)
    HONEST = guess(TARGETS, 3, 1.5, seed=7)

    def test_ece_is_the_weighted_gap_of_the_bins(self):
        probs = np.array([[0.9, 0.1]] * 30 + [[0.6, 0.4]] * 30)
        targets = np.array([0] * 15 + [1] * 15 + [0] * 30)
        found = measured(probs, targets)
        assert found.rows.sum() == 60
        # 20 of 0.6, 10 of 0.6 and of 0.9, 20 of 0.9: in order of confidence, then of rows
        assert found.hits.tolist() == [20, 20, 5]
        expected = (abs(20 - 12) + abs(20 - (6 + 9)) + abs(5 - 18)) / 60
        assert found.ece == pytest.approx(expected)

    def test_bins_hold_all_rows_and_as_many_each(self):
        found = measured(self.HONEST, self.TARGETS)
        assert len(found.rows) == reliability.BINS
        assert set(found.rows) == {400}
        assert found.hits.sum() == (self.HONEST.argmax(axis=1) == self.TARGETS).sum()
        assert (np.diff(found.confidence) >= 0).all()

    def test_right_probabilities_are_within_chance_and_overconfident_ones_are_not(self):
        honest = measured(self.HONEST, self.TARGETS)
        mean, most = honest.by_chance
        assert mean / 2 < honest.ece < most
        sure = measured(softmax(3 * np.log(self.HONEST), axis=1), self.TARGETS)
        assert sure.ece > 5 * most

    def test_chance_is_that_of_drawn_hits(self):
        found = measured(self.HONEST, self.TARGETS)
        rng, confidence = np.random.default_rng(1), self.HONEST.max(axis=1)
        eces = []
        for _ in range(200):
            right = rng.random(len(confidence)) < confidence
            probs = np.stack([confidence, 0 * confidence], axis=1)
            eces.append(measured(probs, np.where(right, 0, 1)).ece)
        assert found.by_chance[0] == pytest.approx(np.mean(eces), rel=0.1)
        assert found.by_chance[1] == pytest.approx(np.quantile(eces, 0.95), rel=0.1)

    def test_intervals_are_wilsons(self):
        for hits, n in ((0, 20), (13, 20), (20, 20)):
            expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
            assert reliability.wilson(hits, n) == pytest.approx([hits / n, expected.low, expected.high], abs=1e-6)

    def test_a_temperature_is_fitted_on_other_folds_and_mends_overconfidence(self, toy):
        data, _ = rows_of(toy)
        save(toy, "a", oof=softmax(3 * np.log(guess(data.targets, 3, 1.5, 7)), axis=1))
        found = material.read(toy)
        calibrated = reliability.calibrated(found, found.models["a"])
        assert calibrated.temperature == pytest.approx(3, rel=0.3)
        assert calibrated.gain > 4 * calibrated.gain_se > 0
        assert calibrated.after.ece < calibrated.before.ece


class TestTrust:
    def test_numbers_are_those_of_their_sources(self, toy):
        data, _ = rows_of(toy)
        oof = save(toy, "a", temperature=1.25)
        found = material.read(toy)
        section = trust.section(found)
        (line,) = section.about["calibration"]
        assert line["ece"] == f"{measured(oof, data.targets).ece:.4f}"
        assert line["own"] == "1.25"
        cells = drawn(section, "confidence")
        assert sum(row["rows"] for row in cells) == N
        right = sum(row["rows"] for row in cells if row["kind"] == "right")
        assert right == (oof.argmax(axis=1) == data.targets).sum()
        made = read_model(toy.model_folder("a"))
        (interval,) = section.about["expected"]
        low, high = counts.expected_interval(made["cv"], made["se"], N, M, metric="accuracy")
        assert (interval["part"], interval["interval"]) == ("all test rows", f"{low:.4f} to {high:.4f}")
        shares = {(row["kind"], row["class"]): row["share"] for row in drawn(section, "classes")}
        test = predictions.read(toy.model_folder("a") / "test.parquet", toy, found.test_ids)
        for i, label in enumerate(toy.classes):
            assert shares["test", label] == (test.argmax(axis=1) == i).mean()
            assert shares["out of fold", label] == (oof.argmax(axis=1) == i).mean()
            assert shares["train labels", label] == (data.targets == i).mean()

    def test_parts_and_scores_of_the_leaderboard_stand_beside_what_was_expected(self, toy):
        save(toy, "a", 2)
        for k in (18, 11, 7):
            sent(toy, f"other{k}", k, 3 * k + 1)
        sent(toy, "a", 4, 83)
        section = trust.section(material.read(toy))
        public, private = section.about["expected"]
        assert (public["rows"], private["rows"]) == (24, 96)
        assert (public["score"], public["outside"], private["outside"]) == ("0.16666", "below", "")
        assert section.about["outside"].startswith("1 of 2 scores")
        rows = [row for row in drawn(section, "expected") if "part" in row]
        assert rows[0]["score_off"] == pytest.approx(0.16666 - rows[0]["cv"])

    def test_parts_are_the_solutions_where_there_is_one(self, toy):
        save(toy, "a")
        toy.input("kept-solution.csv").rename(toy.input("solution.csv"))
        assert forecast.sizes(material.read(toy)) == {"public": 24, "private": 96}

    def test_of_many_rows_a_sample_is_measured_and_said(self, toy, monkeypatch):
        monkeypatch.setattr(reliability, "NUMBERS", 120)
        save(toy, "a")
        section = trust.section(material.read(toy))
        assert section.about["sampled"] == (40, N)
        assert sum(row["rows"] for row in drawn(section, "confidence")) == 40

    def test_of_200_classes_those_that_differ_most_are_shown(self, roots):
        toy = competition_of(roots, n=600, k=200)
        test = np.full((M, 200), 0.001, np.float32)
        test[:, 150] = 1 - 0.199
        save(toy, "a", test=test)
        section = trust.section(material.read(toy))
        assert section.about["mix"]["less"] == "The 20 of 200 classes that differ most."
        shown = {row["class"] for row in drawn(section, "classes")}
        assert len(shown) == 20
        assert "class 150" in shown
        assert section.about["shift"][0]["more"]

    def test_a_model_without_test_rows_has_no_shift(self, toy):
        save(toy, "a")
        (toy.model_folder("a") / "test.parquet").write_bytes(b"")
        section = trust.section(material.read(toy))
        assert section.about["shift"] == []
        assert "classes" not in section.charts


def advised(competition: Competition, rule) -> list[str]:
    """What a rule says, each piece as one text."""
    return [f"{one.what}: {one.why} {one.how}" for one in rule(material.read(competition))]


class TestAdvice:
    """Each rule is silent on a sound run, and speaks with its numbers where something is off."""

    @pytest.fixture
    def sound(self, roots) -> Competition:
        """A whole run without a fault."""
        toy = competition_of(roots, models={"a": fine_tuned(), "b": fine_tuned(lr=2e-3, seeds=2)})
        oofs = [save(toy, name, 1.2, seed) for seed, name in enumerate(toy.models)]
        blended(toy, {"a": {}, "b": {}}, oof=np.mean(oofs, axis=0))
        for name in toy.models:
            put_history(toy, name, history(valid=lambda fold, epoch: 0.5 + 0.5**epoch * 0.3))
        sent(toy, "blend", 19, 76)
        return toy

    def test_of_a_sound_run_there_is_none(self, sound):
        found = material.read(sound)
        assert [one for rule in advice.RULES for one in rule(found)] == []
        assert advice.section(found) is None

    def test_is_not_more_than_can_be_read(self, sound, monkeypatch):
        one = advice.Advice("Do", "because", "so")
        monkeypatch.setattr(advice, "RULES", (lambda found: iter([one] * 3),) * 3)
        assert len(advice.section(material.read(sound)).about["advice"]) == advice.MAX_ADVICE

    def test_an_unfinished_run_is_to_be_finished(self, toy):
        save(toy, "a")
        (said,) = advised(toy, doubts.unfinished)
        assert "2 of 3: b, blend." in said
        assert said.endswith("./run.sh toy")
        (said,) = advised(toy.model_copy(update={"limit": 60}), doubts.unfinished)
        assert said.endswith("./run.sh toy --limit 60")

    def test_what_has_learnt_nothing_is_to_be_looked_at_and_a_smoke_run_to_be_made_whole(self, toy):
        save(toy, "a", 0)
        (said,) = advised(toy, doubts.learnt_nothing)
        assert "is no better than always " in said
        assert said.endswith("./run.sh toy audit")
        found = material.read(toy)
        found.competition = toy.model_copy(update={"limit": 60})
        (one,) = doubts.learnt_nothing(found)
        assert (one.what, one.how) == ("Make the whole run", "./run.sh toy")

    def test_a_blend_that_was_never_sent_is_to_be_sent(self, sound):
        sound.scores_csv.unlink()
        (said,) = advised(sound, doubts.nothing_sent)
        made = read_model(sound.model_folder("blend"))
        low, high = counts.expected_interval(made["cv"], made["se"], N, M, metric="accuracy")
        assert f"{low:.4f} to {high:.4f} on all test rows" in said
        assert said.endswith("./run.sh toy submit")

    @pytest.mark.parametrize(("flipped", "n"), [(0, 0), (15, 1)])
    def test_confident_mistakes_are_looked_for_in_the_labels(self, sound, flipped, n):
        data, _ = rows_of(sound)
        oof = guess(data.targets, 3, 3, 1)
        surest = np.argsort(-oof.max(axis=1))[:120:8][:flipped]
        oof[surest] = np.roll(oof[surest], 1, axis=1)
        save(sound, "blend", oof=oof)
        probs = calibration.cross_fitted(oof, data.targets, data.fold)
        wrong = (probs.max(axis=1) >= 0.95) & (probs.argmax(axis=1) != data.targets)
        said = advised(sound, doubts.sure_mistakes)
        assert len(said) == n
        assert all(f"it is wrong on {wrong.sum()} rows" in text for text in said)

    def test_a_loss_that_still_falls_wants_more_epochs(self, sound):
        put_history(sound, "b", history(valid=lambda fold, epoch: 2 - 0.1 * epoch + 0.001 * fold * epoch))
        (said,) = advised(sound, tuning.epochs)
        assert said.startswith("Train b longer:")
        assert "last 1 epoch of 6, by 0.0990 ± 0.0006" in said
        assert said.endswith("epochs=9")

    def test_a_loss_that_rises_wants_fewer(self, sound):
        put_history(sound, "a", history(valid=lambda fold, epoch: 1 + 0.1 * abs(epoch - 3) + 0.001 * fold * epoch))
        (said,) = advised(sound, tuning.epochs)
        assert "least at epoch 3 of 6" in said
        assert said.endswith("epochs=3")

    def test_folds_that_do_not_agree_want_nothing(self, sound):
        put_history(sound, "a", history(valid=lambda fold, epoch: 1 + (0.1 * epoch if fold else -0.02 * epoch)))
        assert advised(sound, tuning.epochs) == []

    def test_overconfidence_wants_a_temperature_once(self, sound):
        data, _ = rows_of(sound)
        save(sound, "a", oof=softmax(3 * np.log(guess(data.targets, 3, 1.5, 7)), axis=1))
        (said,) = advised(sound, tuning.temperature)
        assert said.startswith("Calibrate a:")
        with_one = sound.model_copy(update={"models": {**sound.models, "a": fine_tuned(temperature=True)}})
        assert advised(with_one, tuning.temperature) == []

    def test_training_with_flips_wants_views(self, sound):
        flipped = {**sound.models, "a": fine_tuned(augment=(Augment("HorizontalFlip", p=0.5),))}
        (said,) = advised(sound.model_copy(update={"models": flipped}), tuning.views)
        assert said.endswith('views=("identity", "hflip")')

    @pytest.mark.parametrize(("symmetries", "n"), [((), 0), (("vflip",), 0), (("hflip", "vflip", "rot180"), 1)])
    def test_views_that_change_the_class_are_never_advised(self, sound, symmetries, n):
        flipped = {**sound.models, "a": fine_tuned(augment=(Augment("HorizontalFlip", p=0.5),))}
        toy = sound.model_copy(update={"models": flipped, "symmetries": symmetries})
        assert len(advised(toy, tuning.views)) == n

    def test_a_model_cut_short_by_its_steps_is_judged_by_the_epochs_that_it_had(self, sound):
        short = fine_tuned(epochs=50, max_steps=EPOCHS, batch_size=10_000)
        toy = sound.model_copy(update={"models": {**sound.models, "b": short}})
        put_history(toy, "b", history(valid=lambda fold, epoch: 2 - 0.1 * epoch + 0.001 * fold * epoch))
        (said,) = advised(toy, tuning.epochs)
        assert "last 1 epoch of 6" in said
        assert said.endswith("epochs=9, max_steps=None")

    def test_two_best_that_chance_cannot_tell_apart_want_seeds(self, sound):
        toy = sound.model_copy(update={"models": {"a": fine_tuned(), "b": fine_tuned(lr=2e-3)}})
        save(toy, "b", 1.2, 0)  # as a
        (said,) = advised(toy, tuning.seeds)
        assert "differ by +0.0000 (identical)" in said

    def test_of_twins_the_one_that_is_not_missed_is_to_go(self, sound):
        models = {**sound.models, "c": fine_tuned(lr=3e-3)}
        toy = sound.model_copy(update={"models": models})
        save(toy, "c", 1.2, 0)  # as a
        blended(
            toy, {"a": {}, "b": {}, "c": {"lost": 0.0, "lost_se": 0.001}}, oof=guess(rows_of(toy)[0].targets, 3, 2, 9)
        )
        (said,) = advised(toy, tuning.near_identical_models)
        assert said.startswith("Leave c out: On 100.0% of the rows a and c agree")
        assert said.endswith('blend=Blend(models=("a", "b"))')

    def audited(self, competition: Competition, rows: list[dict]) -> Competition:
        found = pd.DataFrame(rows).assign(score=0.9).reindex(columns=audit.COLUMNS, fill_value="")
        audit.write(competition, found, {})
        return competition

    def test_pictures_in_train_and_test_are_counted(self, sound):
        leak = {"part": "test", "kind": "leak", "other_id": "1", "other_part": "train"}
        toy = self.audited(
            sound, [{"id": "300", **leak}, {"id": "301", **leak}, {"id": "301", **leak, "other_id": "2"}]
        )
        (said,) = advised(toy, doubts.leaks)
        assert "Of 120 test pictures 2 are in train too (1.7 %)" in said
        assert {"name": "In train and test", "value": "2 pictures", "more": "of 120 in test"} in head.tiles(
            material.read(toy)
        )

    def test_near_duplicates_in_two_folds_are_to_be_kept_together(self, sound):
        pair = {"part": "train", "kind": "duplicate", "other_part": "train"}
        apart = [{"id": str(i + 1), "other_id": str(i), **pair} for i in range(0, 60, 2)]
        within = [{"id": str(i + 3), "other_id": str(i), **pair} for i in range(0, 60, 2)]
        (said,) = advised(self.audited(sound, apart), doubts.split_duplicates)
        assert "Of 300 train pictures 60 have a near-duplicate in another fold (20.0 %)" in said
        assert advised(self.audited(sound, within), doubts.split_duplicates) == []
        assert advised(self.audited(sound, apart[:1]), doubts.split_duplicates) == []
        grouped = sound.model_copy(update={"folds": Folds(n=3, groups="near-duplicates")})
        assert advised(self.audited(grouped, apart), doubts.split_duplicates) == []

    def test_doubtful_labels_are_tried_and_then_what_came_of_it_counts(self, sound):
        models = {**sound.models, "p": Probe(clip=TINY_CLIP)}
        toy = self.audited(
            sound.model_copy(update={"models": models}),
            [{"id": str(i), "part": "train", "kind": "label", "label": CLASSES[0]} for i in range(30)],
        )
        save(toy, "p")
        (said,) = advised(toy, doubts.doubtful_labels)
        assert "doubts 30 of 300 labels (10.0 %)" in said
        assert said.endswith("./run.sh toy ab label_noise drop")
        for gain, n in ((0.01, 1), (0.001, 0)):
            scores = (0.7, 0.01, 0.7 + gain, 0.01, gain, 0.002)
            one = Comparison("label_noise", "drop", "p", "accuracy", *scores, 9, files.sha256(toy.folds_csv), "key")
            files.write_text(toy.ab_csv, pd.DataFrame([vars(one)]).to_csv(index=False))
            said = advised(toy, doubts.doubtful_labels)
            assert len(said) == n
            assert all(text.endswith('label_noise="drop"') for text in said)
        assert advised(sound, doubts.doubtful_labels) == []  # without a probe there is nothing to try it with


class TestProvenance:
    def test_the_config_as_text_is_the_config(self):
        for name in ("corn", "corn_small", "digits"):
            competition = config.load(name)
            text = configs.code(competition, without=("name",))
            known = {**vars(config), "Fields": None}
            again = eval(text, known)  # noqa: S307 it is our own
            assert again.model_copy(update={"name": name}) == competition
            assert max(map(len, text.splitlines())) < 400

    def test_defaults_are_left_out_and_long_lines_are_broken(self):
        assert configs.code(fine_tuned(epochs=3)) == (
            'FineTune(backbone="test_resnet", pretrained=False, epochs=3, lr=0.001, augment=())'
        )
        assert configs.code(Blend(models=("a",))) == 'Blend(models=("a",))'
        text = configs.code(Prompts(templates=("{} " * 1 + "x" * 90,), classnames={"ü": ("a",)}))
        assert text.splitlines()[1].startswith("    templates=(")

    @pytest.mark.parametrize(
        ("stored", "said"),
        [
            ({}, ""),
            ({"lr": 1e-3}, "lr changed (0.001 to 0.002)"),
            ({"unknown": 1}, ""),
            ({"label_noise": "drop"}, "label_noise changed (drop to keep)"),
            ({"weights_file": "elsewhere"}, ""),
        ],
    )
    def test_a_change_of_the_config_is_named(self, stored, said):
        spec = fine_tuned(lr=2e-3)
        known = {"lr": 2e-3, "epochs": EPOCHS, "backbone": "test_resnet", "pretrained": False, "augment": []}
        assert configs.changes({**known, **stored}, spec) == said

    def test_a_field_that_an_old_version_did_not_know_is_a_change_unless_it_is_as_by_default(self):
        stored = fine_tuned().model_dump(mode="json")
        del stored["cutmix"]
        assert configs.changes(stored, fine_tuned()) == ""
        assert configs.changes(stored, fine_tuned(cutmix=1.0)) == "cutmix changed (None to 1.0)"

    def test_models_of_different_commits_and_versions_are_warned_of(self, toy):
        for name in toy.models:
            save(toy, name)
        path = toy.model_folder("a") / "model.json"
        made = json.loads(path.read_text())
        torch_was = made["made"]["torch"]
        made["made"] |= {"commit": "1234567-dirty", "torch": "1.0"}
        path.write_text(json.dumps(made))
        section = provenance.section(material.read(toy))
        said = " ".join(section.about["warnings"])
        assert "by different commits: 1234567-dirty (a)," in said
        assert f"with different torch: 1.0 (a), {torch_was} (b)" in said
        assert "no commit has (-dirty): a" in said
        assert dict(section.about["facts"])["sha256 of folds.csv"] == files.sha256(toy.folds_csv)
        assert dict(section.about["facts"])["computing time"] == "3m00s for what is finished"

    def test_one_model_of_one_commit_has_no_warning_of_it(self, toy):
        save(toy, "a")
        assert not any("different" in said for said in provenance.section(material.read(toy)).about["warnings"])

    def test_a_model_that_says_nothing_of_where_it_was_made_is_shown(self, toy):
        save(toy, "a")
        path = toy.model_folder("a") / "model.json"
        made = json.loads(path.read_text())
        del made["made"], made["seconds"], made["key"]["model"]
        path.write_text(json.dumps(made))
        (row,) = provenance.section(material.read(toy)).about["rows"]
        assert (row["commit"], row["time"], row["seeds"]) == ("–", "–", "")

    def test_a_smoke_run_is_made_again_with_its_limit(self, toy):
        section = provenance.section(material.read(toy.model_copy(update={"limit": 60})))
        assert section.about["commands"][0][0] == "./run.sh toy --limit 60"

    @pytest.mark.parametrize("made", [False, True])
    def test_each_command_on_its_page_has_its_limit(self, toy, made):
        if made:
            save(toy, "a")
        found = material.read(toy)
        found.competition = toy.model_copy(update={"limit": 60})
        sections = [one.section(found) for one in (blend, data, labels, mistakes, result, training, trust)]
        html = page.render("toy", {"lead": [], "tiles": [], "left_out": []}, sections, "", "").html
        commands = re.findall(r"<code>(\./run\.sh [^<]*)</code>", html)
        assert "./run.sh toy ab label_noise drop --limit 60" in commands
        assert all(command.endswith(" --limit 60") for command in commands)


class TestHead:
    def test_tiles_have_the_best_scores_and_what_is_expected(self, toy):
        save(toy, "a", 2)
        for k in (18, 11, 7):
            sent(toy, f"other{k}", k, 3 * k + 1)
        sent(toy, "a", 20, 83)
        top = head.head(material.read(toy))
        tiles = {tile["name"]: tile for tile in top["tiles"]}
        made = read_model(toy.model_folder("a"))
        assert tiles["CV accuracy"]["value"] == f"{made['cv']:.4f} ± {made['se']:.4f}"
        low, high = counts.expected_interval(made["cv"], made["se"], N, 24, metric="accuracy")
        assert tiles["Expected public score"]["value"] == f"{low:.4f} to {high:.4f}"
        assert tiles["Best public"]["value"] == "0.83333"
        assert tiles["Best public"]["more"] == "a = 20/24 ± 0.0761"
        assert tiles["Models"] == {"name": "Models", "value": "1", "more": "of 2 in the config"}
        assert top["lead"] == ["toy", "accuracy", "300 train and 120 test rows", "3 classes", "3 folds"]

    def test_where_nobody_takes_submissions_all_test_rows_are_the_test(self, toy):
        kept = pd.read_csv(toy.input("kept-solution.csv"), dtype=str)
        kept.assign(Usage="Public").to_csv(toy.input("solution.csv"), index=False)
        own = toy.model_copy(update={"source": Folder("toy")})
        save(own, "a", 2)
        found = material.read(own)
        tiles = {tile["name"] for tile in head.head(found)["tiles"]}
        assert {"Expected test score", "Best test"} <= tiles
        assert result.section(found).about["parts"] == {"public": "test"}
        section = trust.section(found)
        assert {row["part"] for row in section.about["expected"]} == {"test"}
        assert not any("public" in name.lower() or "leaderboard" in name.lower() for name in tiles)

    def test_a_perfect_model_stands_with_intervals(self, toy):
        save(toy, "a", oof=np.eye(3)[rows_of(toy)[0].targets])
        sent(toy, "a", 24, 96, cv="1.0000", se="0.0000")
        for k in (18, 11, 7):
            sent(toy, f"other{k}", k, 3 * k + 1)
        found = material.read(toy)
        tiles = {tile["name"]: tile for tile in head.head(found)["tiles"]}
        assert tiles["CV accuracy"]["value"] == "1.0000 (0.9874 to 1.0000)"
        assert tiles["Best public"]["more"] == "a = 24/24 (0.8620 to 1.0000)"
        section = result.section(found)
        assert row_of(section, "a")["cv"] == "1.0000 (0.9874 to 1.0000)"
        (dot,) = [row for row in drawn(section, "cv") if "low" in row]
        assert (dot["low"], dot["high"]) == pytest.approx((0.98736, 1), abs=1e-5)
        assert dot["error"] == "(0.9874 to 1.0000)"
        (point,) = [row for row in drawn(section, "public") if row.get("name") == "a"]
        assert [point["cv_low"], point["cv_high"]] == pytest.approx([0.98736, 1], abs=1e-5)
        assert [point["low"], point["high"]] == pytest.approx([0.86202, 1], abs=1e-5)

    def test_before_the_folds_there_is_a_head(self, toy):
        toy.folds_csv.unlink()
        top = head.head(material.read(toy))
        assert top["lead"][-1] == "no folds yet"
        assert [tile["name"] for tile in top["tiles"]] == ["Models"]


def rendered(competition: Competition) -> str:
    """The page of these sections without Vega; its charts are compiled, and not drawn."""
    found = material.read(competition)
    sections = [one for module in SECTIONS if (one := module.section(found)) is not None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "bundle", lambda: "")
        patch.setattr(charts, "png", lambda spec: json.dumps(vl_convert.vegalite_to_vega(spec)).encode())
        return page.render(competition.title, head.head(found), sections, "key", "now", {}).html


class TestPage:
    def everything(self, roots, **changes) -> Competition:
        models = {
            "z": ZeroShot(clip=TINY_CLIP),
            "p": Probe(clip=TINY_CLIP),
            "a": fine_tuned(),
            "b": fine_tuned(lr=2e-3),
            "s": Soup(of=("a", "b")),
        }
        toy = competition_of(roots, models=models, prompts=Prompts(templates=("a {}.", "<i>{}</i>")), **changes)
        save(toy, "z", 0.5, 1)
        counts = pd.DataFrame(
            [["template", "", "<i>{}</i>", 0.5, 0.1, 1.0]], columns=["kind", "class", "text", "top5", "se", "log_loss"]
        )
        files.write_text(toy.model_folder("z") / "prompts.csv", counts.to_csv(index=False))
        curves = [{"unit": {"1": 0.5, "10": 0.7}, "raw": {"1": 0.9, "10": 0.4}}] * 3
        save(toy, "p", 1, 2, chosen=[{"c": 1.0, "normalise": True}] * 3, c_curves=curves)
        wise = {"curve": [{"alpha": alpha, "score": 0.5, "se": 0.01} for alpha in (0.0, 1.0)], "chosen": [1.0] * 3}
        save(toy, "a", 1.4, 3, wise_ft=wise, temperature=1.2)
        save(toy, "b", 1.5, 4)
        save(toy, "s", 1.6, 5, ingredients=[["a 42"], ["b 42"], ["a 42", "b 42"]])
        blended(toy, {name: {} for name in models}, methods={"mean": {"cv": 0.7}}, auto={"gain": 0.1})
        for name in "ab":
            put_history(toy, name, history())
        sent(toy, "blend", 18, 70)
        sent(toy, "b<script>", 11, 50)
        files.write_text(toy.model_folder("a") / "lr.csv", "lr,loss,smooth\n1e-5,2,2.1\n1e-4,1,1.5\n")
        return toy

    def test_of_everything_is_whole_and_escaped(self, roots):
        html = rendered(self.everything(roots)).partition("<main>")[2].partition("</main>")[0]
        assert "&lt;i&gt;{}&lt;/i&gt;" in html
        assert "<b>red</b>" not in html
        assert "<i>" not in html
        for title in ("Result", "Training", "Blend", "Trust", "Provenance"):
            assert f">{title}</h2>" in html

    def test_by_a_metric_of_labels_is_whole(self, roots):
        found = material.read(self.everything(roots, metric="macro_f1"))
        sections = {one.name: one for module in SECTIONS if (one := module.section(found)) is not None}
        model = found.models["b"]
        value, se = found.metric.score(found.targets, model.decided)
        assert row_of(sections["result"], "b")["cv"] == f"{value:.4f} ± {se:.4f}"
        line = next(one for one in sections["trust"].about["expected"] if one["name"] == "b")
        assert line["interval"] == "{:.4f} to {:.4f}".format(
            *counts.expected_interval(value, se, N, M, metric="macro_f1")
        )

    @pytest.mark.parametrize("there", ["nothing", "folds", "one model", "no test table"])
    def test_of_little_is_whole(self, roots, there):
        toy = competition_of(roots)
        if there == "nothing":
            toy.folds_csv.unlink()
        elif there != "folds":
            save(toy, "a")
        if there == "no test table":
            (toy.model_folder("a") / "test.parquet").unlink()
        assert "Provenance" in rendered(toy)
