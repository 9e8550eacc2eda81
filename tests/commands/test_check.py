"""The check of a submission: every fault is one line with its fix, and what is right gives none."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from src.base import files, spellings
from src.base.errors import UserError
from src.commands import check
from src.data.rows import read_dataset
from src.kaggle.refusals import CODES
from src.leaderboard import faults, submission
from src.leaderboard.warnings import model_of
from src.results import ledger
from src.results.ledger import Entry
from src.scoring import agreement
from src.stages import data, folds
from tests.conftest import CLASSES, toy_competition

RIGHT = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": [CLASSES[i % 3] for i in range(12)]})
PROBS = pd.DataFrame(np.round(np.random.default_rng(0).dirichlet([1, 1, 1], 12), 4), columns=["red", "blue", "green"])
PROBS["green"] = (1 - PROBS["red"] - PROBS["blue"]).round(4)
PROBS.insert(0, "id", RIGHT["id"])
TEXT = RIGHT.to_csv(index=False)
SIZE = "test.csv and sample_submission.csv 12"


def put(df: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    """`df` with another cell; the row's line in the file is row + 2."""
    df = df.astype(object)
    df.loc[row, column] = value
    return df


@pytest.fixture
def inspected(toy, tmp_path):
    """inspected(frame, text or bytes) -> findings."""

    def inspect(content, competition=toy):
        path = tmp_path / "theirs.csv"
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return submission.inspect(competition, path)

    return inspect


@pytest.fixture
def log_loss(folder):
    """The toy competition with probabilities, the columns of whose sample are in no order of ours."""
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(red=0.3, blue=0.3, green=0.4).to_csv(folder / "sample_submission.csv", index=False)
    return toy_competition(metric="log_loss")


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_csv", ".csv"), text)
    return buffer.getvalue()


FAULTS = {
    "UTF-16": (TEXT.encode("utf-16"), "it is text in UTF-16: save it as UTF-8, as df.to_csv does"),
    "UTF-16 without a mark": (
        TEXT.encode("utf-16-le"),
        "it has bytes of zero, as text in UTF-16 has and a CSV has not: save it as UTF-8, as df.to_csv does",
    ),
    "gzip": (gzip.compress(TEXT.encode()), "it is packed by gzip: unpack it by gunzip"),
    "gzip in a zip": (zipped(sub=gzip.compress(TEXT.encode())), "it is packed by gzip: unpack it by gunzip"),
    "a workbook": (zipped(**{"xl/workbook.xml": ""}, docProps="x"), "it is an Excel workbook: save it as CSV (UTF-8)"),
    "a zip of two": (zipped(a_csv=TEXT, b_csv=TEXT), "it is a zip of 2 files, and Kaggle takes a zip of one CSV"),
    "Parquet": (b"PAR1" + bytes(99), "it is a Parquet table: write it by df.to_csv(index=False)"),
    "no bytes": (b"", "it is empty: write a header, and a row for each test id"),
    "Latin-1": (
        TEXT.replace("104,green", "104,gr\xfcn").encode("latin-1"),
        "line 6 is not UTF-8 text (invalid start byte): save the file as UTF-8, as df.to_csv does",
    ),
    "a byte order mark": (
        b"\xef\xbb\xbf" + TEXT.encode(),
        "it begins with a byte order mark, which Kaggle may take for a part of the first column's name: write it with encoding='utf-8', not 'utf-8-sig'",
    ),
    "a row of three cells": (
        TEXT.replace("103,blue", "103,blue,1"),
        "1 row with another number of cells than the header (2), the first in line 5 (3): give each as many, and quote a cell that has a comma in it",
    ),
    "rows of one cell": (
        TEXT.replace(",blue", ""),
        "4 rows with another number of cells than the header (2), the first in line 2 (1): give each as many, and quote a cell that has a comma in it",
    ),
    "semicolons": (TEXT.replace(",", ";"), "its cells are parted by ';': write it with commas, as df.to_csv does"),
    "an open quote": (
        TEXT.replace("103,blue", '103,"blue'),
        "line 13 is not CSV (unexpected end of data): is a quote opened and not closed?",
    ),
    "pandas' index": (RIGHT.to_csv(), "the column '' is pandas' index: write the file with index=False"),
    "pandas' index, read back": (
        RIGHT.rename_axis("Unnamed: 0").to_csv(),
        "the column 'Unnamed: 0' is pandas' index: write the file with index=False",
    ),
    "a reset index": (
        RIGHT.reset_index(),
        "the column 'index' is pandas' index: write the file with index=False",
    ),
    "commas at the ends": (
        TEXT.replace("\n", ",\n"),
        "its lines end with a comma, which makes an empty column: take that away",
    ),
    "no label": (RIGHT[["id"]], "the column 'label' is missing: add it, as sample_submission has it"),
    "no id": (RIGHT[["label"]], "the column 'id' is missing: add it, as sample_submission has it"),
    "another name": (
        RIGHT.rename(columns={"label": "target"}),
        "the column 'label' is missing and 'target' is one too many: rename it, if it is that",
    ),
    "a column more": (RIGHT.assign(image="x"), "the column 'image' is one too many: leave it out"),
    "a column twice": (
        TEXT.replace("\n", ",1\n").replace("label,1", "label,label"),
        "the column 'label' is there twice: leave one out",
    ),
    "columns in another order": (
        RIGHT[["label", "id"]],
        "its columns are in the order label, id: write them in sample_submission's, id, label",
    ),
    "a space in the header": (TEXT.replace("id,", "id, "), "the column ' label' is written wrong: name it 'label'"),
    "a capital in the header": (TEXT.replace("id,", "Id,"), "the column 'Id' is written wrong: name it 'id'"),
    "a row less": (RIGHT[1:], f"1 id missing, the first '100' (it has 11 rows, {SIZE}): add a row for each"),
    "a row more": (
        TEXT + "999,red\n",
        f"1 id unknown, the first '999' (line 14; it has 13 rows, {SIZE}): leave these rows out",
    ),
    "a row twice": (
        pd.concat([RIGHT, RIGHT[:1]]),
        "1 id in more than one row, the first '100' (lines 2 and 14): keep one row of each",
    ),
    "no rows": ("id,label\n", f"12 ids missing, the first '111' (it has 0 rows, {SIZE}): add a row for each"),
    "ids as floats": (
        RIGHT.assign(id=RIGHT["id"].astype(float)),
        "12 ids without leading zeros, or as decimals, the first '100.0' (line 2) for '100': read and write the column as text, dtype=str",
    ),
    "an id with a space": (
        put(RIGHT, 4, "id", "104 "),
        "1 id with spaces around, the first '104 ' (line 6) for '104': take them away",
    ),
    "ids as files": (
        RIGHT.assign(id=RIGHT["id"] + ".png"),
        "12 ids as names of files, the first '100.png' (line 2) for '100': write the bare name",
    ),
    "a blank id": (
        put(RIGHT, 4, "id", ""),
        "1 row without id, the first in line 6: write it in, or take the row out",
    ),
    "a blank label": (
        put(RIGHT, 4, "label", ""),
        "1 row without label, the first of id '104' (line 6): give each row a class",
    ),
    "NaN labels": (
        RIGHT.replace("green", "nan"),
        "4 rows without label, the first of id '101' (line 3): give each row a class",
    ),
    "capitals": (
        RIGHT.replace("green", "Green"),
        "4 labels in another case, the first of id '101' (line 3) 'Green' for 'green': write them as train and sample_submission do",
    ),
    "labels with spaces": (
        RIGHT.replace("green", " green"),
        "4 labels with spaces around, the first of id '101' (line 3) ' green' for 'green': take them away",
    ),
    "an unknown label": (
        put(RIGHT, 4, "label", "gren"),
        "1 label of no class, the first of id '104' (line 6): unknown class 'gren': did you mean 'green'? (one of blue, green, red)",
    ),
    "class numbers": (
        RIGHT.replace({"blue": 0, "green": 1, "red": 2}),
        "12 labels of no class, the first of id '100' (line 2): '0' is a number: write the classes' names, blue, green, red",
    ),
    "probabilities for labels": (
        PROBS,
        "it has probabilities, but accuracy wants labels: the column 'label' with the likeliest class, df[classes].idxmax(axis=1)",
    ),
}


@pytest.mark.parametrize(("content", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_labels_is_one_line_with_its_mend(inspected, content, said):
    assert inspected(content) == submission.Findings([said], [])


FAULTS_OF_PROBABILITIES = {
    "NaN": (
        put(PROBS, 3, "blue", np.nan),
        "1 row without a probability, blank or NaN, the first of id '103' (line 5), '' in the column 'blue': fill them in",
    ),
    "no number": (
        put(PROBS, 3, "blue", "0,5"),
        "1 row with a cell that is no number, the first of id '103' (line 5), '0,5' in the column 'blue': write probabilities such as 0.25",
    ),
    "infinity": (
        put(PROBS, 3, "blue", np.inf),
        "1 row with an infinite probability, the first of id '103' (line 5), 'inf' in the column 'blue': write probabilities from 0 to 1",
    ),
    "below 0": (
        put(PROBS, 3, "blue", -0.1),
        "1 row with a probability that is not in 0 to 1, the first of id '103' (line 5), '-0.1' in the column 'blue': write the softmax, not the logits or per cent",
    ),
    "per cent": (
        PROBS.assign(red=50, blue=30, green=20),
        "12 rows with a probability that is not in 0 to 1, the first of id '100' (line 2), '30' in the column 'blue': write the softmax, not the logits or per cent",
    ),
    "zeros": (
        PROBS.assign(red=0, blue=0, green=[0, *[1] * 11]),
        "1 row of zeros alone, the first of id '100' (line 2), whose sum Kaggle divides by: fill it in",
    ),
    "a class less": (
        PROBS[["id", "red", "blue"]],
        "the column 'green' is missing: add it, as sample_submission has it",
    ),
    "classes in another order": (
        PROBS[["id", "blue", "green", "red"]],
        "its columns are in the order id, blue, green, red: write them in sample_submission's, id, red, blue, green",
    ),
    "a row less": (PROBS[1:], f"1 id missing, the first '100' (it has 11 rows, {SIZE}): add a row for each"),
    "labels for probabilities": (
        RIGHT,
        "it has labels, but log_loss wants probabilities: a column for each class, id, red, blue, green, whose sum is 1 in each row",
    ),
}


@pytest.mark.parametrize(("content", "said"), FAULTS_OF_PROBABILITIES.values(), ids=FAULTS_OF_PROBABILITIES)
def test_a_fault_of_probabilities_is_one_line_with_its_mend(inspected, log_loss, content, said):
    assert inspected(content, log_loss) == submission.Findings([said], [])


def test_two_faults_are_two_lines(inspected):
    content = put(RIGHT, 4, "label", "Green").assign(id=[*RIGHT["id"][:11], "12"])
    assert [fault.split(",")[0] for fault in inspected(content).faults] == [
        "1 id missing",
        "1 id unknown",
        "1 label in another case",
    ]


@pytest.mark.parametrize(
    "content",
    [TEXT, RIGHT[::-1], TEXT.replace("\n", "\r\n"), TEXT + "\n\n", TEXT.replace("100,blue", '"100","blue"')],
    ids=["as it is", "rows in another order", "Windows' lines", "empty lines", "quotes"],
)
def test_what_is_right_has_no_findings(inspected, content):
    assert inspected(content) == submission.Findings([], [])


def test_a_zip_of_one_csv_is_read_as_that(inspected):
    assert inspected(zipped(sub_csv=TEXT)) == submission.Findings([], [])
    assert inspected(zipped(sub_csv=TEXT, **{"__MACOSX/._sub.csv": "x"})) == submission.Findings([], [])
    (fault,) = inspected(zipped(sub_csv=TEXT.replace("100,", "99,"))).faults[1:]
    assert "'99' (line 2;" in fault
    (fault,) = inspected(zipped(sub_csv=TEXT)[:40]).faults
    assert fault.startswith("it is a zip that cannot be read (")


def test_right_probabilities_have_no_findings(inspected, log_loss):
    assert inspected(PROBS[::-1], log_loss) == submission.Findings([], [])


def test_a_file_that_is_not_there_is_a_fault(toy, tmp_path):
    (fault,) = submission.inspect(toy, tmp_path / "nope.csv").faults
    assert fault.endswith("nope.csv: fix the path, or make one with ./run.sh toy")
    (fault,) = submission.inspect(toy, tmp_path).faults
    assert fault.endswith("cannot be read (Is a directory): name a CSV file that you may read")


class TestIds:
    def test_that_lost_their_leading_zeros_are_named(self, folder, inspected):
        for name in ("test", "sample_submission"):
            df = pd.read_csv(folder / f"{name}.csv", dtype=str)
            df.assign(id="0" + df["id"]).to_csv(folder / f"{name}.csv", index=False)
        (fault,) = inspected(TEXT).faults
        assert fault.startswith("12 ids without leading zeros, or as decimals, the first '100' (line 2) for '0100'")
        assert inspected(RIGHT.assign(id="0" + RIGHT["id"])).faults == []

    def test_that_could_be_two_are_unknown(self):
        assert spellings.respellings(["7.0"], ["007", "0007"]) == {}
        assert spellings.respellings(["7.0", "8e0", " 9", "A"], ["007", "8", "9", "a"]) == {
            "with spaces around": {" 9": "9"},
            "in another case": {"A": "a"},
            "without leading zeros, or as decimals": {"7.0": "007", "8e0": "8"},
        }

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (
                RIGHT,
                "test.csv has 12 rows, sample_submission.csv 11 and 1 other id, such as '111'; the file fits test.csv: ",
            ),
            (
                RIGHT[:11],
                "sample_submission.csv has 11 rows, test.csv 12 and 1 other id, such as '111'; the file fits sample_submission.csv: ",
            ),
        ],
    )
    def test_of_a_stale_sample_submission_are_told_apart(self, folder, inspected, rows, said):
        path = folder / "sample_submission.csv"
        pd.read_csv(path, dtype=str)[1:].to_csv(path, index=False)
        fix = "one of the two tables is stale: download the competition's data again"
        assert inspected(rows).faults == [said + fix]

    def test_of_a_sample_submission_that_is_the_test_table_name_it_once(self, folder, inspected):
        (fault,) = inspected(RIGHT[1:], toy_competition(test="sample_submission.csv", image="test/{id}.png")).faults
        assert "(it has 11 rows, sample_submission.csv 12)" in fault

    def test_of_a_smoke_run_are_its_own(self, inspected):
        smoke = toy_competition(limit=8)
        (asked,) = faults.requirements(smoke)
        mine = RIGHT[RIGHT["id"].isin(asked.ids)]
        assert inspected(mine, smoke) == submission.Findings([], [])
        (fault,) = inspected(RIGHT, smoke).faults
        assert fault.startswith("4 ids unknown, the first ")
        assert "it has 12 rows, test.csv and sample_submission.csv of this smoke run 8" in fault


class TestAnswers:
    def test_are_of_the_ids_in_their_order(self, toy, tmp_path):
        RIGHT.to_csv(tmp_path / "x.csv", index=False)
        probs = submission.answers(toy, tmp_path / "x.csv", ["102", "100"])
        assert probs.dtype == np.float32
        assert probs.tolist() == [[0, 0, 1], [1, 0, 0]]

    def test_are_probabilities_in_the_configs_order_of_classes(self, log_loss, tmp_path):
        PROBS.to_csv(tmp_path / "x.csv", index=False)
        probs = submission.answers(log_loss, tmp_path / "x.csv", ["103"])
        assert probs[0].tolist() == pytest.approx(PROBS.loc[3, list(CLASSES)].tolist())

    def test_of_a_smoke_run_may_be_of_more_rows(self, folder, tmp_path):
        RIGHT.to_csv(tmp_path / "x.csv", index=False)
        smoke = toy_competition(limit=8)
        (asked,) = faults.requirements(smoke)
        assert submission.answers(smoke, tmp_path / "x.csv", asked.ids).shape == (8, 3)

    def test_with_faults_are_refused_with_all_of_them(self, toy, tmp_path):
        put(RIGHT, 4, "label", "gren")[1:].to_csv(tmp_path / "x.csv", index=False)
        with pytest.raises(
            UserError, match=r"x\.csv has 2 faults to fix:\n  1 id missing, .*\n  1 label of no class"
        ) as error:
            submission.answers(toy, tmp_path / "x.csv", ["101"])
        assert error.value.code == CODES["check"]

    def test_to_ids_of_no_test_row_are_not_made_up(self, toy, tmp_path):
        RIGHT.to_csv(tmp_path / "x.csv", index=False)
        with pytest.raises(UserError, match="no answer to id '000'"):
            submission.answers(toy, tmp_path / "x.csv", ["100", "000"])


class TestWarnings:
    def test_of_one_answer_for_all_rows(self, inspected, log_loss):
        same = ["the answer is 'red' in all 12 rows: is this sample_submission itself?"]
        assert inspected(PROBS.assign(red=0.5, blue=0.25, green=0.25), log_loss) == submission.Findings([], same)
        rest = PROBS["blue"] / (PROBS["blue"] + PROBS["green"]) / 2
        (warning,) = inspected(PROBS.assign(red=0.5, blue=rest, green=0.5 - rest), log_loss).warnings[:1]
        assert warning == "the column 'red' is 0.5 in all rows: is it what the model gives?"

    def test_of_rows_that_kaggle_rescales(self, inspected, log_loss):
        said = "2 rows whose sum is not 1, the first of id '110' with 1.25: Kaggle divides each by its sum"
        sums = put(put(PROBS, 10, "red", PROBS["red"][10] + 0.25), 11, "red", PROBS["red"][11] + 0.25)
        assert inspected(sums, log_loss) == submission.Findings([], [said])

    def test_of_a_probability_of_zero(self, inspected, log_loss):
        zero = put(put(put(PROBS, 4, "red", 0), 4, "blue", 0.75), 4, "green", 0.25)
        (warning,) = inspected(zero, log_loss).warnings
        assert warning == (
            "1 row with a probability of 0, the first of id '104' in the column 'red': where that class is right the "
            "row costs 34.5: are you as sure as that?"
        )

    @pytest.mark.parametrize("metric", ["auc", "top5"])
    def test_metrics_of_the_order_need_no_sum_and_no_warning(self, inspected, log_loss, metric):
        ranks = PROBS[["red", "blue", "green"]].rank() / len(PROBS)
        ranks.insert(0, "id", PROBS["id"])
        competition = toy_competition(metric=metric)
        assert inspected(ranks, competition) == submission.Findings([], [])
        (fault,) = inspected(ranks.assign(red=ranks["red"] * 12), competition).faults
        assert fault.endswith("write the softmax, not the logits or per cent, and ranks divided by their number")

    def test_of_labels_written_as_probabilities(self, inspected, log_loss):
        sure = pd.DataFrame(np.eye(3)[np.arange(12) % 3], columns=["red", "blue", "green"])
        sure.insert(0, "id", RIGHT["id"])
        said = "all probabilities are 0 or 1: send log_loss those of the model, not its labels"
        assert inspected(sure, log_loss) == submission.Findings([], [said])


CORN = ("broken", "discolored", "pure", "silkcut")
SHARES = (0.32, 0.17, 0.41, 0.10)


@pytest.fixture
def corn(roots):
    """Tables of 600 train and 400 test rows with corn's mix of classes; no pictures."""
    folder, rng = roots / "input" / "toy", np.random.default_rng(0)
    folder.mkdir(parents=True)
    train, test = [f"{i:04d}" for i in range(600)], [f"{i:04d}" for i in range(600, 1000)]
    labels = np.array(CORN)[np.r_[np.arange(4), rng.choice(4, 596, p=SHARES)]]
    pd.DataFrame({"id": train, "image": "x.png", "label": labels}).to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"id": test, "image": "x.png"}).to_csv(folder / "test.csv", index=False)
    shuffled = rng.permutation(test)
    pd.DataFrame({"id": shuffled, "label": "pure"}).to_csv(folder / "sample_submission.csv", index=False)
    return toy_competition(classes=CORN, prompts=None, models={"probe": toy_competition().models["probe"]})


def said_of(competition, labels, name="theirs.csv", ids=None) -> list[str]:
    """The warnings of a submission of these labels, which is written to the folder."""
    path = write(competition, labels, name, ids)
    findings = submission.inspect(competition, path)
    assert findings.faults == []
    return [*findings.warnings, *findings.repeats]


def write(competition, labels, name, ids=None):
    ids = [f"{i:04d}" for i in range(600, 1000)] if ids is None else ids
    competition.folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"id": ids, "label": labels}).to_csv(competition.folder / name, index=False)
    return competition.folder / name


def model(competition, name, labels) -> None:
    """A finished model of these out-of-fold labels of the train rows."""
    folder = competition.model_folder(name)
    folder.mkdir(parents=True)
    df = pd.DataFrame((np.array(labels)[:, None] == np.array(CORN)).astype(np.float32), columns=list(CORN))
    df.insert(0, "id", [f"{i:04d}" for i in range(600)])
    for part in ("oof", "test"):
        df.to_parquet(folder / f"{part}.parquet", index=False)
    files.write_json(folder / "model.json", {"name": name})


def noisy(labels, accuracy: float, seed: int) -> np.ndarray:
    """`labels`, of which so many stay and the others are drawn again."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < accuracy, labels, rng.choice(CORN, len(labels), p=SHARES))


@pytest.fixture
def truth():
    return np.random.default_rng(1).choice(CORN, 400, p=SHARES)


class TestMix:
    def test_that_is_as_in_train_is_not_spoken_of(self, corn, truth):
        assert said_of(corn, truth) == []

    def test_that_is_another_is_said_with_its_shares(self, corn, truth):
        (warning,) = said_of(corn, np.where(truth == "pure", "silkcut", truth))
        assert warning.startswith("its mix of classes is not that of the train table: pure 0.0% (not 4")
        assert warning.endswith("%): are rows or classes mixed up?")

    def test_is_that_of_the_files_model_or_of_the_blend(self, corn, truth):
        rng = np.random.default_rng(2)
        model(corn, "probe", rng.choice(CORN, 600, p=(0.1, 0.1, 0.1, 0.7)))
        model(corn, "blend", rng.choice(CORN, 600, p=SHARES))
        weak = rng.choice(CORN, 400, p=(0.1, 0.1, 0.1, 0.7))
        assert said_of(corn, weak, "probe-cv0.1000-abcdefg.csv") == []
        assert "not that of blend out of fold: silkcut 66.2% (not 12.8%)" in said_of(corn, weak, "theirs.csv")[0]

    def test_is_called_another_as_rarely_as_is_claimed(self):
        rng = np.random.default_rng(3)
        ps = [
            agreement.chance(*(np.bincount(rng.choice(4, n, p=(0.6, 0.3, 0.08, 0.02)), minlength=4) for n in (40, 90)))
            for _ in range(200)
        ]
        assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.045)
        assert agreement.chance(np.array([40, 0]), np.array([0, 90])) == pytest.approx(1e-4)

    def test_needs_no_class_to_occur(self):
        assert agreement.chance(np.array([3, 0, 4]), np.array([6, 0, 8])) == 1.0


class TestOthers:
    def test_answers_paired_by_row_look_misaligned(self, corn, truth):
        # the trap of the corn competition: labels in test.csv's order beside ids in sample_submission's
        write(corn, noisy(truth, 0.8, seed=4), "blend-cv0.8000-abcdefg.csv")
        assert said_of(corn, truth) == []
        sample = pd.read_csv(corn.input("sample_submission.csv"), dtype=str)["id"]
        (warning,) = said_of(corn, truth, ids=sample)
        assert " agreement with blend-cv0.8000-abcdefg.csv: the rows look misaligned (chance alone gives 3" in warning
        assert warning.endswith("%): join the answers by id, not by the order of rows")

    def test_classes_that_are_swapped_look_so(self, corn, truth):
        write(corn, truth, "votes-of3-abcdefg.csv")
        swapped = dict(zip(CORN, CORN[::-1], strict=True))
        warnings = said_of(corn, [swapped[label] for label in truth])
        assert "0.0% agreement with votes-of3-abcdefg.csv: the classes look swapped" in warnings[-1]

    def test_a_model_that_is_known_to_be_weak_says_nothing_of_the_rows(self, corn, truth):
        rng = np.random.default_rng(5)
        write(corn, rng.choice(CORN, 400, p=SHARES), "probe-cv0.3000-abcdefg.csv")
        assert "look misaligned" in said_of(corn, truth)[0]  # so it does, as long as nothing is known of the other
        model(corn, "probe", rng.choice(CORN, 600, p=SHARES))
        assert said_of(corn, truth) == []

    def test_a_model_that_agreed_out_of_fold_and_does_not_now_is_said(self, corn, truth):
        labels = pd.read_csv(corn.input("train.csv"))["label"]
        for seed, name in enumerate(("probe", "blend")):
            model(corn, name, noisy(labels, 0.8, seed))
        write(corn, truth, "blend-cv0.8000-abcdefg.csv")
        right = noisy(truth, 0.8, seed=6)
        assert said_of(corn, right, "probe-cv0.8000-abcdefg.csv") == []
        assert (
            "misaligned" in said_of(corn, np.random.default_rng(0).permutation(right), "probe-cv0.8000-abcdefg.csv")[0]
        )

    def test_a_file_of_one_label_says_nothing_of_the_rows(self, corn, truth):
        write(corn, ["pure"] * 400, "probe-cv0.4000-abcdefg.csv")
        assert said_of(corn, truth) == []

    def test_one_that_cannot_be_read_is_passed_over(self, corn, truth):
        write(corn, truth, "probe-cv0.4000-abcdefg.csv").write_text("id,label\n")
        assert said_of(corn, truth) == []

    def test_equal_answers_that_were_sent_are_said(self, corn, truth):
        path = write(corn, truth, "blend-cv0.8000-abcdefg.csv")
        again = [f"{i:04d}" for i in range(999, 599, -1)], truth[::-1]  # the same, in another order
        assert said_of(corn, again[1], ids=again[0]) == []
        ledger.write(
            corn.scores_csv, [Entry("2024-01-01T00:00:00Z", path.name, files.sha256(path), status=ledger.PENDING)]
        )
        said = "0 rows differ from blend-cv0.8000-abcdefg.csv, which was sent on 2024-01-01T00:00:00Z: do not spend a submission on it"
        assert said_of(corn, again[1], ids=again[0]) == [said]
        ledger.write(corn.scores_csv, [Entry("2024-01-01T00:00:00Z", path.name, status=ledger.COMPLETE)])  # by its name
        assert said_of(corn, again[1], ids=again[0]) == [said]
        ledger.write(corn.scores_csv, [Entry("2024-01-01T00:00:00Z", path.name, status=ledger.REFUSED)])
        assert said_of(corn, again[1], ids=again[0]) == []

    def test_a_file_that_was_sent_is_said(self, corn, truth):
        path = write(corn, truth, "blend-cv0.8000-abcdefg.csv")
        ledger.write(
            corn.scores_csv, [Entry("2024-01-01T00:00:00Z", "x.csv", files.sha256(path), status=ledger.COMPLETE)]
        )
        assert said_of(corn, truth) == ["this file was sent on 2024-01-01T00:00:00Z: do not spend a submission on it"]


class TestStage:
    def test_prints_a_verdict(self, toy, tmp_path, capsys):
        (tmp_path / "x.csv").write_text(TEXT)
        assert check.run(toy, tmp_path / "x.csv") == 0
        shares = "blue 33.3%, green 33.3%, red 33.3%"
        assert capsys.readouterr().out == f"x.csv: right: 12 rows, 3 classes used: {shares}\n"

    def test_prints_a_line_a_fault(self, toy, tmp_path, capsys):
        put(RIGHT, 4, "label", "").assign(more=1).to_csv(tmp_path / "x.csv", index=False)
        assert check.run(toy, tmp_path / "x.csv") == CODES["check"]
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines] == ["fault", "fault", "x.csv"]
        assert lines[-1] == "x.csv: 2 faults: do not send it"

    def test_counts_warnings(self, toy, tmp_path, capsys):
        RIGHT.assign(label="red").to_csv(tmp_path / "x.csv", index=False)
        assert check.run(toy, tmp_path / "x.csv") == 0
        assert "x.csv: right, with 1 warning: 12 rows, 1 class used: red 100.0%" in capsys.readouterr().out

    def test_of_a_smoke_run_says_so(self, tmp_path, folder, capsys):
        smoke = toy_competition(limit=8)
        (asked,) = faults.requirements(smoke)
        RIGHT[RIGHT["id"].isin(asked.ids)].to_csv(tmp_path / "x.csv", index=False)
        assert check.run(smoke, tmp_path / "x.csv") == 0
        assert "it is of a smoke run: do not send it" in capsys.readouterr().out

    def test_tells_the_likeliest_classes_of_probabilities(self, log_loss, tmp_path, capsys):
        PROBS.to_csv(tmp_path / "x.csv", index=False)
        assert check.run(log_loss, tmp_path / "x.csv") == 0
        assert "12 rows, probabilities of 3 classes, the likeliest: blue " in capsys.readouterr().out

    def test_writes_nothing(self, toy, tmp_path):
        (tmp_path / "x.csv").write_text(TEXT)
        before = sorted(tmp_path.rglob("*"))
        check.run(toy, tmp_path / "x.csv")
        assert sorted(tmp_path.rglob("*")) == before


def test_names_of_models_are_those_of_their_files(tmp_path):
    assert model_of(tmp_path / "a-cv-b-cv0.8-abcdefg.csv") == "a-cv-b"
    assert model_of(tmp_path / "theirs.csv") == ""


def test_what_is_made_is_right(toy, log_loss):
    """Both kinds, with the sample's ids and columns in their order."""
    data.run(log_loss)
    folds.run(log_loss)
    ids = read_dataset(log_loss).test.ids
    probs = PROBS.set_index("id").loc[ids, list(CLASSES)].to_numpy(np.float32)
    (asked,) = faults.requirements(log_loss)
    text = submission.csv_of(log_loss, asked, ids, probs)
    assert faults.check_text(log_loss, text.encode(), asked)[0] == []
    sub = pd.read_csv(io.StringIO(text), dtype={"id": str})
    assert sub["id"].tolist() == list(asked.ids) == [f"{i}" for i in range(111, 99, -1)]
    assert list(sub) == ["id", "red", "blue", "green"]


def test_a_rule_for_the_labels_is_heeded(corn, truth):
    labels = pd.read_csv(corn.input("train.csv"))["label"]
    model(corn, "blend", labels)
    assert said_of(corn, truth) == []
    rule = dict.fromkeys(CORN, 0.0) | {"pure": 100.0}
    files.write_json(corn.model_folder("blend") / "model.json", {"name": "blend", "decision": rule})
    assert "(not 100.0%)" in said_of(corn, truth)[0]


def test_without_data_the_command_that_fetches_it_is_named(roots):
    with pytest.raises(UserError, match=r"there is no data of toy at .*: ./run.sh toy data fetches it"):
        submission.inspect(toy_competition(), roots / "x.csv")
