"""blend: combines the models by the method of the least loss, of those that score no less than the best model.

Reads the oof.parquet and test.parquet of the config's models. Writes models/blend/, whose oof.parquet is cross-fitted,
and in it disagreement.csv. Leaves out models that are no better than the constant answer. Prints each method's score
and its paired gain over the mean, and what the blend loses without each model.
"""

import time
from typing import Any

import pandas as pd

from src.base import files
from src.base.errors import UserError, counted
from src.base.progress import track
from src.base.text import align
from src.data.columns import columns_key
from src.data.rows import Dataset, read_dataset
from src.models.blend.judges import JUDGES
from src.models.blend.methods import FittedMethod, choose, fit, methods_for, without_model
from src.models.blend.pool import Pool, pool_of
from src.models.pictures import test_pictures
from src.results.model import is_reused, model_tables, read_model, rescore, save_model
from src.schema.competition import Competition
from src.scoring import agreement
from src.scoring.constant import constant_answer
from src.scoring.intervals import gain_text, score_text
from src.scoring.tables import SparseTables, Table, Tables, stack

CODE = 3
MODELS_PRINTED = 12  # models of the printed tables, those with the greatest weights


def run(competition: Competition, data: Dataset | None = None) -> list[str]:
    """Return ["blend"] if it was computed and not reused; `data`: where the caller has read it."""
    start = time.perf_counter()
    data = (data or read_dataset(competition)).scored
    names = list(competition.blend.models or competition.models)
    key = {
        "code": CODE,
        "blend": competition.blend.model_dump(mode="json", exclude={"csvs"}),  # these are the submission's
        **competition.scorer_key,
        **competition.target_key,
        "models": {name: tables_digest(competition, name, data.folds_sha) for name in names},
        **columns_key(competition, data.columns),
        **data.key,
    }
    folder = competition.model_folder("blend")
    if is_reused(folder, key):
        return []
    for name in names:
        rescore(competition, name, data)
    oofs, tests = read_tables(competition, names, data)
    pool = pool_of(competition, data, oofs)
    if len(names) == 1:
        print(f"{names[0]} is the only model: its predictions are passed through")
        facts = {"method": "mean", "weights": {names[0]: 1.0}}
        save_model(competition, "blend", key, data, oofs[0], tests[0], time.perf_counter() - start, **facts)
        return ["blend"]
    left_out = leave_out(competition, names, pool)
    method, fitted, oof, facts = fit_methods(competition, pool)
    facts |= {**rate(competition, names, pool, method, fitted), "left_out": left_out}
    if method == "stack":  # it has no weights, but for what is left out
        facts["weights"] = dict.fromkeys(left_out, 0.0)
    apart = agreement.disagreement(competition.target, oofs)
    apart = pd.DataFrame(apart, index=pd.Index(names, name="model"), columns=names)
    files.write_text(folder / "disagreement.csv", apart.to_csv(float_format="%.5f", lineterminator="\n"))
    some = heaviest(facts["models"])
    print(f"{agreement.disagreement_name(competition.target)}, in %{count_note(some, names)} (all: disagreement.csv)")
    print((100 * apart.loc[some, some]).rename_axis(None).to_string(float_format="{:.1f}".format))
    beside = test_pictures(competition, data).columns(competition)
    test, seconds = fitted.final.predict(tests, beside), time.perf_counter() - start
    save_model(competition, "blend", key, data, oof, test, seconds, **facts)
    return ["blend"]


def read_tables(competition: Competition, names: list[str], data: Dataset) -> tuple[Tables, Tables]:
    """The models' predictions of the train and test rows, (m, n, k) each."""
    oofs, tests = zip(*(model_tables(competition, name, data) for name in names), strict=True)
    return stack(oofs), stack(tests)


def fit_methods(competition: Competition, pool: Pool) -> tuple[str, FittedMethod, Table, dict[str, Any]]:
    """Score the methods, print them as a table, and choose.

    Returns:
        The method, its fit, the out-of-fold table (n, k) of method and choice, and facts of both.
    """
    wanted, metric, targets = competition.blend.method, pool.metric, pool.targets
    methods, loss = methods_for(wanted, pool), competition.target.loss_name
    loss_text = loss.replace("_", " ")
    fitted = {method: fit(method, pool, nested=wanted == "auto") for method in methods}
    mean, facts = pool.decide(fitted["mean"].oof), {}
    lines = [("method", competition.metric, "gain over the mean", loss_text)]
    for method, fits in fitted.items():
        decided = pool.decide(fits.oof)
        (cv, se), (gain, gain_se) = metric.score(targets, decided), metric.gain(targets, decided, than=mean)
        lost = competition.loss.value(targets, fits.oof)
        facts[method] = {"cv": cv, "se": se, "gain": gain, "gain_se": gain_se, loss: lost}
        more = gain_text(gain, gain_se) if method != "mean" else ""
        lines.append((method, score_text(competition.metric, cv, se, len(targets)), more, f"{lost:.4f}"))
    print("\n".join(align([line[:3] for line in lines] if competition.is_scored_by_loss else lines)))
    if wanted != "auto":
        return wanted, fitted[wanted], fitted[wanted].oof, {"method": wanted, "methods": facts}
    m, _, k = pool.oofs.shape
    if isinstance(pool.oofs, SparseTables):
        print(f"greedy and stack are left out: of {k:,} classes the tables keep the likeliest of each row alone")
    elif "stack" not in methods:
        of = f"{counted(m, 'model')} of {k} {'classes' if competition.target.is_choice else 'labels'}"
        print(f"stack is left out: {of} are too many for it (blend.method='stack' fits it)")
    method, by_fold, oof = choose(pool, fitted)
    gain, se = metric.gain(targets, pool.decide(oof), than=mean)
    print(
        f"chose {method}: the least {loss_text} of the methods that score no less than best. Chosen inside each fold: "
        f"{', '.join(by_fold)}; gain of that {gain_text(gain, se)} over the mean (paired)"
    )
    auto = {"gain": gain, "gain_se": se, "chosen_by_fold": by_fold}
    return method, fitted[method], oof, {"method": method, "methods": facts, "auto": auto}


def rate(competition: Competition, names: list[str], pool: Pool, method: str, fitted: FittedMethod) -> dict[str, Any]:
    """The worth of each model to the blend, printed as a table; as facts of model.json.

    A stack has no weights: its `share` is that of the model's coefficients in the sum of their absolute values.
    """
    metric, targets = pool.metric, pool.targets
    decided, models = pool.decide(fitted.oof), {}
    for j, name in enumerate(track(names, "blend: without each model", len(names), "models")):
        cv, se = metric.score(targets, pool.decide(pool.oofs[j]))
        less = pool.decide(without_model(method, pool, fitted, j))
        lost, lost_se = metric.gain(targets, decided, than=less)
        models[name] = {"cv": cv, "se": se, "share": 0.0, "lost": lost, "lost_se": lost_se}
    shares = fitted.final.shares(len(names))
    for name, share in zip(names, shares, strict=True):
        models[name]["share"] = float(share)
    some, n = heaviest(models), len(targets)
    head = "share of coefs" if method == "stack" else "weight"
    lines = [("model", competition.metric, head, f"{method} loses without it{count_note(some, names)}")]
    constant = constant_answer(competition.scorer, targets, competition.outputs)
    lines.append((constant.text, score_text(competition.metric, constant.score, constant.se, n), "", ""))
    for name in some:
        model = models[name]
        cv = score_text(competition.metric, model["cv"], model["se"], n)
        lines.append((name, cv, f"{model['share']:.3f}", gain_text(model["lost"], model["lost_se"])))
    print("\n".join(align(lines)))
    return {"weights": {name: model["share"] for name, model in models.items()}, "models": models}


def leave_out(competition: Competition, names: list[str], pool: Pool) -> dict[str, str]:
    """Print and return, by name, why models are left out of the blend for the test rows: the choice by all rows."""
    learnt, constant = pool.learnt(), constant_answer(competition.scorer, pool.targets, competition.outputs).text
    without = [name for name, one in zip(names, learnt, strict=True) if not one]
    judges = list(dict.fromkeys([competition.metric, *JUDGES[competition.task]]))
    reason = f"no better than {constant} by more than chance: {', '.join(judges[:-1])} and {judges[-1]}"
    if without and learnt.any():
        print(f"left out: {', '.join(without)}, {reason}")
        return dict.fromkeys(without, reason)
    if without:
        print(f"all {len(names)} models are kept, and all are {reason}")
    return {}


def heaviest(models: dict[str, dict[str, float]]) -> list[str]:
    """The models with the greatest weights, in the config's order."""
    greatest = sorted(models, key=lambda name: -models[name]["share"])[:MODELS_PRINTED]
    return [name for name in models if name in greatest]


def count_note(some: list[str], names: list[str]) -> str:
    return f", {len(some)} of {len(names)} models" if len(some) < len(names) else ""


def tables_digest(competition: Competition, name: str, folds_sha: str) -> str:
    """A model's tables, as the blend's key names them.

    Raises:
        UserError: The model is not finished, or of other folds.
    """
    folder = competition.model_folder(name)
    facts, remedy = read_model(folder), f"run the stage {competition.models[name].stage}"
    if facts is None:
        raise UserError(f"model {name!r} is not finished: {remedy}")
    if facts["key"]["folds"] != folds_sha:
        raise UserError(f"model {name!r} was made with other folds: {remedy}")
    return files.digest([files.sha256(folder / "oof.parquet"), files.sha256(folder / "test.parquet")])
