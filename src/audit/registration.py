"""Whether two pictures are one, but for brightness, contrast, crop, scale, a small turn, noise: laid on each other.

A picture is a grey square of SIDE pixels here, squeezed to that shape. Starting from the coarse fit of one, or of a
crop of it, or of it flipped or turned, on the other, an affine map is found that maximises their correlation: the
enhanced correlation coefficient of Evangelidis & Psarakis 2008, "Parametric image alignment using ECC maximization",
as OpenCV has it. Small crops as candidates for a fit, warped and shifted, are Torralba, Fergus & Freeman's 2008,
"80 million tiny images".

What is then compared is the fine structure: of each pixel its difference from the mean around it, divided by the
spread around it (local contrast normalisation: Jarrett et al. 2009). Of two seeds, or two cars seen from one side,
outline and shading agree, and correlate to 0.97; grain, cracks and edges do not.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from src.base.progress import track
from src.base.threads import parallel
from src.data.geometry import VIEWS, resized

SIDE = 64
TINY = 12  # a side of the tiny pictures that are compared with each other first
# Widths and heights of a picture's crops, each with each: a fit may be off by some 0.05. All pictures are searched for
# LARGE ones; SMALL ones are tried on candidates.
LARGE, SMALL = (0.92, 0.82), (0.7,)
WINDOW = 2.0  # the standard deviation, in pixels, of what "around" a pixel is
FLAT = 2.0  # a spread, of 255, below which there is noise rather than structure
OVERLAP = 0.5  # of the square that both pictures must share
STEPS, BLUR = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3), 3  # of the registration
BATCH = 256  # squares that are looked at through all views at a time: they stay in the processor's cache
ONES = np.ones((SIDE, SIDE), np.float32)

Span = tuple[float, float]  # where it starts and how long it is, as shares of the square
View = tuple[str, Span, Span]  # one of geometry.VIEWS; the crop's left and width, top and height

WHOLE: Span = (0, 1)
IDENTITY: View = ("identity", WHOLE, WHOLE)


def crops(lengths: Sequence[float]) -> list[View]:
    """Nine crops of each shape: in the corners, between them and in the middle."""
    spans = [(start, length) for length in lengths for start in (0, (1 - length) / 2, 1 - length)]
    return [("identity", across, down) for down in spans for across in spans]


UPRIGHT: list[View] = [IDENTITY, *crops(LARGE)]
TURNED: list[View] = [(name, WHOLE, WHOLE) for name in VIEWS if name != "identity"]
STARTS: list[View] = UPRIGHT + TURNED + crops(SMALL)
SPANS = sorted({span for _, *spans in STARTS for span in spans})


def square(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> (SIDE, SIDE) uint8 grey."""
    return cv2.cvtColor(np.ascontiguousarray(resized(picture, (SIDE, SIDE))), cv2.COLOR_RGB2GRAY)


def tiny(squares: np.ndarray, views: Sequence[View]) -> Tensor:
    """Squares (m, SIDE, SIDE) through v views: (m, v, TINY**2) float32 of mean 0 and length 1, or 0 where flat."""
    names, across, down = zip(*views, strict=True)
    across, down = ([SPANS.index(span) for span in spans] for spans in (across, down))
    parts = []
    for start in range(0, len(squares), BATCH):
        pixels = torch.from_numpy(squares[start : start + BATCH]).float()
        grid = (MEANS @ (pixels @ MEANS.T)).unflatten(2, (-1, TINY)).unflatten(1, (-1, TINY))
        viewed = grid.permute(1, 3, 0, 2, 4)[down, across]  # (v, m, TINY, TINY)
        for i, name in enumerate(names):
            if name != "identity":
                viewed[i] = VIEWS[name](viewed[i].clone())
        parts.append(viewed.flatten(2).transpose(0, 1))
    small = torch.cat(parts)
    small -= small.mean(dim=2, keepdim=True)
    return small.div_(small.norm(dim=2, keepdim=True).clamp_min(1.0))


def averaging(start: float, length: float) -> np.ndarray:
    """The matrix (TINY, SIDE) whose product is the means of TINY equal parts of a span."""
    edges = SIDE * (start + length * np.linspace(0, 1, TINY + 1))
    pixel = np.arange(SIDE)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return inside.clip(0) / np.diff(edges)[:, None]


MEANS = torch.from_numpy(np.concatenate([averaging(*span) for span in SPANS])).float()


def correlations(squares: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Correlate the fine structure of squares laid on each other: (m,) from -1 to 1, 1 for a copy.

    Args:
        squares: (n, SIDE, SIDE) uint8.
        pairs: (m, 2) positions in `squares`.
    """
    swapped, view = starts(squares, pairs)
    moving, still = np.where(swapped[:, None], pairs[:, ::-1], pairs).T

    def correlate(i: int) -> float:
        return register(squares[moving[i]], squares[still[i]], STARTS[view[i]])

    return np.fromiter(parallel(correlate, range(len(pairs)), "near-duplicates: laid on each other", "pairs"), float)


def starts(squares: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the second of a pair is laid on the first (m,), and from which of STARTS the fit begins (m,)."""
    swapped, chosen = np.empty(len(pairs), bool), np.empty(len(pairs), int)
    batches = range(0, len(pairs), BATCH)
    for start in track(batches, "near-duplicates: compared", len(pairs), "pairs", of=lambda start: BATCH):
        one, other = (tiny(squares[side], STARTS) for side in pairs[start : start + BATCH].T)
        alike = torch.cat([(one * other[:, :1]).sum(dim=2), (other * one[:, :1]).sum(dim=2)], dim=1)
        which, view = np.divmod(alike.argmax(dim=1).numpy(), len(STARTS))
        swapped[start : start + BATCH], chosen[start : start + BATCH] = which == 1, view
    return swapped, chosen


def register(moving: np.ndarray, still: np.ndarray, view: View) -> float:
    """The correlation after registration, starting from the view of `moving` that looks like `still`."""
    name, (left, width), (top, height) = view
    turned = np.ascontiguousarray(VIEWS[name](torch.from_numpy(moving)).numpy())
    # the middle of the first pixel goes half a pixel beside the crop's edge
    x, y = left * SIDE + (width - 1) / 2, top * SIDE + (height - 1) / 2
    start = np.array([[width, 0, x], [0, height, y]], np.float32)
    try:
        _, warp = cv2.findTransformECC(still, turned, start.copy(), cv2.MOTION_AFFINE, STEPS, None, BLUR)
    except cv2.error:  # it does not converge, or a square is flat
        warp = start
    return agreement(turned, still, warp)


def agreement(moving: np.ndarray, still: np.ndarray, warp: np.ndarray) -> float:
    """The correlation of fine structure, where the warped square covers the other; -1 if it covers too little."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    covered = cv2.warpAffine(ONES, warp, (SIDE, SIDE), flags=how) > 0.99
    if covered.mean() < OVERLAP:
        return -1.0
    moved = cv2.warpAffine(moving, warp, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    a, b = fine(moved)[covered], fine(still)[covered]
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-6))


def fine(square: np.ndarray) -> np.ndarray:
    """The fine structure (SIDE, SIDE) float32 of a square."""
    pixels = square.astype(np.float32)
    detail = pixels - cv2.GaussianBlur(pixels, (0, 0), WINDOW)
    return detail / (np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), WINDOW)) + FLAT)
