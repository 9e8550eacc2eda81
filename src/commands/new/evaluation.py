"""The metric that somebody has named: --metric, Kaggle's own page, or the Evaluation section of a page saved beside."""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path, PurePosixPath

from src.scoring.metrics import METRICS_OF

PAGE = re.compile(r"(?i).*(description|overview|readme|evaluation|competition|rules)[^/.]*(\.(md|txt|html?|rst))?")
LARGEST_PAGE = 1_000_000  # bytes
HEADING = re.compile(r"(?im)^[ \t]*(#+[ \t]*|=+[ \t]*|<h\d[^>]*>[ \t]*)?evaluation\b[^\n]{0,40}$")
NEXT_HEADING = re.compile(r"(?m)^[ \t]*(#+[ \t]+\S|<h\d)")
SCORED = re.compile(r"(?i)evaluat|scor(e|ed|ing)\b|metric|judged|leaderboard")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[#*-])")
# What pages call metrics, in small letters: where two begin at one place, the upper one is meant
PHRASES = {
    "average_precision": r"average precision(?! ?(@|at)\b)(?! ?@)|\bpr[-\s]?auc\b|precision[-\s]recall curve",
    "hamming_loss": r"hamming",
    "brier": r"brier",
    "weighted_auc": r"weighted (roc )?auc",
    "auc": r"area under (the |a )?(receiver|roc|curve)|\b(roc[-\s]?)?auc\b|aucroc|auroc",
    "quadratic_kappa": r"quadratic(ally)?[-\s]?(weighted )?(cohen'?s? )?kappa|\bqwk\b|weighted kappa",
    "log_loss": r"log(arithmic)?[-\s]?loss|cross[-\s]?entropy|multi[-\s]?class ?loss",
    "map": r"(mean average precision|\bm?ap) ?(@|at) ?[{(]?(?P<k>\d+|k)",
    "pf1": r"probabilistic f[-\s]?1|\bpf[-\s]?1",
    "balanced_accuracy": r"balanced (multi-?class )?accuracy|(average|mean) (per[- ]class )?recall|macro[- ]recall",
    "rmse": r"root[-\s]mean[-\s]squared?([-\s]error)?|\brmse\b",
    "mse": r"mean[-\s]squared?[-\s]error|\bmse\b",
    "mae": r"mean[-\s]absolute[-\s]error|\bmae\b",
    "r2": r"\br\^?2\b|\br²|r[-\s]squared|coefficient of determination",
    "top5": r"top[-\s]?5\b",
    "f": (
        r"((?P<mean>macro|micro|samples?|example|row|mean|average|category)[-\w\s]{0,20}?)?"
        r"(?<![a-eg-ln-z])f([-_\s]?\{?(?P<beta>[12]|beta|β)\}?|_\{?(?P<index>macro|micro)|[-\s]?(?=scores?|measures?\b))"
        r"([-\s]?(scores?|measures?))?([-\s(,]{0,3}(?P<after>macro|micro|samples?))?"
    ),
    "accuracy": r"accuracy|top[-\s]?1\b|(mis)?classification error|categori[sz]ation error|error rate|share of correct",
}
FINDERS = {name: re.compile(pattern) for name, pattern in PHRASES.items()}
SAMPLES = ("sample", "samples", "example", "row")
OVER_ROWS = re.compile(r"averag\w+ (over|across|of) (all |the |each )*(sample|row|image|example)")


@dataclass(frozen=True)
class Wanted:
    """What somebody calls the metric, in their words; empty: nobody said."""

    said: str = ""
    why: str = ""
    flagged: bool = False  # by --metric, in our own words

    def of(self, task: str) -> str | None:
        """Our name of it among the metrics of a task; None where it is none of them."""
        known = METRICS_OF[task]
        if self.said in known or self.flagged:
            return self.said if self.said in known else None
        spelt = re.sub(r"[\W_]+", "", self.said.lower())
        exact = next((name for name, facts in known.items() if spelt in facts.kaggle_names), None)
        return exact or next((name for name in names(self.said, task) if name in known), None)

    @property
    def is_of_numbers(self) -> bool:
        """Whether it is a metric of numbers alone."""
        return any(name in ("rmse", "mse", "mae", "r2") for name in [self.said, *names(self.said, "number")])


def names(said: str, task: str) -> list[str]:
    """Our names of the metric that a text speaks of first, the best fitting first; [] where it names none."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unescape(said))  # of MeanFScore
    text = " ".join(words.lower().split()).replace("**", "").replace("\\", "")
    matches = {name: match for name, one in FINDERS.items() if (match := one.search(text))}
    if not matches:
        return []
    name = min(matches, key=lambda one: matches[one].start())  # the upper one of several
    match = matches[name]
    if name == "map":
        return [f"map{match['k']}", "map5"]
    if name != "f":
        return [name]
    beta = "2" if match["beta"] == "2" else "1"
    told = [one for one in match.group("mean", "index", "after") if one]
    mean = next((one for one in told if one in ("macro", "micro", *SAMPLES)), "".join(told))
    mean = mean if mean in ("macro", "micro") or not OVER_ROWS.search(text) else "sample"
    if mean in ("macro", "category"):
        return [f"macro_f{beta}"]
    # Kaggle's "mean F score" is of rows with several labels; of one label it is the share of right ones
    return [f"sample_f{beta}", f"micro_f{beta}"] if mean in SAMPLES else [f"micro_f{beta}"]


def find(root: Path, flag: str | None, kaggle: str | None) -> Wanted:
    """The metric by the first of: --metric, Kaggle's own name, a page saved in the competition's folder."""
    if flag is not None:
        return Wanted(flag, "as you said", flagged=True)
    if kaggle:
        return Wanted(kaggle, f"Kaggle scores by {kaggle!r}")
    for name, text in pages(root).items():
        if said := sentence(text):
            return Wanted(said, f"{name}: {shortened(said)!r}")
    return Wanted()


def pages(root: Path) -> dict[str, str]:
    """The texts of a competition's pages that are saved in its folder or one below it: {name: text}."""
    found = {}
    for path in sorted({*root.glob("*"), *root.glob("*/*")}):
        name = path.relative_to(root).as_posix()
        is_page = PAGE.fullmatch(PurePosixPath(name).name) and path.is_file() and not path.name.startswith(".")
        if is_page and path.stat().st_size < LARGEST_PAGE:
            found[name] = path.read_text(encoding="utf-8", errors="replace")
    return found


def section(text: str) -> str:
    """The part of a page that begins with the heading Evaluation; the whole page where there is none."""
    if (heading := HEADING.search(text)) is None:
        return text
    following = NEXT_HEADING.search(text, heading.end())
    return text[heading.end() : following.start() if following else None]


def sentence(text: str) -> str | None:
    """The first sentence that names a metric in the Evaluation section, or one on scores; None where none does."""
    part = section(text)
    for one in SENTENCE.split(part):
        said = " ".join(re.sub(r"<[^>]+>|\[([^\]]*)\]\([^)]*\)", r"\1", one).split())
        if (part is not text or SCORED.search(said)) and names(said, "class"):
            return said
    return None


def shortened(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[:most].rpartition(" ")[0] + " ..."


def positive(pages: dict[str, str], classes: tuple[str, ...]) -> str | None:
    """The class that a page wants the probability of, as in `the probability that the image is a dog`."""
    for text in pages.values():
        for match in re.finditer(r"(?i)probabilit(?:y|ies)\b[^.\n]{0,80}", text):
            named = [one for one in classes if re.search(rf"(?i)\b{re.escape(one)}s?\b", match[0])]
            if len(named) == 1:
                return named[0]
    return None
