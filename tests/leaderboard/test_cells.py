"""The forms of a submission: what is written comes back as a table that says the same, and faults are lines."""

import io

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from src.leaderboard import cells, submission, warnings
from src.leaderboard.faults import Requirements, check_text
from src.schema.forms import LabelList, LabelRows, OneNumber, OneProbability, Probabilities, Ranking
from src.schema.models import Pixels
from src.scoring.metrics import METRICS_OF
from tests.conftest import toy_competition

IDS = ["1", "b", "007"]
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])


def competition_of(**fields):
    one = toy_competition()
    fields = {"title": "Toy", "source": one.source, "classes": one.classes, "models": one.models, **fields}
    return one.model_copy(update=fields)


def written(competition, table, ids=IDS):
    """The CSV that is written of a table, the ids of the sample submission in another order."""
    rows = competition.form.row_ids(ids, competition.classes)
    required = Requirements(rows[::-1], competition.sample_columns, "the sample")
    text = submission.csv_of(competition, required, ids, table)
    return text, required


def test_one_probability_is_the_sum_of_its_classes():
    one = competition_of(metric="auc", submission=OneProbability("green", "red", id="Id", column="is_bad"))
    text, required = written(one, PROBS)
    df = pd.read_csv(io.StringIO(text), dtype={"Id": str}).set_index("Id")
    assert list(df.columns) == ["is_bad"]
    assert list(df.index) == IDS[::-1]
    assert df.loc[IDS, "is_bad"].to_numpy() == pytest.approx([0.3, 0.9, 0.75])
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert answers.loc[IDS].to_numpy()[:, 1:].sum(axis=1) == pytest.approx([0.3, 0.9, 0.75])
    assert answers.sum(axis=1).to_numpy() == pytest.approx(1)


def test_its_metric_is_of_the_sum():
    one = competition_of(metric="log_loss", submission=OneProbability("green", "red"))
    targets = np.array([0, 1, 2])
    assert one.scorer.value(targets, PROBS) == pytest.approx(-np.log([0.7, 0.9, 0.75]).mean())
    assert METRICS_OF["class"]["log_loss"].value(targets, PROBS) == pytest.approx(-np.log([0.7, 0.1, 0.25]).mean())


def test_ranking_has_the_likeliest_first_and_comes_back_in_that_order():
    one = competition_of(metric="map5", submission=Ranking(k=2))
    text, required = written(one, PROBS)
    df = pd.read_csv(io.StringIO(text), dtype=str).set_index("id")
    assert df.loc[IDS, "label"].tolist() == ["blue green", "red green", "green red"]  # of equal ones the last
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert answers.loc[IDS].to_numpy().argmax(axis=1).tolist() == [0, 2, 1]


def test_labels_that_are_not_sent_are_of_no_worth():
    one = competition_of(metric="map5", submission=Ranking(k=1))
    text, required = written(one, PROBS)  # blue, red and green
    targets = np.array([2, 1, 0])
    assert one.scorer.value(targets, PROBS) == 0
    assert one.scorer.value(np.array([0, 1, 2]), PROBS) == pytest.approx(1 / 3)
    _, answers = check_text(one, text.encode(), required)
    assert one.scorer.value(targets, answers.loc[IDS].to_numpy()) == 0


def test_a_file_that_ranks_fewer_labels_than_count_is_scored_by_these():
    one = competition_of(metric="map5")
    text = "id,label\n1,blue\nb,red green\n007,green red blue\n"
    faults, answers = check_text(one, text.encode(), Requirements(IDS, ["id", "label"], "the sample"))
    assert not faults
    assert one.scorer.per_row(np.array([2, 0, 0]), answers.to_numpy()) == pytest.approx([0, 0, 1 / 3])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("blue green red", "with more than 2 labels"),
        ("blue blue", "with a label twice"),
        ("blue violet", "1 label of no class, the first of id '1' (line 2)"),
        ("", "1 row without label"),
        ("Blue", "'Blue' for 'blue'"),
    ],
)
def test_faults_of_a_ranking(cell, said):
    one = competition_of(metric="map5", submission=Ranking(k=2))
    text = f"id,label\n1,{cell}\nb,red green\n007,green\n"
    faults, answers = check_text(one, text.encode(), Requirements(IDS, ["id", "label"], "the sample"))
    assert answers is None
    assert any(said in fault for fault in faults), faults


def test_a_class_may_be_called_as_a_blank_cell_is():
    one = competition_of(classes=("None", "red"), metric="map5", submission=Ranking(k=2))
    faults, answers = check_text(
        one, b"id,label\n1,None\n007,red None\nb,red\n", Requirements(IDS, ["id", "label"], "the sample")
    )
    assert not faults
    assert answers.to_numpy().argmax(axis=1).tolist() == [0, 1, 1]


@pytest.mark.parametrize("form", [{}, {"metric": "map5", "submission": Ranking(k=2)}])
def test_another_spelling_of_such_a_class_is_called_so(form):
    one = competition_of(classes=("none", "red"), **form)
    text, required = b"id,label\n1,None\n007,red\nb,nan\n", Requirements(IDS, ["id", "label"], "the sample")
    blank, spelling = check_text(one, text, required)[0]
    assert "1 row without label, the first of id 'b'" in blank
    assert "1 label in another case, the first of id '1' (line 2) 'None' for 'none'" in spelling


LABELS = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4], [0.1, 0.5, 0.2]], np.float32)


def test_labels_in_a_cell():
    one = competition_of(task="labels", metric="micro_f1", submission=LabelList(nothing="none"))
    text, required = written(one, LABELS)
    df = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).set_index("id")
    assert df.loc[IDS, "label"].tolist() == ["blue green", "none", "green"]
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert (answers.loc[IDS].to_numpy() == (LABELS >= 0.5)).all()


def test_a_label_twice_in_a_cell_is_a_fault():
    one = competition_of(task="labels", metric="micro_f1", submission=LabelList(separator=","))
    text, required = 'id,label\n1,blue\nb,"red, red"\n007,"red,blue,red"\n', written(one, LABELS)[1]
    (fault,) = check_text(one, text.encode(), required)[0]
    assert fault == "2 rows with a label twice, the first of id 'b' (line 3): name each once"


def test_an_empty_cell_is_a_row_without_labels():
    one = competition_of(task="labels", metric="micro_f1")
    text, required = written(one, LABELS)
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert answers.loc["b"].tolist() == [0, 0, 0]


def test_a_row_a_label_is_joined_by_its_id():
    form = LabelRows(row="ID_{id}_{label}", id="ID", column="Label")
    one = competition_of(task="labels", metric="auc", submission=form)
    text, required = written(one, LABELS)
    df = pd.read_csv(io.StringIO(text)).set_index("ID")
    assert df.loc["ID_b_red", "Label"] == pytest.approx(0.4)
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert answers.loc[IDS].to_numpy() == pytest.approx(LABELS)


def test_ids_of_rows_are_parsed_by_the_longest_label():
    form = LabelRows(row="{id}_{label}")
    assert form.parse("1.2_3_no_red", ("red", "no_red")) == ("1.2_3", "no_red")
    assert form.parse("1.2_3", ("red", "no_red")) == ("1.2_3", None)


def test_a_missing_row_of_a_label_is_a_fault():
    one = competition_of(task="labels", metric="auc", submission=LabelRows())
    text, required = written(one, LABELS)
    text = "\n".join(line for line in text.splitlines() if "b_red" not in line)
    faults, answers = check_text(one, text.encode(), required)
    assert answers is None
    assert "1 id missing, the first 'b_red'" in faults[0]


def test_numbers():
    number = {"task": "number", "classes": (), "span": (0.0, 100.0), "metric": "rmse", "models": {"pixels": Pixels()}}
    one = competition_of(**number, submission=OneNumber(id="Id"))
    table = np.array([[12.5], [99.0], [0.0]], np.float32)
    text, required = written(one, table)
    faults, answers = check_text(one, text.encode(), required)
    assert not faults
    assert answers.loc[IDS].to_numpy() == pytest.approx(table)
    faults, _ = check_text(one, text.replace("12.5", "many").encode(), required)
    assert "1 row with a cell that is no number, the first of Id '1' (line 4), 'many'" in faults[0]


NUMBER = {"task": "number", "classes": (), "metric": "rmse", "prompts": None, "models": {"pixels": Pixels()}}
LABELLED = {"task": "labels", "metric": "micro_f1", "prompts": None, "models": {"pixels": Pixels()}}


def test_without_a_form_labels_are_parted_as_in_the_train_table():
    one = competition_of(**LABELLED, separator="|")
    assert one.form.separator == "|"
    assert competition_of(**LABELLED, separator="|", submission=LabelList()).form.separator == " "


def test_labels_of_probability_zero_are_no_fault():
    """Kaggle divides the rows of one class by their sum, and not those of several labels."""
    one = competition_of(**LABELLED | {"metric": "log_loss"})
    text, required = written(one, np.zeros((3, 3), np.float32))
    assert check_text(one, text.encode(), required)[0] == []


def test_kappa_of_numbers_is_of_whole_ones():
    one = competition_of(**NUMBER | {"metric": "quadratic_kappa"}, span=(0.0, 4.0))
    text, required = written(one, np.array([[1.4], [2.6], [4.0]], np.float32))
    assert text.splitlines() == ["id,label", "007,4", "b,3", "1,1"]
    assert check_text(one, text.encode(), required)[0] == []
    (fault,) = check_text(one, text.replace("b,3", "b,2.6").encode(), required)[0]
    assert fault.startswith("1 row with a number that is not whole, the first of id 'b' (line 3), '2.6'")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            LABELLED,
            "it has probabilities, but micro_f1 wants labels: the column 'label' with those of each row in one cell",
        ),
        (
            {"metric": "map5"},
            "it has probabilities, but map5 wants the likeliest labels: the column 'label' with those",
        ),
        (
            {"metric": "auc", "submission": OneProbability("red", column="p")},
            "it has probabilities, but auc wants one of them: the column 'p' with the probability that is asked for",
        ),
    ],
)
def test_a_file_of_probabilities_where_the_form_is_another_is_one_fault(fields, said):
    one = competition_of(**fields)
    text = pd.DataFrame(PROBS, IDS, list(one.classes)).to_csv(index_label="id")
    (fault,) = check_text(one, text.encode(), Requirements(IDS, one.sample_columns, "the sample"))[0]
    assert fault.startswith(said)


def test_labels_where_probabilities_of_labels_are_wanted_need_no_sum():
    one = competition_of(**LABELLED | {"metric": "auc"})
    (fault,) = check_text(one, b"id,label\n1,red\nb,\n007,\n", Requirements(IDS, one.sample_columns, "the sample"))[0]
    assert fault == "it has labels, but auc wants probabilities: a column for each class, id, blue, green, red"


def test_labels_instead_of_the_sum_of_some_classes_are_told():
    one = competition_of(metric="auc", submission=OneProbability("green", "red"))
    _, answers = check_text(one, b"id,label\n1,1\nb,0\n007,1\n", Requirements(IDS, ["id", "label"], "the sample"))
    (warning,) = warnings.check_probabilities(one, answers)
    assert warning.startswith("all probabilities are 0 or 1")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"task": "number", "classes": (), "metric": "rmse"}, "span=(0, 100)"),
        ({"task": "number", "metric": "rmse", "span": (0, 1)}, "wants no classes, not 3"),
        ({"task": "labels", "metric": "rmse"}, "unknown metric 'rmse'"),
        ({"task": "labels", "metric": "auc", "submission": OneProbability("red")}, "OneProbability is no form"),
        ({"metric": "auc", "submission": OneProbability("violet")}, "unknown class 'violet'"),
        ({"metric": "auc", "submission": OneProbability("red", "green", "blue")}, "their sum is 1 in every row"),
        ({"span": (0, 1)}, "only task='number' has one"),
        ({**NUMBER, "span": (0, float("inf"))}, "two finite values"),
        ({**LABELLED, "classes": ("two words", "b")}, "' ' is in the name of the class 'two words'"),
        ({"metric": "map5", "classes": ("two words", "b"), "prompts": None}, "' ' is in the name of the class"),
        ({**LABELLED, "submission": LabelList(nothing="red")}, "submission.nothing: 'red' is a class"),
        ({"metric": "map5", "submission": Ranking(id="Id", column="Id")}, "a column is twice in Id, Id"),
        ({"metric": "log_loss", "submission": Probabilities(id="red")}, "a column is twice in red, blue"),
        ({"metric": "log_loss", "submission": Probabilities(column="p")}, "submission.column"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(fields, said):
    one = toy_competition()
    base = {name: getattr(one, name) for name in ("title", "source", "classes", "models", "prompts")}
    with pytest.raises(ValidationError) as error:
        type(one)(**{**base, **fields})
    assert said in str(error.value)


def test_every_form_has_its_cells():
    from src.schema.forms import DEFAULTS, AnyForm

    kinds = {form.kind for form in AnyForm.__args__}
    assert kinds == set(cells.CELLS)
    assert {form.kind for form in DEFAULTS.values()} <= kinds
