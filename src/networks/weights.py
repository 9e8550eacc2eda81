"""Checkpoints of any origin: their file, the weights in it, and the names under which a network finds them.

People save weights in many ways: beside an optimizer, within wrappers of a module, by the names of another library.
What is only a way of saving is undone here; what is another network is refused, with the names of both.
"""

import argparse
import pathlib
import pickle
import struct
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from src.base import packages
from src.base.errors import UserError
from src.base.paths import resolve
from src.networks import efficientnet_pytorch

State = dict[str, Tensor]
# The entries of a checkpoint that hold its weights, the averaged ones first: they are what a training ends with
ENTRIES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "state_dict", "model_state_dict")
ENTRIES += ("model", "network", "net", "weights", "params", "module", "teacher", "student")
# What DataParallel, torch.compile, Lightning and people's own classes put before every name
PREFIXES = ("_orig_mod.", "module.", "model.", "backbone.", "encoder.", "network.", "net.")
# What lies beside the weights in many checkpoints, and runs no code: arguments, paths, a score of numpy's
HARMLESS = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8")),
]
HARMLESS += [(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
# What torch raises of bytes that happen to begin as a pickle does, such as those of a text
OF_NO_PICKLE = (IndexError, OverflowError, AssertionError, struct.error)
NAMES_SHOWN = 3


def local_file(model: str, weights_file: str) -> Path:
    """The path of a config's weights file.

    Raises:
        UserError: There is none, or the package that has it is not installed or has several.
    """
    if (package := packages.package_of(weights_file)) is not None:
        return packages.checkpoint(package, weights_file)
    if not (path := resolve(weights_file)).is_file():
        raise UserError(f"{model}: its weights_file {path} is missing: put it there, or fix the config")
    return path


def read(path: Path) -> State:
    """The weights of a file, under the names that it has for them.

    Raises:
        UserError: No entry of the file holds weights.
        Exception: Any of those that `explain_load_errors` explains.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    with torch.serialization.safe_globals(HARMLESS):
        whole = torch.load(path, map_location="cpu", weights_only=True)
    if (state := weights_in(whole)) is None:
        entries = ", ".join(map(str, list(whole)[:8])) if isinstance(whole, Mapping) else type(whole).__name__
        raise UserError(f"{path} holds no weights ({entries}): give the file of a model's state_dict")
    return state


def weights_in(whole: Any) -> State | None:
    """The weights of what a file holds: of the entries that may hold them, or else the entry's own tensors."""
    if not isinstance(whole, Mapping):
        return None
    for entry in (*ENTRIES, *(name for name in whole if isinstance(whole[name], Mapping))):
        if "optim" not in str(entry) and (state := weights_in(whole.get(entry))) is not None:
            return state
    return {name: value for name, value in whole.items() if isinstance(value, Tensor) and isinstance(name, str)} or None


def fit_names(state: State, wanted: Collection[str]) -> tuple[State, list[str]]:
    """Bring weights to the names of a network.

    Returns:
        The weights without the prefixes of wrappers and by the network's names where another library's are known, and
        the names of what is no part of the network, such as a head that somebody put behind it.
    """
    left_out: list[str] = []
    while prefix := next((prefix for prefix in PREFIXES if wraps(prefix, state, wanted)), None):
        inner = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        others = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
        left_out += [name for name in others if name not in wanted]
        state = {name: tensor for name, tensor in others.items() if name in wanted} | inner
    if efficientnet_pytorch.are_names(state):
        state = efficientnet_pytorch.renamed(state, wanted)
    return state, left_out


def wraps(prefix: str, state: Mapping[str, Any], wanted: Collection[str]) -> bool:
    """Whether most names have a prefix that no name of the network has."""
    n = sum(name.startswith(prefix) for name in state)
    return 2 * n > len(state) and not any(name.startswith(prefix) for name in wanted)


def misfit(model: str, path: Path, state: State, wanted: Mapping[str, Tensor]) -> str:
    """Say why the weights are not the network's: how many names fit and the first of both, or shapes that differ."""
    fitting = [name for name in state if name in wanted]
    names = f"{len(fitting)} of its {len(state)} names are among the network's {len(wanted)}"
    other = [name for name in fitting if state[name].shape != wanted[name].shape]
    if other:
        shapes = f"{tuple(state[other[0]].shape)}, not {tuple(wanted[other[0]].shape)}"
        what = f"{len(other)} have another shape, such as {other[0]}: {shapes}"
    else:
        what = f"it has {first(state, wanted)}, the network has {first(wanted, state)}"
    return f"{model}: {path} does not fit: is it another model's, or damaged? {names}; {what}"


def first(names: Mapping[str, Any], without: Collection[str]) -> str:
    """The first names, of those that the other side lacks."""
    some = [name for name in names if name not in without] or list(names)
    return ", ".join(some[:NAMES_SHOWN]) + " ..." * (len(some) > NAMES_SHOWN)


@contextmanager
def explain_load_errors(model: str, path: Path) -> Iterator[None]:
    """Turn errors of loading `path` as weights of `model` into a UserError."""
    try:
        with warnings.catch_warnings():  # of a pickle's protocol: it is taken, or refused below
            warnings.simplefilter("ignore", UserWarning)
            yield
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{model}: {path} is refused: it is not plain weights, or a pickle that would run code; "
            f"save it as safetensors where you trust it"
        ) from error
    except (SafetensorError, EOFError, *OF_NO_PICKLE) as error:
        raise UserError(f"{model}: {path} is damaged or no file of weights ({error}): get it again") from error
    except (RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise UserError(
                f"{model}: {path} is refused: it is a pickle that would run code; "
                f"save it as safetensors where you trust it"
            ) from error
        why = " ".join(str(error).split())[:300]
        raise UserError(f"{model}: {path} does not fit: is it another model's, or damaged? ({why})") from error
