"""The report of labels, numbers, one probability and rankings: whole pages, and numbers that are scikit-learn's."""

import functools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from src.commands import report
from src.report import charts, curves, material
from src.report.calibration_of import numbers as of_numbers
from src.report.mistakes_of import labels as of_labels
from src.report.page import templates
from src.report.sections import blend, data, mistakes, trust
from src.report.tasks import of as task_of
from src.report.tasks.numbers import number_text
from src.schema.competition import Competition
from src.stages import data as data_stage
from tests import tasks
from tests.conftest import roots_at, set_roots

KINDS = ("labels", "number", "binary", "ranking", "class")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """made_once("labels"): the folder of a competition of that kind, made once for all tests, and the competition."""

    @functools.cache
    def make(kind: str) -> tuple[Path, Competition]:
        with roots_at(folder := tmp_path_factory.mktemp(kind)):
            competition = tasks.competition_of(folder, kind)
            data_stage.run(competition)
            for seed, name in enumerate(("a", "b", "blend")):
                tasks.save(competition, kind, name, skill=2 + seed, seed=seed)
        return folder, competition

    return make


@pytest.fixture
def made(made_once, monkeypatch):
    """made("labels"): a competition of that kind with its models, which a test leaves as they are."""

    def enter(kind: str) -> Competition:
        folder, competition = made_once(kind)
        set_roots(monkeypatch, folder)
        return competition

    return enter


def drawn(section, name: str) -> list[dict]:
    return [row for rows in charts.specification(section.charts[name])["datasets"].values() for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_whole(made, monkeypatch, kind):
    monkeypatch.setattr(charts, "SCALE", 0.1)  # small pictures are drawn in half the time
    competition = made(kind)
    report.run(competition)
    html = competition.report_html.read_text(encoding="utf-8")
    album = json.loads(re.search(r'id="data-album">(.*?)</script>', html, re.S)[1])
    assert album["kind"] == {"labels": "labels", "number": "number"}.get(kind, "class")
    for name in ("result", "mistakes", "trust", "data", "blend"):
        assert f'id="{name}"' in html
    assert "nan" not in re.sub(r"<script.*?</script>", "", html, flags=re.S).lower().split()


class TestLabels:
    @pytest.fixture
    def found(self, made):
        return material.read(made("labels"))

    def test_the_table_is_scikit_learns(self, found):
        section = mistakes.section(found)
        model = found.models["a"]
        has, given = found.targets, found.answers(model)
        expected = precision_recall_fscore_support(has, given, zero_division=0)[:3]
        for i, line in enumerate(section.about["tables"]["a"]):
            assert [one[0] for one in line["measures"]] == pytest.approx([one[i] for one in expected])
            assert line["auc"] == f"{roc_auc_score(has[:, i], model.oof[:, i]):.3f}"
            assert line["missed"] == ((has[:, i] == 1) & ~given[:, i]).sum()
            assert line["false"] == ((has[:, i] == 0) & given[:, i]).sum()

    def test_mistakes_are_rows_and_labels_the_surest_first(self, found):
        section, model = mistakes.section(found), found.models["a"]
        wrong = found.answers(model) != (found.targets > 0)
        told = section.data["models"]["a"]
        assert told["wrong"] == wrong.sum()
        cells = [(int(row.partition("-")[2]), label) for row, label in told["surest"]]
        assert len(cells) == min(60, wrong.sum())
        assert all(wrong[cell] for cell in cells)
        sure = [abs(model.decided[cell] - 0.5) for cell in cells]
        assert sure == sorted(sure, reverse=True)

    def test_labels_that_go_together_are_counted(self, found):
        cells = mistakes.section(found).about["together"]["a"]
        has = found.targets > 0
        assert cells[0][2]["true"] == pytest.approx(has[has[:, 0], 2].mean())
        assert cells[2][2]["given"] == pytest.approx(found.answers(found.models["a"])[has[:, 2], 2].mean())  # recall

    def test_reliability_is_of_every_label_of_every_row(self, found):
        cells = [row for row in drawn(trust.section(found), "confidence") if row["model"] == "a"]
        assert sum(row["rows"] for row in cells) == found.targets.size
        assert sum(row["rows"] for row in cells if row["kind"] == "has it") == found.targets.sum()

    def test_the_mix_is_that_of_the_answers(self, found):
        shares = {(row["kind"], row["class"]): row["share"] for row in drawn(trust.section(found), "classes")}
        assert shares["train labels", "rare"] == pytest.approx(found.targets[:, 3].mean())

    def test_of_many_labels_pairs_and_the_worst_are_shown(self, found, monkeypatch):
        for module in (of_labels, of_labels.common):
            monkeypatch.setattr(module, "MATRIX", 3)
            monkeypatch.setattr(module, "LISTED", 2)
        about = mistakes.section(found).about
        assert about["together"] == {}
        assert len(about["tables"]["a"]) == len(about["pairs"]["a"]) == 2
        has = (found.targets > 0).astype(int)
        pair = about["pairs"]["a"][0]
        assert pair["true"] == (has[:, pair["one"]] & has[:, pair["other"]]).sum()

    def test_groups_are_the_rarest_label(self, found):
        groups = task_of(found.competition).groups(found.targets, found.targets)
        assert groups.names[-1] == "(no label)"
        for row, group in zip(found.targets, groups.of_row, strict=True):
            has = np.flatnonzero(row)
            counts = found.targets.sum(axis=0)
            assert group == (min(has, key=lambda i: counts[i]) if len(has) else 4)


class TestNumbers:
    @pytest.fixture
    def found(self, made):
        return material.read(made("number"))

    def test_the_furthest_off_come_first(self, found):
        section, model = mistakes.section(found), found.models["b"]
        off = np.abs(model.oof[:, 0] - found.targets)
        rows = [int(name.partition("-")[2]) for name in section.data["models"]["b"]]
        assert rows == np.argsort(-off, kind="stable")[:60].tolist()
        table = dict(section.about["tables"]["b"])
        assert table["root of the mean squared error"] == f"{np.sqrt(np.mean(off**2)):.4g}"

    def test_of_many_rows_cells_are_counted(self, found, monkeypatch):
        from src.report.mistakes_of import numbers

        monkeypatch.setattr(numbers, "POINTS", 50)
        points = [row for row in drawn(mistakes.section(found), "scatter") if row.get("model") == "a"]
        assert sum(row["rows"] for row in points) == len(found.train)

    def test_the_slope_is_scipys_and_the_bias_the_mean(self, found):
        model = found.models["a"]
        said = found.answers(model).astype(float)
        slope, se = of_numbers.slope_of(said, found.targets)
        assert slope == pytest.approx(stats.linregress(said, found.targets).slope)
        drawn_again = []
        rng = np.random.default_rng(0)
        for _ in range(300):
            rows = rng.integers(0, len(said), len(said))
            drawn_again.append(of_numbers.slope_of(said[rows], found.targets[rows])[0])
        assert se == pytest.approx(np.std(drawn_again), rel=0.2)
        line = trust.section(found).about["calibration"][0]
        assert line["bias"].startswith(f"{(said - found.targets).mean():+.4f}")

    def test_the_bins_are_right_where_predictions_are(self, found):
        model = found.models["a"]
        bins = of_numbers.binned(found, model)
        assert bins["rows"].sum() == len(found.train)
        assert (bins["prediction"].diff().dropna() >= 0).all()

    def test_errors_correlate_as_numpy_says(self, found):
        residuals = [found.answers(model) - found.targets for name, model in found.models.items() if name != "blend"]
        cells = {(row["a"], row["b"]): row["value"] for row in drawn(blend.section(found), "errors")}
        assert cells["a", "b"] == pytest.approx(np.corrcoef(residuals)[0, 1], abs=1e-5)

    @pytest.mark.parametrize(("metric", "columns"), [("rmse", []), ("mae", ["rmse", "4.2000"])])
    def test_the_methods_of_a_blend_have_their_loss_unless_it_is_the_metric(self, metric, columns, found):
        methods = {"mean": {"cv": 3.1, "se": 0.1, "gain": 0.0, "gain_se": 0.0, "rmse": 4.2}}
        model = replace(found.models["blend"], made={**found.models["blend"].made, "methods": methods})
        toy = found.competition.model_copy(update={"metric": metric})
        section = blend.section(replace(found, competition=toy, models={**found.models, "blend": model}))
        html = templates().get_template("sections/blend.html")
        html = html.render(**section.about, chart=section.figure, section=section).partition("<h3>Methods</h3>")[2]
        cells = re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", html.partition("</table>")[0])
        assert cells == ["method", f"CV {metric}", "gain", *columns[:1], "mean", "3.1000 ± 0.1000", "", *columns[1:]]

    def test_examples_are_of_numbers_near_each_other(self, found):
        section = data.section(found)
        assert sum(one["rows"] for one in section.about["examples"]) == len(found.train)
        first = [float(words) for _, _, words in section.data["lists"]["set0"]]
        last = [float(words) for _, _, words in section.data["lists"]["set4"]]
        assert max(first) < min(last)

    @pytest.mark.parametrize(
        ("value", "text"), [(38.123456, "38.1235"), (40, "40"), (0.00012, "0.00012"), (-3.5, "-3.5"), (1e6, "1000000")]
    )
    def test_numbers_are_short(self, value, text):
        assert number_text(value) == text


class TestOthers:
    def test_one_probability_has_its_curve_and_its_scores(self, made):
        found = material.read(made("binary"))
        section = mistakes.section(found)
        points = [row for row in drawn(section, "roc") if row.get("name") == "a"]
        points.sort(key=lambda row: row["step"])
        area = np.trapezoid([row["y"] for row in points], [row["x"] for row in points])
        expected = roc_auc_score(found.targets, found.models["a"].oof[:, 1])
        assert area == pytest.approx(expected, abs=0.02)
        rows = [row for row in drawn(section, "positive") if row["model"] == "a" and row["kind"] == "green"]
        assert sum(row["rows"] for row in rows) == (found.targets == 1).sum()

    def test_a_ranking_has_the_place_of_the_true_class(self, made):
        found = material.read(made("ranking"))
        model = found.models["a"]
        share = {row["place"]: row["share"] for row in drawn(mistakes.section(found), "ranks") if row["model"] == "a"}
        assert share[1] == pytest.approx((model.oof.argmax(axis=1) == found.targets).mean(), abs=1e-5)
        assert share[len(found.classes)] == 1
        assert (curves.true_rank(np.array([1, 0]), np.array([[0.2, 0.8], [0.5, 0.5]])) == [1, 2]).all()

    def test_one_class_has_neither(self, made):
        found = material.read(made("class"))
        assert not {"roc", "positive", "ranks"} & mistakes.section(found).charts.keys()
