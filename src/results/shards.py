"""Features on disk: a folder of shards 00000.arrow, 00001.arrow ... of image ids, sha256 of the images, and features.

A shard is an Arrow IPC file (pandas.read_feather reads it) that is whole or not there. Only the part of a shard that is
asked for is read, and nothing stays in memory but 48 bytes a row of the index.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from src.base import files

ROWS = 256  # images a shard; a multiple of the batch on a CPU: a resumed run makes the same batches


def paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.arrow"))


def write(folder: Path, ids: list[str], shas: np.ndarray, feats: np.ndarray) -> None:
    """The next shard: `shas` (n,) as of `binary`, `feats` (n, d) float16 or float32."""
    number = 1 + max((int(path.stem) for path in paths(folder)), default=-1)
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
    with files.replacing(folder / f"{number:05d}.arrow") as part:
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


def binary(shas: list[str]) -> np.ndarray:
    """Hexadecimal sha256 as (n,) of 32 bytes each."""
    return np.array([bytes.fromhex(sha) for sha in shas], "S32")


class Index:
    """The shard and row of each image's features, for all whole shards.

    A damaged shard is deleted with a message, or passed over where it is to be kept.
    """

    def __init__(self, folder: Path, keep_damaged: bool = False):
        shas, self.paths, places, self.d = [np.empty(0, "S32")], [], [np.empty((0, 2), np.int64)], 0
        for path in paths(folder):
            try:
                there, feats = read(path)
            except (OSError, ValueError, KeyError, IndexError):
                if not keep_damaged:
                    print(f"{path} is damaged: its images are encoded again")
                    path.unlink()
                continue
            shas.append(there.copy())
            places.append(np.stack([np.full(len(there), len(self.paths)), np.arange(len(there))], axis=1))
            self.paths.append(path)
            self.d = feats.shape[1]
        together = np.concatenate(shas)
        order = np.argsort(together, kind="stable")
        self.shas, self.places = together[order], np.concatenate(places)[order]

    def find(self, shas: np.ndarray) -> np.ndarray:
        """The position in this index of each image (n,), -1 where it has none."""
        if len(self.shas) == 0:
            return np.full(len(shas), -1)
        at = np.minimum(np.searchsorted(self.shas, shas), len(self.shas) - 1)
        return np.where(self.shas[at] == shas, at, -1)

    def gather(self, at: np.ndarray) -> np.ndarray:
        """The features at positions of `find`: (n, d) float32."""
        feats, places = np.empty((len(at), self.d), np.float32), self.places[at]
        for shard in np.unique(places[:, 0]):
            mask = places[:, 0] == shard
            feats[mask] = read(self.paths[shard])[1][places[mask, 1]]
        return feats
