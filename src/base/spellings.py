"""Two spellings of one name: with blanks, in another case, as another number, as a file's name."""

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
from pyarrow import compute

NUMBER = re.compile(r"\d+(\.0*)?(e\+?\d{1,2})?")


def number(text: str) -> Decimal | str:
    """Return a whole number's value, the same of 007, 7.0 and 7; other text as it is."""
    text = text.strip().lower()
    return Decimal(text) if NUMBER.fullmatch(text) else text


def by_id(ids: Sequence[str]) -> np.ndarray:
    """Return the positions that sort ids, numbers among them by their value: 3 before 10."""
    texts = pa.array(ids, pa.large_string())
    keys = pa.table({"length": compute.utf8_length(texts), "id": texts})
    return compute.sort_indices(keys, [("length", "ascending"), ("id", "ascending")]).to_numpy()


def bare(text: str) -> str:
    """Return the name of test/100.png without its folder and ending."""
    name = text.strip().replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


SPELLINGS: dict[str, tuple[Callable[[str], Hashable], str]] = {  # what two spellings of a name share, and the fix
    "with spaces around": (str.strip, "take them away"),
    "in another case": (lambda text: text.strip().casefold(), "write them as train and sample_submission do"),
    "without leading zeros, or as decimals": (number, "read and write the column as text, dtype=str"),
    "as names of files": (bare, "write the bare name"),
}


def respellings(wrong: Iterable[str], right: Collection[str]) -> dict[str, dict[str, str]]:
    """Return {kind of spelling: {wrong: right}} of the wrong ones that are one of `right`, written in another way."""
    wrong, matches = list(dict.fromkeys(wrong)), {}
    for kind, (plain, _) in SPELLINGS.items() if wrong else ():
        names: dict[Hashable, list[str]] = {}
        for name in right:
            names.setdefault(plain(name), []).append(name)
        pairs = {one: names.get(plain(one), []) for one in wrong}
        if pairs := {one: only[0] for one, only in pairs.items() if len(only) == 1}:
            matches[kind] = pairs
            wrong = [one for one in wrong if one not in pairs]
    return matches
