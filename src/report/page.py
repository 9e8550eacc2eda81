"""The page: sections with their charts and data, put into one HTML file that needs nothing else."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup

from src.report import charts

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of the page, of the template sections/<name>.html, which gets `about` and may show `charts`."""

    name: str
    title: str
    about: Mapping[str, Any] = field(default_factory=dict)
    charts: Mapping[str, alt.TopLevelMixin] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # JSON for its script
    script: str = ""  # the name of sections/<script>.js, where that is not the section's; it need not exist

    def figure(self, chart: str, caption: str = "") -> Markup:
        """Show a chart in the template: {{ chart("scatter", "A caption.") }}; nothing where there is none."""
        if chart not in self.charts:
            return Markup("")
        figure = '<figure class="chart"><div class="plot" id="chart-{0}" data-chart="{0}"></div>'
        figure += "<figcaption>{1}</figcaption></figure>" if caption else "</figure>"
        return Markup(figure).format(f"{self.name}-{chart}", caption)


@dataclass(frozen=True)
class Page:
    """A whole page, and its charts as pictures."""

    html: str
    plots: Mapping[str, bytes]  # {name: PNG}


def templates(folder: Path = TEMPLATES) -> jinja2.Environment:
    """The environment of the pages' templates: what is put in is escaped, and a missing name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    title: str,
    head: Mapping[str, Any],
    sections: Sequence[Section],
    key: str,
    made: str,
    album: Mapping[str, Any] | None = None,
) -> Page:
    """The page of these sections, without their charts where the package that draws them is not installed.

    Args:
        head: The top of the page; see page.html.
        key: A digest of the input, which stands in the page.
        made: The time: the one thing in the page that does not follow from the input.
        album: The pictures of all sections, for album.js.
    """
    if not charts.can_be_drawn():
        sections = [replace(section, charts={}) for section in sections]
    environment = templates()
    specs = {
        f"{section.name}-{name}": charts.specification(chart)
        for section in sections
        for name, chart in section.charts.items()
    }
    bodies = []
    for section in sections:
        template = environment.get_template(f"sections/{section.name}.html")
        bodies.append(Markup(template.render(**section.about, chart=section.figure, section=section)))
    html = environment.get_template("page.html").render(
        title=title,
        head=head,
        key=key,
        made=made,
        sections=list(zip(sections, bodies, strict=True)),
        style=source("page.css"),
        bundle=Markup(bundle()) if specs else "",
        scripts=[
            source("page.js"),
            source("album.js"),
            source("mistakes.js"),
            *(script for one in sections if (script := source(f"sections/{one.script or one.name}.js"))),
        ],
        data={"charts": script_json(specs), "themes": script_json({mode: charts.theme(mode) for mode in charts.INK})}
        | {section.name: script_json(section.data) for section in sections if section.data}
        | ({"album": script_json(album)} if album else {}),
    )
    return Page(html, {name: charts.png(spec) for name, spec in specs.items()})


def source(file: str) -> Markup:
    """A script's or a style's own text; empty where there is none."""
    path = TEMPLATES / file
    return Markup(path.read_text(encoding="utf-8") if path.is_file() else "")


def script_json(value: Any) -> Markup:
    """JSON that may stand inside of a script element, whatever texts are in it; a ValueError for NaN or infinity.

    Raises:
        ValueError: A number is not finite, which JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@functools.cache
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script."""
    import vl_convert

    return vl_convert.javascript_bundle().replace("</script", "<\\/script")
