"""The base of all sources of a competition's files: a `slug` and a `fetch`."""

from pathlib import Path

from pydantic import Field

from src.base.paths import input_root
from src.schema.strict import Strict


class Source(Strict):
    """Files laid out as under Kaggle's /kaggle/input/<slug>/."""

    slug: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def page(self) -> str | None:
        """The web page that takes submissions; None if nobody takes one."""
        return None

    @property
    def root(self) -> Path:
        """The folder in whose <slug>/ the files are: INPUT_DIR, unless a source writes where that is read-only."""
        return input_root()

    def fetch(self, input_dir: Path) -> None:
        """Put the files at `input_dir`/<slug>/, `root` as a rule, unless they are there.

        Raises:
            UserError: They are not available; says how to get them.
        """
        raise NotImplementedError
