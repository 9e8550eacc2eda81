"""Features on disk: a folder of shards, <digest>.arrow, of image ids, sha256 of the images, and features.

A shard is an Arrow IPC file (pandas.read_feather reads it) that is whole or not there. It is named by the digest of its
images: who encodes the same ones writes the same file. Earlier versions numbered shards: 00000.arrow, 00001.arrow ...
Only the part of a shard that is asked for is read, and nothing stays in memory but 40 bytes a row of the index.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from src.base import files

ROWS = 4096  # images a shard at most


def paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))


def path_of(folder: Path, shas: np.ndarray) -> Path:
    """The shard of images, `shas` (n,) as of `binary`, in their order."""
    return folder / f"{hashlib.sha256(shas.astype('S32').tobytes()).hexdigest()[:32]}.arrow"


def write(folder: Path, ids: Sequence[str], shas: np.ndarray, feats: np.ndarray) -> None:
    """A shard: `shas` (n,) as of `binary`, `feats` (n, d) float16 or float32."""
    flat = pa.array(feats.reshape(-1))
    table = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "sha256": pa.array([sha.ljust(32, b"\0") for sha in shas.tolist()], pa.binary(32)),
            "feats": pa.FixedSizeListArray.from_arrays(flat, feats.shape[1]),
        }
    )
    sink = pa.BufferOutputStream()  # pyarrow would hide the reason when the disk is full
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with files.replacing(path_of(folder, shas)) as part:
        part.write_bytes(sink.getvalue())


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n,) shas and (n, d) features; views of the file's pages.

    Raises:
        OSError, ValueError, KeyError: The file is not a whole shard.
    """
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().combine_chunks()
    feats = table["feats"].chunk(0)
    shas = np.frombuffer(table["sha256"].chunk(0).buffers()[1], "S32", count=len(table))
    return shas, feats.flatten().to_numpy().reshape(len(table), feats.type.list_size)


def binary(shas: Sequence[str]) -> np.ndarray:
    """Hexadecimal sha256 as (n,) of 32 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(shas)), "S32")


class Index:
    """The shard and row of each image's features, for all whole shards.

    A damaged shard is deleted with a message, or passed over where it is to be kept.
    """

    def __init__(self, folder: Path, keep_damaged: bool = False):
        self.folder, self.keep_damaged = folder, keep_damaged
        self.clear()
        self.update()

    def clear(self) -> None:
        self.paths: list[Path] = []  # of the whole shards, by their numbers
        self.seen: set[Path] = set()
        self.d = 0
        # sorted by the image
        self.shas, self.shard, self.row = np.empty(0, "S32"), np.empty(0, np.int32), np.empty(0, np.int32)

    def update(self) -> None:
        """Take in the shards that were added; where any are gone, all are read again."""
        there = paths(self.folder)
        if not self.seen.issubset(there):
            self.clear()
        found = []
        for path in (path for path in there if path not in self.seen):
            self.seen.add(path)
            try:
                shas, feats = read(path)
            except (OSError, ValueError, KeyError, IndexError):
                if not self.keep_damaged:
                    print(f"{path} is damaged: its images are encoded again")
                    path.unlink(missing_ok=True)
                continue
            found.append((shas.copy(), np.full(len(shas), len(self.paths), np.int32)))
            self.paths.append(path)
            self.d = feats.shape[1]
        if found:
            self.insert(*map(np.concatenate, zip(*found, strict=True)), [len(shas) for shas, _ in found])

    def insert(self, shas: np.ndarray, shard: np.ndarray, lengths: list[int]) -> None:
        """Merge the images of more shards, which have so many rows each, behind those of the same image."""
        row = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        order = np.argsort(shas, kind="stable")
        at = np.searchsorted(self.shas, shas[order], side="right")
        self.shas = np.insert(self.shas, at, shas[order])
        self.shard, self.row = np.insert(self.shard, at, shard[order]), np.insert(self.row, at, row[order])

    def find(self, shas: np.ndarray) -> np.ndarray:
        """The position in this index of each image (n,), -1 where it has none."""
        if len(self.shas) == 0:
            return np.full(len(shas), -1)
        at = np.minimum(np.searchsorted(self.shas, shas), len(self.shas) - 1)
        return np.where(self.shas[at] == shas, at, -1)

    def gather(self, at: np.ndarray) -> np.ndarray:
        """The features at positions of `find`: (n, d) float32."""
        feats, shard, row = np.empty((len(at), self.d), np.float32), self.shard[at], self.row[at]
        order = np.argsort(shard, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(shard[order])) + 1):
            if len(places):
                feats[places] = read(self.paths[shard[places[0]]])[1][row[places]]
        return feats

    def holding(self, at: np.ndarray) -> list[Path]:
        """The shards that the positions of `find` lie in."""
        return [self.paths[shard] for shard in np.unique(self.shard[at[at >= 0]])]
