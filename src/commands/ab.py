"""ab: compares each probe of the config with the same probe with one field changed, on the same folds and features.

    ./run.sh corn ab label_noise drop
    ./run.sh corn ab cs "(0.1, 1.0, 10.0)"

Takes minutes. Prints the paired difference ± its standard error. Reads features/ and folds.csv, and models/<model>/ if
the probe is finished; writes ab.csv and no model.
"""

import ast
import time
from typing import Any

import numpy as np
from pydantic import ValidationError

from src.base import files
from src.base.errors import UserError, unknown
from src.base.text import duration
from src.data.rows import Dataset, read_dataset
from src.models.probe.fitting import TrainRows, probe_key
from src.networks import features
from src.results import predictions, shards
from src.results.ab import Comparison, put_comparison, read_ab
from src.results.model import read_model, same_model_key, without_test_rows
from src.schema.competition import Competition
from src.schema.models import Probe
from src.schema.strict import faults
from src.scoring import decisions, intervals
from src.scoring.agreement import differing

CODE = 1  # raised when other numbers are computed from the same key


def run(competition: Competition, field: str, value: str) -> None:
    """Compare all probes that can have the value, a Python literal or a bare text, in that field of `Probe`.

    Raises:
        UserError: No probe can have it, or features are not there.
    """
    probes = with_value(competition, field, parse(value))
    data = read_dataset(competition)
    for name, arm in probes.items():
        require_features(competition, name, f"{field}={value}", arm, data)
    for name, arm in probes.items():
        print(f"{name}  {field}: {getattr(competition.models[name], field)} -> {getattr(arm, field)}")
        compare(competition, data, name, field, arm)


def parse(value: str) -> Any:
    """`drop`, `"drop"`, 1e-5, (True,): a Python literal, or a text as it stands."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def with_value(competition: Competition, field: str, value: Any) -> dict[str, Probe]:
    """The probes with the field changed; a line names each that cannot have the value, or has it already.

    Raises:
        UserError: There are none.
    """
    probes = competition.of_stage("probe")
    if not probes:
        raise UserError(f"{competition.name} has no probe among its models: ab compares probes, which takes minutes")
    if field not in Probe.model_fields:
        raise UserError(unknown("field of a probe", field, Probe.model_fields))
    can, cannot = {}, {}
    for name, spec in probes.items():
        try:
            arm = spec.model_copy(update={field: value})
            if why := arm.misfit(competition.task):
                raise ValueError(why)
            arm.check_against(name, competition.models, competition.prompts)
        except ValueError as error:  # pydantic's is one too
            cannot[name] = "; ".join(faults(error, Probe)) if isinstance(error, ValidationError) else str(error)
            continue
        if arm == spec:
            cannot[name] = f"its {field} is {value!r} already: give another value"
        else:
            can[name] = arm
    if not can:
        name, why = next(iter(cannot.items()))
        raise UserError(f"{name}: {why}")
    for name, why in cannot.items():
        print(f"{name}  is left out: {why}")
    return can


def require_features(competition: Competition, name: str, change: str, arm: Probe, data: Dataset) -> None:
    """Raise a UserError if features that one of the two needs are not there."""
    command = competition.command("features")
    if missing := missing_features(competition, competition.models[name], data):
        raise UserError(f"the features of {name} are not all there ({missing[0]}): run {command}")
    if missing := missing_features(competition, arm, data):
        raise UserError(
            f"{name} with {change} needs features that are not there ({missing[0]}): give the config a probe that "
            f"looks so, and run {command}"
        )


def missing_features(competition: Competition, spec: Probe, data: Dataset) -> list[str]:
    """The folders of features that do not have all train rows."""
    shas = shards.binary(data.train.shas)
    names = []
    for cache in (cache for encoder in spec.encoders for cache in features.feature_caches(competition, encoder)):
        if not cache.takes(cache.have()) or (cache.index().find(shas) < 0).any():
            names.append(cache.folder.name)
    return names


def read_finished(competition: Competition, name: str, data: Dataset, key: dict[str, Any]) -> np.ndarray | None:
    """The out-of-fold probabilities (n, k) of a finished model, if it is of the key."""
    folder = competition.model_folder(name)
    model = read_model(folder)
    if model is None or not same_model_key(without_test_rows(model["key"]), key):
        return None
    return predictions.read(folder / "oof.parquet", competition, data.scored.train.ids)


def out_of_fold(competition: Competition, spec: Probe, data: Dataset) -> np.ndarray:
    """The out-of-fold probabilities (n, k) of a probe that is fitted now."""
    start, train = time.perf_counter(), TrainRows(competition, spec, data)
    fits = train.fits()
    oof = train.out_of_fold(fits)
    more = ""
    if spec.label_noise != "keep":
        counts = ", ".join(str(int(fit.doubted.sum())) for fit in fits)
        more = f", training rows dropped for each fold: {counts}"
    print(f"  fitted {len(fits)} folds in {duration(time.perf_counter() - start)}{more}")
    return data.combined(competition, "train", oof).astype(np.float32)  # as a finished model's are


def compare(competition: Competition, data: Dataset, name: str, field: str, arm: Probe) -> None:
    """Put a comparison into ab.csv, unless it is there, and print it."""
    spec, metric, targets = competition.models[name], competition.scorer, data.scored.targets
    what = "label" if competition.classes else "number"
    keys = [without_test_rows(probe_key(competition, one, data)) for one in (spec, arm)]
    key = files.digest({"code": CODE, **competition.scorer_key, "base": keys[0], "arm": keys[1]})
    if known := [one for one in read_ab(competition.ab_csv) if one.key == key]:
        print(comparison_text(known[0], len(targets), "  (known)", what))
        return
    base = read_finished(competition, name, data, keys[0])
    base = out_of_fold(competition, spec, data) if base is None else base
    base, changed = (
        decisions.cross_fitted(metric, probs, targets, data.scored.fold)
        for probs in (base, out_of_fold(competition, arm, data))
    )
    comparison = Comparison(
        field,
        str(getattr(arm, field)),
        name,
        competition.metric,
        *metric.score(targets, base),
        *metric.score(targets, changed),
        *metric.gain(targets, changed, than=base),
        int(differing(competition.target, base, changed).sum()),
        data.folds_sha,
        key,
    )
    put_comparison(competition.ab_csv, comparison)
    print(comparison_text(comparison, len(targets), what=what))


def comparison_text(one: Comparison, n: int, more: str = "", what: str = "label") -> str:
    """Both scores, their difference and a verdict on it; `what` a row is asked for."""
    gain = intervals.gain_text(one.difference, one.difference_se)
    base = intervals.score_text(one.metric, one.base, one.base_se, n)
    arm = intervals.score_text(one.metric, one.arm, one.arm_se, n)
    return (
        f"  as it is    {one.metric} {base}{more}\n"
        f"  changed     {one.metric} {arm}\n"
        f"  difference  {gain} (paired, + is better; {one.rows} of {n} rows get another {what}): {one.verdict}"
    )
