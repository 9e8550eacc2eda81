"""Which Kaggle credentials are there, and which of them the client takes. Calls nobody, prints no secret."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKENS = "https://www.kaggle.com/settings"  # where one is made
OPEN_TO_OTHERS = 0o044  # the mode's bits that let others read a file


@dataclass(frozen=True)
class Credential:
    where: str  # the variables' names, or the file's path
    kind: str  # access token, legacy key, or OAuth
    fault: str = ""  # why the client passes it over
    warning: str = ""


def found() -> list[Credential]:
    """All that are there, in the client's order: the first without a fault is the one that it takes.

    The order is that of kaggle 2.2.4: access tokens, then the legacy key, of which environment variables have
    precedence over the file, then what `kaggle auth login` left.
    """
    return [*access_tokens(), *legacy_keys(), *oauth()]


def winner() -> Credential | None:
    """The one that the client takes; None: it has none to take."""
    return next((one for one in found() if not one.fault), None)


def where() -> str:
    """Where the one that the client takes is found."""
    return one.where if (one := winner()) else "this environment"


def access_tokens() -> Iterator[Credential]:
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        fault = "" if not is_file(token) or Path(token).read_text(errors="replace").strip() else "that file is empty"
        yield Credential("KAGGLE_API_TOKEN", "access token", fault)
    for name in ("access_token", "access_token.txt"):
        path = Path("~/.kaggle", name).expanduser()
        if path.is_file():
            fault = "" if path.read_text(errors="replace").strip() else "it is empty"
            yield Credential(str(path), "access token", fault, warning_of(path))


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
        lacks = [key for key in ("username", "key") if not fault and not known.get(key) and variable(key) not in names]
        if lacks:
            fault = f"it has no {lacks[0]!r}: a token of the new kind goes into ~/.kaggle/access_token"
        yield Credential(str(path), "legacy key", fault, warning_of(path))
    elif len(names) == 1:
        other = "KAGGLE_KEY" if names[0] == "KAGGLE_USERNAME" else "KAGGLE_USERNAME"
        yield Credential(names[0], "legacy key", f"{other} is not set")


def oauth() -> Iterator[Credential]:
    path = Path("~/.kaggle/credentials.json").expanduser()
    if path.is_file():
        yield Credential(str(path), "OAuth", "", warning_of(path))


def folder() -> Path:
    """Where the client looks for kaggle.json."""
    if own := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(own)
    home = Path("~/.kaggle").expanduser()
    if home.is_dir():
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"


def variable(key: str) -> str:
    return f"KAGGLE_{key.upper()}"


def is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long for a name
        return False


def warning_of(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    return f"others may read it (mode {mode:o}): chmod 600 {path}" if mode & OPEN_TO_OTHERS else ""
