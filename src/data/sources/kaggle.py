"""A Kaggle competition's files: its folder, its archive, or the Kaggle API."""

import functools
import shutil
from pathlib import Path

from src.base.files import explain_os_errors
from src.base.paths import input_root, may_write, own_input_root
from src.data import archives, unpacking
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import Refusal, page_of
from src.schema.source import Source


class Kaggle(Source):
    """A Kaggle competition: the folder that is there, an archive that the user put beside it, or the Kaggle API.

    Both are looked for in INPUT_DIR and in its folder competitions/, as in a Kaggle notebook. Archives in the folder
    are unpacked beside themselves; where it is read-only, below SUBMISSIONS_DIR, with links to all else.
    """

    def __init__(self, slug: str, **fields):
        super().__init__(slug=slug, **fields)

    @property
    def page(self) -> str:
        return page_of(self.slug)

    @property
    def places(self) -> tuple[Path, ...]:
        inputs = (root for root in places_in(input_root()) if not is_packed(root / self.slug))
        return *inputs, own_input_root()

    def fetch(self, input_dir: Path) -> None:
        folder = input_dir / self.slug
        if folder.is_dir():
            if may_write(folder):
                unpacking.unpack_beside(folder)
            return
        packed = next(filter(is_packed, (root / self.slug for root in places_in(input_root()))), None)
        if packed is not None:
            print(f"unpacking the archives in {packed}, which is read-only, to {folder}")
            unpacking.unpack_linked(packed, folder)
            return
        roots = dict.fromkeys((input_dir, *places_in(input_root())))
        there = [root / f"{self.slug}{ending}" for ending in (".zip", ".7z", *archives.TARS) for root in roots]
        archive = next(filter(Path.is_file, there), there[0])
        if not archive.is_file():
            if credentials.active() is None:
                raise Refusal(
                    "credentials",
                    f"no data for {self.slug}, and {credentials.none_to_take()}: "
                    f"download its zip from {self.page}/data and put it at {archive}, or accept "
                    f"the rules at {self.page}/rules, make a token at {credentials.TOKEN_PAGE} and set "
                    f"KAGGLE_API_TOKEN to it",
                )
            print(f"downloading {self.slug} with the credentials in {credentials.active_source()}")
            part = input_dir / f".{self.slug}.download"  # kept when killed: the next run resumes in it
            with explain_os_errors(part):
                part.mkdir(parents=True, exist_ok=True)
                kaggle_api.download(self.slug, part).replace(archive)
                shutil.rmtree(part)
        print(f"unpacking {archive}" + (f" to {folder}" if folder.parent != archive.parent else ""))
        unpacking.unpack(archive, folder)


def places_in(root: Path) -> tuple[Path, Path]:
    """Where a Kaggle notebook has a competition's folder."""
    return root, root / "competitions"


def is_packed(folder: Path) -> bool:
    """Return whether the folder has archives with data that does not lie beside them, and nobody can unpack them."""
    return folder.is_dir() and not may_write(folder) and has_packed_data(folder)


@functools.cache  # asked for each path of a competition
def has_packed_data(folder: Path) -> bool:
    return unpacking.has_packed_data(folder)
