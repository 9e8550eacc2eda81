"""Which Kaggle credentials are there, and which of them the client takes. Calls nobody, prints no secret."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN_PAGE = "https://www.kaggle.com/settings"  # where a token is made
OPEN_TO_OTHERS = 0o044  # the mode's bits that let others read a file


@dataclass(frozen=True)
class Credential:
    where: str  # the variables' names, or the file's path
    kind: str  # access token, legacy key, or OAuth
    fault: str = ""  # why the client passes it over
    warning: str = ""


def find_all() -> list[Credential]:
    """Return all credentials, in the client's order: the first without a fault is the one that it takes.

    The order is that of kaggle 2.2.4: access tokens, then the legacy key, of which environment variables have
    precedence over the file, then what `kaggle auth login` left.
    """
    return [*access_tokens(), *legacy_keys(), *oauth()]


def active() -> Credential | None:
    """Return the credential that the client takes; None: it has none to take."""
    return next((one for one in find_all() if not one.fault), None)


def active_source() -> str:
    """The place of the credential that the client takes."""
    return one.where if (one := active()) else "this environment"


def access_tokens() -> Iterator[Credential]:
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        fault = "that file is empty" if is_file(token) and is_blank(Path(token)) else ""
        yield Credential("KAGGLE_API_TOKEN", "access token", fault)
    for name in ("access_token", "access_token.txt"):
        path = Path("~/.kaggle", name).expanduser()
        if path.is_file():
            fault = "it is empty" if is_blank(path) else ""
            yield Credential(str(path), "access token", fault, permission_warning(path))


def legacy_keys() -> Iterator[Credential]:
    names = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name)]
    if len(names) == 2:
        yield Credential("KAGGLE_USERNAME and KAGGLE_KEY", "legacy key")
    path = folder() / "kaggle.json"
    if path.is_file():
        try:
            known = json.loads(path.read_text(errors="replace"))
        except ValueError:
            known = None
        fault = "it is not JSON" if not isinstance(known, dict) else ""
        needed = [key for key in ("username", "key") if f"KAGGLE_{key.upper()}" not in names]
        if not fault and (missing := [key for key in needed if not known.get(key)]):
            fault = f"it has no {missing[0]!r}: a token of the new kind goes into ~/.kaggle/access_token"
        yield Credential(str(path), "legacy key", fault, permission_warning(path))
    elif len(names) == 1:
        other = "KAGGLE_KEY" if names[0] == "KAGGLE_USERNAME" else "KAGGLE_USERNAME"
        yield Credential(names[0], "legacy key", f"{other} is not set")


def oauth() -> Iterator[Credential]:
    path = Path("~/.kaggle/credentials.json").expanduser()
    if path.is_file():
        yield Credential(str(path), "OAuth", "", permission_warning(path))


def folder() -> Path:
    """The folder where the client looks for kaggle.json."""
    if own := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(own)
    home = Path("~/.kaggle").expanduser()
    if home.is_dir():
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"


def is_blank(path: Path) -> bool:
    return not path.read_text(errors="replace").strip()


def is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long for a name
        return False


def permission_warning(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    return f"others may read it (mode {mode:o}): chmod 600 {path}" if mode & OPEN_TO_OTHERS else ""
