"""predict for labels and numbers: what is printed of a picture and of many, the table, and the page."""

import re

import numpy as np
import pytest

from src.commands.predict import command, page
from src.commands.predict.answers import LabelAnswers, NumberAnswers
from src.commands.predict.gathering import Picture
from src.commands.predict.naming import Finished
from src.commands.predict.session import Prediction
from src.results.model import read_model
from src.scoring.decisions import AsIs, rule_of
from src.stages import data
from tests import tasks

LABELS = ("rust", "scab", "rot", "mould")
TABLE = np.array([[0.9, 0.2, 0.6, 0.1], [0.1, 0.3, 0.2, 0.4], [0.7, 0.8, 0.1, 0.2]])


def of_labels(table=TABLE) -> Prediction:
    return Prediction("a:b", LABELS, table, {"net": 2.0}, {"net": 1.0}, LabelAnswers(AsIs()))


def of_numbers(values) -> Prediction:
    table = np.array(values, float)[:, None]
    return Prediction("a:n", ("score",), table, {"net": 2.0}, {"net": 1.0}, NumberAnswers((0, 100)))


def pictures(roots, n: int) -> list[Picture]:
    competition = tasks.competition_of(roots, "class")
    return [Picture(f"{i:03d}.png", competition.input(f"{i:03d}.png")) for i in range(n)]


def test_labels_that_are_given_come_first_all_of_them_and_the_others_up_to_the_top():
    lines = of_labels().lines(0, 3)
    assert [(line.label, line.given) for line in lines] == [("rust", True), ("rot", True), ("scab", False)]
    assert [line.label for line in of_labels().lines(2, 1)] == ["scab", "rust"]  # both are given
    assert [line.given for line in of_labels().lines(1, 2)] == [False, False]
    assert command.side_by_side([of_labels()], 0, 3)[1:] == ["1  0.9000  rust", "2  0.6000  rot", "3  0.2000  (scab)"]


def test_the_threshold_is_that_of_the_models_rule(roots):
    competition = tasks.competition_of(roots, "labels")
    data.run(competition)
    tasks.save(competition, "labels", "a", skill=0.7)
    answers = Finished("toy:a", competition, "a").answers
    table = np.random.default_rng(0).random((50, 4))
    rule = rule_of(read_model(competition.model_folder("a"))["decision"], competition.outputs)
    assert (answers.given(table) == (rule.apply(table) >= 0.5)).all()
    assert (answers.given(table) != (table >= 0.5)).any()


def test_a_number_is_told_as_it_is():
    (line,) = of_numbers([38.123456]).lines(0, 5)
    assert (line.label, line.text, line.bar) == ("score", "38.123", pytest.approx(0.38123456))


def test_numbers_that_are_near_each_other_are_told_apart():
    values = np.linspace(1000.001, 1000.049, 30)[:, None]
    counts = NumberAnswers((0, 2000)).groups(("score",), values).counts
    assert sum(counts.values()) == 30
    assert [*counts][:2] == ["1000 to 1000.01", "1000.01 to 1000.02"]
    assert NumberAnswers((0, 2000)).groups(("score",), np.full((3, 1), 7.0)).counts == {"7 to 7": 3}
    assert NumberAnswers((0, 2000)).groups(("score",), np.full((3, 1), -0.0)).counts == {"0 to 0": 3}


def test_the_table_has_a_column_for_what_each_model_says(roots):
    shown = pictures(roots, 3)
    df = command.table(shown, [of_labels()], 2)
    assert list(df.columns) == ["image", "model", "rank", "label", "probability", "given", "ms"]
    assert df.groupby("image")["given"].sum().tolist() == [2, 0, 2]
    df = command.table(shown, [of_numbers([1, 50, 99])], 5)
    assert list(df.columns) == ["image", "model", "rank", "label", "number", "ms"]
    assert df["number"].tolist() == [1, 50, 99]
    both = command.table(shown, [of_labels(), of_numbers([1, 50, 99])], 1)
    assert both.loc[both["model"] == "a:n", "probability"].isna().all()
    assert both.loc[both["model"] == "a:b", "given"].isin([0, 1]).all()
    assert both.loc[both["model"] == "a:n", "given"].isna().all()


def test_many_pictures_are_summed_up_by_label():
    prediction = of_labels()
    lines = prediction.answers.summary("a:b", ["x", "y", "z"], LABELS, TABLE)
    text = "\n".join(lines)
    assert re.search(r"^rust +2 +66\.7% +0\.8000$", text, re.MULTILINE)
    assert re.search(r"^\(no label\) +1 +33\.3%", text, re.MULTILINE)
    assert lines[lines.index("least sure of") + 1].split() == ["x", "0.6000", "rot"]


def test_many_pictures_are_summed_up_by_number():
    values = np.arange(30)
    lines = of_numbers(values).answers.summary("a:n", [f"p{i}" for i in values], ("score",), values[:, None])
    assert [line.split()[0] for line in lines[lines.index("least") + 1 :][:5]] == ["p0", "p1", "p2", "p3", "p4"]
    assert lines[-1].split() == ["p29", "29"]
    groups = of_numbers(values).groups
    assert sum(groups.counts.values()) == 30
    assert groups.order.tolist() == values.tolist()


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_the_page_has_the_pictures_by_group(roots, kind):
    shown = pictures(roots, 30)
    rng = np.random.default_rng(0)
    one = of_labels(rng.random((30, 4))) if kind == "labels" else of_numbers(rng.uniform(0, 100, 30))
    text = page.render(shown, [], [one], 3)
    anchors = re.findall(r'href="#(class-\d+)"', text)
    assert anchors == re.findall(r'id="(class-\d+)"', text)
    assert len(anchors) == len(one.groups.counts)
    names = re.findall(r"<h2>(.*?)</h2>", text)
    assert names == [shown[i].name for i in one.groups.order]
