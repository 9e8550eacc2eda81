"""Competitions, one a file: facts and numbers only."""

import ast
from pathlib import Path

from src.base import paths


def titles() -> dict[str, str]:
    """The title of every competition, read without running its config."""
    return {path.stem: title_of(path) for path in sorted(paths.CONFIGS.glob("*.py")) if path.stem != "__init__"}


def title_of(config: Path) -> str:
    """The first text that the file gives a title: Competition(title="...") or update={"title": "..."}."""
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return "(cannot be read)"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        else:
            continue
        for name, value in pairs:
            if name == "title" and isinstance(value, ast.Constant):
                return str(value.value)
    return ""
