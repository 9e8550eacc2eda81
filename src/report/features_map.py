"""The map: pictures that an encoder finds alike lie side by side. t-SNE (van der Maaten & Hinton 2008) of a sample."""

import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image

from src.base import files
from src.base.threads import parallel
from src.report import tasks, tiles
from src.report.album import Row, by_hash, name
from src.report.evidence import PARTS
from src.report.material import Material
from src.report.tasks.base import BLUE, ORANGE
from src.results import shards
from src.schema.competition import Competition
from src.schema.networks import ClipArch, Encoder

CODE = 1  # raised when the same features give another map
MAX_MAP_ROWS = 1500  # rows of the sample: some 6 seconds
COMPONENTS = 50  # of a PCA before, as van der Maaten & Hinton have it
TSNE = {"perplexity": 30, "max_iter": 500, "init": "pca", "random_state": 0}
FEWEST = 3 * TSNE["perplexity"] + 2  # rows: of fewer, each row would be a neighbour of each
SIDES, ROOM = (64, 48, 32), 2_500_000  # pixels of a picture on the sheet: the first with which all fit into these bytes
GREY = "#8a8f98"


@dataclass(frozen=True)
class Map:
    features: str  # the folder's name: encoder and view
    method: str
    rows: list[Row]
    xy: np.ndarray  # (n, 2)


def features_map(evidence: Material) -> Map | None:
    """The map of the first encoder of the config that has features on the disk, CLIPs before others; None without."""
    if (folder := features_folder(evidence.competition)) is None or evidence.record is None:
        return None
    rows, feats = read_features(evidence, folder, sample(evidence))
    if len(rows) < 3:
        return None
    # the same pictures have one place; and if all were the same, scikit-learn's t-SNE would end the process
    distinct, which = np.unique(feats, axis=0, return_inverse=True)
    few = len(distinct) < FEWEST
    xy = (principal(distinct, 2) if few else tsne_places(folder, distinct))[which]
    method = "the first two principal components" if few else f"t-SNE (perplexity {TSNE['perplexity']})"
    return Map(folder.name, method, rows, xy)


def features_folder(competition: Competition) -> Path | None:
    """The features of the first view of the first encoder that has any."""
    there = sorted(path.parent for path in competition.features("", "").parent.glob("*/key.json"))
    for spec in sorted(competition.encoders, key=lambda spec: spec.clip is None):
        for view in spec.views:
            for folder in there:
                if re.fullmatch(f"{name_pattern(spec)}-{view}", folder.name):
                    return folder
    return None


def name_pattern(spec: Encoder) -> str:
    """A pattern of its features' folder names (encoders.slug has the very name, and needs torch for that)."""
    if spec.clip is None:
        parts, is_random = [spec.backbone, *([str(spec.img_size)] if spec.img_size else [])], not spec.pretrained
    else:
        name = spec.clip if isinstance(spec.clip, str) else spec.clip.name
        parts, is_random = [name, *([spec.weights] if spec.weights else [])], spec.weights is None
    own = isinstance(spec.clip, ClipArch) or spec.backbone_args, spec.mean or spec.std or spec.interpolation
    digests = "-[0-9a-f]{7}" * sum(map(bool, (*own, spec.weights_file)))  # of its config, and of its weights' file
    more = [f"random{spec.seed}"] * (is_random and spec.weights_file is None)
    more += [spec.precision] * (spec.precision != "auto") + [spec.stored] * (spec.stored != "float16")
    more += ["compiled"] * spec.compile
    return re.escape("-".join(parts).replace("/", "_")) + digests + "".join(f"-{one}" for one in more)


def sample(evidence: Material) -> list[Row]:
    """At most MAX_MAP_ROWS rows: the target's strata, and the test rows, by their share; ids alone settle which."""
    strata, n = evidence.target.strata(evidence.targets), len(evidence.train)
    stratum = np.concatenate([strata, np.full(len(evidence.test), strata.max() + 1)])
    places = np.arange(len(stratum))
    if len(places) > MAX_MAP_ROWS:
        order = by_hash(f"{part}/{id}" for part in PARTS for id in evidence.rows(part)[evidence.competition.id])
        order = order[np.argsort(stratum[order], kind="stable")]  # a stratum behind the other, shuffled inside
        size = np.bincount(stratum)
        rank = np.concatenate([(np.arange(n) + 0.5) / n for n in size if n])
        places = np.sort(order[np.argsort(rank, kind="stable")[:MAX_MAP_ROWS]])
    return [("train", i) if i < n else ("test", i - n) for i in places.tolist()]


def read_features(evidence: Material, folder: Path, rows: list[Row]) -> tuple[list[Row], np.ndarray]:
    """The rows that have features, and these: (n, d) float32 of length 1."""
    shas = evidence.record["sha256"].reindex([str(evidence.album.path(row)) for row in rows])
    known = np.flatnonzero(shas.notna())
    index = shards.Index(folder, keep_damaged=True)  # the features stage recomputes what is damaged
    at = index.find(shards.binary(shas.iloc[known].tolist()))
    feats = index.gather(at[at >= 0])
    length = np.maximum(np.linalg.norm(feats, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return [rows[i] for i in known[at >= 0]], feats / length


def principal(feats: np.ndarray, n: int) -> np.ndarray:
    """The first n principal components, (rows, n); 0 beyond those that there are."""
    left, size, _ = np.linalg.svd(feats - feats.mean(axis=0), full_matrices=False)
    components = (left * size)[:, :n]
    return np.pad(components, ((0, 0), (0, n - components.shape[1]))).astype(float)


def tsne_places(folder: Path, feats: np.ndarray) -> np.ndarray:
    """(n, 2) by t-SNE; from the file beside the features, if it is of the same features."""
    path = folder.with_name(f"{folder.name}-map.json")
    digest = hashlib.sha256(np.ascontiguousarray(feats).data).hexdigest()
    version = importlib.metadata.version("scikit-learn")
    key = {"code": CODE, "components": COMPONENTS, **TSNE, "scikit-learn": version, "features": digest}
    have = files.read_json(path)
    if isinstance(have, dict) and have.get("key") == key and np.shape(have.get("xy")) == (len(feats), 2):
        return np.array(have["xy"])
    xy = tsne(feats)
    files.write_json(path, {"key": key, "xy": xy.tolist()})
    return xy


def tsne(feats: np.ndarray) -> np.ndarray:
    """(n, 2). On one core: more of them add up in another order, and mostly wait where others work beside them."""
    from sklearn.manifold import TSNE as Method
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        xy = Method(**TSNE).fit_transform(principal(feats, COMPONENTS).astype(np.float32))
    return np.round(xy.astype(float), 2)


def data(evidence: Material, found: Map) -> dict[str, Any]:
    """The map for data.js; the details of its rows go into the album."""
    evidence.album.know(found.rows)
    return {
        "rows": [name(row) for row in found.rows],
        "xy": found.xy.tolist(),
        **sheet(evidence, found),
        "colourings": colourings(evidence, found),
    }


def colourings(evidence: Material, found: Map) -> dict[str, dict[str, Any]]:
    """{what the colours are of: its groups}, those of predictions by model; a row's group is -1 where it has none."""
    task, targets = tasks.of(evidence.competition), evidence.targets
    parts, places = np.array([part for part, _ in found.rows]), np.array([i for _, i in found.rows])
    train = parts == "train"

    def coded(groups: tasks.Groups, rows: np.ndarray) -> dict[str, Any]:
        """The groups of all train rows, or of all test rows, where a mask says that a dot is one of these."""
        of = np.full(len(places), -1)
        of[rows] = groups.of_row[places[rows]]
        return {"names": list(groups.names), "colours": list(groups.colours), "of": of.tolist()}

    predicted, errors = {}, {}
    for each, model in evidence.models.items():
        answers = evidence.answers(model)
        predicted[each] = coded(task.groups(targets, answers), train)
        if (of_test := evidence.answers(model, "test")) is not None:
            of_test = coded(task.groups(targets, of_test), ~train)["of"]
            predicted[each]["of"] = np.where(train, predicted[each]["of"], of_test).tolist()
        errors[each] = coded(task.verdicts(targets, model.decided), train)
    return {
        "label": coded(task.groups(targets, targets), train),
        "prediction": {"by": predicted},
        "error": {"by": errors},
        "part": {"names": list(PARTS), "colours": [BLUE, ORANGE], "of": (~train).astype(int).tolist()},
    }


def chart(evidence: Material, found: Map) -> alt.TopLevelMixin:
    """The rows by their target; data.js gives them other colours."""
    groups = tasks.of(evidence.competition).groups(evidence.targets, evidence.targets)
    labels = [groups.names[groups.of_row[i]] if part == "train" else "(test)" for part, i in found.rows]
    df = pd.DataFrame({"x": found.xy[:, 0], "y": found.xy[:, 1], "shown": labels, "row": range(len(labels))})
    domain = [*groups.names, *(["(test)"] if "(test)" in labels else [])]
    colours = [*groups.colours, GREY][: len(domain)]
    place = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=8)}
    color = alt.Color("shown:N", title=None, scale=alt.Scale(domain=domain, range=colours))
    dots = alt.Chart(df, width="container", height=480, usermeta={"renderer": "canvas"})
    dots = dots.mark_circle(size=34, opacity=0.8, clip=True).encode(alt.X("x:Q", **place), alt.Y("y:Q", **place), color)
    return dots.add_params(alt.selection_interval(name="zoom", bind="scales", zoom="wheel![event.shiftKey]"))


def sheet(evidence: Material, found: Map) -> dict[str, Any]:
    """All pictures of the map on one."""

    def small(row: Row) -> Image.Image | None:
        try:
            return evidence.album.source.picture(evidence.album.path(row), SIDES[0])
        except tiles.FAULTS:  # it is gone or cannot be read
            return None

    pictures = list(parallel(small, found.rows, "thumbnails"))
    for side in SIDES:
        for picture in pictures:
            if picture is not None:
                picture.thumbnail((side, side))
        uri, columns = tiles.sheet(pictures, side)
        if len(uri) <= ROOM:
            break
    return {"sheet": uri, "side": side, "columns": columns}
