"""folds: assigns each train row to a fold and writes folds.csv.

Reads the train table, and the images if near-duplicates are grouped. Writes folds.csv (id, fold), and folds.json beside
it, which records what the folds were made from. Prints the rows of each class in each fold.

Of many rows and classes it says what a table of predictions would take, and that the likeliest classes of each row are
kept (src/scoring/sparse.py).

Rows that share a value of the config's `group` column stay in one fold; each whose cell is empty is a group of its own.
folds=Folds(groups="near-duplicates") also keeps near-duplicates together; the pairs it finds are kept in duplicates/. A
folds.csv of your own, without a folds.json beside it, is used as it is.
"""

from typing import Any

import numpy as np
import pandas as pd
from pyarrow import compute

from src.base import digests, files, text
from src.base.errors import UserError, counted
from src.data import folds, tables, units
from src.data.labels import count, read_targets, strata
from src.data.texts import Texts
from src.data.units import Units
from src.schema.competition import Competition
from src.scoring.sparse import KEPT
from src.scoring.tables import gigabytes

SMALL_NAMED = 10  # classes that have fewer rows than there are folds
MOST_CLASSES, LARGEST = 200, 20  # classes that are all printed with their rows; and of more, those with most rows


def run(competition: Competition) -> None:
    rows = tables.read(competition).train
    train, held = units.scored(competition, rows), units.find(competition, rows)
    ids, labels = Texts(train[competition.id]), Texts(train[competition.label])
    groups = read_groups(competition, rows, held)
    path = competition.folds_csv
    described = path.with_suffix(".json")
    description = files.read_json(described) or {}
    own = path.exists() and not description
    near = competition.folds.groups is not None and not own
    key = {
        **competition.folds.model_dump(exclude={"groups"}),
        "group": competition.group,
        "rows": rows_digest(ids, labels, labels if groups is None else Texts(groups)),
    }
    about = {}
    if near:
        key["near_duplicates"], about["encoder"] = pairs_digest(competition)
    if own or (path.exists() and description.get("key") == key):
        fold = folds.read(path, competition.id, ids)
        if description and files.sha256(path) != description.get("sha256"):
            raise UserError(
                f"{path} was changed since it was made: restore it, or delete {described.name} to use it as it is, "
                f"or delete both to recompute it"
            )
        print(f"reused {path}" + (", which is your own" if own else ""))
    else:
        if near:
            groups = near_groups(competition, groups)
        fold = split(competition, ids, labels, groups)
        csv = pd.DataFrame({competition.id: ids, "fold": fold}).to_csv(index=False, lineterminator="\n")
        about |= {"key": key, "sha256": files.text_sha256(csv)}
        same = path.exists() and files.sha256(path) == about["sha256"]
        changes = files.describe_changes(description.get("key"), key)
        if same:
            print(f"{path} stays as it is: {changes}, and the folds are the same")
        elif path.exists():
            print(f"recomputing {path}: {changes}; the models of the old folds are recomputed too")
            path.unlink()
        # the description first: killed in between, the folds are made again and not taken for the user's own
        files.write_json(described, about)
        if not same:
            files.write_text(path, csv)
            print(f"wrote {path}")
    print_folds(competition, labels, fold)
    announce(competition, len(train))


def rows_digest(ids: Texts, labels: Texts, groups: Texts) -> str:
    """A digest of the rows, in whatever order the table has them."""
    order = compute.sort_indices(ids.array).to_numpy()
    return digests.digest(digests.rows_listing(ids[order], labels[order], groups[order]))


def announce(competition: Competition, n: int) -> None:
    """Say what tables of predictions of n train rows would take, where they keep the likeliest classes alone.

    Raises:
        UserError: The metric, or the method of the blend, looks at what these do not have.
    """
    k = len(competition.outputs)
    if not competition.target.is_sparse(n, k):
        return
    if competition.scorer.is_of_columns and competition.asked is None:
        raise UserError(
            f"{competition.name}: {competition.metric} of {n:,} rows and {k:,} classes is not offered: of so many the "
            f"likeliest {KEPT} classes of each row are kept alone, and it looks at the whole column of each class"
        )
    method, blended = competition.blend.method, competition.blend.models or competition.models
    if method in competition.blend.of_whole_tables and len(blended) > 1:
        raise UserError(
            f"{competition.name}: blend.method={method!r} of {n:,} rows and {k:,} classes is not offered: of so many "
            f"the likeliest {KEPT} classes of each row are kept alone. Leave it out, or take 'weights'"
        )
    whole, kept = gigabytes(n, k)
    left_out = " No biases of classes are fitted." if competition.scorer.rules else ""
    print(
        f"tables of {n:,} x {k:,} would take {whole:.1f} GB each: the {KEPT} likeliest classes of each row are kept "
        f"({kept:.1f} GB).{left_out}"
    )


def split(competition: Competition, ids: Texts, labels: Texts, groups: list[str] | None) -> np.ndarray:
    """The fold (m,) of each row, of cells of the column of labels, and of the group of each if there are any."""
    n, seed, rare = competition.folds.n, competition.folds.seed, competition.rare_classes
    if competition.task == "labels":
        names = () if rare or competition.limit is not None else competition.classes  # few rows may lack a label
        return folds.split_labels(ids, read_targets(competition, labels), groups, n, seed, names)
    rare = rare or competition.task == "number"  # of which quantiles are alike, and none has to be in two folds
    return folds.split(ids, strata(competition, labels), groups, n, seed, rare)


def print_folds(competition: Competition, labels: Texts, fold: np.ndarray) -> None:
    """Print the rows of each class in each fold, or the mean of numbers, and the classes that are rarer than folds."""
    numbers = range(int(fold.max()) + 1)
    if not competition.classes:
        targets = read_targets(competition, labels)
        for number in numbers:
            some = targets[fold == number]
            print(f"fold {number}  {counted(len(some), 'row')}  {competition.label} {some.mean():.4g} on average")
        return
    table = pd.DataFrame({number: count(competition, labels[fold == number]) for number in numbers})
    many = len(table) > MOST_CLASSES
    shown = table.loc[table.sum(axis=1).nlargest(LARGEST).index] if many else table
    print("\n".join(table_lines(shown)))
    if many:
        print(f"... and {len(table) - LARGEST:,} more classes, each with fewer rows")
    small = table[table.sum(axis=1) < table.shape[1]]
    for name, counts in small[:SMALL_NAMED].iterrows():
        none = int((counts == 0).sum())
        print(
            f"class {name!r} has {counted(counts.sum(), 'row')} for {table.shape[1]} folds: "
            f"{counted(none, 'fold')} {'has' if none == 1 else 'have'} none of it to score"
        )
    if (others := len(small) - SMALL_NAMED) > 0:
        print(f"... and {others} more classes have fewer rows than folds")


def table_lines(table: pd.DataFrame) -> list[str]:
    """The rows (k classes) of each fold, numbers below each other."""
    rows = [["fold", *map(str, table.columns)], *([name, *map(str, counts)] for name, *counts in table.itertuples())]
    wide = [max(map(len, column)) for column in zip(*(row[1:] for row in rows), strict=True)]
    return text.align([[row[0], *map(str.rjust, row[1:], wide)] for row in rows])


def read_groups(competition: Competition, train: pd.DataFrame, held: Units | None) -> list[str] | None:
    """The group of each train row, or unit; None where no column is named; prints one that is more than a fold."""
    if (column := competition.group) is None:
        return None
    groups = units.join_groups(held, tables.to_groups(train[column], train[competition.id]))
    sizes = pd.Series(groups).value_counts()
    if sizes.iloc[0] > max(1, len(groups) / competition.folds.n):
        print(
            f"warning: {column} {sizes.index[0]!r} has {sizes.iloc[0]} of {len(groups)} rows, more than a fold's "
            f"share: they stay in one fold (rows whose {column} is not known are to be empty there)"
        )
    return groups


def pairs_digest(competition: Competition) -> tuple[str, Any]:
    """A digest of all that clusters of near-duplicates depend on, and the encoder that brings candidates for them."""
    from src.audit import pairs  # and with it torch, for this alone
    from src.data.rows import read_parts

    key = files.as_json_value(pairs.key(competition, read_parts(competition).train))
    return files.digest(key), key["encoder"]


def near_groups(competition: Competition, groups: list[str] | None) -> list[str]:
    """A group for each train row: near-duplicates, and rows of one of `groups`, by way of others too, have the same."""
    from src.audit import duplicates, pairs
    from src.data.rows import read_parts

    data = read_parts(competition)
    links, n = pairs.find_train_pairs(competition, data).places, len(data.train)
    if data.units is not None:
        links, n = data.units[0].which[links], len(data.units[0].ids)
    cluster = duplicates.clusters(n, links)
    sizes = np.bincount(cluster)
    if (several := sizes[sizes > 1]).any():
        clusters = f"{counted(len(several), 'cluster')} of {several.sum()} train rows"
        print(f"near-duplicates: {clusters} stay together, the largest of {several.max()}")
    else:
        print("near-duplicates: none among the train rows")
    if groups is not None:
        _, first, which = np.unique(groups, return_index=True, return_inverse=True)
        links = np.concatenate([links, np.stack([first[which], np.arange(len(which))], axis=1)])
        cluster = duplicates.clusters(n, links)
    return [str(number) for number in cluster]
