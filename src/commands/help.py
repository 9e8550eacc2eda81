"""help: describes a stage, a command, a room of src/ or a competition; without a topic, lists them.

    ./run.sh help
    ./run.sh help finetune corn exit-codes

Reads docstrings without importing any file: it works before anything is installed.
"""

from collections.abc import Sequence
from pathlib import Path

from src.base import paths
from src.base.errors import UserError, unknown
from src.base.text import align, docstring, first_sentence
from src.commands import ALONE, COMMANDS, file_of, parser
from src.configs import title_of, titles
from src.stages import ASKED, STAGES

SRC = Path(__file__).parent.parent
COMPETITIONS = "Competitions"


def run(topics: Sequence[str] = (), competition: str | None = None) -> None:
    """Print each topic, or the list; `competition` stands before the commands in their usage.

    Raises:
        UserError: A topic is unknown.
    """
    files = [(name.strip(), path) for rows in sections().values() for name, path in rows]
    for topic in topics:
        if topic not in dict(files):
            raise UserError(unknown("topic", topic, dict(files)))
    pages = [page(name, path, competition) for topic in topics for name, path in files if name == topic]
    print("\n\n".join(pages) if pages else overview())


def sections() -> dict[str, list[tuple[str, Path]]]:
    """All topics below their headings, each with the file that describes it; inner rooms are indented.

    A word may be several topics, of which a stage or command comes first.
    """
    rooms = sorted(path.parent.relative_to(SRC) for path in SRC.glob("*/**/__init__.py"))
    alone = [(name, file_of(name)) for name in ALONE]
    return {
        f"Stages, in their order; {' and '.join(ASKED)} run only where they are named": [
            (name, SRC / "stages" / f"{name}.py") for name in STAGES
        ],
        "Commands behind a competition, for what a run has made": [
            (name, file_of(name)) for name in COMMANDS if name not in ALONE
        ],
        "Commands that need no competition": [*alone, ("bench", SRC / "bench" / "__main__.py")],
        "Rooms of src": [("  " * (len(room.parts) - 1) + room.name, SRC / room / "__init__.py") for room in rooms],
        "Further topics": [("config", SRC / "config.py"), ("exit-codes", SRC / "kaggle" / "refusals.py")],
        COMPETITIONS: [(name, paths.CONFIGS / f"{name}.py") for name in titles()],
    }


def page(topic: str, path: Path, competition: str | None) -> str:
    """A command's usage, text and arguments; for any other file its docstring below its name."""
    if topic in COMMANDS and path == file_of(topic):
        return parser(topic, competition).format_help().rstrip()
    text = docstring(path)
    return f"== {path.relative_to(paths.ROOT)}\n{text}"


def overview() -> str:
    """Everything that can be typed, and all topics: the title or the first sentence of each."""
    parts = [docstring(SRC / "cli.py")]
    for heading, rows in sections().items():
        lines = [
            (name, title_of(path) if heading == COMPETITIONS else first_sentence(docstring(path), name))
            for name, path in rows
        ]
        parts.append("\n".join([f"{heading}:", *(f"  {line}" for line in align(lines))]))
    return "\n\n".join(parts)
