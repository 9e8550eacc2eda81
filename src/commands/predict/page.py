"""The page of predict: pictures with what each model says of them, in one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from src.base.errors import counted
from src.base.threads import parallel
from src.commands.predict.gathering import Picture, Unreadable
from src.commands.predict.session import Prediction
from src.report import page, tiles

MAX_PAGE_PICTURES = 1000  # pictures on a page
SIDES = {100: 320, MAX_PAGE_PICTURES: tiles.SIDE}  # pixels of a picture's longer side, of so many pictures at most


def render(
    pictures: Sequence[Picture], unreadable: Sequence[Unreadable], predictions: Sequence[Prediction], top: int
) -> str:
    """The page; of many pictures the first ones, which it says."""
    shown = pictures[:MAX_PAGE_PICTURES]
    side = next(side for most, side in SIDES.items() if len(shown) <= most)
    drawn = list(parallel(lambda picture: tile(picture.path, side), shown, "page"))
    said = [
        {
            "name": picture.name,
            "tile": image,
            "models": [{"name": one.name, "rows": one.best(i, top)} for one in predictions],
        }
        for i, (picture, image) in enumerate(zip(shown, drawn, strict=True))
    ]
    return (
        page.templates(Path(__file__).parent)
        .get_template("predict.html")
        .render(
            title=f"{counted(len(pictures), 'picture')}, {counted(len(predictions), 'model')}",
            more=len(pictures) - len(shown),
            unreadable=unreadable,
            predictions=predictions,
            pictures=said,
            style=page.source("page.css"),
            script=page.source("page.js"),
        )
    )


def tile(path: Path, side: int) -> str:
    """A data URI."""
    image = tiles.decoded(path.read_bytes(), side)
    image.thumbnail((side, side))
    return tiles.encoded(image)
