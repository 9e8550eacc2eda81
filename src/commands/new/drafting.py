"""The text of a new config: the inferred fields, each with the reason beside it."""

import contextlib
import math
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from src.base.errors import counted
from src.base.text import examples
from src.base.threads import parallel
from src.commands.new.flips import Flips
from src.commands.new.guess import UNREADABLE, Guess
from src.data import images
from src.schema.strict import Strict

TEMPLATE = Path(__file__).with_name("config.py.jinja")
WIDTH = 120
PICTURES_READ = 200  # for their sizes
GROUPS_PRINTED, COLUMNS_PRINTED = 5, 12
# Pixels a side of what is fine-tuned: smaller pictures are enlarged to the least, since networks halve their input five
# times, and larger ones are reduced to the greatest
LEAST, GREATEST, GREATEST_SMALL = 96, 224, 128
TINY, PROBE_TINY = 64, 128  # of pictures up to TINY pixels a side a probe sees so many, if time is short
ROWS_TO_MIX = 5000  # from which on the rows last for mixup and cutmix


def config(
    guess: Guess, folder: Path, name: str, title: str, source: tuple[str, str], small: bool, flips: Flips
) -> str:
    """The formatted text of src/configs/<name>.py.

    Args:
        folder: The competition's folder.
        source: The call that makes the source, and a comment on it.
        flips: What was measured of flips and turns.
    """
    paths = [folder / path for path in guess.paths["train"]]
    sizes, side = picture_sizes(paths)
    if top := greatest(paths):
        guess.white = images.white_over(top)
        guess.why["white"] = f"the train pictures of more than 8 bits have no value above {top:,}"
        if guess.white < images.WHITE:
            guess.odd.append(f"{guess.why['white']}: by white={guess.white} in the config they are not read as dark")
    n, source_class = len(guess.paths["train"]), source[0].partition("(")[0]
    imports = {"Competition", "Augment", "FineTune", "Pixels", "Probe", "lite", source_class}
    imports |= {type(one).__name__ for one in (guess.submission, guess.unit, guess.image) if isinstance(one, Strict)}
    prompted = not small and guess.task != "number"
    options = {"trim_blocks": True, "keep_trailing_newline": True, "undefined": jinja2.StrictUndefined}
    text = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), **options).render(
        title=plain(title),
        name=name,
        asked=plain(asked(guess)),
        n=f"{n:,}",
        imports=sorted(imports | {"Prompts", "ZeroShot"} if prompted else imports),
        arguments=list(arguments(guess, title, source, sizes, flips, prompted)),
        small=small,
        prompted=prompted,
        number=guess.task == "number",
        views=f", views={('identity', *flips.views)!r}" if flips.views else "",
        augments=flips.augments,
        mixed=n >= ROWS_TO_MIX,
        **sides(side, small),
    )
    return formatted(text)


def asked(guess: Guess) -> str:
    """What a row is asked for: `5 classes`."""
    if guess.span is not None:
        return f"a number of {guess.span[0]:g} to {guess.span[1]:g}"
    return counted(len(guess.classes), "label") if guess.task == "labels" else f"{len(guess.classes)} classes"


def sides(side: int, small: bool) -> dict[str, Any]:
    """The pixels a side for pictures whose shorter side has `side`, each with its reason, by the template's names."""
    greatest = GREATEST_SMALL if small else GREATEST
    fitting = min(greatest, max(LEAST, 32 * math.ceil(side / 32)))
    why = "the most that minutes allow" if small else "what the weights were trained with"
    if fitting < greatest or side <= greatest:
        why = "the least that lite0 sees much in" if side < LEAST else "the pictures' own size, in steps of 32"
    return {"side": fitting, "why_side": why, "probe_side": PROBE_TINY if side <= TINY else None}


def formatted(text: str) -> str:
    """The text as ruff formats it, whatever configuration the caller's folder has; as it is if ruff is missing."""
    try:
        from ruff import find_ruff_bin

        ruff = find_ruff_bin()
    except (ImportError, FileNotFoundError):
        print("ruff is not installed: the config is not formatted")
        return text
    command = [ruff, "format", "--isolated", "--config", f"line-length={WIDTH}", "-"]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True).stdout


def arguments(
    guess: Guess, title: str, source: tuple[str, str], sizes: str, flips: Flips, prompted: bool
) -> Iterator[str]:
    """The lines of all arguments but the models; those of prompts if a model reads them."""
    why = guess.why | {
        "images": "the folder that image names are relative to",
        "image": "; ".join(filter(None, (guess.why.get("image"), sizes))),
        "classes": f"{len(guess.classes)}: {guess.why.get('classes', '')}",
    }
    usual = {"solution": (None, "solution.csv"), "images": ("",), "ids_overlap": (False,), "white": (images.WHITE,)}
    usual |= {"task": ("class",), "separator": (" ",), "span": (None,), "rare_classes": (False,), "submission": (None,)}
    usual |= {"classes": ((),), "unit": (None,), "group": (None,)}

    def guessed(*fields: str) -> Iterator[str]:
        for field in fields:
            if (value := getattr(guess, field)) not in usual.get(field, ()):
                shown = strict_call(value) if isinstance(value, Strict) else repr(value)
                yield from argument(field, shown, why.get(field, ""))

    yield from argument("title", repr(title))
    yield from argument("source", *source)
    yield from guessed("train", "test", "sample_submission", "solution", "images")
    yield from guessed("id", "image", "unit", "white", "ids_overlap", "label", "task", "separator", "span", "group")
    if guess.groups:
        yield from comment_lines(groups_comment(guess, source[0]))
    if guess.unused:
        n, columns = counted(len(guess.unused), "column"), examples(map(repr, guess.unused), COLUMNS_PRINTED)
        named = f"columns=({guess.unused[0]!r}, ...)"
        yield from comment_lines(
            f"not used: {n} of numbers that both tables have, {columns}; {named} gives them to probes"
        )
    yield from guessed("classes", "rare_classes", "metric", "submission")
    for line in flips.lines:
        yield from comment_lines(line)
    if flips.findings:
        yield from argument("symmetries", repr(flips.views))
    if prompted:
        yield from prompts_argument(guess)


def prompts_argument(guess: Guess) -> list[str]:
    prompts = {"templates": ("a photo of a {}.", "a close-up photo of a {}.")}
    if guess.words:
        prompts["classnames"] = {label: (words,) for label, words in guess.words.items()}
    elif unnamed := guess.why.get("words"):
        guess.odd.append(unnamed)
    return argument("prompts", call("Prompts", **prompts), guess.why.get("words", ""))


def argument(name: str, value: str, comment: str = "") -> list[str]:
    """An argument's line, with the comment behind it if there is room, else in lines above it."""
    line, comment = f"    {name}={value},", " ".join(comment.split())
    if not comment:
        return [line]
    beside = f"{line}  # {comment}"
    return [beside] if len(beside) <= WIDTH else [*comment_lines(comment), line]


def comment_lines(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    # ", subsequent_indent="    # ")


def call(name: str, /, *values: Any, **fields: Any) -> str:
    """The source of a call, all of whose arguments are literals."""
    return f"{name}({', '.join([*map(repr, values), *(f'{key}={value!r}' for key, value in fields.items())])})"


def strict_call(value: Strict) -> str:
    """The source of a part of a config, such as a submission's form."""
    fields = {
        name: one for name, field in type(value).model_fields.items() if (one := getattr(value, name)) != field.default
    }
    return call(type(value).__name__, *fields.pop("positive", ()), **fields)


def plain(text: str) -> str:
    """The text for a docstring: without what could end it, and short enough for its first line."""
    return textwrap.shorten(text.replace("\\", "/").replace('"', "'"), 60, placeholder="...")


def groups_comment(guess: Guess, source: str) -> str:
    """A comment on columns that could keep rows together, also where the source chooses the rows that are held out."""
    columns = [f"{column} ({n:,} values)" for column, n in [*guess.groups.items()][:GROUPS_PRINTED]]
    rows, column = len(guess.paths["train"]), next(iter(guess.groups))
    too = " here and in Folder" if source.startswith("Folder(") else ""
    return f"do rows belong together, by {', '.join(columns)} in {rows:,} rows? then group={column!r}{too}"


def greatest(paths: list[Path]) -> int:
    """The greatest value in pictures of more than 8 bits; 0 where none of some of the pictures is one."""
    step = max(1, len(paths) // PICTURES_READ)
    if not any(parallel(greatest_in, paths[::step][:PICTURES_READ], "new")):
        return 0
    return max(parallel(greatest_in, paths, "new"))


def greatest_in(path: Path) -> int:
    """The greatest value in a picture of more than 8 bits, else 0; one that cannot be read is the data stage's."""
    with contextlib.suppress(*UNREADABLE):
        return images.greatest(path.read_bytes())
    return 0


def picture_sizes(paths: list[Path]) -> tuple[str, int]:
    """A comment on the sizes of some of the pictures, and the median of their shorter sides.

    Those that cannot be opened are left to the data stage.
    """
    step, sizes = max(1, len(paths) // PICTURES_READ), []
    for path in paths[::step][:PICTURES_READ]:
        with contextlib.suppress(*UNREADABLE):
            sizes.append(size_in(path))
    if not sizes:
        return "", 224
    sides = np.array(sizes)
    spans = [f"{side.min()} to {side.max()}" if side.min() < side.max() else f"{side.min()}" for side in sides.T]
    return f"{' x '.join(spans)} pixels, by {len(sizes)} of them", int(np.median(sides.min(axis=1)))


def size_in(path: Path) -> tuple[int, int]:
    """A picture's width and height, of a usual format without a look at the rest of its file."""
    if path.name.lower().endswith(images.UNUSUAL):
        return images.header(path.read_bytes())[0]
    with Image.open(path) as image:
        return image.size
