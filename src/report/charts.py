"""Charts: one Vega-Lite specification each, drawn by the page and, by the same code, as a PNG.

Sizes: a width of "container" fills the page's column; in a PNG it is WIDTH pixels.
"""

import copy
import json
from typing import Any

import altair as alt

from src.base import packages

WIDTH, SCALE = 640, 2  # of a PNG: its width in CSS pixels, and pixels each of these has
# Okabe and Ito (2008), "Color Universal Design", but for its yellow and its black, which one of the two backgrounds
# swallows; then Tableau's, for what has more kinds.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7")
MORE = ("#9c755f", "#bab0ac", "#b6992d", "#499894", "#e15759", "#79706e", "#a0cbe8", "#8cd17d", "#b07aa1", "#d37295")
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
INK = {"light": ("#1b1f24", "#59636e", "#d9dee3"), "dark": ("#e6e9ec", "#9aa4af", "#3a424b")}  # as page.css has them


def palette(n: int) -> list[str]:
    """n colours that can be told apart on either background; of many, they begin again."""
    colours = COLOURS + MORE
    return [colours[i % len(colours)] for i in range(n)]


def theme(mode: str) -> dict[str, Any]:
    """Vega's config for `light` or `dark`."""
    ink, faint, line = INK[mode]
    axis = {"labelColor": faint, "titleColor": ink, "gridColor": line, "domainColor": line, "tickColor": line}
    axis |= {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None, "continuousHeight": 260, "discreteHeight": {"step": 22}},
        "axis": axis | {"labelLimit": 160, "labelSeparation": 6},
        "axisXQuantitative": {"tickCount": {"signal": "ceil(width / 90)"}},
        "legend": {"labelColor": ink, "titleColor": ink, "titleFontWeight": "normal", "orient": "top", "columns": 3},
        "title": {"color": ink, "fontSize": 13, "anchor": "start"},
        "header": {"labelColor": ink, "titleColor": ink},
        "text": {"color": ink},
        "rule": {"color": faint},
        "range": {"category": list(COLOURS + MORE)},
    }


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega-Lite, without a theme: its colours are the page's to choose.

    And without its schema: that is altair's version, and a chart is drawn by the one that vl-convert brings.
    """
    with alt.data_transformers.enable("default", max_rows=None, consolidate_datasets=True), alt.theme.enable("none"):
        return {name: value for name, value in chart.to_dict().items() if name != "$schema"}


def can_be_drawn() -> bool:
    """Whether the package is installed that draws charts, on the page and as pictures."""
    return packages.version(packages.CHARTS) is not None


def png(specification: dict[str, Any]) -> bytes:
    """The chart as a picture, on white."""
    import vl_convert

    fixed = sized(copy.deepcopy(specification))
    config = {**theme("light"), **fixed.get("config", {}), "background": "white"}
    return vl_convert.vegalite_to_png(json.dumps(fixed), scale=SCALE, config=config)


def sized(node: Any) -> Any:
    """The specification with WIDTH for "container", which only a page knows."""
    if isinstance(node, dict):
        return {key: WIDTH if key == "width" and value == "container" else sized(value) for key, value in node.items()}
    return [sized(value) for value in node] if isinstance(node, list) else node
