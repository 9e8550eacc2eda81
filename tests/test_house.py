"""The house: which room may import which, that light rooms stay light, and that no files import each other in a circle."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the ground up: a room imports from rooms on floors below its own, never from one beside or above it.
FLOORS = (
    ("base",),
    ("units", "kaggle", "scoring"),
    ("schema",),
    ("data",),
    ("results",),
    ("networks", "leaderboard"),
    ("models", "audit", "report"),
    ("config",),
    ("configs",),
    ("stages",),
    ("driver",),
    ("commands",),
    ("cli",),
    ("__main__",),
    ("bench",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Rooms with exceptions of their own, narrower than their floor.
NOT_FOR = {"kaggle": {"units"}, "scoring": {"units"}, "schema": {"units", "kaggle"}, "report": {"networks"}}
APART = ("stages", "commands")  # one stage knows no other stage, one command no other command
LIGHT = ("base", "kaggle", "scoring", "schema", "results", "leaderboard", "report", "config", "cli")
HEAVY = ("torch", "sklearn")


def name_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, Path]:
    return {name_of(path, root): path for path in sorted((root / "src").rglob("*.py"))}


@functools.cache
def statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The imports of a file, anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """The modules of src that a file imports, anywhere in it, each with its line."""
    for node in statements(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "src":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in known else node.module), node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.partition(".")[0] == "src")


def room_of(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def offences(root: Path) -> list[str]:
    """The imports that go up or sideways, as `base/files.py:12: base (floor 0) imports data (floor 3)`."""
    known, found = modules(root), []
    for module, path in known.items():
        room, where = room_of(module), path.relative_to(root / "src").as_posix()
        for target, line in imports(path, known):
            other = room_of(target)
            if not room or not other:
                continue
            if room == other:
                unit, its = (name.split(".")[2:3] for name in (module, target))
                if room in APART and unit and its and unit != its:
                    found.append(f"{where}:{line}: {room} {unit[0]!r} imports {room} {its[0]!r}")
            elif FLOOR[other] >= FLOOR[room] or other in NOT_FOR.get(room, ()):
                found.append(f"{where}:{line}: {room} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[other]})")
    return found


def circles(root: Path) -> list[list[str]]:
    """Groups of files that import each other, by Tarjan's algorithm."""
    known = modules(root)
    graph = {module: {target for target, _ in imports(path, known)} for module, path in known.items()}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for target in graph.get(module, ()):
            if target not in order:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], order[target])
        if lowest[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def planted(folder: Path, files: dict[str, str]) -> Path:
    """A tree of these files, and the packages that they are in."""
    for name, text in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for parent in {path.parent for path in (folder / "src").rglob("*.py")} | {folder / "src"}:
        (parent / "__init__.py").touch()
    return folder


def test_every_room_has_its_floor():
    rooms = {path.stem for path in (ROOT / "src").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} <= FLOOR.keys()


def test_imports_go_down():
    assert offences(ROOT) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("base/files.py", "from src.data import rows\n", "base/files.py:1: base (floor 0) imports data (floor 3)"),
        ("scoring/auc.py", "def f():\n    from src.kaggle import api\n", "auc.py:2: scoring (floor 1) imports kaggle"),
        ("results/model.py", "import src.models.zeroshot\n", "results/model.py:1: results (floor 4) imports models"),
        (
            "stages/probe.py",
            "from src.stages import blend\n",
            "stages/probe.py:1: stages 'probe' imports stages 'blend'",
        ),
        ("commands/new/command.py", "from src.commands.ab import run\n", "commands 'new' imports commands 'ab'"),
    ],
)
def test_a_planted_import_is_named_with_floor_room_and_line(tmp_path, file, text, said):
    targets = ("data/rows", "kaggle/api", "models/zeroshot", "stages/blend", "commands/ab")
    root = planted(tmp_path, {**{f"{target}.py": "" for target in targets}, file: text})
    (found,) = offences(root)
    assert said in found


def test_a_planted_circle_is_found(tmp_path):
    one, two = "def f():\n    from src.data import b\n", "from src.data import a\n"
    assert circles(planted(tmp_path, {"data/a.py": one, "data/b.py": two})) == [["src.data.a", "src.data.b"]]


def heavy_after(names: list[str], root: Path) -> str:
    """Which of HEAVY a fresh process imports with these modules, and with which first: `torch with src.base.files`."""
    code = (
        f"import importlib, sys\nknown = set()\nfor name in {names!r}:\n    importlib.import_module(name)\n"
        f"    for one in sorted({set(HEAVY)!r} & sys.modules.keys() - known): print(one, 'with', name)\n"
        "    known |= sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_light_rooms_import_neither_torch_nor_scikit_learn():
    assert heavy_after([module for module in modules(ROOT) if room_of(module) in LIGHT], ROOT) == ""


def test_a_planted_torch_in_a_light_room_is_seen(tmp_path):
    root = planted(tmp_path, {"base/files.py": "import torch\n", "base/text.py": ""})
    (root / "torch.py").touch()  # in the place of the real one, whose import takes a second
    assert heavy_after(["src.base.text", "src.base.files"], root) == "torch with src.base.files"
