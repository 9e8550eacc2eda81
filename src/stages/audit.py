"""audit: looks for doubtful labels, near-duplicates, pictures in train and in test, and outliers.

Runs only if it is named. Reads images, features and the out-of-fold probabilities of the blend or the best model.
Writes audit.csv, audit.json and duplicates/. Prints what was found, the worst of it by id, the noise ceiling, and what
to do next; `./run.sh corn report` shows the pictures.

  doubtful labels   confident learning on the out-of-fold probabilities, as in cleanlab (Northcutt et al. 2021); of
                    numbers, those whose out-of-fold error is far outside of the others'
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

from src.audit import doubts, duplicates, outliers, pairs
from src.audit.duplicates import Pairs
from src.base import files, packages, text
from src.base.errors import counted
from src.data.labels import BETWEEN, write_targets
from src.data.rows import Dataset, Rows, read_dataset
from src.networks import encoders
from src.results import audit
from src.results.model import best_model, finished_models, model_tables
from src.schema.competition import Competition
from src.scoring import intervals, label_noise
from src.scoring.sparse import SparseTable

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
    has_cleanlab = packages.version(packages.LABELS) is not None
    if not has_cleanlab:
        key["without"] = packages.LABELS
    key, earlier = files.as_json_value(key), audit.about(competition)
    if earlier is not None and earlier["key"] == key:
        print(f"reused {competition.audit_csv}: {counted(sum(earlier['counts'].values()), 'finding')}")
        return
    if earlier is not None:
        print(f"recomputing {competition.audit_csv}: {files.describe_changes(earlier['key'], key)}")
    prints, skipped, n = duplicates.fingerprint(data.rows), [], len(data.train)
    train = pairs.find_train_pairs(competition, data, prints.take(n))
    test = pairs.find_test_pairs(competition, data, train, prints)
    findings = [pair_findings(competition, data, near) for near in (train, test)]
    sides, constant = data.rows.sizes.min(axis=1), outliers.is_constant(prints.spread)
    findings.append(single_findings(data.rows, n, "constant", prints.spread, constant))
    findings.append(single_findings(data.rows, n, "tiny", sides, outliers.is_tiny(sides)))
    if (spec := pairs.candidate_encoder(competition)) is None:
        skipped.append("outliers: the config has no encoder, and so no features")
    elif not has_cleanlab:
        skipped.append(f"outliers: {packages.LABELS} is not installed")
    else:
        far = outliers.detect_outliers(pairs.unit_features(competition, data.rows))
        findings.append(single_findings(data.rows, n, "outlier", far.score, far.mask))
    ceiling = None
    if judge is None:
        skipped.append("labels: no model of these folds and rows is finished")
    elif not has_cleanlab and competition.classes:
        skipped.append(f"labels: {packages.LABELS} is not installed")
    else:
        probs, _ = model_tables(competition, judge, data)
        if isinstance(probs, SparseTable):
            skipped.append(f"labels: of {probs.shape[1]:,} classes the tables keep the likeliest of each row alone")
        else:
            findings.append(label_findings(competition, data.scored, probs))
        if competition.target.is_choice and not isinstance(probs, SparseTable):
            ceiling = label_noise.ceiling(data.scored.targets, probs)
    table = ordered(pd.concat(findings))
    about = {
        "key": key,
        "counts": {kind: int((table["kind"] == kind).sum()) for kind in audit.FINDING_KINDS},
        "rows": {"train": n, "test": len(data.test), "scored": len(data.scored.train)},
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
    print_findings(competition, table, about)


def pair_findings(competition: Competition, data: Dataset, near: Pairs) -> pd.DataFrame:
    """The findings of near-duplicates: of the row that comes later, paired with the earlier one."""
    label = np.array([*write_targets(competition, data.targets), *[""] * len(data.test)], object)
    other, later = (ids_and_parts(data.rows, len(data.train), places) for places in near.places.T)
    others, own = label[near.places.T]
    in_test, in_both = other["part"] == "test", other["part"] != later["part"]
    apart, in_train = np.full(len(near.places), False), (near.places < len(data.train)).all(axis=1)
    apart[in_train] = doubts.differ(data.targets, *near.places[in_train].T)
    kind = np.select([in_test, in_both, apart], ["test_duplicate", "leak", "conflict"], "duplicate")
    suggested = np.where(apart | in_both, others, "")
    later = later.assign(kind=kind, score=near.score, label=own, suggested_label=suggested)
    return later.assign(other_id=other["id"], other_part=other["part"])


def ids_and_parts(rows: Rows, n_train: int, places: np.ndarray) -> pd.DataFrame:
    """Columns id and part of rows at some places, the train rows being the first."""
    return pd.DataFrame({"id": [rows.ids[i] for i in places], "part": np.where(places < n_train, "train", "test")})


def single_findings(rows: Rows, n_train: int, kind: str, score: np.ndarray, mask: np.ndarray) -> pd.DataFrame:
    """The findings of single pictures."""
    places = np.flatnonzero(mask)
    return ids_and_parts(rows, n_train, places).assign(kind=kind, score=score[places])


def label_findings(competition: Competition, data: Dataset, probs: np.ndarray) -> pd.DataFrame:
    """The findings of the train rows' answers, by out-of-fold predictions (n, k)."""
    found = doubts.BY_TASK[competition.task](data.targets, probs)
    findings = single_findings(data.train, len(data.train), "label", found.quality, found.mask)
    own, suggested = (write_targets(competition, of[found.mask]) for of in (data.targets, found.suggested))
    return findings.assign(label=own, suggested_label=suggested)


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The findings by kind, the worst first."""
    table = table.reindex(columns=audit.COLUMNS).fillna({name: "" for name in audit.COLUMNS if name != "score"})
    rank = table["kind"].map(list(audit.FINDING_KINDS).index)
    worst = table["score"].astype(float) * np.where(table["kind"].isin(audit.PAIRED), -1, 1)
    order = np.lexsort((table["other_id"], table["id"], table["part"], worst, rank))
    return table.iloc[order].reset_index(drop=True)


def print_findings(competition: Competition, table: pd.DataFrame, about: dict[str, Any]) -> None:
    """Print the findings, and what to do with them."""
    rows = [("finding", "rows", "the worst")]
    for kind, words in audit.finding_words(competition).items():
        of_kind = table[table["kind"] == kind]
        worst = ", ".join(example(row) for row in of_kind.head(EXAMPLES_PRINTED).itertuples()).replace(BETWEEN, " + ")
        rows.append((words, str(len(of_kind)), worst + (", ..." if len(of_kind) > EXAMPLES_PRINTED else "")))
    print("\n".join(text.align(rows)))
    for why in about["skipped"]:
        print(f"not looked for: {why}")
    if (ceiling := about["ceiling"]) is not None:
        accuracy = intervals.score_text("accuracy", ceiling["accuracy"], ceiling["se"], about["rows"]["scored"])
        print(f"labels judged by {about['model']}, out of fold; noise ceiling {accuracy} by confident learning")
    print(f"wrote {competition.audit_csv}")
    counts = about["counts"]
    print(f"next: {competition.command('report')} shows the pictures")
    if (counts["conflict"] or counts["duplicate"]) and competition.folds.groups is None:
        print('  folds=Folds(groups="near-duplicates") in the config keeps them in one fold')
    if counts["label"] and competition.target.is_choice:
        compared = competition.command("ab", "label_noise", "drop")
        print(f"  {compared} tells whether a model is better without the doubtful labels")


def example(row: Any) -> str:
    """`348 broken (pure?)`, `512 = 17 (broken)`: a finding in a few words."""
    if row.kind == "label":
        return f"{row.id} {row.label} ({row.suggested_label}?)"
    if row.kind == "conflict":
        return f"{row.id} {row.label} = {row.other_id} {row.suggested_label}"
    if row.kind == "leak":
        return f"{row.id} = {row.other_id} {row.suggested_label}"
    return f"{row.id} = {row.other_id}" if row.other_id else row.id
