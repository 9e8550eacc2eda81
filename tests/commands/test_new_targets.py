"""new: what a row is asked for and what a submission holds, by the tables alone, or by a metric that somebody names."""

import functools
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src import config
from src.base import paths
from src.base.errors import UserError
from src.commands.new import command as new
from src.commands.new import evaluation, inferring, looking, targets
from src.commands.new.evaluation import Wanted
from src.commands.new.guess import Flags
from src.data import tables
from src.schema.competition import Competition
from src.schema.forms import Label, LabelList, LabelRows, OneNumber, OneProbability, Probabilities, Ranking
from tests.conftest import picture, png

TRAIN, TEST = 40, 6
EMPTY = pd.Series([], dtype=str)


pytestmark = pytest.mark.usefixtures("configs")


def made(**flags) -> Competition:
    """The competition of the config that new writes and tries: its stages read the tables."""
    sys.modules.pop("src.configs.comp", None)
    new.run("comp", small=True, force=True, **flags)
    return config.load("comp")


@functools.cache
def small_picture(seed: int) -> bytes:
    return png(picture("red", seed, size=(8, 8)))


@pytest.fixture
def written(roots, capsys):
    """Writes a competition's tables and pictures, runs new, and returns its config and what was printed."""

    def write(train: dict, sample: dict, text: str = "", page: str = "description.md", id: str = "id", **flags):
        folder = roots / "input" / "comp"
        for part, n in (("train", TRAIN), ("test", TEST)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                (folder / part / f"{part[:2]}{i}.png").write_bytes(small_picture(i))
        ids = [f"tr{i}" for i in range(TRAIN)], [f"te{i}" for i in range(TEST)]
        pd.DataFrame({"id": ids[0]} | train).to_csv(folder / "train.csv", index=False)
        sample = pd.DataFrame({id: ids[1]} | sample)
        sample.to_csv(folder / "sample_submission.csv", index=False)
        (folder / page).write_text(text)
        capsys.readouterr()
        competition = made(**flags)
        assert set(competition.sample_columns) == set(sample)
        return competition, capsys.readouterr().out

    return write


def cycle(*values) -> list:
    return [values[i % len(values)] for i in range(TRAIN)]


ONES = {"label": cycle(0, 1)}
GUESS = "metric='auc' is a guess: sample_submission.csv has 0 in every row: labels, or a probability of 1?; others that fit: "


class TestOneProbability:
    def test_of_zeros_is_a_guess_that_a_flag_changes(self, written):
        competition, said = written(ONES, {"label": 0})
        assert (competition.metric, competition.form) == ("auc", OneProbability("1"))
        assert GUESS + "accuracy," in said
        competition, said = written(ONES, {"label": 0}, metric="accuracy")
        assert (competition.metric, competition.form) == ("accuracy", Label())
        assert "is a guess" not in said

    @pytest.mark.parametrize(
        ("text", "metric", "form"),
        [
            ("## Evaluation\nSubmissions are judged on area under the ROC curve.\n", "auc", OneProbability("1")),
            ("# Evaluation\n\nWe use the log loss.\n\n## Submission File\naccuracy", "log_loss", OneProbability("1")),
            ("Evaluation\n\nThe metric is *categorization accuracy*.", "accuracy", Label()),
            ("Blah accuracy. Submissions are scored by the macro F1 score.", "macro_f1", Label()),
        ],
    )
    @pytest.mark.parametrize("page", ["description.md", "overview.txt", "README", "evaluation.html"])
    def test_is_decided_by_a_saved_page(self, text, metric, form, page, written):
        competition, said = written(ONES, {"label": 0}, text, page)
        assert (competition.metric, competition.form) == (metric, form)
        assert "is a guess" not in said

    @pytest.mark.parametrize(
        ("labels", "column", "text", "flags", "positive"),
        [
            (("cat", "dog"), "dog", "", {}, ("dog",)),
            (("cactus", "none"), "label", "", {}, ("cactus",)),
            (("False", "True"), "label", "", {}, ("True",)),
            (("cat", "dog"), "label", "predict the probability that the image is a cat (1) or not", {}, ("cat",)),
            (("cat", "dog"), "label", "", {"positive": "cat"}, ("cat",)),
            (("Cover", "JMiPOD", "UERD"), "label", "", {}, ("JMiPOD", "UERD")),
            (("cat", "dog", "owl"), "label", "", {"positive": "cat,owl"}, ("cat", "owl")),
        ],
    )
    def test_is_of_the_class_that_is_meant(self, labels, column, text, flags, positive, written):
        competition, said = written({column: cycle(*labels)}, {column: 0.5}, text, **flags)
        assert competition.form == OneProbability(*positive)
        assert "--positive" not in said

    def test_of_a_class_that_nothing_names_is_a_guess(self, written):
        competition, said = written({"label": cycle("cat", "dog")}, {"label": 0.5})
        assert competition.form == OneProbability("dog")
        assert "the probability of dog: a guess, as the last of the classes: --positive CLASS --force" in said

    def test_flags_that_do_not_fit_are_refused(self, written):
        with pytest.raises(UserError, match="--positive: unknown class 'dogg': did you mean 'dog'"):
            written({"label": cycle("cat", "dog")}, {"label": 0.5}, positive="dogg")
        with pytest.raises(UserError, match=r"^--metric rmse, which is of numbers"):
            written({"label": cycle("cat", "dog")}, {"label": 0.5}, metric="rmse")
        with pytest.raises(UserError, match="--metric accuracy does not fit sample_submission"):
            written(ONES, {"label": 0.5}, metric="accuracy")

    def test_of_numbers_that_are_labels_but_for_their_spelling_they_are_labels(self, written):
        competition, said = written({"label": cycle("0.0", "1.0", "2.0")}, {"label": 0})
        assert (competition.metric, competition.form) == ("accuracy", Label())
        assert "its '0' is no label of a train row: should it be one?" in said

    def test_of_other_labels_in_the_sample_they_are_labels(self, written):
        competition, said = written({"label": cycle("cat", "dog")}, {"label": "cat"})
        assert (competition.metric, competition.form) == ("accuracy", Label())
        assert "auc" in said


class TestSeveralLabels:
    @pytest.mark.parametrize(
        ("cells", "sample", "separator", "classes"),
        [
            (("scab", "rust", "scab rust", "healthy"), "healthy", " ", ("healthy", "rust", "scab")),
            (("0 16", "7 1 2", "16", "7"), "0 1 2", " ", ("0", "1", "2", "7", "16")),
            (("Mass|Hernia", "Mass", "Hernia", "No Finding"), "Mass", "|", ("Hernia", "Mass", "No Finding")),
            (("a,b", "b", "a", "c,a"), "a,b", ",", ("a", "b", "c")),
            (("['a', 'b']", "['b']", "['a']", "['c', 'a']"), "a,b", ",", ("a", "b", "c")),
        ],
    )
    def test_in_a_cell(self, cells, sample, separator, classes, written):
        competition, said = written({"tags": cycle(*cells)}, {"tags": sample})
        assert (competition.task, competition.separator) == ("labels", separator)
        assert (competition.classes, competition.metric) == (classes, "micro_f1")
        assert isinstance(competition.form, LabelList)
        assert competition.form.separator == separator
        assert "metric='micro_f1' is a guess" in said

    def test_in_columns_of_which_rows_have_several_or_none(self, written):
        columns = {"fluid": cycle(1, 0, 0), "line": cycle(1, 1, 0), "patient": [f"p{i // 2}" for i in range(TRAIN)]}
        competition, said = written(columns, {"fluid": 0, "line": 0})
        assert (competition.task, competition.classes) == ("labels", ("fluid", "line"))
        assert (competition.metric, competition.form) == ("auc", Probabilities())
        assert "metric='auc' is a guess" in said

    def test_in_columns_come_before_a_table_of_annotations(self, written, roots):
        """As in ranzcr: where each catheter lies, a row a catheter, beside the columns."""
        names, train = ("ETT - Normal", "NGT"), [f"tr{i}" for i in range(0, TRAIN, 2)]
        rows = [(id, name, "[[1, 2]]") for id in train for name in names]
        (roots / "input" / "comp").mkdir(parents=True)
        df = pd.DataFrame(rows, columns=["id", "label", "data"])
        df.to_csv(roots / "input" / "comp" / "train_annotations.csv", index=False)
        competition, _ = written({names[0]: cycle(1, 0, 0), names[1]: cycle(1, 1, 0)}, dict.fromkeys(names, 0))
        assert (competition.train, competition.task, competition.classes) == ("train.csv", "labels", names)

    def test_in_columns_of_which_each_row_has_one_are_classes(self, written):
        competition, _ = written({"rust": cycle(1, 0), "scab": cycle(0, 1)}, {"rust": 0.5, "scab": 0.5})
        assert (competition.task, competition.metric) == ("class", "log_loss")

    def test_a_row_a_label_in_the_sample_alone(self, written):
        columns = {"C1": cycle(1, 0, 0), "patient_overall": cycle(1, 1, 0)}
        rows = [f"te{i}_{name}" for i in range(TEST) for name in ("patient_overall", "C1")]
        folder = paths.input_root() / "comp"
        written({"label": cycle("a", "b")}, {"label": "a"})  # the pictures
        train = pd.DataFrame({"id": [f"tr{i}" for i in range(TRAIN)]} | columns)
        train.to_csv(folder / "train.csv", index=False)
        pd.DataFrame({"row_id": rows, "fractured": 0.5}).to_csv(folder / "sample_submission.csv", index=False)
        competition = made()
        assert competition.form == LabelRows(row="{id}_{label}", id="row_id", column="fractured")
        assert (competition.task, competition.classes) == ("labels", ("patient_overall", "C1"))
        assert competition.metric == "log_loss"

    @pytest.mark.parametrize("answer", [0, 0.5])
    def test_a_row_a_label_in_both(self, written, answer):
        """As in rsna-intracranial, whose sample has 0.5 in each row."""
        written({"label": cycle("a", "b")}, {"label": "a"})  # the pictures
        folder, names = paths.input_root() / "comp", ("any", "epidural")
        for file, part, n in (("train", "tr", TRAIN), ("sample_submission", "te", TEST)):
            rows = [(f"{part}{i}_{name}", int(i % 3 > j)) for i in range(n) for j, name in enumerate(names)]
            df = pd.DataFrame(rows, columns=["ID", "Label"])
            (df if part == "tr" else df.assign(Label=answer)).to_csv(folder / f"{file}.csv", index=False)
        competition = made()
        assert (competition.task, competition.classes, competition.form) == ("labels", names, LabelRows())
        assert len(tables.read(competition).train) == TRAIN

    def test_a_row_a_label_in_the_sample_whose_column_is_called_as_that_of_the_labels(self, written, capsys):
        written({"label": cycle("a", "b")}, {"label": "a"})  # the pictures, and the train table
        rows = [f"te{i}_{name}" for i in range(TEST) for name in ("a", "b")]
        sample = pd.DataFrame({"id": rows, "label": 0.5})
        sample.to_csv(paths.input_root() / "comp" / "sample_submission.csv", index=False)
        competition = made()
        assert (competition.task, competition.classes, competition.form) == ("class", ("a", "b"), LabelRows())
        assert len(tables.read(competition).test) == TEST
        more = pd.DataFrame({"id": [f"te{i}_c" for i in range(TEST)], "label": 0.5})
        pd.concat([sample, more]).to_csv(paths.input_root() / "comp" / "sample_submission.csv", index=False)
        with pytest.raises(UserError, match=r"train.csv has no column 'a', one of the 3 labels of sample_submission"):
            made()

    def test_blanks_behind_the_last_label_of_a_ranking_are_none(self, written):
        competition, _ = written({"label": cycle("a", "b", "c")}, {"label": "b a "})
        assert (competition.form, competition.classes) == (Ranking(k=2), ("a", "b", "c"))

    def test_names_of_several_words_are_classes(self, written):
        genera = [
            f"{genus} {kind}" for genus in ("Acer", "Quercus", "Salix") for kind in ("alba", "nigra", "rubra", "x")
        ]
        competition, _ = written({"species": cycle(*genera)}, {"species": "Acer alba"})
        assert (competition.task, len(competition.classes)) == ("class", 12)


class TestNumbers:
    @pytest.mark.parametrize(
        ("values", "sample", "span"),
        [
            (list(range(1, 101)), 64.06, (1, 100)),
            ([0.5, 3.25, 9.75, 8], 1, (0, 10)),
            ([0.1, 0.97, 0.4], 0.5, (0, 1)),
            ([-3.5, 7.25, 2], 0, (-3.5, 7.25)),
        ],
    )
    def test_have_a_span(self, values, sample, span, written):
        spread = [values[i * len(values) // TRAIN] for i in range(TRAIN - 1)] + [max(values)]
        competition, said = written({"score": spread}, {"score": sample})
        assert (competition.task, competition.span, competition.metric) == ("number", span, "rmse")
        assert competition.form == OneNumber()
        assert "metric='rmse' is a guess" in said

    @pytest.mark.parametrize("before", ["", "a"])
    def test_ids_are_no_list_of_classes(self, before, tmp_path):
        ids = [f"{before}{i}" for i in range(1, 221)]
        for id in ids:
            picture("red", seed=1, size=(8, 8)).save(tmp_path / f"{id}.png")
        scores = np.random.default_rng(0).integers(20, 180, 200)
        pd.DataFrame({"id": ids[:200], "score": scores}).to_csv(tmp_path / "train.csv", index=False)
        pd.DataFrame({"id": ids[200:], "score": 0}).to_csv(tmp_path / "sample_submission.csv", index=False)
        guess = inferring.infer(looking.look(tmp_path), Flags())
        assert (guess.task, guess.span) == ("number", (scores.min(), scores.max()))

    def test_a_decimal_comma_is_asked_about(self, written):
        cells = [f"{i},{i % 7}" for i in range(TRAIN)]
        with pytest.raises(
            UserError, match=r"has '0,0', '1,1' and 38 more: numbers with a decimal comma\? write them with a poi"
        ):
            written({"weight": cells}, {"weight": "0,5"})
        competition, _ = written({"weight": cells}, {"weight": "0,5"}, metric="micro_f1")
        assert competition.task == "labels"

    def test_commas_between_thousands_are_asked_about(self, written):
        prices = [f"{800 + 37 * i:,}" for i in range(TRAIN)]
        with pytest.raises(UserError, match=r"numbers with commas between thousands\? write them without, or"):
            written({"price": prices}, {"price": 0})
        competition, _ = written({"price": prices}, {"price": 0}, metric="micro_f1")
        assert competition.task == "labels"

    def test_lists_in_brackets_of_a_sample_submission_are_said_to_be_written_without(self, written):
        _, said = written({"labels": cycle("['a']", "['a', 'b']", "['b']")}, {"labels": "[]"})
        assert "sample_submission.csv has lists in brackets, as '[]': a submission will have the labels alone" in said

    def test_labels_of_three_digits_with_commas_are_no_thousands(self):
        cells = pd.Series(["101,205,330", "205", "101,330", "330", "101"] * 4, name="label")
        assert targets.of_column("it", cells, EMPTY, (), Wanted()).task == "labels"

    def test_percentages_are_asked_about(self, written):
        covers = [f"{2 * i}%" for i in range(TRAIN)]
        with pytest.raises(UserError, match=r"has 40 values, as '0%', '2%' and 38 more: numbers\? write them without"):
            written({"cover": covers}, {"cover": "0%"})
        cells = pd.Series(["0%", "50%", "100%"] * 4, name="cover")
        assert targets.of_column("it", cells, EMPTY, (), Wanted()).task == "class"

    def test_a_probability_with_a_decimal_comma_is_asked_about(self, written):
        with pytest.raises(UserError, match=r"the column 'label' has '0,5': a probability with a decimal comma\?"):
            written({"label": cycle(0, 1)}, {"label": "0,5"})
        competition, _ = written({"label": cycle(0, 1, 5)}, {"label": "0,5"}, metric="map5")
        assert type(competition.form) is Ranking

    def test_ids_of_another_name_tell_no_test_pictures_among_those_of_train(self, tmp_path):
        for i in range(20):
            (tmp_path / f"x{i}.png").write_bytes(small_picture(i))
        ids = [f"x{i}" for i in range(20)]
        pd.DataFrame({"image_id": ids[:16], "label": ["a", "b"] * 8}).to_csv(tmp_path / "train.csv", index=False)
        sample = pd.DataFrame({"Name": ids[16:], "label": "a"})
        sample.to_csv(tmp_path / "sample_submission.csv", index=False)
        with pytest.raises(
            UserError, match=r"train.csv calls its ids 'image_id' and sample_submission.csv 'Name', no "
        ):
            inferring.infer(looking.look(tmp_path), Flags())
        sample.rename(columns={"Name": "image_id"}).to_csv(tmp_path / "sample_submission.csv", index=False)
        assert inferring.infer(looking.look(tmp_path), Flags()).test == "sample_submission.csv"

    def test_few_whole_ones_are_grades(self, written):
        competition, said = written({"diagnosis": cycle(0, 1, 2, 3, 4)}, {"diagnosis": 0})
        assert (competition.task, competition.metric) == ("class", "accuracy")
        assert "quadratic_kappa" in said
        competition, _ = written({"diagnosis": cycle(0, 1, 2, 3, 4)}, {"diagnosis": 0}, metric="rmse")
        assert (competition.task, competition.span) == ("number", (0, 4))

    def test_many_whole_ones_are_told_from_codes(self):
        rng = np.random.default_rng(0)
        ages = pd.Series(rng.normal(40, 12, 4000).round().clip(1, 90).astype(int).astype(str), name="target")
        codes = pd.Series(rng.choice(60, 4000, p=rng.dirichlet(np.ones(60))).astype(str), name="target")
        named = ages.rename("category_id")
        asked = [targets.of_column("t", cells, EMPTY, (), Wanted()).task for cells in (ages, codes, named)]
        assert asked == ["number", "class", "class"]
        assert targets.of_column("t", ages, EMPTY, [set(ages)], Wanted()).task == "class"
        accuracy = Wanted("accuracy", "as you said", flagged=True)
        assert targets.of_column("t", ages, EMPTY, (), accuracy).task == "class"

    def test_texts_are_refused(self):
        with pytest.raises(
            UserError, match="t has 40 values in 40 rows, as 'InChI=0', 'InChI=1' and 38 more: it is a te"
        ):
            targets.of_column("t", pd.Series([f"InChI={i}" for i in range(40)], name="InChI"), EMPTY, (), Wanted())


class TestRanking:
    def test_is_told_by_several_labels_in_the_sample_alone(self, written):
        labels = ["new_whale"] * 20 + [f"w_{i:02d}" for i in range(20)]
        competition, said = written({"Id": labels}, {"Id": "new_whale w_01 w_02 w_03"})
        assert (competition.task, competition.metric) == ("class", "map5")
        assert competition.form == Ranking(k=4, none="new_whale")
        assert competition.rare_classes
        assert "metric='map5' is a guess" in said

    def test_has_a_class_that_the_sample_alone_has(self, written):
        competition, _ = written({"Id": cycle("w_1", "w_2", "w_3")}, {"Id": "new_whale w_1 w_2 w_3 w_1"})
        assert competition.classes == ("w_1", "w_2", "w_3", "new_whale")
        assert competition.form == Ranking(k=5, none="new_whale")

    @pytest.mark.parametrize("answers", ["18807 36363 9 64314 60181", "1 2 3 4 5", "18807 36363 1 2 3"])
    def test_of_codes_that_are_numbers_is_none_of_numbers(self, answers, written):
        """As of hotels, whatever the sample says; some hotels have a number of many digits, and few a row or two."""
        competition, _ = written({"hotel_id": [*cycle(18807, 36363, 9, 64314, 60181)[:-1], 5]}, {"hotel_id": answers})
        assert (competition.task, competition.metric, competition.form) == ("class", "map5", Ranking())
        assert len(competition.classes) == 6

    def test_of_another_column_is_told_by_the_codes_kind(self, written):
        """As of whales, whose sample may name others than train has."""
        train = {
            "species": cycle("orca", "beluga"),
            "individual_id": cycle("37c7aba965a5", "114207cab555", "a6e325d8e924"),
        }
        for one in ("a6e325d8e924 114207cab555", "19fbb960f07d c995c043c353"):
            competition, _ = written(train, {"predictions": one})
            assert (competition.label, competition.form) == ("individual_id", Ranking(k=2, column="predictions"))
            assert len(competition.classes) == 3

    def test_may_name_others_than_train_has_beside_none_of_these(self, written):
        """As of humpbacks, of which the sample's first five are there whatever the split leaves in train."""
        labels = cycle("new_whale", "w_1287fbc", "w_23a388d", "w_0369a5c")
        competition, said = written({"Id": labels}, {"Id": "new_whale w_1287fbc w_98baff9 w_7554f44 w_1eafe46"})
        assert competition.form == Ranking(none="new_whale")
        assert len(competition.classes) == 4
        assert "its 'w_98baff9' is no label of a train row" in said

    def test_of_a_column_that_nothing_tells_is_told_by_a_flag(self, written):
        train = {"kind": cycle("orca", "beluga"), "name": cycle("willy", "moby", "jonah")}
        with pytest.raises(UserError, match=r"nothing tells these of train rows: .* it: --label NAME"):
            written(train, {"predictions": "?"})
        competition, _ = written(train, {"predictions": "?"}, label="name")
        assert (competition.label, competition.classes) == ("name", ("jonah", "moby", "willy"))

    @pytest.mark.parametrize("cell", ["8815 0.00001", "8815 1e-05", "w_1 0.9 w_2 0.05", "8815 1.0"])
    def test_with_how_sure_each_is_is_refused(self, cell, written):
        with pytest.raises(UserError, match="a cell of 'landmarks' is a label and how sure it is, as "):
            written({"landmark_id": cycle(8815, 1, 27190)}, {"landmarks": cell})

    def test_is_asked_for_by_a_page(self, written):
        text = "## Evaluation\nSubmissions are evaluated by Mean Average Precision @ 3 (MAP@3)"
        competition, _ = written({"Id": cycle("a", "b", "c", "d")}, {"Id": "a"}, text)
        assert (competition.metric, competition.form) == ("map3", Ranking(k=3))


class TestNames:
    def test_of_the_samples_columns_may_differ_by_case(self, written):
        competition, _ = written({"category_id": cycle("cat", "dog")}, {"Category": "cat"}, id="Id")
        assert (competition.id, competition.label) == ("id", "category_id")
        assert competition.form == Label(id="Id", column="Category")

    @pytest.mark.parametrize("label", ["boxer", "with_mask", "bbox", "rle_free"])
    def test_of_classes_may_be_as_of_boxes_and_masks(self, label, written):
        competition, _ = written({label: cycle(1, 0), "cat": cycle(0, 1)}, {label: 0.5, "cat": 0.5})
        assert competition.classes == (label, "cat")

    def test_of_two_classes_of_one_row_are_listed_once(self, written):
        competition, _ = written({"label": [*cycle("a", "b")[:-1], "z"]}, {"label": "a"})
        assert competition.rare_classes

    def test_of_columns_that_are_not_used_stand_in_the_config(self, written, configs, roots):
        folder = roots / "input" / "comp"
        folder.mkdir(parents=True)
        ages = {"id": [f"te{i}" for i in range(TEST)], "age": range(TEST)}
        pd.DataFrame(ages).to_csv(folder / "test.csv", index=False)
        written({"age": [20 + i / 7 for i in range(TRAIN)], "label": cycle("a", "b")}, {"label": "a"})
        assert (
            "# not used: 1 column of numbers that both tables have, 'age'; columns=('age', ...) gives"
            in (configs / "comp.py").read_text()
        )


@pytest.mark.parametrize(
    ("said", "task", "name"),
    [
        ("Submissions are evaluated on area under the ROC curve between the predicted probability", "class", "auc"),
        ("scored based on the quadratic weighted kappa, which measures the agreement", "class", "quadratic_kappa"),
        ("the multi-class logarithmic loss", "class", "log_loss"),
        ("mean column-wise ROC AUC", "labels", "auc"),
        ("micro averaged F1 score", "labels", "micro_f1"),
        ("Mean F1-Score", "labels", "micro_f1"),
        ("MeanFScoreBeta", "labels", "sample_f2"),
        ("F_{Micro}", "labels", "micro_f1"),
        ("the F1 score, averaged over all samples", "labels", "sample_f1"),
        ("Mean Average Precision @ 5 (MAP@5)", "class", "map5"),
        ("mean average precision at 20", "class", "map20"),
        ("Root Mean Squared Error", "number", "rmse"),
        ("mean squared error", "number", "mse"),
        ("Categorization Accuracy", "class", "accuracy"),
        ("the macro averaged F1", "class", "macro_f1"),
        ("Macro F-Score", "class", "macro_f1"),
        ("Weighted AUC", "class", "weighted_auc"),
        ("probabilistic F1 score (pF1)", "class", "pf1"),
        ("top-1 classification error", "class", "accuracy"),
        ("Levenshtein", "class", None),
        ("proof of scores", "class", None),
    ],
)
def test_pages_call_metrics_so(said, task, name):
    assert Wanted(said, said).of(task) == name


def test_a_page_without_a_metric_says_nothing(tmp_path: Path):
    (tmp_path / "description.md").write_text("# Overview\nA great accuracy awaits you.\n")
    (tmp_path / "AUC.md").write_text("Submissions are scored by AUC.")
    assert evaluation.find(tmp_path, None, None) == Wanted()
    assert evaluation.find(tmp_path, None, "AUC").of("class") == "auc"


@pytest.mark.parametrize(
    ("lengths", "pattern"),
    [
        ((1,), "{part}/{id:.1}/{id}.png"),
        ((2,), "{part}/{id:.2}/{id}.png"),
        ((1, 1, 1), "{part}/{id!0}/{id!1}/{id!2}/{id}.png"),
        ((2, 1), "{part}/{id!0}{id!1}/{id!2}/{id}.png"),
    ],
)
def test_pictures_may_lie_in_folders_that_are_called_as_the_ids_begin(lengths, pattern, written, roots):
    """As in SETI's, the landmarks', and data sets whose files are called by hashes."""
    written({"label": cycle("a", "b")}, {"label": "a"})
    folder = roots / "input" / "comp"
    for name, part in (("train", "train"), ("sample_submission", "test")):
        df = pd.read_csv(folder / f"{name}.csv", dtype=str)
        for i, old in enumerate(df["id"]):
            df.loc[i, "id"] = new_id = f"{i % 7}{i // 7}{i % 3}{old}"
            starts = [sum(lengths[:k]) for k in range(len(lengths))]
            place = [new_id[start : start + length] for start, length in zip(starts, lengths, strict=True)]
            (folder / part / "/".join(place)).mkdir(parents=True, exist_ok=True)
            (folder / part / f"{old}.png").rename(folder / part / "/".join(place) / f"{new_id}.png")
        df.to_csv(folder / f"{name}.csv", index=False)
    competition = made()
    assert competition.image == pattern
    assert tables.read(competition).test[tables.PATH].map(os.path.isfile).all()
