"""The text of a new config, as ruff formats it: what was inferred, each line with what it was inferred from."""

import math
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from src.commands.new.guess import Guess

WIDTH = 120
LOOKED_AT = 200  # pictures whose sizes are read
GROUPS_SHOWN = 5


@dataclass(frozen=True)
class Item:
    """An argument, or an entry of a dictionary, with a comment; without a value it is a comment alone."""

    name: str | None
    value: Any = None
    comment: str = ""


@dataclass(frozen=True)
class Call:
    """`name(value, ..., name=value)`."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Name:
    """A variable."""

    name: str


def call(name: str, /, *values: Any, **fields: Any) -> Call:
    return Call(name, (*(Item(None, value) for value in values), *(Item(key, one) for key, one in fields.items())))


def quoted(text: str) -> str:
    """A text as ruff writes it: in double quotes, but where single ones save a backslash."""
    single = repr(text)
    if single.startswith('"') or (text.count('"') > text.count("'")):
        return single
    return '"' + single[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def flat(value: Any) -> str | None:
    """The value in one line; None where a comment forbids that."""
    if isinstance(value, Name):
        return value.name
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        parts = [flat(one) for one in value]
        return None if None in parts else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if isinstance(value, dict):
        return entries(tuple(Item(key, one) for key, one in value.items()), quoted, ": ", "{}")
    if isinstance(value, Call):
        inside = entries(value.items, str, "=", "()")
        return inside and value.name + inside
    return repr(value)


def entries(items: tuple[Item, ...], key: Any, between: str, around: str) -> str | None:
    parts = [None if (one := flat(item.value)) is None else before(item, key, between) + one for item in items]
    if None in parts or any(item.comment for item in items):
        return None
    return around[0] + ", ".join(parts) + around[1]


def before(item: Item, key: Any, between: str) -> str:
    return "" if item.name is None else key(item.name) + between


def lines(value: Any, start: str = "", end: str = "", indent: int = 0) -> list[str]:
    """The value with what stands before and behind it, on one line if there is room, else an item a line."""
    margin, whole = " " * indent, flat(value)
    if whole is not None and len(margin + start + whole + end) <= WIDTH:
        return [margin + start + whole + end]
    if isinstance(value, tuple):
        items, key, between, around = tuple(Item(None, one) for one in value), str, "", "()"
    elif isinstance(value, dict):
        items, key, between, around = tuple(Item(key, one) for key, one in value.items()), quoted, ": ", "{}"
    elif isinstance(value, Call):
        items, key, between, around = value.items, str, "=", "()"
        start += value.name
    else:
        return [margin + start + whole + end]
    found = [margin + start + around[0]]
    for item in items:
        found += commented(item, before(item, key, between), indent + 4)
    return [*found, margin + around[1] + end]


def commented(item: Item, start: str, indent: int) -> list[str]:
    """An item's lines, its comment behind it if there is room, else above it."""
    margin, comment = " " * indent, " ".join(item.comment.split())
    if item.name is None and item.value is None:
        return textwrap.wrap(comment, WIDTH, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# ")
    made = lines(item.value, start, ",", indent)
    if not comment:
        return made
    if len(made) == 1 and len(made[0]) + len(comment) + 4 <= WIDTH:
        return [f"{made[0]}  # {comment}"]
    above = textwrap.wrap(comment, WIDTH, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# ")
    return [*above, *made]


def config(guess: Guess, folder: Path, name: str, title: str, source: tuple[Call, str], small: bool) -> str:
    """The text of src/configs/<name>.py.

    Args:
        folder: Where the guess was made.
        source: With its comment.
    """
    sizes, side = sizes_of([folder / path for path in guess.paths["train"]])
    why, n = guess.why, len(guess.paths["train"])
    fields = [
        Item("title", title),
        Item("source", *source),
        *(Item(one, getattr(guess, one), why.get(one, "")) for one in ("train", "test", "sample_submission")),
        *([Item("solution", guess.solution, why["solution"])] if guess.solution not in (None, "solution.csv") else []),
        *([Item("images", guess.images, "the folder that image names are relative to")] if guess.images else []),
        Item("id", guess.id, why.get("id", "")),
        Item("image", guess.image, "; ".join(filter(None, (why.get("image"), sizes)))),
        *([Item("ids_overlap", True, why["ids_overlap"])] if guess.ids_overlap else []),
        Item("label", guess.label, why.get("label", "")),
        *groups(guess),
        Item("classes", guess.classes, f"{len(guess.classes)}: {why['classes']}"),
        Item("metric", guess.metric, why.get("metric", "")),
        Item("prompts", prompts(guess), why.get("words", "") if guess.words else ""),
        Item("models", models(n, side, small)),
    ]
    fields = [item for item in fields if item.name is not None or item.comment]
    imports = {"Competition", "Augment", "FineTune", "Probe", "Prompts", "ZeroShot", source[0].name}
    if small:
        imports.add("ClipArch")
    made = "--small " if small else ""
    text = [
        f'"""{plain(title)}, as ./run.sh new {made}has found it: {len(guess.classes)} classes, {n:,} train pictures.',
        "",
        "What a line was inferred from stands beside it: read it once, and mend what is wrong.",
        '"""',
        "",
        f"from src.config import {', '.join(sorted(imports))}",
        "",
    ]
    if small:
        text += [*lines(tiny(name, side), "TINY = "), ""]
    return "\n".join([*text, *lines(Call("Competition", tuple(fields)), "competition = ")]) + "\n"


def plain(text: str) -> str:
    """For a docstring: without what could end it, and short enough for its first line."""
    return textwrap.shorten(text.replace("\\", "/").replace('"', "'"), 60, placeholder="...")


def groups(guess: Guess) -> list[Item]:
    """A comment on columns that could keep rows together."""
    if not guess.groups:
        return []
    counted = [f"{column} ({n:,} values)" for column, n in [*guess.groups.items()][:GROUPS_SHOWN]]
    column = next(iter(guess.groups))
    said = (
        f"do rows belong together, by {', '.join(counted)} in {len(guess.paths['train']):,} rows? then group={column!r}"
    )
    return [Item(None, None, said)]


def prompts(guess: Guess) -> Call:
    words = {label: (words,) for label, words in guess.words.items()}
    templates = ("a photo of a {}.", "a close-up photo of a {}.")
    return call("Prompts", templates=templates, **({"classnames": words} if words else {}))


def sizes_of(paths: list[Path]) -> tuple[str, int]:
    """What is said of the pictures' sizes, and the median of their shorter sides, by some of them.

    Those that cannot be opened are left to the data stage.
    """
    step, found = max(1, len(paths) // LOOKED_AT), []
    for path in paths[::step][:LOOKED_AT]:
        try:
            with Image.open(path) as image:
                found.append(image.size)
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    if not found:
        return "", 224
    sizes = np.array(found)
    spans = [f"{side.min()} to {side.max()}" if side.min() < side.max() else f"{side.min()}" for side in sizes.T]
    return f"{' x '.join(spans)} pixels, by {len(found)} of them", int(np.median(sizes.min(axis=1)))


def models(n: int, side: int, small: bool) -> dict[str, Call]:
    """The models to begin with, which fit the number of train rows and the pictures' shorter side."""
    flip = (call("Augment", "HorizontalFlip", p=0.5),)
    if small:
        # as digits and corn_small do: about 60,000 pictures seen, from 3 times each to 30 times
        epochs = min(30, max(3, math.ceil(60_000 / max(n, 1))))
        net = call(
            "FineTune", backbone="test_resnet", pretrained=False, img_size=small_side(side), epochs=epochs,
            batch_size=32, lr=3e-3, warmup_epochs=epochs / 10, label_smoothing=0.05, ema_decay=0.98, augment=flip,
        )  # fmt: skip
        return {
            "zeroshot_tiny": call("ZeroShot", clip=Name("TINY")),
            "probe_tiny": call("Probe", clip=Name("TINY")),
            "resnet_tiny": net,
        }
    b32 = {"clip": "ViT-B-32", "weights": "laion2b_s34b_b79k"}
    epochs = 20 if n < 2_000 else 10 if n < 20_000 else 5
    size = min(224, max(96, 32 * math.ceil(side / 32)))
    backbone = "convnext_tiny.fb_in22k_ft_in1k"
    return {
        "zeroshot_b32": call("ZeroShot", **b32),
        "probe_b32": call("Probe", **b32, views=("identity", "hflip")),
        "convnext": call("FineTune", backbone=backbone, img_size=size, epochs=epochs, lr=1e-4, augment=flip),
    }


def small_side(side: int) -> int:
    return 32 if side <= 40 else 64


def tiny(name: str, side: int) -> Call:
    """A CLIP of random weights."""
    side = small_side(side)
    vision = {"image_size": side, "patch_size": 8, "layers": 1, "width": 128, "head_width": 32, "pool_type": "avg"}
    text = {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
    return call("ClipArch", name=f"tiny-{name.replace('_', '-')}", embed_dim=128, vision_cfg=vision, text_cfg=text)
