"""What every source of a competition's files has: a `slug` and a `fetch`."""

from pathlib import Path

from pydantic import Field

from src.schema.strict import Strict


class Source(Strict):
    """Files laid out as under Kaggle's /kaggle/input/<slug>/."""

    slug: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def page(self) -> str | None:
        """Where a submission is sent; None if nobody takes one."""
        return None

    def fetch(self, input_dir: Path) -> None:
        """Puts the files at `input_dir`/<slug>/ unless they are there.

        Raises:
            UserError: They are not available; says how to get them.
        """
        raise NotImplementedError
