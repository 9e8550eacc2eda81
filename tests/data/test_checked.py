"""rows.parquet: the dataset that is read from it is the one that is read from tables and pictures."""

import os
import shutil
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.data import checked, tables
from src.data.rows import Dataset, Rows, read_dataset
from src.data.units import Units
from src.schema.models import Probe
from src.schema.settings import Unit
from src.stages import folds
from tests import tasks
from tests.conftest import TINY_CLIP, toy_competition

PROBE = {"probe": Probe(clip=TINY_CLIP)}


def same(one: object, other: object) -> None:
    """All that two datasets, rows or units have is equal, and of one type."""
    assert type(one) is type(other)
    if isinstance(one, Dataset | Rows | Units):
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            same(a, b)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    else:
        assert one == other


def round_trip(competition) -> None:
    data = read_dataset(competition)
    digest = checked.write(competition, data)
    for read in (checked.read(competition, digest), checked.read(competition)):
        same(read, data)
        assert read.key == data.key
        same(read.scored, data.scored)


@pytest.mark.parametrize("kind", ["class", "labels", "number"])
def test_rows_of_each_task_are_the_same(roots, kind):
    round_trip(tasks.competition_of(roots, kind))


@pytest.mark.parametrize(
    "changes", [{}, {"limit": 9}, {"white": 4095}, {"unit": Unit("who")}, {"columns": ("age", "site")}]
)
def test_so_are_those_of_a_smoke_run_of_another_white_and_with_units_and_columns(folder, changes):
    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        df["who"] = [f"{part}{i // 6 * 3 + i % 3}" for i in range(len(df))]
        df["age"], df["site"] = [*range(len(df) - 1), ""], ["left", "right"] * (len(df) // 2)
        df.to_csv(folder / f"{part}.csv", index=False)
    if "unit" in changes:
        df[["who"]].drop_duplicates().assign(label="red").to_csv(folder / "sample_submission.csv", index=False)
    competition = toy_competition(models=PROBE, **changes)
    folds.run(competition)
    round_trip(competition)


@pytest.fixture
def known(toy):
    """The toy competition and the digest of its rows, once they are written."""
    folds.run(toy)
    return toy, checked.write(toy, read_dataset(toy))


def test_neither_tables_nor_pictures_are_looked_at(known, folder):
    toy, digest = known
    data = read_dataset(toy)
    shutil.rmtree(folder)
    same(checked.read(toy, digest), data)


def test_pictures_may_lie_in_another_place(known, roots, monkeypatch):
    toy, digest = known
    (roots / "input").rename(roots / "elsewhere")
    monkeypatch.setenv("INPUT_DIR", str(roots / "elsewhere"))
    assert checked.read(toy, digest).rows.paths == tables.Paths(
        [*tables.read(toy).train[tables.PATH], *tables.read(toy).test[tables.PATH]]
    )


def test_the_same_rows_are_not_written_again(known):
    toy, digest = known
    before = toy.rows_parquet.stat().st_ino
    assert checked.write(toy, read_dataset(toy)) == digest
    assert toy.rows_parquet.stat().st_ino == before


def test_rows_of_another_digest_are_refused(known):
    toy, _ = known
    with pytest.raises(UserError, match="is of other rows than those that are asked for"):
        checked.read(toy, "0" * 64)


def test_a_config_of_other_rows_is_refused_and_one_of_other_models_is_not(known):
    toy, digest = known
    checked.read(toy.model_copy(update={"models": PROBE}), digest)
    with pytest.raises(UserError, match="is of other rows"):
        checked.read(toy.model_copy(update={"classes": ("green", "blue", "red")}), digest)


def test_older_than_a_table_or_the_folds_it_needs_a_digest(known, folder):
    toy, digest = known
    os.utime(folder / "test.csv", ns=(1, 1))
    with pytest.raises(UserError, match="is older than the tables or folds"):
        checked.read(toy)
    checked.read(toy, digest)
    checked.write(toy, read_dataset(toy))
    checked.read(toy)
    toy.folds_csv.write_text(toy.folds_csv.read_text() + "\n")
    with pytest.raises(UserError, match="is older than the tables or folds"):
        checked.read(toy)


def test_listed_files_need_a_digest(folder):
    toy = toy_competition(train="train/{label}/{file}", models=PROBE)
    for i, name in enumerate(sorted((folder / "train").iterdir())):
        (folder / "train" / toy.classes[i % 3]).mkdir(exist_ok=True)
        name.rename(folder / "train" / toy.classes[i % 3] / name.name)
    toy = toy.model_copy(update={"id": "file"})
    test = pd.read_csv(folder / "test.csv", dtype=str).rename(columns={"id": "file"})
    test.to_csv(folder / "test.csv", index=False)
    test[["file"]].assign(label="red").to_csv(folder / "sample_submission.csv", index=False)
    folds.run(toy)
    data = read_dataset(toy)
    same(checked.read(toy, checked.write(toy, data)), data)
    with pytest.raises(UserError, match="may lack files that are there by now, which a pattern lists"):
        checked.read(toy)


@pytest.mark.parametrize("text", [None, "no parquet"])
def test_a_file_that_is_none_is_refused(known, text):
    toy, digest = known
    toy.rows_parquet.unlink()
    if text is not None:
        toy.rows_parquet.write_text(text)
    with pytest.raises(UserError, match="is missing, or no file of checked rows"):
        checked.read(toy, digest)
