"""report: one page with results, mistakes, curves and the data, and its charts as pictures.

Reads what a run has left so far; writes report.html and plots/. Every full run ends with it. It also works after a run
that stopped half-way and beside one that trains, and it says which models of other folds it leaves out.

The page is one file that loads nothing from the network, for screens, phones or paper, light or dark. It has

  results beside the leaderboard and beside what others reported, and what to try next
  Confusion matrix and Most confident mistakes of any model, scores by class and by part of the data
  learning curves, the WiSE-FT curve, the sweep of C, the prompts
  the blend, and which models disagree
  calibration, Expected public score
  examples, a map of the features with the picture under the pointer
  doubtful labels and duplicates as contact sheets
  how everything was made
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from src.base import files
from src.base.paths import from_here
from src.base.text import duration
from src.report import charts, head, material, page
from src.report.sections import SECTIONS
from src.schema.competition import Competition

KEY = re.compile(rb'<meta name="report-key" content="([0-9a-f]{64})">')


def run(competition: Competition) -> None:
    """Write the page, unless the one that is there is of the same input.

    Raises:
        UserError: The competition's tables cannot be read, or the folder cannot be written.
    """
    start, path = time.perf_counter(), competition.report_html
    key = material.key(competition)
    if read_key(path) == key:
        print(f"report: {from_here(path)} is of all that is there")
        return
    source = material.read(competition)
    with ThreadPoolExecutor(1) as pool:
        if charts.can_be_drawn():
            pool.submit(page.bundle)  # takes seconds, as the sections do: it is kept for `render`
        sections = [one for module in SECTIONS if (one := module.section(source)) is not None]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    whole = page.render(competition.title, head.head(source), sections, key, now, source.album.data())
    for old in competition.plots.glob("*.png"):
        if old.stem not in whole.plots:
            old.unlink()
    for name, png in whole.plots.items():
        with files.replacing(competition.plots / f"{name}.png") as part:
            part.write_bytes(png)
    files.write_text(path, whole.html)
    size, seconds = len(whole.html.encode()) / 1e6, time.perf_counter() - start
    for one in source.left_out:
        print(f"report: without {one.what}: {one.why}")
    print(f"report: {from_here(path)}  {size:.1f} MB  {len(whole.plots)} plots  {duration(seconds)}")


def read_key(path: Path) -> str | None:
    """The key of the page that is there."""
    try:
        with path.open("rb") as file:
            match = KEY.search(file.read(4096))
    except OSError:
        return None
    return match[1].decode() if match else None
