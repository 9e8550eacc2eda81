"""Errors of every room, on their way from one process to another."""

import ast
import copy
import importlib
import pickle

import pytest

from src.base.errors import UserError
from tests.conftest import ROOT

ARGUMENTS = {"Refusal": ("rules", "said")}  # of those that take more than the sentence


def kinds() -> list[str]:
    """All UserErrors of src by module and name: found without an import of it, which would take many seconds."""
    found = {"UserError": "src.base.errors"}
    classes = [
        (".".join(path.relative_to(ROOT).with_suffix("").parts), node)
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    while new := {
        node.name: module
        for module, node in classes
        if node.name not in found and {ast.unparse(base).rpartition(".")[2] for base in node.bases} & found.keys()
    }:
        found |= new
    return sorted(f"{module}.{name}" for name, module in found.items())


@pytest.mark.parametrize("kind", kinds())
def test_an_error_arrives_in_another_process_as_what_it_is(kind):
    module, _, name = kind.rpartition(".")
    error = getattr(importlib.import_module(module), name)(*ARGUMENTS.get(name, ("said",)))
    assert isinstance(error, UserError)
    for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 our own
        assert type(arrived) is type(error)
        assert (str(arrived), arrived.code) == ("said", error.code)
        assert vars(arrived) == vars(error)


def test_all_kinds_are_found():
    assert {"src.base.errors.UserError", "src.kaggle.refusals.Refusal", "src.units.unit.NotDone"} <= {*kinds()}
