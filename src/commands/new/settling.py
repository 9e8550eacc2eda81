"""What is said of a submission and of rare classes, once the target and the pictures are known."""

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new import evaluation, submitting
from src.commands.new.answering import quoted
from src.commands.new.evaluation import Wanted
from src.commands.new.guess import Flags, Guess
from src.commands.new.roles import Roles
from src.commands.new.targets import Asked
from src.data.labels import parts, to_numbers
from src.schema.forms import DEFAULTS, Form, LabelList, OneProbability, Ranking
from src.scoring.metrics import METRICS_OF

FEWEST_ROWS = 2  # of a class that is learnt on one fold and scored on another


def settle_submission(guess: Guess, roles: Roles, wanted: Wanted, flags: Flags, pages: Mapping[str, str]) -> None:
    """Set the form of a submission and the metric, with their reasons; a class that only the sample has is one too.

    Raises:
        UserError: --metric or --positive does not fit.
    """
    where, answer = roles.sample_file, roles.answer
    answers = roles.sample[answer[0]]
    if flags.positive is not None and (guess.task != "class" or len(answer) > 1):
        raise UserError(f"--positive {flags.positive}: {where} does not ask for one probability of one class a picture")
    if guess.task == "number":
        choice = submitting.of_number(where, wanted)
    elif roles.melted:
        choice = submitting.of_rows(where, guess.task, roles.melted.row, wanted)
    elif len(answer) > 1:
        choice = submitting.of_columns(where, guess.task, wanted)
    elif guess.task == "labels":
        choice = submitting.of_labels(where, answers, guess.classes, guess.separator, wanted)
    else:
        named = evaluation.positive(pages, guess.classes)
        choice = submitting.of_class(where, answers, guess.classes, named, flags.positive, wanted)
        add_from_sample(guess, where, answers, choice.form)
    form, odd = choice.form, list(choice.odd)
    if roles.sample_id != guess.id:
        form = form.model_copy(update={"id": roles.sample_id})
    if len(answer) == 1 and answer[0] != guess.label:
        form = form.model_copy(update={"column": answer[0]})
    usual = DEFAULTS[guess.task, METRICS_OF[guess.task][choice.metric].answers]
    is_usual = type(form) is usual and form == usual() and (usual is not LabelList or guess.separator == " ")
    guess.submission = None if is_usual else form
    guess.metric = choice.metric
    guess.why |= {field: why for field, why in choice.why.items() if why}
    guess.odd += odd


def add_from_sample(guess: Guess, where: str, answers: pd.Series, form: Form) -> None:
    """Say which answers of the sample submission are no class; of a ranking, one that every row has is made a class."""
    if isinstance(form, OneProbability):
        return
    cells = [cell for cell in answers.unique() if cell != ""]
    if isinstance(form, Ranking):
        known = set(guess.classes)
        parted = [[cell] if cell in known else parts(cell, form.separator) for cell in cells]
        strange = dict.fromkeys(word for words in parted for word in words if word not in known)
        added = [word for word in strange if all(word in words for words in parted)]
        if len(added) == 1:  # of several that are in every row, none is more than an example
            guess.classes += tuple(added)
            guess.why["classes"] += f", and {examples(added)} of {where}"
        cells = [word for word in strange if word not in guess.classes]
    if strange := [cell for cell in cells if cell not in guess.classes]:
        guess.odd.append(f"{where}: its {quoted(strange[0])} is no label of a train row: should it be one?")


def rows_of(asked: Asked, train: pd.DataFrame) -> Counter:
    """The train rows of each class."""
    if asked.task == "number":
        return Counter()
    if asked.label not in train:
        return Counter(dict(zip(asked.classes, to_numbers(train[list(asked.classes)]).sum(axis=0), strict=True)))
    if asked.task == "class":
        return Counter(train[asked.label])
    return Counter(label for cell in train[asked.label] for label in set(parts(cell, asked.separator)))


def note_rare(guess: Guess, rows: Mapping[str, int]) -> None:
    """Allow classes that have fewer rows than are learnt and scored."""
    if rare := [name for name in guess.classes if rows.get(name, 0) < FEWEST_ROWS]:
        guess.rare_classes = True
        few = f"{len(rare):,} of {len(guess.classes):,} classes have no row or one, such as {quoted(rare[0])}"
        guess.why["rare_classes"] = f"{few}: they are hardly learnt"
