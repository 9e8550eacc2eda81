"""Weights of the Hugging Face hub, and one sentence when they are not available."""

import threading
import urllib.error
import urllib.request
from pathlib import Path

from src.base.errors import UserError

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
