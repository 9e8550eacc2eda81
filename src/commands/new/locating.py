"""The column, or the pattern over columns, by which a table names its pictures."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import product

import pandas as pd

from src.base.errors import UserError, unknown
from src.base.text import examples
from src.commands.new import sharding
from src.commands.new.looking import Contents, other_spelling, picture_places
from src.commands.new.sharding import VALUES_TRIED
from src.commands.new.ways import PARTS, USUAL, Way, of_one_format, several_pictures
from src.data.locating import ANY_ENDING, composed, plain_ending
from src.data.patterns import fill
from src.data.tables import image_name
from src.schema.settings import Parts

SPECIAL = re.compile(r"[.\[\]{}!:]")  # what a field of a pattern that lists files cannot have
SPECIAL_TEXT = re.compile(r"[{}]")  # nor can the text around its fields have these
NO_FIELD = re.compile(r"[{}!:]|^part$")  # and that of one over columns, in which {part} is train or test


class NotFound(UserError):
    """No column names the pictures."""


def find(contents: Contents, frames: Mapping[str, pd.DataFrame], flag: str | None) -> Way:
    """The one way that finds the most pictures of train and test.

    Args:
        frames: By part.
        flag: The value of --image, a column or a pattern.

    Raises:
        NotFound: None finds them.
        UserError: That of the flag does not, or several find as many and not the same.
    """
    common = [column for column in frames["train"] if column in frames["test"]]
    if flag is not None and "{" in flag:
        return pattern_way(contents, frames, flag, common)
    if flag is not None and flag not in common:
        raise UserError("--image: " + unknown("column", flag, common) + ", which train and test have")
    columns = [column for column in common if flag in (None, column)]
    ways = [way for column in columns for way in column_ways(contents, frames, column)]
    unfit = [way.column for way in ways if "{" in way.image and NO_FIELD.search(way.column)]
    ways = [way for way in ways if "{" not in way.image or way.column not in unfit]
    # as train/{species}/{file} beside test/{file}, where no text is the same in front of all names
    if all(way.strangeness for way in ways):
        ways += [way for column in columns if (way := way_of_parts(contents, frames, column)) is not None]
    if unfit and not ways:
        name, reason = unfit[0], "{part} is train or test" if unfit[0] == "part" else "of { } : !"
        raise UserError(f"pictures are named by the column {name!r}, which no pattern can have ({reason}): rename it")
    if not ways:
        raise NotFound(
            f"no picture is found by what train and test both have, {flag or examples(common)}: "
            f"{picture_places(contents)}: {remedy(contents, frames, columns)}"
        )
    least = min(sum(way.missing.values()) for way in ways)
    best = [way for way in ways if sum(way.missing.values()) == least]
    # numbers of another kind, such as ages, may be names of pictures too, but not of one each
    best = [way for way in best if all(len(set(paths)) == len(paths) for paths in way.paths.values())] or best
    # where an ending finds as many as any does, it is the one
    best = [way for way in best if isinstance(way.image, Parts) or not way.image.endswith(ANY_ENDING)] or best
    best = of_one_format(best)
    best.sort(key=lambda way: ("{" in str(way.image), len(str(way.image))))  # a column before a pattern
    if (several := several_pictures(best, frames)) is not None:
        return several
    if others := [way for way in best if way.paths != best[0].paths]:
        several = examples(f"{way.column} ({way.paths['train'][0]})" for way in (best[0], *others))
        image = best[0].image.train if isinstance(best[0].image, Parts) else best[0].image
        pattern = image if "{" in image else f"{best[0].images}/{{{image}}}".lstrip("/")
        raise UserError(f"pictures are found in several ways, {several}: choose by --image, such as '{pattern}'")
    return best[0]


def remedy(contents: Contents, frames: Mapping[str, pd.DataFrame], columns: list[str]) -> str:
    """What to do where no column of both parts names pictures of both."""
    for part, column in product(PARTS, columns):
        if spelt := other_spelling(contents, frames[part][column]):
            return spelt
    for column in columns:
        train, test = (affixes(contents, frames[part][column].tolist(), part) for part in PARTS)
        if train and not test:
            example = frames["test"][column].iloc[0]
            return (
                f"those of train rows are found by {column}, and none of a test row, as {example!r}: fetch "
                "them or, if Kaggle hides them, put copies of some train pictures there, called so"
            )
    return "give the pattern, as --image '{part}/{id}.jpg' (part: train or test)"


def pattern_way(contents: Contents, frames: Mapping[str, pd.DataFrame], pattern: str, common: list[str]) -> Way:
    """The way by the pattern of --image."""
    try:
        paths = {
            part: tuple(
                contents.picture(image_name(pattern, part, row)) for row in frames[part][common].to_dict("records")
            )
            for part in PARTS
        }
    except KeyError as error:
        raise UserError("--image: " + unknown("column", error.args[0], [*common, "part"])) from error
    except (ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"--image {pattern!r} is no pattern over columns ({error}), as '{{part}}/{{id}}.jpg'"
        ) from error
    way = Way(pattern, "", None, paths, missing(contents, paths))
    for part in PARTS:
        if way.missing[part] == len(paths[part]):
            raise UserError(
                f"--image {pattern!r}: there is no {paths[part][0]} of the {part} rows: {picture_places(contents)}"
            )
    return way


def missing(contents: Contents, paths: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    return {part: sum(path not in contents.pictures for path in paths[part]) for part in PARTS}


def column_ways(contents: Contents, frames: Mapping[str, pd.DataFrame], column: str) -> list[Way]:
    """The ways by one column, in which most rows of both parts have their picture."""
    ways = []
    around = (affixes(contents, frames[part][column].tolist(), part) for part in PARTS)
    for (train, suffix), (test, other) in product(*around):
        folder = shared_folder(train, test)
        if folder is None or suffix != other or "{" in train + suffix:
            continue
        paths = {
            part: tuple(contents.picture(f"{before}{value}{suffix}") for value in frames[part][column])
            for part, before in zip(PARTS, (train, test), strict=True)
        }
        if not suffix and "{part}" not in folder and not folder.rpartition("/")[2]:
            ways.append(Way(column, folder.rstrip("/"), column, paths, missing(contents, paths)))
        else:
            ways.append(Way(f"{folder}{{{column}}}{suffix}", "", column, paths, missing(contents, paths)))
    return ways or sharded_ways(contents, frames, column)


def sharded_ways(contents: Contents, frames: Mapping[str, pd.DataFrame], column: str) -> list[Way]:
    """The way by one column whose first signs are the names of the folders of a picture: a/8/a82b23b0bb50.npy."""
    image = sharding.pattern(contents, {part: frames[part][column] for part in PARTS})
    if image is None:
        return []
    paths = {part: tuple(image_name(image, part, {column: value}) for value in frames[part][column]) for part in PARTS}
    lacking = missing(contents, paths)
    return [Way(image, "", column, paths, lacking)] if all(2 * lacking[one] <= len(paths[one]) for one in PARTS) else []


def way_of_parts(contents: Contents, frames: Mapping[str, pd.DataFrame], column: str) -> Way | None:
    """The way by one column where each part has a pattern of its own, whose folders may be other columns' values."""
    if NO_FIELD.search(column):
        return None
    found = {part: pattern_of(contents, frames[part], column, part) for part in PARTS}
    if None in found.values():
        return None
    paths = {
        part: tuple(contents.picture(fill(found[part], row)) for row in frames[part].to_dict("records"))
        for part in PARTS
    }
    shared = shared_folder(found["train"], found["test"])
    return Way(shared or Parts(**found), "", column, paths, missing(contents, paths))


def pattern_of(contents: Contents, df: pd.DataFrame, column: str, part: str) -> str | None:
    """The pattern over columns of the paths of pictures that are called by a column; None where there is none.

    Each folder of the path is one text in all rows, or the value of one column.
    """
    (other,) = set(PARTS) - {part}
    rows = []
    for row in df[df[column] != ""].head(VALUES_TRIED).to_dict("records"):
        paths = [path for path in contents.named.get(plain_ending(row[column]), ()) if "/" in path]
        paths.sort(key=lambda path: not path.lower().endswith(USUAL))
        own = [path for path in paths if part in path.lower()] or [path for path in paths if other not in path.lower()]
        rows += [(row, path) for path in own if path.rpartition("/")[2].startswith(row[column])][:1]
    depths = {path.count("/") for _, path in rows}
    if not rows or len(depths) > 1 or "/" in rows[0][0][column]:
        return None
    suffixes = {path.rpartition("/")[2].removeprefix(row[column]) for row, path in rows}
    suffix = suffixes.pop() if len(suffixes) == 1 else ANY_ENDING
    pattern = []
    for texts in zip(*(path.split("/")[:-1] for _, path in rows), strict=True):
        own = [*zip(rows, texts, strict=True)]
        fields = [name for name in df if not NO_FIELD.search(name) and all(row[name] == text for (row, _), text in own)]
        if len(set(texts)) > 1 and not fields:
            return None
        pattern.append(f"{{{fields[0]}}}" if len(set(texts)) > 1 else texts[0])
    if SPECIAL_TEXT.search("".join(text for text in pattern if not text.startswith("{")) + suffix):
        return None
    whole = "/".join([*pattern, f"{{{column}}}{suffix}"])
    paths = [contents.picture(fill(whole, row)) for row in df.to_dict("records")]
    return whole if 2 * sum(path in contents.pictures for path in paths) >= len(paths) else None


def affixes(contents: Contents, values: list[str], part: str) -> list[tuple[str, str]]:
    """The texts before and behind the values in the paths of pictures, those that most values have."""
    tried = {}
    some = [value for value in dict.fromkeys(values) if value][:VALUES_TRIED]
    for value in some:
        for path in contents.named.get(plain_ending(value.rpartition("/")[2]), ()):
            plain = plain_ending(path)
            for suffix in ("", "." + path.rpartition(".")[2]):
                whole = plain_ending(value + suffix)
                if plain == whole or plain.endswith(f"/{whole}"):
                    before = plain.removesuffix(whole)
                    tried |= {(before, suffix): None, (before, suffix and ANY_ENDING): None}
    if not tried and len(set(values)) == len(values):  # a label may be in many names
        tried = surroundings(contents, some)
    frequent = [
        (before, suffix)
        for before, suffix in tried
        if 2 * sum(contents.picture(f"{before}{value}{suffix}") in contents.pictures for value in values) >= len(values)
    ]
    # where both parts count from 1, a train row's id is a test picture's too
    (other,) = set(PARTS) - {part}
    own = [pair for pair in frequent if part in pair[0].lower() or other not in pair[0].lower()]
    return own or frequent


def surroundings(contents: Contents, values: list[str]) -> dict[tuple[str, str], None]:
    """The texts before and behind most of the values, where these are a part of pictures' names: P7 of P7_frontal.jpg.

    A number is not found in the digits of another, nor a word in the letters of another.
    """
    found = Counter()
    for value in map(composed, values):
        kinds = [r"\d" if end.isdigit() else r"[^\W\d_]" for end in (value[0], value[-1])]
        expression = re.compile(rf"(?<!{kinds[0]}){re.escape(value)}(?!{kinds[1]})")
        pairs = set()
        for path in contents.pictures:
            name = composed(path)
            if value not in name or "{" in name or "}" in name:
                continue
            for match in expression.finditer(name, name.rfind("/") + 1):
                before, behind = name[: match.start()], name[match.end() :]
                pairs |= {(before, behind), (before, behind and behind.rpartition(".")[0] + ANY_ENDING)}
        found.update(dict.fromkeys(pairs, 1))
    return {pair: None for pair, n in found.items() if 2 * n >= len(values)}


def shared_folder(train: str, test: str) -> str | None:
    """One text for the folders of both parts, with {part} in it where they differ by that; None: there is none."""
    if train == test:
        return train
    pattern = train.replace("train", "{part}")
    return pattern if pattern.replace("{part}", "test") == test else None
