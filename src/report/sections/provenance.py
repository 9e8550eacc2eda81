"""The section 'provenance': the rows, packages and commands by which all this was made."""

from collections.abc import Mapping
from typing import Any

from src.base import files
from src.base.text import duration
from src.report import configs
from src.report.evidence import BLEND, PARTS, Evidence, Model
from src.report.figures import UNKNOWN, known, took
from src.report.page import Section

PLACE = ("commit", "device", "python")  # where a model was made; all else in its `made` are packages


def section(evidence: Evidence) -> Section:
    competition = evidence.competition
    about = {
        "commands": commands(evidence),
        "facts": facts(evidence),
        "rows": [row(evidence, model) for model in evidence.models.values()],
        "packages": packages(evidence),
        "warnings": warnings(evidence),
        "config": configs.code(competition, without=("models", "reported", "name", "limit")),
        "models": {name: configs.code(spec) for name, spec in competition.models.items()},
    }
    return Section("provenance", "Provenance", about)


def commands(evidence: Evidence) -> list[tuple[str, str]]:
    """(command, what it does)."""
    competition = evidence.competition
    run = f"./run.sh {competition.name}"
    if competition.limit is not None:
        return [(competition.command(), "makes this smoke run again"), (run, "makes the whole run")]
    found = [(run, "makes all of it again, and this page; what is finished and unchanged is reused")]
    found.append((f"{run} report", "makes this page alone"))
    if competition.audit_csv.is_file():
        found.append((f"{run} audit", "looks for doubtful labels and duplicates again"))
    if competition.source.page is not None:
        found.append((f"{run} submit", "sends the newest blend and waits for its score"))
    return found


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """(name, value) of what all models share."""
    competition, n, m = evidence.competition, len(evidence.train), len(evidence.test)
    found = [("rows", f"{n:,} train, {m:,} test" + ("" if competition.limit is None else " (a smoke run)"))]
    if evidence.fold is None:
        found.append(("folds", "not made yet"))
    else:
        described = files.read_json(competition.folds_csv.with_suffix(".json"))
        grouped = ", ".join(str(one) for one in (competition.group, competition.folds.groups) if one)
        made = f"seed {competition.folds.seed}" if isinstance(described, dict) else "your own"
        by = f", rows of one group together ({grouped})" if grouped else ""
        found.append(("folds", f"{evidence.fold.max() + 1}, {made}{by}"))
        found.append(("sha256 of folds.csv", files.sha256(competition.folds_csv)))
    for part in PARTS:
        digests = {digest for model in evidence.models.values() if (digest := stored_key(model).get(part))}
        if digests:
            found.append((f"digest of the {part} rows", ", ".join(sorted(map(str, digests)))))
    seconds = [model.made.get("seconds") for model in evidence.models.values()]
    if total := sum(one for one in seconds if known(one)):
        found.append(("computing time", f"{duration(total)} for what is finished"))
    return found


def stored_key(model: Model) -> Mapping[str, Any]:
    found = model.made.get("key")
    return found if isinstance(found, dict) else {}


def origin(model: Model) -> Mapping[str, str]:
    """The place and the packages of the model's making; empty where its version did not write them."""
    found = model.made.get("made")
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def row(evidence: Evidence, model: Model) -> dict[str, str]:
    made, key = origin(model), stored_key(model)
    spec = evidence.competition.models.get(model.name)
    stored = key.get("model") if isinstance(key.get("model"), dict) else {}
    first, n = stored.get("seed"), stored.get("seeds", 1)
    seeds = "" if first is None else str(first) if n == 1 else f"{first} to {first + n - 1}"
    return {
        "name": model.name,
        "kind": "blend" if model.name == BLEND else type(spec).__name__ if spec is not None else UNKNOWN,
        "precision": str(key.get("precision", "")),
        "seeds": seeds,
        "time": took(model),
        **{name: made.get(name, UNKNOWN) for name in PLACE},
    }


def packages(evidence: Evidence) -> list[tuple[str, str]]:
    """(package, its version, or the versions and the models that were made with them)."""
    return [(name, versions_text(by_value)) for name, by_value in versions(evidence).items() if name not in PLACE]


def versions(evidence: Evidence) -> dict[str, dict[str, list[str]]]:
    """{package, commit ...: {its version: the models that were made with it}}."""
    found: dict[str, dict[str, list[str]]] = {}
    for model in evidence.models.values():
        for name, value in origin(model).items():
            found.setdefault(name, {}).setdefault(value, []).append(model.name)
    return found


def versions_text(by_value: dict[str, list[str]]) -> str:
    """`2.15.0`; or `2.15.0 (a, b), 2.14.0 (c)` where models differ."""
    texts = [value if len(by_value) == 1 else f"{value} ({', '.join(models)})" for value, models in by_value.items()]
    return ", ".join(texts)


def warnings(evidence: Evidence) -> list[str]:
    """Reasons why the models cannot be made again just so, or compared without a thought."""
    found = []
    for name, by_value in versions(evidence).items():
        if len(by_value) > 1:
            what = "by different commits" if name == "commit" else f"with different {name}"
            what = "on different devices" if name == "device" else what
            found.append(f"The models were made {what}: {versions_text(by_value)}.")
    dirty = [model.name for model in evidence.models.values() if origin(model).get("commit", "").endswith("-dirty")]
    if dirty:
        found.append(f"Made with changes that no commit has (-dirty): {', '.join(dirty)}.")
    for part in PARTS:
        if len({str(stored_key(model).get(part)) for model in evidence.models.values()} - {"None"}) > 1:
            found.append(
                f"Not all models were made of the same {part} rows or images: "
                f"{evidence.competition.command()} recomputes those that were not."
            )
    return found
