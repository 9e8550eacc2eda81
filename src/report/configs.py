"""Configs as text, and beside the configs that models were made with."""

import json
from collections.abc import Collection
from typing import Any

from src.base import files
from src.schema.models import Augment
from src.schema.strict import Strict

WIDTH = 100  # characters of a line


def changes(stored: dict[str, Any], spec: Strict, without: Collection[str] = ()) -> str:
    """`lr changed (0.1 to 0.2)`: what of a model's config is not as in the key that it was made with; or empty.

    A field that one of the two does not name is as by default there: an older version did not know it, or no key does.
    """
    without = {"weights_file", *without}  # of that a key has the content
    now = files.as_json_value(spec.model_dump(mode="json", exclude=without))
    unusual = spec.model_dump(mode="json", exclude=without, exclude_defaults=True)
    old, new = {}, {}
    for name in type(spec).model_fields:
        if name in without or (name not in stored and name not in unusual):
            continue
        old[name] = stored.get(name)
        new[name] = now[name] if name in now else files.as_json_value(getattr(spec, name))
    return files.describe_changes(old, new)


def code(value: Any, indent: int = 0, without: tuple[str, ...] = ()) -> str:
    """The value as a config has it: Python, without the fields that are as by default."""
    if isinstance(value, Augment):
        args = [(f"{name}=", one) for name, one in value.args.items()]
        return bracketed("Augment(", [("", value.name), *args], ")", indent)
    if isinstance(value, Strict):
        fields = type(value).model_fields
        items = [
            (f"{name}=", getattr(value, name))
            for name, field in fields.items()
            if name not in without and getattr(value, name) != field.get_default(call_default_factory=True)
        ]
        return bracketed(f"{type(value).__name__}(", items, ")", indent)
    if isinstance(value, dict):
        return bracketed("{", [(f"{code(key)}: ", one) for key, one in value.items()], "}", indent)
    if isinstance(value, tuple | list):
        return bracketed("(", [("", one) for one in value], ",)" if len(value) == 1 else ")", indent)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def bracketed(opening: str, items: list[tuple[str, Any]], closing: str, indent: int) -> str:
    """In one line if it fits, else an item a line."""
    line = opening + ", ".join(head + code(one) for head, one in items) + closing
    if "\n" not in line and indent + len(line) <= WIDTH:
        return line
    pad = " " * (indent + 4)
    lines = [f"{pad}{head}{code(one, indent + 4)}," for head, one in items]
    return "\n".join([opening, *lines, " " * indent + closing.lstrip(",")])
