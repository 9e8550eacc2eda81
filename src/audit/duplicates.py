"""Near-duplicates: pictures that are one picture, but for brightness, contrast, crop, scale, flip, turn or noise.

Candidates are the nearest neighbours of each picture by three measures: the features of an encoder, a perceptual hash,
and tiny pictures of it, of its crops and of it flipped and turned. Each is verified by laying the two on each other
(audit/registration.py), so that few are false.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import imagehash
import numpy as np
import torch
from PIL import Image
from scipy.sparse import coo_array, csgraph

from src.audit import registration
from src.audit.registration import IDENTITY, TURNED, UPRIGHT, tiny
from src.base import machine
from src.base.progress import track
from src.base.threads import parallel
from src.data.decoded import Decoded
from src.data.rows import Rows

CODE = 1  # raised when other pairs are found from the same key
CANDIDATES = {"upright": 3, "turned": 1, "hash": 1, "features": 2}  # of each picture, by each measure
BACK = 2  # of each earlier picture among the later ones: a later one may be a crop of it, which only its own crops see
# The correlation from which on two pictures are one: where unrelated pictures end, and never outside of these.
MIN_THRESHOLD, MAX_THRESHOLD = 0.75, 0.95
DRAWN, DEVIATIONS = 1000, 6.0  # pairs that tell of unrelated pictures, and the standard deviations above their median
BLOCK = {"cpu": 1 << 21, "cuda": 1 << 27}  # inner products at a time: on a CPU they stay in its cache
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 1024  # rows at a time

Vectors = Callable[[np.ndarray], torch.Tensor]  # positions (m,) -> (m, v, d) float32, each vector of length 1


@dataclass(frozen=True)
class Fingerprints:
    """The parts that are kept of n pictures, which are decoded once."""

    squares: np.ndarray  # (n, SIDE, SIDE) uint8: see audit/registration.py
    digests: np.ndarray  # (n,) the same for the same pixels, whatever their files
    spread: np.ndarray  # (n,) the greatest standard deviation of a colour's pixels, of 255

    def take(self, n: int) -> "Fingerprints":
        """The first n."""
        return Fingerprints(self.squares[:n], self.digests[:n], self.spread[:n])


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows by their positions, the smaller one first, the most alike pair first."""

    places: np.ndarray  # (m, 2)
    score: np.ndarray  # (m,) from `threshold` to 1, which is for the same pixels
    threshold: float


def fingerprint(rows: Rows) -> Fingerprints:
    """Decode the pictures. Raises UserError: One is gone."""
    pictures = Decoded(rows.paths, None, rows.white)

    def at(i: int) -> tuple[np.ndarray, bytes, float]:
        picture = pictures[i]
        digest = hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).digest()
        return registration.square(picture), digest, float(picture.reshape(-1, 3).std(axis=0).max())

    n, side = len(rows), registration.SIDE
    prints = Fingerprints(np.empty((n, side, side), np.uint8), np.empty(n, "S32"), np.empty(n))
    for i, values in enumerate(parallel(at, range(n), "near-duplicates: pictures")):
        prints.squares[i], prints.digests[i], prints.spread[i] = values
    return prints


def find_pairs(prints: Fingerprints, feats: np.ndarray | None, old: int = 0, threshold: float | None = None) -> Pairs:
    """All pairs but those of the first `old` rows among each other.

    Of a picture that is there several times the first row stands for all: each of the others is paired with it alone.

    Args:
        feats: (n, d) features of length 1; None: there is no encoder.
        threshold: None: that of these pictures.
    """
    _, first, which = np.unique(prints.digests, return_index=True, return_inverse=True)
    distinct, first, rows = np.sort(first), first[which], np.arange(len(which))  # `first`: of each row
    if threshold is None:
        threshold = unrelated_threshold(prints.squares[distinct])
    near = candidates(prints.squares, feats, distinct, old)
    score = registration.correlations(prints.squares, near)
    near, score = near[score >= threshold], score[score >= threshold]
    copies = np.flatnonzero((first != rows) & (rows >= old))
    places = np.concatenate([np.stack([first[copies], copies], axis=1), near])
    score = np.concatenate([np.ones(len(copies)), np.minimum(score, np.nextafter(1, 0))])
    order = np.lexsort((places[:, 1], places[:, 0], -score))
    return Pairs(places[order], score[order], threshold)


def unrelated_threshold(squares: np.ndarray) -> float:
    """The correlation that two unrelated pictures of these do not reach.

    DEVIATIONS above the median of pairs that are drawn by chance, in Fisher's z, where correlations spread evenly
    (Fisher 1915); the deviation is that of the 99 % quantile. Of photographs that is below MIN_THRESHOLD, of
    handwritten digits far above: two strokes can always be laid on each other.
    """
    rng, n = np.random.default_rng(0), len(squares)
    pairs = np.sort(rng.integers(0, n, (min(DRAWN, 10 * n), 2)), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    if len(pairs) == 0:
        return MIN_THRESHOLD
    z = np.arctanh(registration.correlations(squares, pairs).clip(-0.999, 0.999))
    middle, high = np.quantile(z, [0.5, 0.99])
    return float(np.clip(np.tanh(middle + DEVIATIONS * (high - middle) / 2.326), MIN_THRESHOLD, MAX_THRESHOLD))


def candidates(squares: np.ndarray, feats: np.ndarray | None, rows: np.ndarray, old: int) -> np.ndarray:
    """(m, 2) pairs of the positions `rows` that are near by some measure, the second one not below `old`; sorted."""
    hashes = perceptual_hashes(squares)

    def key(at: np.ndarray) -> torch.Tensor:
        return tiny(squares[at], [IDENTITY])

    measures = {
        "upright": (lambda at: tiny(squares[at], UPRIGHT), key),
        "turned": (lambda at: tiny(squares[at], TURNED), key),
        "hash": (lambda at: torch.from_numpy(hashes[at, None]),) * 2,
    }
    if feats is not None:
        measures["features"] = (lambda at: torch.from_numpy(feats[at, None]),) * 2
    late, early = rows[rows >= old], rows[rows < old]
    wanted = [(name, late, rows, k) for name, k in CANDIDATES.items() if name in measures]
    parts = [np.empty((0, 2), int)]
    for name, some, among, k in [*wanted, ("upright", early, late, BACK)]:
        near = nearest(*measures[name], some, among, k, f"near-duplicates: {name}")
        parts.append(np.stack([np.repeat(some, near.shape[1]), near.ravel()], axis=1))
    pairs = np.sort(np.concatenate(parts), axis=1)
    return np.unique(pairs[pairs[:, 0] >= 0], axis=0)


def nearest(views: Vectors, keys: Vectors, rows: np.ndarray, among: np.ndarray, k: int, what: str) -> np.ndarray:
    """For each of the positions `rows` the k nearest of the positions `among`: (n, k) positions, -1 where it has fewer.

    All are compared, a block at a time: memory grows with the rows alone. A row is as near as the nearest of its views
    is to the other's key (m, 1, d). Nothing is its own neighbour.
    """
    device, k = machine.device(), min(k, len(among))
    neighbours = np.full((len(rows), k), -1)
    if neighbours.size == 0:
        return neighbours
    parts = [keys(among[i : i + MAX_BLOCK_ROWS])[:, 0].to(device) for i in range(0, len(among), MAX_BLOCK_ROWS)]
    against, place = torch.cat(parts).T.contiguous(), {position: i for i, position in enumerate(among.tolist())}
    size = min(max(BLOCK[device.type] // len(among), MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    blocks = [rows[i : i + size] for i in range(0, len(rows), size)]
    for i, block in enumerate(track(blocks, what, len(rows), "images", of=len)):
        best = None
        for view in views(block).to(device).unbind(1):
            near = view @ against
            best = near if best is None else torch.maximum(best, near, out=best)
        itself = [(row, place[position]) for row, position in enumerate(block.tolist()) if position in place]
        if itself:
            best[tuple(torch.tensor(itself, device=device).T)] = -torch.inf
        value, index = best.topk(k, dim=1)
        there = torch.isfinite(value).cpu().numpy()
        neighbours[i * size : i * size + len(block)] = np.where(there, among[index.cpu().numpy()], -1)
    return neighbours


def perceptual_hashes(squares: np.ndarray) -> np.ndarray:
    """imagehash's pHash of each: (n, 64) float32, of length 1; the more bits two have in common, the nearer."""

    def bits(square: np.ndarray) -> np.ndarray:
        return imagehash.phash(Image.fromarray(square)).hash.ravel()

    hashes = np.stack(list(parallel(bits, squares, "near-duplicates: hashes")))
    return np.where(hashes, 0.125, -0.125).astype(np.float32)


def clusters(n: int, links: np.ndarray) -> np.ndarray:
    """(n,) which of n rows are linked, by way of others too: the same number. `links` are (m, 2) positions."""
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(n, n))
    return csgraph.connected_components(graph, directed=False)[1]
