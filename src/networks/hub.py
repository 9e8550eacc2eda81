"""Weights: a local file or the Hugging Face hub's, and one sentence when they are not available or do not fit."""

import pickle
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from src.base.errors import UserError
from src.base.paths import resolve

# Seconds until an unreachable hub is given up, and a command says it within 20: the hub's own client tries for minutes
HUB_TIMEOUT_S = 8


def fetch(model: str, repo: str, filenames: tuple[str, ...]) -> Path:
    """The first of `filenames` that `repo` has, from the local cache or else downloaded into it.

    Args:
        model: What the config calls it, for the error.

    Raises:
        UserError: The hub cannot be reached or refuses; says how to give a local file.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    # what the client talks with was requests, then httpx, then httpx2: the root of its errors, whichever it is
    broken = [base for base in HfHubHTTPError.__mro__ if base.__module__ != "builtins"][-1]
    for filename in filenames:
        if isinstance(cached := try_to_load_from_cache(repo, filename), str):
            return Path(cached)
    instead = (
        f"on a machine that reaches it, download {filenames[0]} from {constants.ENDPOINT}/{repo}, "
        f'put it under input/ and add weights_file="input/{filenames[0]}" to the model in the config'
    )
    if constants.is_offline_mode():
        raise UserError(f"{model} is not in the hub's local cache, and HF_HUB_OFFLINE is set: unset it, or {instead}")
    if reason := unreachable(constants.ENDPOINT):
        raise UserError(f"{model} needs its weights from the hub, which cannot be reached ({reason}): {instead}")
    print(f"downloading the weights of {model} from {constants.ENDPOINT}/{repo}")
    for filename in filenames:
        try:
            return Path(hf_hub_download(repo, filename))
        except LocalEntryNotFoundError as error:
            raise UserError(f"{model}: the hub went away before the download: run again, or {instead}") from error
        except EntryNotFoundError:
            continue
        except HfHubHTTPError as error:
            raise UserError(f"{model}: the hub refuses {repo} ({str(error).splitlines()[0]}): {instead}") from error
        except broken as error:
            raise UserError(
                f"{model}: the hub went away during the download ({error}): run again, or {instead}"
            ) from error
    raise UserError(f"{model}: the hub's {repo} has none of {', '.join(filenames)}: {instead}")


def unreachable(endpoint: str) -> str | None:
    """Why the hub cannot be reached; None if it answers anything at all within `HUB_TIMEOUT_S` seconds."""
    reason = [f"no answer in {HUB_TIMEOUT_S} seconds"]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_TIMEOUT_S).close()
        except urllib.error.HTTPError:
            reason.clear()  # it is there
        except TimeoutError:
            pass  # no answer, whichever of the two clocks runs out first
        except OSError as error:
            reason[0] = str(getattr(error, "reason", error))
        else:
            reason.clear()

    asking = threading.Thread(target=ask, daemon=True)  # a name server that is silent does not keep urllib's time-out
    asking.start()
    asking.join(HUB_TIMEOUT_S)
    return reason[0] if reason else None


def local_file(model: str, weights_file: str) -> Path:
    """The path of a config's weights file, or a UserError where it is missing."""
    if not (path := resolve(weights_file)).is_file():
        raise UserError(f"{model}: its weights_file {path} is missing: put it there, or fix the config")
    return path


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
    except (SafetensorError, EOFError) as error:
        raise UserError(f"{model}: {path} is damaged or not a safetensors file ({error}): get it again") from error
    except (RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise UserError(
                f"{model}: {path} is refused: it is a pickle that would run code; "
                f"save it as safetensors where you trust it"
            ) from error
        why = " ".join(str(error).split())[:300]
        raise UserError(f"{model}: {path} does not fit: is it another model's, or damaged? ({why})") from error
