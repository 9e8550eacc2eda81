"""Labels of each task: read from a column, from columns of 0 and 1, and from rows of one label each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.data import folds, labels
from src.schema.forms import LabelRows
from src.schema.models import Pixels
from tests.conftest import toy_competition

FILE = Path("train.csv")


def competition_of(**fields):
    return toy_competition().model_copy(update=fields)


SEVERAL = competition_of(task="labels", metric="auc")


def test_several_labels_in_a_cell():
    assert labels.read_targets(SEVERAL, ["red blue", "", "green "]).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    commas = SEVERAL.model_copy(update={"separator": ","})
    assert labels.read_targets(commas, ["red, blue"]).tolist() == [[1, 0, 1]]
    assert labels.count(SEVERAL, ["red blue", "red"]) == {"blue": 1, "green": 0, "red": 2}


def test_columns_of_0_and_1_with_names_of_two_words():
    one = SEVERAL.model_copy(update={"classes": ("big bug", "dust")})
    df = pd.DataFrame({"big bug": ["1", "0", "1"], "dust": ["True", "False", "0"]})
    labels.add_labels(one, df)
    assert labels.read_targets(one, df["label"]).tolist() == [[1, 1], [0, 0], [1, 0]]


def test_cells_of_columns_that_are_neither_0_nor_1_are_refused_and_blank_ones_are_counted():
    df = pd.DataFrame({"id": ["7", "8", "9"], "red": ["1", "", "0"], "blue": list("010"), "green": ["0", "-1", "0.5"]})
    with pytest.raises(
        UserError, match=r"toy: 2 cells neither 0 nor 1 .*, the first of id '8': '-1' in the column 'gr"
    ):
        labels.add_labels(SEVERAL, df)
    df["green"] = ["1.0", "False", "0"]
    labels.add_labels(SEVERAL, df)
    assert labels.read_targets(SEVERAL, df["label"]).tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert df.attrs["passed_over"] == ["1 blank cell of the classes' columns, counted as 0"]


def test_rows_of_one_label_each_become_one_row_a_picture():
    one = SEVERAL.model_copy(update={"submission": LabelRows(row="{id}_{label}")})
    df = pd.DataFrame({"id": [f"{i}_{c}" for i in ("b", "a") for c in one.classes], "label": list("100101")})
    found = labels.by_picture(one, df)
    assert found["id"].tolist() == ["b", "a"]
    assert labels.read_targets(one, found["label"]).tolist() == [[1, 0, 0], [1, 0, 1]]


ROWS = pd.DataFrame({"id": [f"{i}_{c}" for i in "xyz" for c in ("red", "green", "blue")], "label": list("100010011")})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": {"y_green": "y_violet"}}, "1 id without a class behind it, the first id 'y_violet'"),
        (
            {"label": {"0": "0.5"}},
            "5 rows of a picture and a label with neither 0 nor 1, the first id 'x_green' with '0.5'",
        ),
        ({"id": {"y_green": "y_red"}}, "id 'y_red' stands there with 0 and with 1"),
    ],
)
def test_rows_of_one_label_each_that_say_no_clear_thing_are_refused(change, said):
    with pytest.raises(UserError) as error:
        labels.by_picture(SEVERAL.model_copy(update={"submission": LabelRows()}), ROWS.replace(change))
    assert said in str(error.value)


def test_answers_of_a_sample_submission_are_not_read():
    rows = ROWS.assign(label="0.5")
    found = labels.by_picture(SEVERAL.model_copy(update={"submission": LabelRows()}), rows, answered=False)
    assert found.to_dict("list") == {"id": ["x", "y", "z"]}


def test_a_label_without_a_row_is_counted():
    found = labels.by_picture(SEVERAL.model_copy(update={"submission": LabelRows()}), ROWS[1:])
    assert labels.read_targets(SEVERAL, found["label"]).tolist() == [[0, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert found.attrs["passed_over"] == ["1 row of a label that is not there, counted as 0"]


@pytest.mark.parametrize("task", ["class", "labels"])
def test_a_row_of_a_label_may_be_there_twice(task):
    one = competition_of(task=task, metric="log_loss", submission=LabelRows())
    df = ROWS.assign(label=list("100010001"))
    found = labels.by_picture(one, pd.concat([df, df[:5]], ignore_index=True))
    assert found["label"].str.strip(labels.BETWEEN).tolist() == ["red", "green", "blue"]


def test_rows_of_one_id_with_another_picture_are_not_joined():
    df = pd.DataFrame({"id": ["1", "1", "2"], "image": ["a", "b", "c"], "label": ["red", "blue", "red"]})
    assert labels.join_rows(SEVERAL, df, ["id", "image", "label"]) is df
    assert len(labels.join_rows(SEVERAL, df, ["id", "label"])) == 2


def test_cells_that_say_the_same_are_shown_alike():
    cells = ["red blue", f"blue{labels.BETWEEN}red{labels.BETWEEN}", "green", ""]
    assert labels.shown(SEVERAL, cells) == ["blue + red", "blue + red", "green", "no label"]


def test_unknown_labels_are_faults_with_the_nearest_and_rare_ones_too():
    train = pd.DataFrame({"id": ["1", "2", "3"], "label": ["red Blue", "red", "violet"]})
    said = labels.faults(SEVERAL, FILE, train)
    assert "id '1' has the unknown label 'Blue': write it 'blue'" in said[0]
    assert "id '3' has the unknown label 'violet'" in said[1]
    assert sum("at least 2 are needed" in fault for fault in said) == 2  # blue and green


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["violet", "red", "violet", "violet"], "id '1' and 2 more rows have the unknown label 'violet': the classes"),
        (["violet", "red", "red", "violet"], "id '1' and 1 more row have the unknown label 'violet': the classes"),
        (["red", "", "red", ""], "id '2' and 1 more row have no label"),
    ],
)
def test_rows_of_one_unknown_label_are_one_fault_that_counts_them(cells, said):
    train = pd.DataFrame({"id": ["1", "2", "3", "4"], "label": cells})
    (fault,) = labels.faults(competition_of(rare_classes=True), FILE, train)
    assert said in fault


def test_numbers_outside_of_the_span_are_faults():
    one = competition_of(task="number", classes=(), span=(0.0, 10.0), metric="rmse", models={"pixels": Pixels()})
    train = pd.DataFrame({"id": ["1", "2", "3", "4"], "label": ["3.5", "11", "", "ten"]})
    said = labels.faults(one, FILE, train)
    assert len(said) == 3
    assert "id '2' has the label '11', which is no number of 0 to 10" in said[0]
    assert labels.read_targets(one, ["3.5", "4"]).tolist() == [3.5, 4.0]


class TestFolds:
    def drawn(self, n=400, k=6):
        rng = np.random.default_rng(0)
        return (rng.random((n, k)) < np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.2])).astype(np.uint8)

    def test_each_label_is_spread_alike(self):
        table = self.drawn()
        ids = [str(i) for i in range(len(table))]
        fold = folds.split_labels(ids, table, None, 5, 42)
        assert np.bincount(fold).max() - np.bincount(fold).min() <= 4
        for column in table.T:
            rows = np.bincount(fold[column == 1], minlength=5)
            assert rows.max() - rows.min() <= 2
        random = [np.random.default_rng(seed).integers(0, 5, len(table)) for seed in range(20)]
        assert np.mean([np.ptp(np.bincount(one[table[:, 3] == 1], minlength=5)) for one in random]) > 4

    def test_it_does_not_depend_on_the_order_of_the_rows(self):
        table = self.drawn(60)
        ids = [str(i) for i in range(60)]
        fold, some = folds.split_labels(ids, table, None, 3, 42), np.random.default_rng(3).permutation(60)
        shuffled = folds.split_labels([ids[i] for i in some], table[some], None, 3, 42)
        assert (shuffled == fold[some]).all()

    def test_groups_stay_together(self):
        table = self.drawn()
        groups = [str(i // 3) for i in range(len(table))]
        fold = folds.split_labels([str(i) for i in range(len(table))], table, groups, 4, 0)
        assert all(len(set(fold[i : i + 3])) == 1 for i in range(0, len(table) - 1, 3))
        for column in table.T:
            rows = np.bincount(fold[column == 1], minlength=4)
            assert rows.max() - rows.min() <= 5

    def test_a_label_in_one_group_is_refused_unless_rare_ones_are_allowed(self):
        table = np.array([[1, 0]] * 4 + [[0, 1]] * 2, np.uint8)
        ids, groups = list("abcdef"), ["1", "2", "3", "4", "5", "5"]
        with pytest.raises(UserError, match="all rows of label 'two' are in one group"):
            folds.split_labels(ids, table, groups, 3, 0, ("one", "two"))
        assert set(folds.split_labels(ids, table, groups, 3, 0)) == {0, 1, 2}

    def test_too_few_rows_are_refused(self):
        with pytest.raises(UserError, match=r"5 folds cannot be made of 4 rows: lower folds\.n"):
            folds.split_labels(list("abcd"), np.ones((4, 1), np.uint8), None, 5, 0)
