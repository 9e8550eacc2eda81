"""The data stage: what it prints of a competition, and what it warns of."""

import shutil

import pandas as pd
import pytest
from PIL import Image

from src.stages import data


def test_prints_classes_and_sizes(toy, folder, capsys):
    Image.new("L", (31, 40)).save(folder / "train/000.png")
    data.run(toy)
    said = capsys.readouterr().out
    assert "36 train rows: blue 12 (33.3%), green 12 (33.3%), red 12 (33.3%)" in said
    assert "12 test rows" in said
    assert "images: 48 of 20 to 31 x 18 to 40 pixels (median 20 x 18), L, RGB" in said
    assert "warning" not in said


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        (("train/000.png", "train/001.png"), "1 image in train with different labels: 000 (blue), 001 (green)"),
        (("train/002.png", "test/105.png"), "1 image in train and in test: 002 (red), 105 (test)"),
    ],
)
def test_warns_of_exact_copies(toy, folder, capsys, copy, said):
    shutil.copy(folder / copy[0], folder / copy[1])
    data.run(toy)
    assert f"warning: {said}" in capsys.readouterr().out


def test_copies_of_one_label_are_no_warning(toy, folder, capsys):
    shutil.copy(folder / "train/000.png", folder / "train/003.png")
    data.run(toy)
    assert "warning" not in capsys.readouterr().out


def test_ids_without_leading_zeros_are_other_ids(toy, folder):
    df = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    assert df["id"].str.len().eq(3).all()
    data.run(toy)


def test_of_many_classes_the_largest_and_the_smallest_are_printed():
    counts = pd.Series({f"c{i:04d}": 1 + (i * 7) % 1000 for i in range(1000)})
    said = data.describe_counts(counts, counts.sum())
    assert said.startswith("1,000 classes, the largest c0857 1000 (0.2%), ")
    assert ", the smallest c0572 5 (0.0%), " in said
    assert said.endswith("c0000 1 (0.0%), the median 500.5")
    assert len(said) < 400
    assert data.describe_counts(counts[:20], counts[:20].sum()).count("%") == 20
