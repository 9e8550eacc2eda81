"""folds: writes folds.csv (id, fold), and folds.json beside it, which says of what it was made.

A folds.csv without a folds.json is somebody's own and is taken as it is.
"""

import pandas as pd

from src import files, folds, tables
from src.config import Competition
from src.errors import UserError


def run(competition: Competition) -> None:
    train = tables.read(competition).train
    ids, labels = train[competition.id].tolist(), train[competition.label].tolist()
    groups = train[competition.group].tolist() if competition.group else None
    path = competition.folds_csv
    described = path.with_suffix(".json")
    key = {
        **competition.folds.model_dump(),
        "group": competition.group,
        "rows": files.digest(sorted(zip(ids, labels, groups or labels, strict=True))),
    }
    made = files.read_json(described) or {}
    if path.exists() and (not made or made.get("key") == key):
        fold = folds.read(path, competition.id, ids)
        if made and files.sha256(path) != made.get("sha256"):
            raise UserError(
                f"{path} was changed since it was made: restore it, or delete {described.name} to use it as it is, "
                f"or delete both to make it anew"
            )
        print(f"reused {path}" + ("" if made else ", which is your own"))
    else:
        if path.exists():
            print(f"{path} is made anew: {files.changed(made.get('key'), key)}; so are the models of the old folds")
            path.unlink()
        fold = folds.split(ids, labels, groups, competition.folds.n, competition.folds.seed)
        text = pd.DataFrame({competition.id: ids, "fold": fold}).to_csv(index=False, lineterminator="\n")
        # the description first: killed in between, the folds are made again and not taken for the user's own
        files.write_json(described, {"key": key, "sha256": files.text_sha256(text)})
        files.write_text(path, text)
        print(f"wrote {path}")
    table = pd.crosstab(train[competition.label], fold).loc[list(competition.classes)]
    print(table.rename_axis(index=None, columns="fold").to_string())
    for name, counts in table.iterrows():
        if counts.sum() < table.shape[1]:
            print(
                f"class {name!r} has {counts.sum()} rows for {table.shape[1]} folds: "
                f"{(counts == 0).sum()} folds have none of it to score"
            )
