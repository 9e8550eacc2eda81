"""A competition's near-duplicates: found once, kept in duplicates/, and read by the folds and the audit.

Pairs of train rows depend on the train rows alone, and so do folds that are made of them: another test set moves no
row. Pairs with a test row are found apart.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from src.audit import duplicates
from src.audit.duplicates import Looks, Pairs
from src.base import files
from src.base.errors import counted
from src.base.text import duration
from src.data.rows import Dataset, Parts, Rows
from src.networks import features
from src.networks.features import Columns
from src.results import shards
from src.schema.competition import Competition
from src.schema.models import Encoder


def encoder(competition: Competition) -> Encoder | None:
    """Whose features bring candidates: the config's first encoder, or the one that folds.csv was made with.

    (A model that is put before the others would make other folds, and all models would be trained again.)
    """
    known = competition.encoders
    used = (files.read_json(competition.folds_csv.with_suffix(".json")) or {}).get("encoder")
    same = [spec for spec in known if files.as_json_value(encoder_key(spec)) == used]
    return next(iter(same + known), None)


def encoder_key(spec: Encoder) -> dict[str, Any]:
    """What names the features of an encoder's first view."""
    return {**features.encoder_identity(spec), "view": spec.views[0]}


def key(competition: Competition, train: Rows, test: Rows | None = None) -> dict[str, Any]:
    """All that the pairs of train rows depend on, or those with a test row."""
    spec = encoder(competition)
    return {
        "code": duplicates.CODE,
        "encoder": None if spec is None else encoder_key(spec),
        **{part: contents(rows) for part, rows in (("train", train), ("test", test)) if rows is not None},
    }


def contents(rows: Rows) -> str:
    """What names their ids and pictures."""
    return files.digest([[*row] for row in zip(rows.ids, rows.shas, strict=True)])


def of_train(competition: Competition, data: Parts | Dataset, looks: Looks | None = None) -> Pairs:
    """The pairs of train rows, found once; positions are those of data.train.

    Args:
        looks: Of the train rows; None: they are decoded where that is needed.
    """
    rows = [("train", id) for id in data.train.ids]

    def make() -> Pairs:
        spec, shas = encoder(competition), np.unique(shards.binary(data.train.shas))
        if spec is not None and len(features.feature_caches(competition, spec)[0].missing(shas)):
            features.encode_missing(competition, [spec], data)
        return duplicates.find(looks or duplicates.look(data.train), vectors(competition, data.train))

    return kept(competition, "train", key(competition, data.train), rows, make)


def with_test(competition: Competition, data: Dataset, train: Pairs, looks: Looks) -> Pairs:
    """The pairs that have a test row, found once; positions are those of data.rows.

    Args:
        train: The pairs of the train rows.
        looks: Of all rows.
    """
    rows = [("train", id) for id in data.train.ids] + [("test", id) for id in data.test.ids]

    def make() -> Pairs:
        return duplicates.find(looks, vectors(competition, data.rows), len(data.train), train.threshold)

    return kept(competition, "test", key(competition, data.train, data.test), rows, make)


def vectors(competition: Competition, rows: Rows) -> np.ndarray | None:
    """The encoder's features of rows, (n, d), of length 1; None without an encoder."""
    if (spec := encoder(competition)) is None:
        return None
    return features.unit(Columns(features.feature_caches(competition, spec)[0], rows)[np.arange(len(rows))])


def kept(
    competition: Competition, name: str, key: dict[str, Any], rows: list[tuple[str, str]], make: Callable[[], Pairs]
) -> Pairs:
    """The pairs of this key from their file, or what `make` gives, which is written there.

    Args:
        rows: Part and id of each position.
    """
    path, key = competition.duplicates / f"{name}.json", files.as_json_value(key)
    have = files.read_json(path) or {}
    if have.get("key") == key:
        place = {row: i for i, row in enumerate(rows)}
        places = [(place[one[0], one[1]], place[other[0], other[1]]) for one, other, _ in have["pairs"]]
        score = np.array([score for *_, score in have["pairs"]], float)
        return Pairs(np.array(places, int).reshape(-1, 2), score, have["threshold"])
    start = time.perf_counter()
    pairs = make()
    listing = [[rows[i], rows[j], score] for (i, j), score in zip(pairs.places.tolist(), pairs.score, strict=True)]
    text = json.dumps({"key": key, "threshold": pairs.threshold, "pairs": listing}, ensure_ascii=False)
    files.write_text(path, text + "\n")
    found = f"{counted(len(pairs.score), 'pair')} that correlate to {pairs.threshold:.2f} or more"
    print(f"near-duplicates  {name}: {found}  {duration(time.perf_counter() - start)}")
    return pairs
