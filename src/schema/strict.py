"""The strictness that every part of a config shares: frozen, typed, and no field that is not known."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Text = Annotated[str, Field(min_length=1)]
WRONG = {  # pydantic's error types, in the words of somebody who writes a config
    "missing": "is missing",
    "tuple_type": "must be a tuple: (..., ...) with a comma behind a single value",
    "dict_type": "must be a dictionary: {...}",
    "float_type": "must be a number, without quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "string_type": 'must be a text in quotes: "..."',
    "bool_type": "must be True or False",
}


class Strict(BaseModel):
    """A part of a config: immutable, types are not converted, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=(), validate_default=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced. Unlike pydantic's own, which believes the update, it is checked."""
        return type(self).model_validate(
            {**{field: getattr(self, field) for field in self.model_fields_set}, **(update or {})}
        )


def faults(error: ValidationError, part: type[Strict] | None) -> list[str]:
    """Return pydantic's list of the faults of a `part`, in the words of a Kaggler."""
    lines = []
    for fault in error.errors():
        where = ".".join(str(step) for step in fault["loc"])
        where = f"{error.title}.{where}" if where else error.title
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            valid = sorted(part.model_fields) if part else []
            near = difflib.get_close_matches(str(fault["loc"][-1]), valid, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"its fields are {', '.join(valid)}"
            lines.append(f"{where} is not a field: {hint}")
        elif fault["type"] == "value_error":
            lines.append(f"{where}: {message}")
        elif fault["type"] in WRONG:
            value = "" if fault["type"] == "missing" else f", not {fault['input']!r}"
            lines.append(f"{where} {WRONG[fault['type']]}{value}")
        else:
            lines.append(f"{where}: {message[:1].lower()}{message[1:]}, not {fault['input']!r}")
    return lines


def line_of(error: BaseException, folder: Path) -> str:
    """The line in `folder` that raised the exception: `src/configs/corn.py, line 12`; empty if none did."""
    traceback, where = error.__traceback__, ""
    while traceback:
        file = Path(traceback.tb_frame.f_code.co_filename)
        if file.parent == folder:
            where = f"{file.relative_to(folder.parent.parent)}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return where
