"""An encoder of a config, whichever library it is of: its name in files and keys, and its image tower."""

from collections.abc import Sequence
from typing import Any

from src.base import files, machine
from src.data.decoded import Decoded, Pictures, Store
from src.data.geometry import CROPS, REDUCED, Geometry
from src.data.rows import Dataset, Parts, Rows
from src.networks import backbones, clip, weights
from src.networks.backbones import DataConfig
from src.networks.inference import Tower
from src.networks.loading import base_view
from src.schema.competition import Competition
from src.schema.networks import Encoder

WIDER = "bfloat16"  # for what overflows in float16: it has float32's range, and 8 bits of its 24


def precision(configured: str) -> str:
    """The precision that a config's `auto` begins with here, for a network that is not trained.

    On a GPU it is float16: its 11 bits give unit features an error of 0.1 %, bfloat16's 8 bits one of 1 %, in the same
    time (ViT-B-32, random weights).
    """
    return "float16" if configured == "auto" and machine.device().type == "cuda" else machine.precision(configured)


def title(spec: Encoder) -> str:
    """The encoder as a config names it: `ViT-H-14 (laion2b_s32b_b79k)`, `resnet50.a1_in1k`."""
    return clip.title(spec) if spec.clip is not None else spec.backbone


def slug(spec: Encoder) -> str:
    """A folder's name for the features; another model, checkpoint, preprocessing or precision has another name."""
    if spec.clip is not None:
        parts, random = clip.name_parts(spec), spec.weights is None
    else:
        args = [files.digest(spec.backbone_args)[:7]] if spec.backbone_args else []
        parts, random = [spec.backbone, *([str(spec.img_size)] if spec.img_size else []), *args], not spec.pretrained
    own = {name: value for name in ("mean", "std", "interpolation") if (value := getattr(spec, name)) is not None}
    parts += [files.digest(own)[:7]] if own else []
    if spec.weights_file is not None:
        parts.append(files.cached_sha256(weights.local_file(title(spec), spec.weights_file))[:7])
    elif random:
        parts.append(f"random{spec.seed}")
    parts += [spec.precision] * (spec.precision != "auto") + [spec.stored] * (spec.stored != "float16")
    parts += ["compiled"] * spec.compile
    return "-".join(parts).replace("/", "_")


def identity(spec: Encoder) -> dict[str, Any]:
    """All that changes the features but view and precision, without loading the model.

    Raises:
        UserError: The model or its weights are not known, or the weights file is missing.
    """
    if spec.clip is not None:
        known = clip.identity(spec)
    else:
        backbones.check(spec)
        data = backbones.data_config(spec)
        preprocess = {**vars(geometry(spec)), "mean": data.mean, "std": data.std}
        known = {"backbone": spec.backbone, "args": spec.backbone_args, "checkpoint": backbones.identity(spec)}
        known = files.as_json_value({**known, "preprocess": preprocess})
    square, more = geometry(spec), {"compile": True} if spec.compile else {}
    if square.mode == "shortest" and square.interpolation != REDUCED:  # squares of these were made of reduced pictures
        more["squares"] = "of whole pictures"
    return {**known, "stored": spec.stored, **more}


def geometry(spec: Encoder) -> Geometry:
    return clip.geometry(spec) if spec.clip is not None else backbones.geometry(spec)


def tower(spec: Encoder) -> Tower:
    """The image tower in evaluation mode on this machine's device.

    Raises:
        UserError: As `identity`, or the hub cannot be reached, or the file holds other weights.
    """
    made = clip.tower(spec) if spec.clip is not None else backbones.tower(spec)
    data = DataConfig(made.mean, made.std, made.geometry.interpolation)
    backbones.announce(title(spec), made.geometry.size, data)
    return made


def store(competition: Competition, data: Parts, spec: Encoder) -> Store:
    """The decoded store of the competition's rows for `spec` and its encoders, of the pixels that the largest needs.

    Features do not depend on it: who needs more than it has reads the files.
    """
    squares = [geometry(one) for one in (spec, *competition.encoders)]
    need = max(square.resize for square in squares)
    whole = not all(square.exact_at(need) for square in squares) or any(
        view in CROPS for spec in competition.encoders for view in spec.views
    )
    return make_store(competition, data, need, whole)


def trained_store(competition: Competition, data: Dataset, size: int) -> Store:
    """The decoded store for networks that are trained on squares of `size` pixels: of that size, and no other model's.

    The squares are made of what it holds, and their pixels differ a little from those of larger pictures: were it the
    store of all models, one more model would change the numbers of the others.
    """
    return make_store(competition, data, size)


def make_store(competition: Competition, data: Parts, need: int, whole: bool = False) -> Store:
    return Store(competition.pictures, data.rows, need, round(competition.store_gb * 1e9), whole, data.train)


def pictures(store: Store, spec: Encoder, views: list[str], rows: Rows) -> Pictures:
    """The rows' pictures: from the store, where the encoder's squares come out as from the files; else from those."""
    return store.pictures(rows) if is_read(store, spec, views) else Decoded(rows.paths, None, rows.white)


def is_read(store: Store, spec: Encoder, views: Sequence[str]) -> bool:
    """Whether the encoder's squares come out of the store as from the files."""
    exact = all(base_view(view) == "identity" for view in views) and geometry(spec).exact_at(store.side)
    return exact or store.side is None
