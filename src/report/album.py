"""The album: each picture that the page shows, once, with what is known of its row, whichever sections show it."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from src.base.threads import parallel
from src.data.tables import PATH
from src.data.texts import Paths
from src.report import tasks, tiles
from src.report.evidence import PARTS, Evidence
from src.report.tasks.base import EACH

Row = tuple[str, int]  # part, and its row: an id may be in both parts, as two pictures

COLUMNS, LETTERS = 8, 60  # of a table's own columns that are shown, at most; and of a cell's text


def name(row: Row) -> str:
    """The name of a row in the page: `train-12`."""
    return f"{row[0]}-{row[1]}"


def by_hash(ids: Iterable[str]) -> np.ndarray:
    """The positions of ids in an order that chance made once for all: by their sha256."""
    return np.argsort(np.fromiter((hashlib.sha256(id.encode()).digest()[:8] for id in ids), "S8"), kind="stable")


class Album:
    """Pictures by the names of their rows."""

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self.source = tiles.Source(evidence.competition, evidence.record)
        self.tiles: dict[str, str] = {}  # data URIs by a digest of them: a picture that is there twice is here once
        self.rows: dict[Row, dict[str, Any]] = {}  # rows with their tile's digest, or why there is none

    def put(self, rows: Iterable[Row], room: int) -> list[Row]:
        """Put in pictures of these rows, in this order, until they take `room` bytes of the page.

        Return the rows that are in; those without a picture take no room.
        """
        rows = list(dict.fromkeys(rows))
        new = [row for row in rows if "tile" not in self.rows.get(row, {})]
        size = 0
        drawn = parallel(self.source.tile, [self.path(row) for row in new], "thumbnails")
        for row, (uri, why) in zip(new, drawn, strict=True):
            if uri is None:
                self.rows[row] = {"tile": None, "why": why}
                continue
            key = hashlib.sha256(uri.encode()).hexdigest()[:16]
            if key not in self.tiles:
                size += len(uri)
                if size > room:
                    break
                self.tiles[key] = uri
            self.rows[row] = {"tile": key}
        return [row for row in rows if "tile" in self.rows.get(row, {})]

    def know(self, rows: Iterable[Row]) -> None:
        """Put in what is known of these rows, without their pictures."""
        for row in rows:
            self.rows.setdefault(row, {})

    def path(self, row: Row) -> Path:
        part, i = row
        return self.paths[part][i]

    @cached_property
    def paths(self) -> dict[str, Paths]:
        return {part: Paths(self.evidence.rows(part)[PATH]) for part in PARTS}

    @cached_property
    def columns(self) -> list[str]:
        """The table's own columns in a row's details: neither its id nor its label, which stand above them."""
        competition = self.evidence.competition
        every = dict.fromkeys([*self.evidence.train.columns, *self.evidence.test.columns])
        return [column for column in every if column not in (competition.id, competition.label, PATH)][:COLUMNS]

    def data(self) -> dict[str, Any]:
        """All that is in, as JSON for album.js. Probabilities are in thousandths."""
        evidence, task, rows = self.evidence, tasks.of(self.evidence.competition), {}
        for part in PARTS:
            places = np.array([i for of, i in self.rows if of == part], int)
            for i, facts in zip(places.tolist(), self.facts(part, places), strict=True):
                rows[name((part, i))] = {**self.rows[part, i], **facts}
        return {
            "kind": task.kind,
            "what": task.what,
            "classes": list(evidence.classes),
            "models": list(evidence.models),
            "columns": self.columns,
            "each": len(evidence.classes) <= EACH,
            "tiles": self.tiles,
            "rows": rows,
        }

    def facts(self, part: str, places: np.ndarray) -> list[dict[str, Any]]:
        """The details of the rows of a part at these places (n,)."""
        evidence, task = self.evidence, tasks.of(self.evidence.competition)
        targets = evidence.targets[places] if part == "train" else None
        table, size = evidence.rows(part).iloc[places], evidence.sizes(part)
        cells = table.reindex(columns=self.columns, fill_value="").to_numpy()
        columns: dict[str, Sequence] = {
            "part": [part] * len(places),
            "id": table[evidence.competition.id].tolist(),
            "cells": [[cut(cell) for cell in row] for row in cells],
        }
        if part == "train":
            columns["label"] = task.coded(targets)
            if evidence.fold is not None:
                columns["fold"] = evidence.fold[places].tolist()
        if size is not None:
            columns["size"] = [None if np.isnan(of).any() else of.astype(int).tolist() for of in size[places]]
        labels, values, nothing = [], [], [None] * len(places)
        for model in evidence.models.values():
            probs = evidence.decided(model, part)
            labels.append(nothing if probs is None else task.coded(evidence.target.answers(probs[places])))
            values.append(nothing if probs is None else task.values(probs[places], targets))
        columns["said"] = list(zip(*labels, strict=True)) or [()] * len(places)
        columns["p"] = list(zip(*values, strict=True)) or [()] * len(places)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def cut(cell: str) -> str:
    return cell if len(cell) <= LETTERS else cell[: LETTERS - 1] + "…"
