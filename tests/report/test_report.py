"""The report: made from what lies on the disk alone, whatever that is; one file that asks for nothing else."""

import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest

from src.base import files
from src.commands import report
from src.data.rows import Dataset, read_dataset
from src.report import charts, material, page
from src.report.page import Section
from src.results.model import model_tables, save_model
from src.stages import data, folds
from tests.conftest import roots_at, set_roots, snapshot, toy_competition, toy_files

TIME = re.compile(r'<time id="made">[^<]*</time>')


def save(competition, name: str, right: float = 0.8, seed: int = 0, rows: Dataset | None = None) -> None:
    """A finished model whose labels are right for about that share of the train rows."""
    rows, rng = rows or read_dataset(competition), np.random.default_rng(seed)
    n, k = len(rows.train), len(competition.classes)
    likely = np.where(rng.random(n) < right, rows.targets, rng.integers(0, k, n))
    oof = (0.1 + 0.9 * np.eye(k)[likely]) / (1 + 0.1 * (k - 1) + 0.0)
    oof /= oof.sum(axis=1, keepdims=True)
    test = np.full((len(rows.test), k), 1 / k)
    save_model(competition, name, rows.key, rows, oof, test, 1.0)


def begin(competition) -> None:
    for stage in (data, folds):
        stage.run(competition)


def finish(competition) -> None:
    rows = read_dataset(competition)
    for seed, name in enumerate([*competition.models, "blend"]):
        save(competition, name, seed=seed, rows=rows)


@pytest.fixture
def begun(toy):
    """The toy competition with data and folds, and no model."""
    begin(toy)
    return toy


@pytest.fixture
def finished(begun):
    finish(begun)
    return begun


def left_out(found: material.Material) -> dict[str, str]:
    return {one.what: one.why for one in found.left_out}


class TestEvidence:
    def test_of_a_finished_run_is_all_of_it_in_the_configs_order(self, finished):
        found = material.read(finished)
        assert list(found.models) == ["zeroshot", "probe", "convnext", "blend"]
        assert found.left_out == []
        assert found.best.name == "blend"
        assert found.targets.tolist() == [finished.classes.index(label) for label in found.train["label"]]
        oof, test = model_tables(finished, "probe", read_dataset(finished))
        assert (found.models["probe"].oof == oof).all()
        assert (found.models["probe"].test == test).all()
        assert found.row_of["test"]["105"] == found.test_ids.index("105")

    def test_before_any_model_has_a_line_for_each(self, begun):
        found = material.read(begun)
        assert found.models == {}
        assert found.best is None
        assert left_out(found) == dict.fromkeys([*begun.models, "blend"], "not made yet")

    def test_before_the_folds_has_the_rows(self, toy):
        data.run(toy)
        found = material.read(toy)
        assert found.fold is None
        assert len(found.ids) == 36

    def test_a_model_that_stopped_half_way_tells_its_folds(self, begun):
        for fold in (0, 1):
            files.write_json(begun.model_folder("convnext") / f"fold{fold}.json", {})
            files.write_json(begun.model_folder("convnext") / f"fold{fold}-seed43.json", {})
        assert left_out(material.read(begun))["convnext"] == "not finished: 2 of 3 folds are"

    def test_a_model_of_other_folds_is_left_out(self, finished):
        finished.folds_csv.unlink()
        folds.run(finished.model_copy(update={"folds": finished.folds.model_copy(update={"seed": 7})}))
        save(finished, "probe")
        found = material.read(finished)
        assert list(found.models) == ["probe"]
        assert "other folds" in left_out(found)["blend"]

    def test_a_model_that_is_not_in_the_config_stands_behind_those_that_are(self, finished):
        save(finished, "another")
        assert list(material.read(finished).models) == ["zeroshot", "probe", "convnext", "another", "blend"]

    @pytest.mark.parametrize(
        ("file", "content", "said"),
        [
            ("oof.parquet", b"no parquet", "cannot be read|is not a parquet file"),
            ("model.json", b'{"cv": 1}', "by another version"),
        ],
    )
    def test_a_damaged_model_is_left_out(self, finished, file, content, said):
        (finished.model_folder("probe") / file).write_bytes(content)
        found = material.read(finished)
        assert "probe" not in found.models
        assert re.search(said, left_out(found)["probe"])

    def test_a_test_table_of_other_rows_leaves_the_train_rows(self, finished, folder):
        for name in ("test.csv", "sample_submission.csv"):
            df = pd.read_csv(folder / name, dtype=str)
            df[df["id"] != "105"].to_csv(folder / name, index=False)
        found = material.read(finished)
        assert found.models["probe"].test is None
        assert "of other rows" in left_out(found)["probe on the test rows"]

    def test_a_ledger_that_is_none_is_left_out(self, finished):
        finished.scores_csv.write_text("a,b\n1,2\n")
        found = material.read(finished)
        assert found.entries == []
        assert "is no ledger" in left_out(found)["the ledger"]

    @pytest.mark.parametrize("what", ["model", "image", "ledger", "config", "labels"])
    def test_the_key_names_what_is_read(self, finished, folder, what):
        before, same = material.key(finished), material.key(toy_competition())
        assert before == same
        if what == "model":
            save(finished, "probe", seed=9)
        elif what == "image":
            (folder / "train/003.png").unlink()
        elif what == "ledger":
            finished.scores_csv.write_text("time,file,status\n")
        elif what == "labels":
            (folder / "train.csv").write_text((folder / "train.csv").read_text().replace(",red", ",green", 1))
        else:
            finished = toy_competition(title="Another")
        assert material.key(finished) != before


class TestPage:
    CHART = alt.Chart(pd.DataFrame({"a": [1, 2], "b": ["<b>", "</script>"]})).mark_bar().encode(x="a", y="b")

    def render(self, **fields) -> page.Page:
        section = Section("result", "Result <1>", **fields)
        return page.render("T & <T>", {"lead": ["a"], "tiles": [], "left_out": []}, [section], "k" * 64, "now")

    @pytest.mark.parametrize("value", ["</script><b>", "<!--", "\u2028", "a & b", "🌽"])
    def test_json_in_a_script_cannot_end_it_and_comes_back_as_it_was(self, value):
        text = str(page.script_json({value: value}))
        assert not set("<>&\u2028") & set(text)
        assert json.loads(text) == {value: value}

    def test_json_has_no_nan(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            page.script_json({"a": float("nan")})

    def test_a_chart_is_a_picture_too_as_wide_as_a_column(self):
        spec = charts.specification(self.CHART.properties(width="container", height=100))
        png = charts.png(spec)
        assert png.startswith(b"\x89PNG")
        assert spec["width"] == "container"
        width = int.from_bytes(png[16:20])
        assert charts.WIDTH * charts.SCALE <= width <= 1.3 * charts.WIDTH * charts.SCALE
        assert charts.png(spec) == png

    def test_colours_of_many_kinds_begin_again(self):
        assert len(charts.palette(200)) == 200
        assert len(set(charts.palette(16))) == 16


class TestStage:
    @pytest.fixture(scope="class")
    @classmethod
    def home(cls, tmp_path_factory):
        """The roots of a finished competition with its report, where an earlier version had drawn a chart."""
        with roots_at(folder := tmp_path_factory.mktemp("reported")):
            toy_files(folder / "input" / "toy")
            competition = toy_competition()
            begin(competition)
            finish(competition)
            competition.plots.mkdir(parents=True)
            (competition.plots / "of-an-earlier-version.png").write_bytes(b"")
            report.run(competition)
        return folder

    @pytest.fixture
    def reported(self, home, monkeypatch):
        set_roots(monkeypatch, home)
        return toy_competition()

    def written(self, competition) -> str:
        return competition.report_html.read_text(encoding="utf-8")

    def test_the_same_input_gives_the_same_bytes_but_for_the_time(self, reported):
        first, plots = self.written(reported), snapshot(reported.plots)
        reported.report_html.unlink()
        report.run(reported)
        assert TIME.sub("", self.written(reported)) == TIME.sub("", first)
        assert {name: data for name, (_, data) in snapshot(reported.plots).items()} == {
            name: data for name, (_, data) in plots.items()
        }

    def test_a_second_report_of_the_same_input_changes_no_file(self, reported, home, capsys):
        before = snapshot(home)
        report.run(reported)
        assert "is of all that is there" in capsys.readouterr().out
        assert snapshot(home) == before

    def test_nothing_in_the_page_is_fetched(self, reported):
        html = self.written(reported)
        assert "default-src 'none'" in html
        assert not re.search(r"<script[^>]+src=", html)
        bare = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
        loads = re.findall(r"<(?:link|img|iframe|source|object)\b[^>]*?(?:src|href)=\"([^\"]*)\"", bare)
        assert all(address.startswith("data:") for address in loads)
        assert not re.search(r"@import|url\((?!\"?data:)", bare)

    def test_every_chart_of_the_page_lies_there_as_a_picture_and_no_other(self, reported):
        shown = set(re.findall(r'data-chart="([^"]+)"', self.written(reported)))
        assert {path.stem for path in reported.plots.iterdir()} >= shown
        assert "of-an-earlier-version" not in {path.stem for path in reported.plots.iterdir()}

    def test_texts_of_the_competition_are_no_html(self, begun, folder):
        title = '<img src=x onerror="alert(1)">'
        report.run(begun.model_copy(update={"title": title}))
        html = begun.report_html.read_text()
        assert title not in html
        assert "&lt;img src=x" in html

    def test_a_run_without_any_model_has_a_page(self, begun, capsys):
        report.run(begun)
        assert "without blend: not made yet" in capsys.readouterr().out
        assert "<h1>Toy</h1>" in self.written(begun)
