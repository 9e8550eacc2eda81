"""The words for the classes in CLIP's prompts: their names as words, or the names that a file has for codes."""

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from src.commands.new.guess import Guess
from src.commands.new.looking import Contents

CODE = re.compile(r"[a-z]{0,2}_?\d+", re.IGNORECASE)  # classes called so have names elsewhere, if any


def find(contents: Contents, guess: Guess) -> None:
    """Set the words of the classes, where these are not the classes' own names."""
    if not all(map(CODE.fullmatch, guess.classes)):
        guess.words = {label: words for label in guess.classes if (words := spoken(label)) != label}
        if guess.words:
            guess.why["words"] = "the classes' names as words"
        return
    for name, known in lists(contents, guess):
        words = [known.get(label, "") for label in guess.classes]
        if all(words) and len(set(words)) == len(words) and not all(map(CODE.fullmatch, words)):
            guess.words = {label: spoken(word) for label, word in zip(guess.classes, words, strict=True)}
            guess.why["words"] = f"the classes are codes, whose names are in {name}"
            return
    guess.why["words"] = "the classes are codes: say in prompts.classnames what CLIP is to call them"


def lists(contents: Contents, guess: Guess) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Tables of names that the classes could have, {code: name}, each with its file."""
    for name, known in contents.lists.items():
        yield name, known
        yield name, {value: key for key, value in known.items()}
    files = (guess.train,) if isinstance(guess.train, str) else guess.train
    for train in (contents.tables[name] for name in files[:1] if name in contents.tables):
        for column in train if guess.label in train else ():
            yield files[0], one_to_one(train[guess.label], train[column])
    for name, df in contents.tables.items():
        for code in df:
            if df[code].is_unique and set(df[code]) >= set(guess.classes):
                for words in df:
                    yield name, dict(zip(df[code], df[words], strict=True))


def one_to_one(labels: pd.Series, column: pd.Series) -> dict[str, str]:
    """The names of the labels in another column; nothing where one has several names."""
    pairs = set(zip(labels, column, strict=True))
    return dict(pairs) if len(pairs) == labels.nunique() else {}


def spoken(name: str) -> str:
    """A class as a person would say it: Cassava_Mosaic_Disease_(CMD) is Cassava Mosaic Disease."""
    words = re.sub(r"\s*\([^)]*\)$", "", " ".join(name.replace("_", " ").split()))
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words) or name
