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
from src.audit.duplicates import Fingerprints, Pairs
from src.base import files
from src.base.errors import counted
from src.base.text import duration
from src.data.rows import Dataset, Parts, Rows
from src.networks import encoding, features
from src.networks.features import Columns
from src.results import shards
from src.schema.competition import Competition
from src.schema.networks import Encoder


def candidate_encoder(competition: Competition) -> Encoder | None:
    """The encoder whose features bring candidates: the config's first, or the one that folds.csv was made with.

    (A model that is put before the others would make other folds, and all models would be trained again.)
    """
    known = competition.encoders
    used = (files.read_json(competition.folds_csv.with_suffix(".json")) or {}).get("encoder")
    same = [spec for spec in known if files.as_json_value(encoder_key(spec)) == used]
    return next(iter(same + known), None)


def encoder_key(spec: Encoder) -> dict[str, Any]:
    """The features of an encoder's first view, as a key names them."""
    return {**features.encoder_identity(spec), "view": spec.views[0]}


def key(competition: Competition, train: Rows, test: Rows | None = None) -> dict[str, Any]:
    """All that the pairs of train rows depend on, or the pairs with a test row."""
    spec = candidate_encoder(competition)
    return {
        "code": duplicates.CODE,
        "encoder": None if spec is None else encoder_key(spec),
        "train": train.digest(),
        **({} if test is None else {"test": test.digest()}),
    }


def find_train_pairs(competition: Competition, data: Parts, prints: Fingerprints | None = None) -> Pairs:
    """The pairs of train rows, found once; positions are those of data.train.

    Args:
        prints: Of the train rows; None: they are decoded where that is needed.
    """

    def find() -> Pairs:
        spec, shas = candidate_encoder(competition), np.unique(shards.binary(data.train.shas))
        if spec is not None and len(features.feature_caches(competition, spec)[0].missing(shas)):
            encoding.encode_missing(competition, [spec], data)
        feats = unit_features(competition, data.train)
        return duplicates.find_pairs(prints or duplicates.fingerprint(data.train), feats)

    return cached(competition, find, data.train)


def find_test_pairs(competition: Competition, data: Dataset, train: Pairs, prints: Fingerprints) -> Pairs:
    """The pairs that have a test row, found once; positions are those of data.rows, as of the `prints`."""

    def find() -> Pairs:
        feats = unit_features(competition, data.rows)
        return duplicates.find_pairs(prints, feats, len(data.train), train.threshold)

    return cached(competition, find, data.train, data.test)


def unit_features(competition: Competition, rows: Rows) -> np.ndarray | None:
    """The encoder's features of rows, (n, d), of length 1; None without an encoder."""
    if (spec := candidate_encoder(competition)) is None:
        return None
    return features.l2_normalise(Columns(features.feature_caches(competition, spec)[0], rows)[np.arange(len(rows))])


def cached(competition: Competition, find: Callable[[], Pairs], train: Rows, test: Rows | None = None) -> Pairs:
    """The pairs of train rows, or those with a test row, from their file, or by `find` and written there."""
    name, rows = "train", [("train", id) for id in train.ids]
    if test is not None:
        name, rows = "test", rows + [("test", id) for id in test.ids]
    path, wanted = competition.duplicates / f"{name}.json", files.as_json_value(key(competition, train, test))
    have = files.read_json(path) or {}
    if have.get("key") == wanted:
        place = {row: i for i, row in enumerate(rows)}
        places = [[place[tuple(row)] for row in pair] for *pair, _ in have["pairs"]]
        score = np.array([score for *_, score in have["pairs"]], float)
        return Pairs(np.array(places, int).reshape(-1, 2), score, have["threshold"])
    start = time.perf_counter()
    pairs = find()
    listing = [[rows[i], rows[j], score] for (i, j), score in zip(pairs.places.tolist(), pairs.score, strict=True)]
    text = json.dumps({"key": wanted, "threshold": pairs.threshold, "pairs": listing}, ensure_ascii=False)
    files.write_text(path, text + "\n")
    summary = f"{counted(len(pairs.score), 'pair')} that correlate to {pairs.threshold:.2f} or more"
    print(f"near-duplicates  {name}: {summary}  {duration(time.perf_counter() - start)}")
    return pairs
