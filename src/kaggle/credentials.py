"""Which Kaggle credentials are there, and which of them the client takes. Calls nobody, prints no secret.

A shell, an editor or a .env file leaves blanks, line ends, quotes or a byte order mark around a secret. The client
would send them along, or end in an error that quotes the secret: `handed_over` gives it the bare text.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from src.base.csvs import marked_encoding

TOKEN_PAGE = "https://www.kaggle.com/settings"  # where a token is made
OPEN_TO_OTHERS = 0o044  # the mode's bits that let others read a file
VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
AROUND = " \t\r\n\v\f\0\ufeff\u00a0\u200b\"'"
SECRET = re.compile(r"[!-~]+")  # what a header can hold


@dataclass(frozen=True)
class Credential:
    where: str  # the variables' names, or the file's path
    kind: str  # access token, legacy key, or OAuth
    fault: str = ""  # why it is passed over
    warning: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # by which the client gets it


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


def none_to_take() -> str:
    """`there are no Kaggle credentials`, and why those that are there are passed over."""
    faults = [f"{one.where}: {one.fault}" for one in find_all() if one.fault]
    return "there are no Kaggle credentials" + (f" ({'; '.join(faults)})" if faults else "")


@contextmanager
def handed_over() -> Iterator[None]:
    """In the block, the client finds the credentials without a fault in its variables, and no other access token."""
    variables = {"KAGGLE_API_TOKEN": os.devnull}  # an empty file: the client looks no further for a token
    for one in reversed(find_all()):  # the first has the last word
        variables |= {} if one.fault else one.variables
    before = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)


def access_tokens() -> Iterator[Credential]:
    if given := os.environ.get("KAGGLE_API_TOKEN"):
        text = bare(given)
        if is_file(text):
            yield access_token("KAGGLE_API_TOKEN", read(Path(text)), "that file")
        else:
            yield access_token("KAGGLE_API_TOKEN", text, "it")
    for name in ("access_token", "access_token.txt"):
        path = Path("~/.kaggle", name).expanduser()
        if path.is_file():
            yield access_token(str(path), read(path), "it", permission_warning(path))


def access_token(where: str, text: str | None, what: str, warning: str = "") -> Credential:
    fault = secret_fault(text)
    if not fault and text.startswith("{"):
        fault = "holds the content of kaggle.json and no token"
    if not fault and os.sep in text:
        fault = "is a path, and no file is there"
    variables = {} if fault else {"KAGGLE_API_TOKEN": text}
    return Credential(where, "access token", fault and f"{what} {fault}", warning, variables)


def legacy_keys() -> Iterator[Credential]:
    given = {name: bare(os.environ[name]) for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name)}
    if len(given) == 2:
        faults = [f"{name} {fault}" for name, text in given.items() if (fault := secret_fault(text))]
        yield Credential("KAGGLE_USERNAME and KAGGLE_KEY", "legacy key", "; ".join(faults), variables=given)
    path = folder() / "kaggle.json"
    if path.is_file():
        fault, variables = legacy_file(path, given)
        yield Credential(str(path), "legacy key", fault, permission_warning(path), variables)
    elif path.with_name("kaggle.json.txt").is_file():
        yield Credential(
            str(path.with_name("kaggle.json.txt")), "legacy key", f"it is not called {path.name}: rename it"
        )
    elif len(given) == 1:
        (name,) = given
        other = "KAGGLE_KEY" if name == "KAGGLE_USERNAME" else "KAGGLE_USERNAME"
        yield Credential(name, "legacy key", f"{other} is not set")


def legacy_file(path: Path, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the fault of a kaggle.json, and the variables that it and those that are `given` amount to."""
    text = read(path)
    if text is None:
        return "it cannot be read", {}
    try:
        known = json.loads(text)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        return "it is not JSON", {}
    variables = dict(given)
    for key in ("username", "key"):
        name = f"KAGGLE_{key.upper()}"
        variables.setdefault(name, bare(str(known.get(key) or "")))
        if not variables[name]:
            return f"it has no {key!r}: a token of the new kind goes into ~/.kaggle/access_token", {}
        if fault := secret_fault(variables[name]):
            return f"its {key!r} {fault}", {}
    return "", variables


def oauth() -> Iterator[Credential]:
    path = Path("~/.kaggle/credentials.json").expanduser()
    if path.is_file():
        yield Credential(str(path), "OAuth", oauth_fault(path), permission_warning(path))


def oauth_fault(path: Path) -> str:
    """Why the client, which reads this file itself, could not; empty where nothing is wrong."""
    try:
        raw = path.read_bytes()
        known = json.loads(raw.decode("utf-8"))
    except OSError:
        return "it cannot be read"
    except ValueError:
        marked = marked_encoding(raw)
        plain = f": it is {marked.removesuffix('-sig').upper()} with a byte order mark" if marked != "utf-8" else ""
        return f"it is not JSON in plain UTF-8{plain}: save it as such, or run kaggle auth login again"
    has_token = isinstance(known, dict) and known.get("refresh_token")
    return "" if has_token else "it has no 'refresh_token': run kaggle auth login again"


def folder() -> Path:
    """The folder where the client looks for kaggle.json."""
    if own := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(own)
    home = Path("~/.kaggle").expanduser()
    if home.is_dir():
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"


def read(path: Path) -> str | None:
    """Return a file's text without what is around it, also of a shell that writes UTF-16; None: it cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    return bare(raw.decode(marked_encoding(raw), errors="replace"))


def bare(text: str) -> str:
    return text.strip(AROUND)


def secret_fault(text: str | None) -> str:
    """What is wrong with a secret, without a word of it; empty where nothing is."""
    if text is None:
        return "cannot be read"
    if not text:
        return "is empty"
    return (
        "" if SECRET.fullmatch(text) else "has a blank, a line end or a letter in it that no token has: copy it again"
    )


def is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero in it
        return False


def permission_warning(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    return f"others may read it (mode {mode:o}): chmod 600 {path}" if mode & OPEN_TO_OTHERS else ""
