"""A comparison of models on a data set, epoch by epoch: what is compared, and compare.csv, its one writer and reader.

compare.json beside it says of which rows it is, and how models differ on the same rows.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from src.base import files
from src.base.errors import UserError
from src.base.text import align, duration
from src.schema.competition import Competition
from src.schema.models import FineTune, Probe, ZeroShot
from src.schema.settings import Blend, Reported
from src.scoring import intervals
from src.scoring.significance import verdict

EPOCHS_SHOWN = (0, 1, 5, 10, 15, 20)  # epochs of the table, and each model's last
# WiSE-FT's alpha, named before anything is scored: Wortsman et al. 2022 ("Robust fine-tuning of zero-shot models")
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
    named = competition.models if competition.compared is None else competition.compared
    models = {name: spec for name, spec in named.items() if spec.compared_as is not None}
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
    """The score reported of a model after an epoch; one reported without an epoch is of the last."""
    for row in competition.reported:
        if row.valid is not None and row.model == model and (row.epoch == epoch or (row.epoch is None and last)):
            return row
    return None


def rows_of(competition: Competition, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of compare.csv of a finished cell with the cell.json `about`, one an epoch and one an alpha."""
    same = {"data_set": competition.name, "model": about["model"], "templates": about["templates"]}
    same |= {name: about[name] for name in ("metric", "rows", "parameters", "trained", "memory_gb", "device")}
    rows, last = [], about["points"][-1]
    for point in about["points"]:
        one = published(competition, about["model"], point["epoch"], point is last) if not about["templates"] else None
        rows.append({**same, "kind": about["kind"], "published": one and float(one.valid), **point})
    for point in about["wise_ft"]:
        rows.append({**same, "kind": WISE_FT, "epoch": last["epoch"], "seconds": last["seconds"], **point})
    return [{column: row.get(column) for column in COLUMNS} for row in rows]


def write_compare(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the rows, unless the file has them."""
    df = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COUNTS, "Int64"))
    put(path, df.to_csv(index=False, lineterminator="\n"))


def put(path: Path, text: str) -> None:
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)


def read_compare(path: Path) -> pd.DataFrame:
    """Read a table of `write_compare`, with "" and NaN for nothing; without a file no rows, a UserError if not ours."""
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
    """Read compare.json, the rows of the compare.csv beside it and their differences; a UserError if it is not ours."""
    about = files.read_json(path.with_suffix(".json"))
    if not isinstance(about, dict) or not {"official", "train", "valid", "pairs"} <= about.keys():
        raise UserError(f"{path.with_suffix('.json')} is missing or damaged: run compare again")
    return about


def score_text(row: Mapping[str, Any]) -> str:
    """`0.9501 ± 0.0022` of a row's metric, score, se and rows: see `intervals.score_text`."""
    score, se = row["score"], row["se"]
    if math.isnan(score):
        return UNKNOWN
    return f"{score:.4f}" if math.isnan(se) else intervals.score_text(row["metric"], score, se, int(row["rows"]))


def apart(row: Mapping[str, Any]) -> str:
    """`0.9479 (+1.0 se)`: the published score, and by how many of our standard errors ours is above it."""
    score, se, published = row["score"], row["se"], row["published"]
    if math.isnan(published):
        return ""
    return f"{published:.4f}" + (f" ({(score - published) / se:+.1f} se)" if se > 0 else "")


def pair_text(pair: dict[str, Any]) -> str:
    """`clip less resnet50: +0.0291 ± 0.0020 (paired, 10,000 rows): clearly better`."""
    difference, se = pair["difference"], pair["se"]
    result, by = (
        ("not known", UNKNOWN) if se is None else (verdict(difference, se), intervals.gain_text(difference, se))
    )
    return f"{pair['one']} against {pair['other']}: {by} (paired, {pair['rows']:,} rows): {result}"


def headline(df: pd.DataFrame) -> pd.DataFrame:
    """The rows that are compared: of the config's own templates, and of WiSE-FT only the alpha named beforehand."""
    return df[(df["templates"] == "") & ((df["kind"] != WISE_FT) | (df["alpha"] == ALPHA))]


def by_epoch(df: pd.DataFrame) -> tuple[list[str], dict[str, list[dict[str, Any] | None]]]:
    """The heads of the table's columns, and {model or WiSE-FT's name: its row of `df` for each column, or None}.

    Columns are the epochs of EPOCHS_SHOWN that `df` has, each model's last, and before them one of rows without epochs.
    """
    last = df.groupby("model")["epoch"].max()
    epochs = sorted({int(epoch) for epoch in df["epoch"].dropna() if epoch in EPOCHS_SHOWN or epoch in last.to_numpy()})
    columns = [None, *epochs] if df["epoch"].isna().any() else epochs
    lines = {}
    for (model, kind), rows in df.groupby(["model", "kind"], sort=False):
        title = f"{model}, WiSE-FT at alpha {ALPHA:g}" if kind == WISE_FT else model
        by = {None if math.isnan(row["epoch"]) else int(row["epoch"]): row for row in rows.to_dict("records")}
        lines[title] = [by.get(column) for column in columns]
    return ["no epochs" if epoch is None else f"epoch {epoch}" for epoch in columns], lines


def constant_texts(about: Mapping[str, Any], metric: str) -> tuple[str, str] | None:
    """`always 'oak'` and its score on the rows to validate on; None of a compare.json without it."""
    if (constant := about.get("constant")) is None:
        return None
    se = math.nan if constant["se"] is None else constant["se"]
    row = {"metric": metric, "score": constant["score"], "se": se, "rows": about["valid"]}
    return constant["text"], score_text(row)


def table(df: pd.DataFrame, constant: tuple[str, str] | None = None) -> str:
    """The constant answer's score, the models' by epoch, and under each model what was published."""
    head, lines = by_epoch(headline(df))
    out = [["model", *head]]
    if constant is not None:
        out.append([*constant, *[""] * (len(head) - 1)])
    for title, cells in lines.items():
        out.append([title, *(score_text(cell) if cell else "" for cell in cells)])
        known = [apart(cell) if cell else "" for cell in cells]
        if any(known):
            out.append(["  published", *known])
    return "\n".join(align(out))


def costs(df: pd.DataFrame) -> list[list[str]]:
    """A line of COSTS for each model: the time is that of training alone, of a probe without encoding its pictures."""
    lines = []
    for model, rows in df[(df["templates"] == "") & (df["kind"] != WISE_FT)].groupby("model", sort=False):
        last = rows.iloc[-1]
        speed, memory = rows["images_per_second"].median(), last["memory_gb"]
        sizes = [millions(last["parameters"]), millions(last["trained"]) if last["trained"] else "none"]
        speed_text = UNKNOWN if math.isnan(speed) else f"{speed:,.0f}"
        memory_text = UNKNOWN if math.isnan(memory) else f"{memory:.1f} GB"
        lines.append([model, *sizes, duration(last["seconds"]), speed_text, memory_text, last["device"]])
    return lines


def millions(n: float) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e5 else f"{n:,.0f}"


COSTS = ("model", "parameters", "trained", "training", "images/s", "GPU memory", "device")


def rows_text(about: dict[str, Any]) -> str:
    """`10,000 validation rows (the official split), learnt from 50,000`."""
    which, n = "the official split" if about["official"] else "fold 0", about["valid"]
    return f"{n:,} row{'' if n == 1 else 's'} to validate on ({which}), learnt from {about['train']:,}"


def setups(competition: Competition, df: pd.DataFrame) -> list[str]:
    """The authors of the published scores, and what is known of how these came about."""
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
