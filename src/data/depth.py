"""Values of more than 8 bits, and how they become 8."""

import numpy as np

WHITE = 65535  # the value that is white in pictures of more than 8 bits, where a config says nothing else


class NotRead(ValueError):
    """A whole picture that is of a kind, or a size, that is not read."""


def scaled(values: np.ndarray, white: int) -> np.ndarray:
    """Scale values of more than 8 bits to uint8, `white` and what is above it to 255."""
    return np.round(np.minimum(values, white) / (white / 255)).astype(np.uint8)


def stretched(values: np.ndarray) -> np.ndarray:
    """Scale numbers to uint8, the least of them to 0 and the greatest to 255; NaN is 0, and infinity an end."""
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size or (least := finite.min()) == (most := finite.max()):
        return np.zeros(values.shape, np.uint8)
    with np.errstate(over="ignore"):  # halves, since their difference may be more than there are numbers
        shares = (np.clip(values, least, most) / 2 - least / 2) / (most / 2 - least / 2)
    return np.round(np.nan_to_num(shares) * 255).astype(np.uint8)
