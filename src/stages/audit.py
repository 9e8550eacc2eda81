"""audit: looks for doubtful labels, near-duplicates, pictures in train and in test, and outliers.

Runs only if it is named. Reads images, features and the out-of-fold probabilities of the blend or the best model.
Writes audit.csv, audit.json and duplicates/. Prints what was found, the worst of it by id, the noise ceiling, and what
to do next; `./run.sh corn report` shows the pictures.

  doubtful labels   confident learning on the out-of-fold probabilities, as in cleanlab (Northcutt et al. 2021)
  near-duplicates   pictures that occur twice: in train with two labels, or in train and in test
  outliers          pictures far from all others, of one colour, or tiny

Check a finding before you trust it:

  folds=Folds(groups="near-duplicates")   in the config keeps near-duplicates in one fold
  label_noise="drop"                      of a Probe or a FineTune leaves out training rows whose label is doubtful
  ./run.sh corn ab label_noise drop       tests in minutes whether the probe is better without them

A label is doubted by a probe that has seen neither the row nor the fold's held-out rows. Held-out rows are scored with
the labels as given. The result is as good as this probe: on scikit-learn's digits with 10 to 20 % of the labels made
wrong, "drop" gained 0.6 to 2.2 points; on 574 seeds of corn, with a probe of accuracy 0.72, it changed accuracy by
-0.0174 ± 0.0098. Learning such labels as half the label and half the probe's prediction (Reed et al. 2015) changed it
by -0.0105 ± 0.0065 on these seeds, and is not offered.
"""

from typing import Any

import numpy as np
import pandas as pd

from src.audit import duplicates, outliers, pairs
from src.audit.duplicates import Looks, Pairs
from src.base import files, text
from src.base.errors import counted
from src.data.rows import Dataset, Rows, read_dataset
from src.networks import encoders
from src.results import audit
from src.results.model import best_model, finished_models, model_tables
from src.schema.competition import Competition
from src.scoring import intervals, label_noise

CODE = 1  # raised when other findings come from the same key
EXAMPLES_PRINTED = 3  # examples of each kind that are printed


def run(competition: Competition) -> None:
    data = read_dataset(competition)
    judge = best_model(competition, finished_models(competition, data))  # by its out-of-fold probabilities
    oof = None if judge is None else competition.model_folder(judge) / "oof.parquet"
    key = {
        "code": CODE,
        "pairs": pairs.key(competition, data.train, data.test),
        "labels": data.key["train"],
        "classes": list(competition.classes),
        "judge": None if oof is None else {"model": judge, "oof": files.sha256(oof)},
    }
    key, made = files.as_json_value(key), audit.about(competition)
    if made is not None and made["key"] == key:
        print(f"reused {competition.audit_csv}: {counted(sum(made['counts'].values()), 'finding')}")
        return
    if made is not None:
        print(f"recomputing {competition.audit_csv}: {files.describe_changes(made['key'], key)}")
    looks, skipped = duplicates.look(data.rows), []
    train = pairs.of_train(competition, data, looks.take(len(data.train)))
    test = pairs.with_test(competition, data, train, looks)
    found = [paired(competition, data, both) for both in (train, test)]
    found += odd(data.rows, len(data.train), looks)
    if (spec := pairs.encoder(competition)) is None:
        skipped.append("outliers: the config has no encoder, and so no features")
    else:
        far = outliers.far(pairs.vectors(competition, data.rows))
        found.append(alone(data.rows, len(data.train), "outlier", far.score, far.mask))
    ceiling = None
    if judge is None:
        skipped.append("labels: no model of these folds and rows is finished")
    else:
        probs, _ = model_tables(competition, judge, data)
        found.append(doubtful(competition, data, probs))
        ceiling = label_noise.ceiling(data.targets, probs)
    table = ordered(pd.concat(found))
    about = {
        "key": key,
        "counts": {kind: int((table["kind"] == kind).sum()) for kind in audit.FINDING_KINDS},
        "rows": {"train": len(data.train), "test": len(data.test)},
        "model": judge,
        "encoder": None if spec is None else encoders.title(spec),
        "thresholds": {
            "correlation": train.threshold,
            "outlier_fence": outliers.FENCE,
            "constant": outliers.CONSTANT,
            "tiny_share": outliers.SHARE,
            "tiny_pixels": outliers.PIXELS,
        },
        "ceiling": None if ceiling is None else {**vars(ceiling), "accuracy": ceiling.accuracy},
        "skipped": skipped,
    }
    audit.write(competition, table, about)
    tell(competition, table, about)


def paired(competition: Competition, data: Dataset, both: Pairs) -> pd.DataFrame:
    """The findings of near-duplicates: of the row that comes later, paired with the earlier one."""
    n = len(data.train)
    label = np.array([*(competition.classes[target] for target in data.targets), *[""] * len(data.test)], object)
    found = beside(data.rows, n, both.places[:, 1])
    other = beside(data.rows, n, both.places[:, 0])
    own, others = label[both.places[:, 1]], label[both.places[:, 0]]
    in_test, in_both = other["part"] == "test", other["part"] != found["part"]
    kind = np.select([in_test, in_both, own != others], ["test_duplicate", "leak", "conflict"], "duplicate")
    suggested = np.where(own != others, others, "")
    return found.assign(
        kind=kind,
        score=both.score,
        other_id=other["id"],
        other_part=other["part"],
        label=own,
        suggested_label=suggested,
    )


def beside(rows: Rows, n_train: int, places: np.ndarray) -> pd.DataFrame:
    """Columns id and part of rows at some places, the train rows being the first."""
    return pd.DataFrame({"id": [rows.ids[i] for i in places], "part": np.where(places < n_train, "train", "test")})


def alone(rows: Rows, n_train: int, kind: str, score: np.ndarray, mask: np.ndarray) -> pd.DataFrame:
    """The findings of single pictures."""
    places = np.flatnonzero(mask)
    return beside(rows, n_train, places).assign(kind=kind, score=score[places])


def odd(rows: Rows, n_train: int, looks: Looks) -> list[pd.DataFrame]:
    """The findings of what shows nothing, or little."""
    sides = rows.sizes.min(axis=1)
    return [
        alone(rows, n_train, "constant", looks.spread, outliers.constant(looks.spread)),
        alone(rows, n_train, "tiny", sides, outliers.tiny(sides)),
    ]


def doubtful(competition: Competition, data: Dataset, probs: np.ndarray) -> pd.DataFrame:
    """The findings of labels, by out-of-fold probabilities (n, k)."""
    issues, classes = label_noise.issues(data.targets, probs), np.array(competition.classes, object)
    found = alone(data.train, len(data.train), "label", issues.quality, issues.mask)
    return found.assign(
        label=classes[data.targets[issues.mask]], suggested_label=classes[issues.suggested[issues.mask]]
    )


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The findings by kind, the worst first."""
    table = table.reindex(columns=audit.COLUMNS).fillna({name: "" for name in audit.COLUMNS if name != "score"})
    rank = table["kind"].map(list(audit.FINDING_KINDS).index)
    worst = table["score"].astype(float) * np.where(table["kind"].isin(audit.PAIRED), -1, 1)
    order = np.lexsort((table["other_id"], table["id"], table["part"], worst, rank))
    return table.iloc[order].reset_index(drop=True)


def tell(competition: Competition, table: pd.DataFrame, about: dict[str, Any]) -> None:
    """Prints the findings, and what to do with them."""
    rows = [("finding", "rows", "the worst")]
    for kind, words in audit.FINDING_KINDS.items():
        of_kind = table[table["kind"] == kind]
        shown = ", ".join(said(row) for row in of_kind.head(EXAMPLES_PRINTED).itertuples())
        rows.append((words, str(len(of_kind)), shown + (", ..." if len(of_kind) > EXAMPLES_PRINTED else "")))
    print("\n".join(text.align(rows)))
    for why in about["skipped"]:
        print(f"not looked for: {why}")
    if (ceiling := about["ceiling"]) is not None:
        accuracy = intervals.score_text("accuracy", ceiling["accuracy"], ceiling["se"], about["rows"]["train"])
        print(f"labels judged by {about['model']}, out of fold; noise ceiling {accuracy} by confident learning")
    print(f"wrote {competition.audit_csv}")
    counts = about["counts"]
    print(f"next: {competition.command('report')} shows the pictures")
    if (counts["conflict"] or counts["duplicate"]) and competition.folds.groups is None:
        print('  folds=Folds(groups="near-duplicates") in the config keeps them in one fold')
    if counts["label"]:
        compared = competition.command("ab", "label_noise", "drop")
        print(f"  {compared} tells whether a model is better without the doubtful labels")


def said(row: Any) -> str:
    """`348 broken (pure?)`, `512 = 17 (broken)`: a finding in a few words."""
    if row.kind == "label":
        return f"{row.id} {row.label} ({row.suggested_label}?)"
    if row.kind == "conflict":
        return f"{row.id} {row.label} = {row.other_id} {row.suggested_label}"
    if row.kind == "leak":
        return f"{row.id} = {row.other_id} {row.suggested_label}"
    return f"{row.id} = {row.other_id}" if row.other_id else row.id
