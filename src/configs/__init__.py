"""One competition a file. `shared/`: baselines, phrasings, lists of class names.

A config holds facts and numbers only, as the variable `competition` of src/configs/<name>.py. `./run.sh new` writes one
by looking at the files. An example of all that is commonly set: ./run.sh help config

Many classes are better read from a text file, shared/classes/<name>.txt: one class per line, with the phrase that
zero-shot uses for it (`equus quagga = plains zebra`). `class_names.read("<name>")` gives its `labels` and `phrases`;
fmow.py is an example.

A variant replaces fields of another config, `corn.model_copy(update={...})`, as corn_small.py does.
"""

import ast
from pathlib import Path

from src.base import paths


def titles() -> dict[str, str]:
    """The title of every competition, read without running its config."""
    return {path.stem: title_of(path) for path in paths.config_files()}


def title_of(config: Path) -> str:
    """The first text that the file gives a title: Competition(title="...") or update={"title": "..."}."""
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
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
