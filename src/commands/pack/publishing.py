"""A packed notebook on its way to Kaggle: its dataset first, then, when that is ready there, the notebook."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.pack import notebook, packing
from src.kaggle import api as kaggle_api
from src.kaggle.refusals import Refusal, polls, retry_transient
from src.schema.competition import Competition

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

POLLS = (2, 5, 10, 20, 30)  # seconds between two looks at the dataset; the last again and again
READY_TIMEOUT_S = 3600  # seconds that it may take: Kaggle unpacks and copies it


def push(competition: Competition, pack: Path, gpu: bool) -> str:
    """Send dataset/ and notebook/ of a pack, both private; return the notebook's address, or raise a Refusal."""
    with kaggle_api.session(competition.source.slug, f"the notebook of {competition.name}") as api:
        user = api.config_values.get(api.CONFIG_NAME_USER)
        if not user:
            raise Refusal("token", "Kaggle does not say whose token this is: make a new one, or set KAGGLE_USERNAME")
        packing.write_metadata(competition, pack / "notebook", pack / "dataset", gpu, user)
        ref = f"{user}/{notebook.dataset_slug(competition.name)}"
        send(api, ref, pack / "dataset")
        wait(api, ref)
        saved = retry_transient(api.kernels_push, str(pack / "notebook"))
        unknown = [*(saved.invalid_dataset_sources or []), *(saved.invalid_competition_sources or [])]
        if saved.error or unknown:
            reason = saved.error or f"it finds no {', '.join(unknown)}"
            raise Refusal("refused", f"Kaggle refuses the notebook: {reason}")
        return saved.url


def send(api: "KaggleApi", ref: str, folder: Path) -> None:
    """Upload the dataset, or a new version of it; raise a Refusal if it did not arrive whole."""
    require_all_uploads(api, sum(path.name != "dataset-metadata.json" for path in folder.iterdir()))
    if status(api, ref) is None:
        print(f"making the dataset {ref}")
        answer = api.dataset_create_new(str(folder), public=False, dir_mode="zip")
    else:
        print(f"making a new version of the dataset {ref}")
        answer = api.dataset_create_version(str(folder), "packed again", dir_mode="zip")
    if answer.error or (answer.status or "").lower() != "ok":
        raise Refusal("refused", f"Kaggle refuses the dataset {ref}: {answer.error or answer.status}")


def require_all_uploads(api: "KaggleApi", n: int) -> None:
    """Let the client refuse to make a dataset of fewer than n uploads: it would leave out what did not arrive."""
    upload: Callable[..., None] = api.upload_files

    def checked(request: Any, *arguments: Any, **more: Any) -> None:
        upload(request, *arguments, **more)
        if len(request.files) != n:
            raise Refusal("upload", f"{n - len(request.files)} of {n} uploads did not arrive at Kaggle: push again")

    api.upload_files = checked


def status(api: "KaggleApi", ref: str) -> str | None:
    """The status of the dataset; None where there is none, which Kaggle answers as it answers about another's."""
    from requests.exceptions import HTTPError

    try:
        return retry_transient(api.dataset_status, ref)
    except HTTPError as error:
        if error.response.status_code in (403, 404):
            return None
        raise


def wait(api: "KaggleApi", ref: str) -> None:
    """Wait until a notebook can read the dataset; raise a Refusal if Kaggle could not make it, or takes too long."""
    for seconds in polls(POLLS, READY_TIMEOUT_S):
        now = status(api, ref)
        if now == "ready":
            return
        if now in ("failed", "deleted"):
            raise Refusal("broken", f"Kaggle could not make the dataset {ref} ({now}): push again")
        print(f"waiting for the dataset {ref}: {now or 'not there yet'}, {seconds:.0f}s so far", flush=True)
    raise Refusal("pending", f"Kaggle has not made the dataset {ref} in an hour ({now}): push again later")
