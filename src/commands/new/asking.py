"""What Kaggle says of a competition beside its files: the title and the metric. Nothing depends on it."""

import re

from src.base.errors import UserError
from src.commands.new.guess import Guess
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.scoring.metrics import METRICS

CALLED = {spelt: name for name, metric in METRICS.items() for spelt in metric.kaggle_names}
OF_NUMBERS = re.compile(r"rmse|mse|mae|r2|root ?mean|mean ?(squared|absolute) ?error", re.IGNORECASE)


def ask(slug: str) -> tuple[str | None, str | None]:
    """The title and the metric, as Kaggle has them; None where it does not say, or nobody may ask it."""
    if credentials.winner() is None:
        return None, None
    try:
        with kaggle_api.session(slug, f"the metric of {slug}") as api:
            known = kaggle_api.competition(api, slug)
    except UserError as error:
        print(f"Kaggle does not tell the metric, which is taken by the sample submission: {error}")
        return None, None
    return known.title or None, known.evaluation_metric or None


def take_kaggle_metric(guess: Guess, said: str) -> None:
    """Takes Kaggle's metric, if it is one of ours and fits the sample submission.

    Raises:
        UserError: It is one of numbers, a regression.
    """
    if OF_NUMBERS.match(said):
        raise UserError(
            f"Kaggle scores by {said!r}, which is of numbers (regression), and here each picture has one class; if its "
            "answers are classes after all, name one of our metrics by --metric"
        )
    metric = CALLED.get(re.sub(r"[\W_]+", "", said.lower()))
    if metric is None:
        guess.odd.append(f"Kaggle scores by {said!r}, which is none of ours: metric={guess.metric!r} stands in for it")
    elif METRICS[metric].of_labels != METRICS[guess.metric].of_labels:
        guess.odd.append(f"Kaggle scores by {said!r}, for which the sample submission has the wrong columns: is it so?")
    else:
        guess.metric, guess.why["metric"] = metric, f"Kaggle scores by {said!r}"
