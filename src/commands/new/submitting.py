"""What a submission holds, and the metric: by the sample submission and a metric that somebody named, or guesses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new import answering
from src.commands.new.answering import SEPARATORS
from src.commands.new.evaluation import Wanted
from src.commands.new.guess import names_in
from src.data.labels import parts
from src.schema.forms import Form, Label, LabelList, LabelRows, OneNumber, OneProbability, Probabilities, Ranking
from src.scoring.metrics import METRICS_OF

# What is predicted of the labels 0 and 1, or of the like in words
POSITIVE = re.compile(r"(?i)1|1\.0|true|yes|y|t|positive|pos|present|abnormal")
NOTHING = re.compile(
    r"(?i)(no|not|non|without)([_\W].*|ne)?|0|normal|healthy|negative|neg|background|cover|absent|unknown"
)
WEIGHTED = re.compile(r"(?i)(?<!un)weighted\b[^.]*\blog")
FEW = 4  # metrics of a kind that are named beside a guess
NONE = re.compile(r"(?i)(new|none|no|unknown|other|unseen)([_\W\d]|$)")  # a class of what is none of the others
# The commonest metric of each kind of answer, where nobody names one
WHAT = {"labels": "labels", "number": "a number a picture"}
USUAL = {
    ("class", "labels"): "accuracy",
    ("class", "probabilities"): "log_loss",
    ("labels", "probabilities"): "auc",
    ("labels", "labels"): "micro_f1",
    ("number", "number"): "rmse",
}


@dataclass(frozen=True)
class Choice:
    """What a submission holds, and the metric."""

    form: Form
    metric: str
    why: Mapping[str, str]  # of submission and metric
    odd: list[str]


def of_columns(where: str, task: str, wanted: Wanted) -> Choice:
    """The choice where the sample submission has a column for each class."""
    return choose(where, task, {"probabilities": Probabilities()}, "a column of probabilities a class", wanted)


def of_rows(where: str, task: str, row: str, wanted: Wanted) -> Choice:
    """The choice where the sample submission has a row for each picture and label, whose ids are made as `row` says."""
    forms, has = {"probabilities": LabelRows(row=row)}, "a row a picture and label"
    return choose(where, task, forms, has, wanted, usual="log_loss")  # as both such competitions of the RSNA


def of_number(where: str, wanted: Wanted) -> Choice:
    return choose(where, "number", {"number": OneNumber()}, WHAT["number"], wanted)


def of_own(task: str, separator: str, wanted: Wanted) -> Choice:
    """The choice for pictures of one's own, whose source writes a sample submission with a column of labels."""
    own = {"class": Label(), "labels": LabelList() if separator == " " else LabelList(separator=separator)}
    form = own.get(task, OneNumber())
    return choose("the source's table", task, {form.answers[0]: form}, WHAT[form.answers[0]], wanted)


def of_labels(where: str, answers: pd.Series, classes: Sequence[str], separator: str, wanted: Wanted) -> Choice:
    """The choice where the sample submission has several labels in a cell, with its own separator if it has one."""
    unused = [one for one in SEPARATORS if not any(one in label for label in classes)]
    parted = [one for one in unused if answers.str.strip().str.contains(re.escape(one)).any()]
    between = next(one for one in (*[one for one in (separator,) if one in parted], *parted, separator, *unused))
    form = LabelList() if between == " " else LabelList(separator=between)
    choice = choose(where, "labels", {"labels": form}, "labels", wanted)
    if answering.is_listed(answers):
        choice.odd.append(
            f"{where} has lists in brackets, as {answering.quoted(answers[answers != ''].iloc[0])}: a submission will "
            f"have the labels alone, parted by {between!r}: write the brackets yourself if Kaggle asks for them"
        )
    return choice


def of_class(
    where: str, answers: pd.Series, classes: Sequence[str], named: str | None, flag: str | None, wanted: Wanted
) -> Choice:
    """The choice where the sample submission has one column, and a picture has one of the classes.

    Args:
        where: The sample submission's file.
        answers: Its cells.
        named: The class that a page wants the probability of, if one says so.
        flag: The value of --positive.

    Raises:
        UserError: --metric, or --positive, does not fit.
    """
    cells, known = [cell for cell in answers.unique() if cell != ""], set(classes)
    if (parted := ranked(cells, known)) is not None:
        separator, k = parted
        named_metric = METRICS_OF["class"].get(wanted.of("class"))
        of_ranking = named_metric is not None and named_metric.answers == "ranking"
        if not of_ranking and all(re.fullmatch(r"0,\d+", cell) for cell in cells):
            raise UserError(
                f"{where}: the column {answers.name!r} has {cells[0]!r}: a probability with a decimal comma? write it "
                "with a point; or several labels, best first? then name the metric of these by --metric, as map5"
            )
        metric = next((name for name in (f"map{k}", "map5") if name in METRICS_OF["class"]), "map5")
        has = f"{k} labels in a cell, where a train row has one: the likeliest first"
        fields = {} if separator == " " else {"separator": separator}
        first = {cell.split(separator)[0].strip() for cell in cells}
        if len(first) == 1 and NONE.match(next(iter(first))):
            fields["none"] = first.pop()
        form = Ranking(k=k, **fields)
        return choose(where, "class", {"ranking": form}, has, wanted, usual=metric)
    numbers = pd.to_numeric(pd.Series(cells), errors="coerce")
    are_classes = numbers.isin(pd.to_numeric(pd.Series(list(known)), errors="coerce").dropna())  # 0 for 0.0 too
    fractions = len(cells) > 0 and bool(numbers.between(0, 1).all()) and not (set(cells) <= known or are_classes.all())
    forms: dict[str, Form] = {}
    if flag is not None or len(classes) == 2 or fractions:
        positive, why_positive = positives(classes, str(answers.name), named, flag)
        forms["probabilities"] = OneProbability(*positive)
    if fractions:
        has = f"a probability a picture, as {cells[0]}"
        usual = "auc"
    else:
        forms = {"labels": Label(), **forms}
        if len(classes) > 2:
            forms["ranking"] = Ranking()
        has, usual = "labels" if cells else "blank cells, for labels", "accuracy"
        if "probabilities" in forms and (flag is not None or bool(numbers.between(0, 1).all())):
            shown = f"{' and '.join(cells[:2]) or 'blank'} in every row"
            has = f"{shown}: labels, or a probability of {examples(positive)}?"
            usual = "auc"
    choice = choose(where, "class", forms, has, wanted, usual=usual)
    if isinstance(choice.form, OneProbability):
        choice.why["submission"] = f"the probability of {examples(positive)}: {why_positive}"
        if "guess" in why_positive:
            choice.odd.append(f"submission: {choice.why['submission']}: --positive CLASS --force takes another")
    return choice


def ranked(cells: Sequence[str], known: set[str]) -> tuple[str, int] | None:
    """The separator and the most labels in a cell of several, best first; None where a cell has one.

    They are train rows' labels; or codes of their kind, as many in each cell, where a label has no separator in it.
    """
    for separator in SEPARATORS:
        parted = [parts(cell, separator) for cell in cells if separator in cell.strip() and cell not in known]
        words = {word for words in parted for word in words}
        if not parted or len(parted) < 0.5 * len(cells):
            continue
        as_many = len(parted) == len(cells) and len(set(map(len, parted))) == 1
        others = {word for word in words - known if not NONE.match(word)}
        are_codes = as_many and not any(separator in name for name in known) and answering.are_codes_of(others, known)
        if are_codes or 2 * len(words & known) >= len(words):
            return separator, max(map(len, parted))
    return None


def positives(classes: Sequence[str], column: str, named: str | None, flag: str | None) -> tuple[tuple[str, ...], str]:
    """The classes whose probability is asked for, and the reason.

    Raises:
        UserError: --positive names another class, or all of them.
    """
    if flag is not None:
        chosen = names_in("--positive", flag, classes)
        if len(chosen) == len(classes):
            raise UserError("--positive names every class: their sum is 1 in every row: leave one out")
        return chosen, "as you said"
    if len(classes) == 2 and len(true := [name for name in classes if POSITIVE.fullmatch(name)]) == 1:
        return (true[0],), "by its name"
    if named is not None:
        return (named,), "a page in the folder asks for the probability of that"
    words = {word for word in re.split(r"[\W_]+", column.lower()) if word}
    nothing = [name for name in classes if NOTHING.fullmatch(name)]
    if len(called := [name for name in classes if name.lower() in words and name not in nothing]) == 1:
        return (called[0],), f"the column is called {column!r}"
    if len(nothing) == 1:
        return tuple(name for name in classes if name not in nothing), f"all but {nothing[0]!r}"
    return (classes[-1],), "a guess, as the last of the classes"


def choose(
    where: str, task: str, forms: Mapping[str, Form], has: str, wanted: Wanted, usual: str | None = None
) -> Choice:
    """The metric, and the form for it among those by what they hold; the first is for a metric that nobody named.

    Raises:
        UserError: --metric fits none of the forms.
    """
    known, odd = METRICS_OF[task], []
    fitting = [name for name, metric in known.items() if metric.answers in forms]
    usual = usual or USUAL[task, next(iter(forms))]
    name = wanted.of(task)
    if name is None and wanted.is_of_numbers and task != "number":
        said = f"--metric {wanted.said}" if wanted.flagged else wanted.why
        raise UserError(
            f"{said}, which is of numbers (regression), and the labels here are no numbers: if they are right, name "
            "one of our metrics of classes by --metric"
        )
    if wanted.flagged and name not in fitting:
        raise UserError(f"--metric {wanted.said} does not fit {where}, which has {has}: one of {', '.join(fitting)}")
    if name in fitting:
        metric, why = name, wanted.why
        if metric == "log_loss" and WEIGHTED.search(wanted.said):
            odd.append(f"{wanted.why}: its weights are not known here: metric='log_loss' stands in for it, without any")
    else:
        metric, why = usual, f"a guess: {where} has {has}"
        others = {kind: [one for one in fitting if one != metric and known[one].answers == kind] for kind in forms}
        shown = "; ".join(
            examples(fit, FEW) + (f" (of {kind})" if len(forms) > 1 else "") for kind, fit in others.items() if fit
        )
        fit = f"; others that fit: {shown}: --metric NAME --force takes one" if shown else ""
        if wanted.said:
            problem = "which is none of ours for this" if name is None else "for which it has the wrong cells"
            odd.append(f"{where} has {has}; {wanted.why}, {problem}: metric={metric!r} stands in for it{fit}")
        else:
            odd.append(f"metric={metric!r} is a guess: {where} has {has}{fit}")
    form = forms[known[metric].answers]
    if form == Ranking() and metric[3:].isdigit():  # no cell shows how many
        form = Ranking(k=int(metric.removeprefix("map")))
    return Choice(form, metric, {"metric": why, "submission": ""}, odd)
