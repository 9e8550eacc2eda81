"""A comparison of models on a data set, epoch by epoch: what is compared, and compare.csv, its one writer and reader.

compare.json beside it says of which rows it is, and how models differ on the same rows.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from src.base import files
from src.base.errors import UserError, counted
from src.base.text import align, duration
from src.schema.competition import Blend, Competition, Reported
from src.schema.models import FineTune, Probe, ZeroShot
from src.scoring import intervals
from src.scoring.significance import verdict

EPOCHS_SHOWN = (0, 1, 5, 10, 15, 20)  # epochs of the table, and each model's last
# Of WiSE-FT, named before anything is scored: Wortsman et al. 2022 ("Robust fine-tuning of zero-shot models")
# recommend it where there are no rows to choose by. The best alpha of the scored rows would flatter.
ALPHA = 0.5
WISE_FT = "WiSE-FT"
ZERO_SHOT, PROBE, FINE_TUNED = (kind.compared_as for kind in (ZeroShot, Probe, FineTune))
COLUMNS = (
    *("data_set", "model", "templates", "kind", "epoch", "alpha", "metric", "score", "se", "rows", "published"),
    *("seconds", "parameters", "trained", "images_per_second", "memory_gb", "device"),
)
TEXTS = ("data_set", "model", "templates", "kind", "metric", "device")
COUNTS = ("epoch", "rows", "parameters", "trained")
UNKNOWN = "–"


def subjects(competition: Competition) -> Competition:
    """The competition with nothing but the models that are compared.

    Raises:
        UserError: There are none, or one of them asks for what a single run cannot give.
    """
    given = competition.models if competition.compared is None else competition.compared
    models = {name: spec for name, spec in given.items() if spec.compared_as is not None}
    if not models:
        raise UserError(
            f"{competition.name} has no model to compare: name some in compared={{...}} in its config, or in models"
        )
    for name, spec in models.items():
        if spec.needs_judge:
            raise UserError(
                f"{competition.name}: {name} has label_noise={spec.label_noise!r}, which needs folds: compare learns "
                "all rows with their labels as given; leave it out of compared={...}"
            )
    return competition.model_copy(update={"models": models, "compared": None, "blend": Blend(), "reported": ()})


def published(competition: Competition, model: str, epoch: int | None, last: bool) -> Reported | None:
    """What somebody reported of a model after an epoch; without an epoch said, it is of the last."""
    for row in competition.reported:
        if row.valid is not None and row.model == model and (row.epoch == epoch or (row.epoch is None and last)):
            return row
    return None


def rows_of(competition: Competition, about: dict[str, Any]) -> list[dict[str, Any]]:
    """A finished cell's rows of compare.csv, one an epoch and one an alpha.

    Args:
        about: What cell.json says.
    """
    same = {"data_set": competition.name, "model": about["model"], "templates": about["templates"]}
    same |= {name: about[name] for name in ("metric", "rows", "parameters", "trained", "memory_gb", "device")}
    found, last = [], about["points"][-1]
    for point in about["points"]:
        one = None
        if not about["templates"]:
            one = published(competition, about["model"], point["epoch"], point is last)
        found.append({**same, "kind": about["kind"], "published": one and float(one.valid), **point})
    for point in about["wise_ft"]:
        found.append({**same, "kind": WISE_FT, "epoch": last["epoch"], "seconds": last["seconds"], **point})
    return [{column: row.get(column) for column in COLUMNS} for row in found]


def write_compare(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the rows, unless the file has them."""
    df = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COUNTS, "Int64"))
    put(path, df.to_csv(index=False, lineterminator="\n"))


def put(path: Path, text: str) -> None:
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)


def read_compare(path: Path) -> pd.DataFrame:
    """What `write` wrote; texts are "" and numbers NaN where there are none. No rows where there is no file.

    Raises:
        UserError: The file is not ours.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        df = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
        if list(df.columns) != list(COLUMNS):
            raise ValueError(f"its columns are {', '.join(df.columns)}")
        numbers = [column for column in COLUMNS if column not in TEXTS]
        return df.fillna(dict.fromkeys(TEXTS, "")).astype(dict.fromkeys(numbers, float))
    except ValueError as error:
        raise UserError(f"{path} is no table of compare ({error}): delete it and run compare again") from error


def read_about(path: Path) -> dict[str, Any]:
    """What compare.json, beside a compare.csv, says of its rows and of differences on them.

    Raises:
        UserError: There is none, or it is not ours.
    """
    found = files.read_json(path.with_suffix(".json"))
    if not isinstance(found, dict) or not {"official", "train", "valid", "pairs"} <= found.keys():
        raise UserError(f"{path.with_suffix('.json')} is missing or damaged: run compare again")
    return found


# In words


def measured(row: Mapping[str, Any]) -> str:
    """`0.9501 ± 0.0022` of a row's metric, score, se and rows: see `intervals.score_text`."""
    score, se = row["score"], row["se"]
    if math.isnan(score):
        return UNKNOWN
    return f"{score:.4f}" if math.isnan(se) else intervals.score_text(row["metric"], score, se, int(row["rows"]))


def apart(score: float, se: float, published: float) -> str:
    """`0.9479 (+1.0 se)`: what was published, and by how many of our standard errors ours is above it."""
    if math.isnan(published):
        return ""
    return f"{published:.4f}" + (f" ({(score - published) / se:+.1f} se)" if se > 0 else "")


def pair_text(pair: dict[str, Any]) -> str:
    """`clip less resnet50: +0.0291 ± 0.0020 (paired, 10,000 rows): clearly better`."""
    difference, se = pair["difference"], pair["se"]
    if se is None:
        found, by = "not known", UNKNOWN
    else:
        found, by = verdict(difference, se), intervals.gain_text(difference, se)
    return f"{pair['one']} against {pair['other']}: {by} (paired, {pair['rows']:,} rows): {found}"


def headline(df: pd.DataFrame) -> pd.DataFrame:
    """The rows that are compared: of the config's own templates, and of WiSE-FT only the alpha named beforehand."""
    return df[(df["templates"] == "") & ((df["kind"] != WISE_FT) | (df["alpha"] == ALPHA))]


def epochs_shown(df: pd.DataFrame) -> list[int]:
    """The epochs of EPOCHS_SHOWN that the table has, and each model's last."""
    have = df["epoch"].dropna()
    return sorted(
        {int(e) for e in have if e in EPOCHS_SHOWN} | {int(e) for e in df.groupby("model")["epoch"].max().dropna()}
    )


def lines_of(df: pd.DataFrame) -> list[dict[str, Any]]:
    """One a model and kind: `title`, and for each of `epochs_shown`, and without one, its row of the table or None."""
    epochs, found = epochs_shown(df), []
    for (model, kind), rows in df.groupby(["model", "kind"], sort=False):
        title = f"{model}, WiSE-FT at alpha {ALPHA:g}" if kind == WISE_FT else model
        by = {None if math.isnan(row["epoch"]) else int(row["epoch"]): row for row in rows.to_dict("records")}
        found.append({"title": title, "kind": kind, "cells": [by.get(None), *(by.get(epoch) for epoch in epochs)]})
    return found


def table(df: pd.DataFrame) -> str:
    """The scores by epoch, and under each model what was published."""
    df = headline(df)
    lines, out = lines_of(df), []
    first = 0 if any(line["cells"][0] for line in lines) else 1
    for line in lines:
        cells = line["cells"][first:]
        out.append([line["title"], *(measured(cell) if cell else "" for cell in cells)])
        known = [apart(cell["score"], cell["se"], cell["published"]) if cell else "" for cell in cells]
        if any(known):
            out.append(["  published", *known])
    head = ["model", *["no epochs", *(f"epoch {epoch}" for epoch in epochs_shown(df))][first:]]
    return "\n".join(align([head, *out]))


def costs(df: pd.DataFrame) -> list[list[str]]:
    """A line a model, of COSTS: the time is that of training alone, of a probe without encoding its pictures."""
    found = []
    for model, rows in df[(df["templates"] == "") & (df["kind"] != WISE_FT)].groupby("model", sort=False):
        last = rows.iloc[-1]
        speed = rows["images_per_second"].median()
        found.append(
            [
                model,
                millions(last["parameters"]),
                millions(last["trained"]) if last["trained"] else "none",
                duration(last["seconds"]),
                UNKNOWN if math.isnan(speed) else f"{speed:,.0f}",
                UNKNOWN if math.isnan(last["memory_gb"]) else f"{last['memory_gb']:.1f} GB",
                last["device"],
            ]
        )
    return found


def millions(n: float) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e5 else f"{n:,.0f}"


COSTS = ("model", "parameters", "trained", "training", "images/s", "GPU memory", "device")


def of_rows(about: dict[str, Any]) -> str:
    """`10,000 validation rows (the official split), learnt from 50,000`."""
    which = "the official split" if about["official"] else "fold 0"
    return f"{counted_rows(about['valid'])} to validate on ({which}), learnt from {about['train']:,}"


def counted_rows(n: int) -> str:
    return counted(n, "row").replace(str(n), f"{n:,}")


def setups(competition: Competition, df: pd.DataFrame) -> list[str]:
    """Whose scores the published ones are, and what is known of how they came about."""
    models = set(headline(df)["model"])
    rows = [row for row in competition.reported if row.valid is not None and row.model in models]
    return list(dict.fromkeys(f"{row.title}{': ' if row.note else ''}{row.note}" for row in rows))


def curves(df: pd.DataFrame) -> list[str]:
    """A line a model: WiSE-FT's scores over alpha."""
    lines = []
    for model, rows in df[df["kind"] == WISE_FT].groupby("model", sort=False):
        scores = "  ".join(f"{row.alpha:g}: {row.score:.4f}" for row in rows.itertuples())
        lines.append(f"{model}  WiSE-FT, weights from the start (alpha 0) to fine-tuned (1)  {scores}")
    return lines
