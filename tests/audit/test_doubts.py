"""Doubtful answers of labels and numbers: what was made wrong is found, and little else; and the audit of both."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src.audit import doubts
from src.data.labels import read_targets, write_targets
from src.results import audit as results
from src.scoring import label_noise
from src.stages import audit, data
from tests import tasks
from tests.conftest import toy_competition


def test_labels_that_were_turned_are_found_and_few_others():
    rng = np.random.default_rng(0)
    true = (rng.random((600, 3)) < (0.5, 0.3, 0.1)).astype(np.uint8)
    table = np.clip(true * 0.86 + 0.07 + rng.normal(size=true.shape) * 0.03, 0, 1)
    given = true.copy()
    rows = rng.choice(600, 60, replace=False)
    columns = rng.integers(0, 2, 60)
    given[rows, columns] = 1 - given[rows, columns]
    found = doubts.of_labels(given, table)
    assert found.mask[rows].mean() > 0.8
    assert found.mask.sum() <= 1.2 * len(rows)
    assert (
        found.suggested[found.mask & np.isin(np.arange(600), rows)] == true[found.mask & np.isin(np.arange(600), rows)]
    ).all()
    assert found.quality[rows[found.mask[rows]]].max() < 0.2
    assert (found.suggested[~found.mask] == given[~found.mask]).all()


def test_of_one_label_they_are_those_of_confident_learning():
    rng = np.random.default_rng(1)
    has = rng.integers(0, 2, 200)
    prob = np.clip(0.8 * has + 0.1 + rng.normal(size=200) * 0.5, 0, 1)
    expected = label_noise.issues(has, np.stack([1 - prob, prob], axis=1))
    found = doubts.of_labels(has[:, None].astype(np.uint8), prob[:, None])
    assert expected.mask.any()
    assert (found.mask == expected.mask).all()
    assert (found.quality[found.mask] == expected.quality[expected.mask]).all()


def test_a_label_that_all_rows_have_or_none_has_is_believed():
    targets = np.stack([np.ones(50), np.zeros(50)], axis=1).astype(np.uint8)
    assert not doubts.of_labels(targets, np.full((50, 2), 0.5)).mask.any()


def test_numbers_that_were_changed_are_found_and_no_others():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 100, 500)
    table = (true + rng.normal(size=500))[:, None]
    given = true.copy()
    given[[3, 77, 200]] += (30, -40, 25)
    found = doubts.of_numbers(given, table)
    assert np.flatnonzero(found.mask).tolist() == [3, 77, 200]
    assert found.quality.argmin() == 77
    assert found.suggested[77] == pytest.approx(table[77, 0])
    assert not doubts.of_numbers(np.ones(20), np.ones((20, 1))).mask.any()


@pytest.mark.parametrize(
    ("targets", "differ"),
    [
        (np.array([0, 1, 0]), [True, False]),
        (np.array([[0, 1], [1, 1], [0, 1]], np.uint8), [True, False]),
        (np.array([10.0, 30.0, 10.4]), [True, False]),
    ],
)
def test_answers_contradict_each_other(targets, differ):
    assert doubts.differ(targets, np.array([0, 0]), np.array([1, 2])).tolist() == differ


@pytest.mark.parametrize("kind", ["labels", "number", "class"])
def test_targets_written_are_those_that_are_read(roots, kind):
    competition = tasks.competition_of(roots, kind)
    targets = tasks.truth(kind)
    assert (read_targets(competition, write_targets(competition, targets)) == targets).all()


def test_labels_with_the_separator_in_their_names_are_written_so_that_they_can_be_read():
    competition = toy_competition(
        task="labels",
        metric="log_loss",
        classes=("a b", "c", "d"),
        prompts=None,
        models={"a": toy_competition().models["convnext"]},
    )
    targets = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0]], np.uint8)
    assert (read_targets(competition, write_targets(competition, targets)) == targets).all()


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_the_audit_finds_pairs_that_contradict_and_doubtful_answers_and_is_read_again(
    roots, kind, few_candidates, capsys
):
    competition = tasks.competition_of(roots, kind)
    folder = competition.input("")
    train, label = pd.read_csv(folder / "train.csv", dtype=str, keep_default_na=False), competition.label
    rng = np.random.default_rng(5)
    picture = Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8))
    for id in ("000", "001", "002", "130"):  # three train rows and a test row
        picture.save(folder / f"{id}.png")
    alike, other = ("blue", "green red") if kind == "labels" else ("10", "90")
    train.loc[:2, label] = [alike, other, alike]
    train.to_csv(folder / "train.csv", index=False)
    data.run(competition)
    tasks.save(competition, kind, "blend")
    audit.run(competition)
    ids = train["id"].tolist()
    found = results.read(competition, ids, [f"{i:03d}" for i in range(tasks.N, tasks.N + tasks.M)]).found
    pairs = {(row.kind, row.id, row.suggested_label) for row in found.itertuples() if row.kind in results.PAIRED}
    assert ("conflict", "001", alike) in pairs
    assert ("leak", "130", alike) in pairs
    assert ("duplicate", "002", "") in pairs
    doubtful = found[found["kind"] == "label"]
    assert "001" in doubtful["id"].tolist()  # its target was changed, and the model knows the old one
    assert ("different numbers" if kind == "number" else "different labels") in capsys.readouterr().out
