"""The section 'Data': classes, sizes and formats of the images, examples, exact copies, and the map of the features."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.base.errors import counted
from src.data import copies
from src.data.tables import PATH
from src.report import features_map, figures, mix_of, tasks
from src.report.album import by_hash, name
from src.report.evidence import PARTS
from src.report.material import Material
from src.report.page import Section

EXAMPLES, A_SET, ROOM = 240, 8, 1_000_000  # pictures of all sets of rows, of one, at most; and bytes of the page
SIZES, BINS = 800, 30  # different sizes that are shown as they are, at most; else so many steps a side


def section(evidence: Material) -> Section:
    mixing, best = mix_of.BY_TASK[evidence.competition.task], evidence.best
    kinds, predicted_by = {"train labels" if evidence.classes else "train rows": evidence.targets}, None
    if best is not None and (answers := evidence.answers(best, "test")) is not None:
        predicted_by = best.name
        kinds[f"test, predicted by {best.name}"] = answers
    charts = {"balance": mixing.balance(evidence, kinds)}
    if (sizes := image_sizes(evidence)) is not None and len(sizes[["width", "height"]].drop_duplicates()) > 1:
        charts |= {"sizes": sizes_chart(sizes), "aspects": aspects_chart(sizes)}
    examples, lists = examples_of(evidence)
    about = {
        "command": evidence.competition.command,
        "facts": [facts(evidence, part) for part in PARTS],
        "balance": mixing.balance_words(evidence, predicted_by),
        "what": tasks.of(evidence.competition).what,
        "examples": examples,
        "copies": exact_copies(evidence),
        "binned": sizes is not None and is_binned(sizes),
        "map": None,
        "models": list(evidence.models),
        "best": None if best is None else best.name,
    }
    data: dict[str, Any] = {"lists": lists}
    if (found := features_map.features_map(evidence)) is not None:
        charts["map"], data["map"] = features_map.chart(evidence, found), features_map.data(evidence, found)
        about["map"] = {"features": found.features, "method": found.method, "rows": len(found.rows)}
        about["all"] = len(evidence.train) + len(evidence.test)
    return Section("data", "Data", about, charts, data)


def facts(evidence: Material, part: str) -> dict[str, Any]:
    """The data stage's facts on the images of a part."""
    paths = evidence.rows(part)[PATH]
    found: dict[str, Any] = {"part": part, "rows": len(paths), "spans": [], "formats": [], "megabytes": None}
    known = None if evidence.record is None else evidence.record.reindex(paths).dropna(subset=["width", "height"])
    if known is None or not len(known):
        return found
    width, height = known["width"], known["height"]
    for values, form in ((width, ",.0f"), (height, ",.0f"), (width / height, ".2f")):
        least, middle, most = (format(value, form) for value in (values.min(), values.median(), values.max()))
        found["spans"].append(least if least == most else f"{least} to {most}, median {middle}")
    suffix = pd.Series(known.index, index=known.index).str.extract(r"\.([^./\\]{1,5})$", expand=False).fillna("")
    formats = (suffix.str.upper() + " " + known["mode"].astype(str)).str.strip().value_counts()
    found["formats"] = [f"{n:,} × {kind}" for kind, n in sorted(formats.items(), key=lambda one: (-one[1], one[0]))]
    found["megabytes"] = float(known["size"].sum()) / 1e6
    return found


def image_sizes(evidence: Material) -> pd.DataFrame | None:
    """Width and height of all images, with their part; None where nobody has checked any."""
    tables = []
    for part in PARTS:
        if (size := evidence.sizes(part)) is not None:
            size = size[~np.isnan(size).any(axis=1)].astype(int)
            tables.append(pd.DataFrame({"part": part, "width": size[:, 0], "height": size[:, 1]}))
    df = pd.concat(tables) if tables else pd.DataFrame()
    return df if len(df) else None


def is_binned(sizes: pd.DataFrame) -> bool:
    return len(sizes.drop_duplicates()) > SIZES


def sizes_chart(sizes: pd.DataFrame) -> alt.TopLevelMixin:
    df = sizes
    if is_binned(df):
        df = df.assign(**{side: middle_of_bin(df[side]) for side in ("width", "height")})
    df = df.groupby(["part", "width", "height"], sort=True).size().rename("images").reset_index()
    marks = alt.Chart(df, width="container", height=260).mark_circle(opacity=0.6)
    return marks.encode(
        x=alt.X("width:Q", title="width, pixels", scale=alt.Scale(zero=False)),
        y=alt.Y("height:Q", title="height, pixels", scale=alt.Scale(zero=False)),
        size=alt.Size("images:Q", scale=alt.Scale(range=[12, 260]), legend=None),
        color=alt.Color("part:N", title=None, scale=figures.coloured(PARTS)),
        tooltip=figures.tips(df, part="part", width="width", height="height", images="images"),
    )


def middle_of_bin(values: pd.Series) -> np.ndarray:
    low, high = values.min(), values.max()
    step = max((high - low) / BINS, 1)
    return np.rint(low + (np.floor((values - low) / step).clip(upper=BINS - 1) + 0.5) * step).astype(int)


def aspects_chart(sizes: pd.DataFrame) -> alt.TopLevelMixin:
    """The frequency of each ratio of width to height, on a scale where 1:2 is as far from 1:1 as 2:1."""
    ratio = np.log2(sizes["width"] / sizes["height"])
    edges = np.linspace(ratio.min() - 1e-9, max(ratio.max(), ratio.min() + 0.01), BINS + 1)
    tables = []
    for part in PARTS:
        n = np.histogram(ratio[sizes["part"] == part], edges)[0]
        share = (n / max(n.sum(), 1)).round(5)
        tables.append(pd.DataFrame({"part": part, "from": 2 ** edges[:-1], "to": 2 ** edges[1:], "share": share}))
    df = pd.concat(tables).round(4)
    marks = alt.Chart(df[df["share"] > 0], width="container", height=260).mark_bar(opacity=0.6)
    return marks.encode(
        x=alt.X("from:Q", title="width / height", scale=alt.Scale(type="log", nice=False)),
        x2="to:Q",
        y=alt.Y("share:Q", title="share of the part's images", stack=None, axis=alt.Axis(format="%")),
        y2=alt.datum(0),
        color=alt.Color("part:N", title=None, scale=figures.coloured(PARTS)),
        tooltip=figures.tips(df, part="part", share="share", **{"from": "from", "to": "to"}),
    )


def examples_of(evidence: Material) -> tuple[list[dict[str, Any]], dict[str, list]]:
    """A few train rows of each class or label, or of numbers near each other, which ones settled by their ids.

    For the template, and as lists for data.js.
    """
    order, known = by_hash(evidence.ids), max(len(evidence.classes), 1)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    task = tasks.of(evidence.competition)
    sets = task.members(evidence.targets, EXAMPLES)
    each = min(max(EXAMPLES // max(known, len(sets)), 1), A_SET)
    rows = [members[np.argsort(place[members])][:each].tolist() for _, members in sets]
    turns = [("train", of[i]) for i in range(each) for of in rows if i < len(of)]
    there = set(evidence.album.put(turns, ROOM))
    lists, about = {}, []
    for i, ((title, members), of) in enumerate(zip(sets, rows, strict=True)):
        kept = [row for place in of if (row := ("train", place)) in there]
        if each >= 3:
            beside = [] if evidence.target.is_choice else [task.words(evidence.targets[[row]])[0] for _, row in kept]
            lists[f"set{i}"] = [[name(row), evidence.ids[row[1]], *beside[j : j + 1]] for j, row in enumerate(kept)]
            about.append({"list": f"set{i}", "title": title, "rows": len(members)})
        else:
            lists.setdefault("sets", []).extend([name(row), title] for row in kept)
    if "sets" in lists:
        what, shown = "classes" if evidence.target.is_choice else "labels", min(EXAMPLES, known)
        title = f"{shown:,} of {known:,} {what}" if known > shown else f"All {what}"
        about.append({"list": "sets", "title": title})
    return about, lists


def exact_copies(evidence: Material) -> list[str]:
    """Sentences on images that are there twice, byte for byte."""
    if evidence.record is None:
        return []
    tables = []
    for part in PARTS:
        table = evidence.rows(part)
        sha = evidence.record["sha256"].reindex(table[PATH]).to_numpy()
        label = tasks.of(evidence.competition).words(evidence.targets) if part == "train" else ""
        tables.append(pd.DataFrame({"id": table[evidence.competition.id], "part": part, "sha": sha, "label": label}))
    df = pd.concat(tables).dropna(subset="sha")
    found = copies.find(df)
    if not found.groups:
        return [f"No two of the {len(df):,} images are the same byte for byte."] if len(df) else []
    plural = "labels" if evidence.classes else "numbers"
    lines = [f"The same byte for byte in more than one row: {counted(len(found.groups), 'image')}."]
    if found.conflicts:
        lines.append(f"{len(found.conflicts)} of them with different {plural}: {copies.examples(found.conflicts)}.")
    if found.shared:
        lines.append(f"{len(found.shared)} of them in train and in test: {copies.examples(found.shared)}.")
    return lines
