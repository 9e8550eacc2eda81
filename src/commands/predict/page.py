"""The page of predict: pictures with the predictions of each model, in one HTML file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from src.base.errors import counted
from src.base.threads import parallel
from src.commands.predict.gathering import Picture, Unreadable
from src.commands.predict.session import Prediction
from src.data import images
from src.report import page, tiles

FEW = 24  # pictures that need no index
MAX_PAGE_PICTURES = 1000  # pictures on a page
SIDES = {100: 320, MAX_PAGE_PICTURES: tiles.SIDE}  # pixels of a picture's longer side, of so many pictures at most


def render(
    pictures: Sequence[Picture],
    unreadable: Sequence[Unreadable],
    predictions: Sequence[Prediction],
    top: int,
    white: int = images.WHITE,
) -> str:
    """The page with the first MAX_PAGE_PICTURES, as the first model sees them; it says how many more there are."""
    first, groups = pictures[:MAX_PAGE_PICTURES], None
    order = range(len(first))
    if len(first) > FEW:
        groups = replace(predictions[0], table=predictions[0].table[: len(first)]).groups
        order = groups.order
    side = next(side for most, side in SIDES.items() if len(first) <= most)
    cards, images = [], parallel(lambda i: tile(first[i].path, side, white), order, "page")
    for i, image in zip(order, images, strict=True):
        models = [{"name": one.name, "rows": one.lines(i, top)} for one in predictions]
        group = None if groups is None else groups.name[i]
        cards.append({"name": first[i].name, "tile": image, "models": models, "group": group})
    template = page.templates(Path(__file__).parent).get_template("predict.html")
    return template.render(
        title=f"{counted(len(pictures), 'picture')}, {counted(len(predictions), 'model')}",
        more=len(pictures) - len(first),
        index=[] if groups is None else list(groups.counts.items()),
        order=predictions[0].answers.order,
        unreadable=unreadable,
        predictions=predictions,
        pictures=cards,
        style=page.source("page.css"),
        script=page.source("page.js"),
    )


def tile(path: Path, side: int, white: int) -> str:
    """The picture as a data URI; `white` is white in one of more than 8 bits."""
    image = tiles.decode(path.read_bytes(), side, white)
    image.thumbnail((side, side))
    return tiles.encode(image)
