"""The section 'Mistakes': each model's mistakes, by what is asked for, part by part, and in pictures."""

from src.report import figures, mistakes_of, slices
from src.report.evidence import Model
from src.report.material import Material
from src.report.page import Section

NAME, TITLE = "mistakes", "Mistakes"
SWITCHED = 40  # models that can be chosen


def section(evidence: Material) -> Section:
    if (best := evidence.best) is None:
        return Section(NAME, TITLE, {"chosen": None, "command": evidence.competition.command})
    models = switched(evidence, best)
    body = mistakes_of.BY_TASK[evidence.competition.task].body(evidence, best, models)
    scores, charts = slices.scores(evidence, best, models), dict(body.charts)
    if scores is not None:
        charts["slices"] = slices.chart(evidence, best, scores)
    about = {
        "kind": body.kind,
        "chosen": best.name,
        "ruled": bool(evidence.metric.rules),
        "models": [model.name for model in models],
        "left_out": len(evidence.models) - len(models),
        "rows": len(evidence.train),
        "slices": slices.caption(evidence, best),
        "charts": " ".join(f"{NAME}-{chart}" for chart in (*body.switched, "slices")),
        **body.about,
    }
    return Section(NAME, TITLE, about, charts, body.data, script=f"{NAME}_{body.kind}")


def switched(evidence: Material, best: Model) -> list[Model]:
    """The models that can be chosen, in their order; of too many, those of the best CV."""
    kept = {model.name for model in [best, *figures.by_cv(evidence)][:SWITCHED]}
    return [model for each, model in evidence.models.items() if each in kept]
