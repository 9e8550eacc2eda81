"""The base of all sources of a competition's files: a `slug` and a `fetch`."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from src.base.paths import input_root, input_root_to_write, own_input_root
from src.schema.strict import Strict


class Source(Strict):
    """Files laid out as under Kaggle's /kaggle/input/<slug>/."""

    mark: ClassVar[str] = ""  # the file in <slug>/ by which it is known to be this source's

    slug: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def page(self) -> str | None:
        """The web page that takes submissions; None if nobody takes one."""
        return None

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders in whose <slug>/ the files may be: INPUT_DIR, and our own place for where that is read-only."""
        return input_root(), own_input_root()

    @property
    def is_users_own(self) -> bool:
        """Whether these are the user's own pictures, and no competition's or published ones."""
        return False

    @property
    def root(self) -> Path:
        """The folder in whose <slug>/ the files are, or can be written."""
        there = (root for root in self.places if (root / self.slug / self.mark).exists())
        return next(there, None) or input_root_to_write(self.slug)

    def fetch(self, input_dir: Path) -> None:
        """Put the files at `input_dir`/<slug>/, `root` as a rule, unless they are there.

        Raises:
            UserError: They are not available; says how to get them.
        """
        raise NotImplementedError
