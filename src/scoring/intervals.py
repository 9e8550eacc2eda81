"""The error of a score or a gain, as text: its standard error, or an interval where that would mislead.

288 of 288 right have a standard error of 0, while the rate behind them may well be 0.99; 287 of 288 have 0.0035, which
as an interval would end above 1. A score at such an edge stands with a 95 % interval instead.
"""

from typing import Any

import numpy as np

from src.scoring.metrics import METRICS, Z

ROUNDING = 1e-9  # the most that floating point leaves of a standard error that is 0


def wilson(hits: Any, n: Any) -> np.ndarray:
    """(..., 3) shares hits / n and the ends of their 95 % interval; NaN where n is 0.

    By Wilson (1927), "Probable inference, the law of succession, and statistical inference": it is no point at 0 and 1.
    """
    hits, n = np.asarray(hits, float), np.where(np.asarray(n) > 0, n, np.nan).astype(float)
    share = hits / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.stack([share, np.maximum(middle - half, 0), np.minimum(middle + half, 1)], axis=-1)


def score_text(metric_name: str, value: float, se: float, n: int | None) -> str:
    """`0.9910 ± 0.0025`, and at an edge `1.0000 (0.9868 to 1.0000)`: see `error_text`."""
    return f"{value:.4f} {error_text(metric_name, value, se, n)}"


def error_text(metric_name: str, value: float, se: float, n: int | None, digits: int = 4, scale: float = 1) -> str:
    """`± 0.0025`, and at an edge `(0.9868 to 1.0000)`: the 95 % interval of `edge_interval`.

    Where that is not known, `(se below 0.0001)` of a standard error that is more than rounding, else `(se unknown)`.
    A standard error that is NaN stays `± nan`. All numbers are multiplied by `scale`, such as 100 for percent.
    """
    if not at_edge(metric_name, value, se) and not vanishes(scale * se, digits):
        return f"± {scale * se:.{digits}f}"
    if (interval := edge_interval(metric_name, value, n)) is None:
        return without_interval(se, digits)
    low, high = interval
    return f"({scale * low:.{digits}f} to {scale * high:.{digits}f})"


def gain_text(gain: float, se: float) -> str:
    """`+0.0035 ± 0.0070`, a paired difference with its standard error.

    `+0.0000 (identical)` where all rows score the same; else, where the standard error is 0 in four digits, as
    `error_text` without an interval: a difference has no bounds that would give it one.
    """
    if gain == se == 0:
        return "+0.0000 (identical)"
    return f"{gain:+.4f} " + (without_interval(se) if vanishes(se) else f"± {se:.4f}")


def at_edge(metric_name: str, value: float, se: float) -> bool:
    """Whether the standard error misleads: it is 0 in four digits, or the score is at a bound of its metric.

    Or a share is so near to a bound that its 95 % interval by the standard error would pass it.
    """
    metric = METRICS[metric_name]
    least, greatest = metric.bounds
    near = metric.is_share and not least <= value - Z * se <= value + Z * se <= greatest
    return vanishes(se) or value in metric.bounds or (near and not np.isnan(se))


def vanishes(se: float, digits: int = 4) -> bool:
    return float(f"{se:.{digits}f}") == 0


def without_interval(se: float, digits: int = 4) -> str:
    return f"(se below {10.0**-digits:g})" if se > ROUNDING else "(se unknown)"


def edge_interval(metric_name: str, value: float, n: int | None) -> tuple[float, float] | None:
    """A 95 % interval of a score whose standard error says nothing; None where there is none.

    Of a share of rows Wilson's. Of another metric Wilson's too, on the same n rows, from the least to the greatest
    value that the metric can have: of all means over rows within these bounds, one of zeros and ones varies most, so
    that the interval is rather too wide. A metric that weighs classes alike can vary more where classes are rare: for
    it this is a rule of thumb. A metric without an upper bound, as the log loss, has no such interval.
    """
    least, greatest = METRICS[metric_name].bounds
    if not n or not np.isfinite([least, greatest]).all():
        return None
    _, low, high = least + (greatest - least) * wilson(n * (value - least) / (greatest - least), n)
    return float(low), float(high)


def error_bar(metric_name: str, value: float, se: float, n: int | None) -> tuple[float, float]:
    """The ends of a score's error bar: value ± se, or `edge_interval` at an edge; NaN where neither is known."""
    if at_edge(metric_name, value, se) and (interval := edge_interval(metric_name, value, n)) is not None:
        return interval
    return value - se, value + se
