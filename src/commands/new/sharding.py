"""Folders that hold a share of the pictures each, called as the pictures' ids begin: a/a82b.npy, 0/3/a/03af.jpg."""

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from src.commands.new.looking import Contents
from src.data.locating import plain_ending

VALUES_TRIED = 20  # of a column: if they find no picture, the others do not either
LONGEST = 3  # signs of a value that a folder is called by
MOST = 4  # folders, one in the other


def pattern(contents: Contents, ids: Mapping[str, pd.Series]) -> str | None:
    """The pattern of images with folders that are called as the first signs of a column; None where there are none.

    Args:
        ids: The column, by part.
    """
    found = Counter()
    for part, column in ids.items():
        for value in column.unique()[:VALUES_TRIED]:
            for path in contents.named.get(plain_ending(value), ()):
                folder, _, name = path.rpartition("/")
                if value and name.startswith(value) and (parted := shards(folder.split("/"), value)) is not None:
                    above, lengths = parted
                    found["/".join(above).replace(part, "{part}"), lengths, name.removeprefix(value)] += 1
    for (above, lengths, suffix), _ in found.most_common(1):
        name = next(iter(ids.values())).name
        return "/".join(filter(None, (above, *fields(name, lengths), f"{{{name}}}{suffix}")))
    return None


def shards(folders: list[str], value: str) -> tuple[list[str], tuple[int, ...]] | None:
    """The folders above those that together are the first signs of a value, and the numbers of signs of each of these.

    None where the last folder is none of these.
    """
    for n in range(min(MOST, len(folders)), 0, -1):
        last = folders[-n:]
        if all(0 < len(one) <= LONGEST for one in last) and value.startswith("".join(last)) and "".join(last) != value:
            return folders[:-n], tuple(map(len, last))
    return None


def fields(name: str, lengths: tuple[int, ...]) -> list[str]:
    """A folder's name each: {id:.2} of the first two signs alone, else {id!0}, {id!1}{id!2} of single ones."""
    if len(lengths) == 1:
        return [f"{{{name}:.{lengths[0]}}}"]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    return [
        "".join(f"{{{name}!{start + i}}}" for i in range(length)) for start, length in zip(starts, lengths, strict=True)
    ]
