"""Weights of the Hugging Face hub, and one sentence when they are not available."""

import math
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from src.base.errors import UserError

# Seconds until an unreachable hub is given up, and a command says it within 20: the hub's own client tries for minutes
HUB_TIMEOUT_S = 8
REMEMBERED_S = 60
UNREACHED: dict[str, tuple[str | None, float]] = {}  # endpoint: why it was not reached, and when


class Unreachable(UserError):
    """The hub is needed for weights, and does not answer."""


def cached(repo: str, filenames: tuple[str, ...]) -> Path | None:
    """The first of `filenames` of `repo` that is in the hub's local cache; None if it has none."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repo, filename) for filename in filenames)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def fetch(model: str, repo: str, filenames: tuple[str, ...]) -> Path:
    """The first of `filenames` that `repo` has, from the local cache or else downloaded into it.

    Args:
        model: What the config calls it, for the error.

    Raises:
        Unreachable: The hub does not answer, or is not to be asked; says how to give a local file.
        UserError: It refuses, or has none of the files.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    # what the client talks with was requests, then httpx, then httpx2: the root of its errors, whichever it is
    broken = [base for base in HfHubHTTPError.__mro__ if base.__module__ != "builtins"][-1]
    if (path := cached(repo, filenames)) is not None:
        return path
    instead = (
        f"on a machine that reaches it, download {filenames[0]} from {constants.ENDPOINT}/{repo}, "
        f'put it under input/ and add weights_file="input/{filenames[0]}" to the model in the config'
    )
    if constants.is_offline_mode():
        raise Unreachable(f"{model} is not in the hub's local cache, and HF_HUB_OFFLINE is set: unset it, or {instead}")
    if reason := unreachable(constants.ENDPOINT):
        raise Unreachable(f"{model} needs its weights from the hub, which cannot be reached ({reason}): {instead}")
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


def why_offline() -> str | None:
    """The reason why nothing can be had of the hub but what its local cache has; None if it answers."""
    from huggingface_hub import constants

    return "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else unreachable(constants.ENDPOINT)


def unreachable(endpoint: str) -> str | None:
    """The reason why the hub cannot be reached; None if it answers anything at all within `HUB_TIMEOUT_S` seconds.

    One that was not reached is not asked again for a minute, so that several models do not wait one after the other.
    """
    reason, since = UNREACHED.get(endpoint, ("", -math.inf))
    if time.monotonic() - since > REMEMBERED_S:
        reason = ask(endpoint)
        UNREACHED[endpoint] = (reason, time.monotonic() if reason else -math.inf)
    return reason


def ask(endpoint: str) -> str | None:
    """As `unreachable`, with a question each time."""
    reason = [f"no answer in {HUB_TIMEOUT_S} seconds"]

    def head() -> None:
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

    asking = threading.Thread(target=head, daemon=True)  # a name server that is silent does not keep urllib's time-out
    asking.start()
    asking.join(HUB_TIMEOUT_S)
    return reason[0] if reason else None
