"""Nearest neighbours by inner product, all of them compared, a block at a time: memory grows with the rows alone."""

from collections.abc import Callable

import numpy as np
import torch

from src.base import machine
from src.base.progress import track

BLOCK = {"cpu": 1 << 21, "cuda": 1 << 27}  # inner products at a time: on a CPU they stay in its cache
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 1024  # rows at a time

Vectors = Callable[[np.ndarray], torch.Tensor]  # positions (m,) -> (m, v, d) float32, each vector of length 1


def nearest(views: Vectors, keys: Vectors, rows: np.ndarray, among: np.ndarray, k: int, what: str) -> np.ndarray:
    """For each of the positions `rows` the k nearest of the positions `among`: (n, k) positions, -1 where it has fewer.

    A row is as near as the nearest of its views is to the other's key. Nothing is its own neighbour.

    Args:
        keys: One vector of each, (m, 1, d).
        what: The label of the progress.
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
