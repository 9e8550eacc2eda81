"""Errors of every room, on their way from one process to another."""

import copy
import importlib
import pickle
import re

from src.base.errors import UserError
from tests.conftest import ROOT

ARGUMENTS = {"Refusal": ("rules", "said")}  # of those that take more than the sentence


def kinds() -> list[str]:
    """All UserErrors of src by module and name: found without an import of it, which would take many seconds."""
    found = {"UserError": "src.base.errors"}
    classes = [
        (".".join(path.relative_to(ROOT).with_suffix("").parts), *one.groups())
        for path in (ROOT / "src").rglob("*.py")
        for one in re.finditer(r"^ *class (\w+)\(([^()]*)\):", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    while new := {
        name: module
        for module, name, bases in classes
        if name not in found and {base.strip().rpartition(".")[2] for base in bases.split(",")} & found.keys()
    }:
        found |= new
    return sorted(f"{module}.{name}" for name, module in found.items())


def test_an_error_arrives_in_another_process_as_what_it_is():
    found = kinds()
    assert {"src.base.errors.UserError", "src.kaggle.refusals.Refusal", "src.units.unit.NotDone"} <= {*found}
    for kind in found:
        module, _, name = kind.rpartition(".")
        error = getattr(importlib.import_module(module), name)(*ARGUMENTS.get(name, ("said",)))
        assert isinstance(error, UserError)
        for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 our own
            assert type(arrived) is type(error), kind
            assert (str(arrived), arrived.code) == ("said", error.code), kind
            assert vars(arrived) == vars(error), kind
