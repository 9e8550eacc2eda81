"""What a competition is set to in fields of its own: folds, units, the blend, reported scores, a notebook's limits."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from src.schema.strict import Strict, Text

# https://www.kaggle.com/docs/notebooks, technical specifications: a session may take 12 hours. Competitions allow less
# time: 9 hours unless their code requirements say other.
HOURS, SESSION_HOURS = 9.0, 12.0

FEWEST_FOLDS = 3  # C and the blend's weights are chosen on the folds inside: two are needed there


class Folds(Strict):
    n: int = Field(default=5, ge=FEWEST_FOLDS)
    seed: int = Field(default=42, ge=0)
    groups: Literal["near-duplicates"] | None = None  # rows whose pictures are nearly the same stay in one fold


class Parts(Strict):
    """What train rows and test rows have each of their own."""

    train: Text
    test: Text


class Unit(Strict):
    """What a row of the submission is of, where that is not one picture: a patient's side, a stack, a burst.

    The tables have a row a picture, and models learn and predict pictures. All rows of a unit have one label; their
    predictions are combined to the unit's, which is what is stored, scored, blended and submitted:

      mean   of each column
      max    labels, numbers: of each column. One probability: the picture that has the greatest. Else of each class,
             divided by their sum
    """

    column: Text  # of the unit's id; or a pattern over columns: "{patient}_{side}"
    by: Literal["mean", "max"] = "mean"

    def __init__(self, column: str, **fields):
        super().__init__(column=column, **fields)


class Blend(Strict):
    of_whole_tables: ClassVar[tuple[str, ...]] = ("greedy", "stack")  # methods that need each class of a row

    models: tuple[Text, ...] | None = None  # None: all
    method: Literal["auto", "best", "mean", "ranks", "weights", "greedy", "stack"] = "auto"  # chosen in the folds
    csvs: tuple[Text, ...] = ()  # submissions of labels that vote beside the blend, in a file of their own


class Reported(Strict):
    """A score that somebody reported, and the model of ours to compare it with."""

    title: Text
    public: float | Text | None = None  # with all digits that the leaderboard showed; as text if the last is a 0
    private: float | Text | None = None
    valid: float | Text | None = None  # of a data set: a score on its validation rows,
    epoch: int | None = Field(default=None, ge=0)  # after so many epochs
    model: str | None = None  # one of models, or blend
    csv: Text | None = None  # their submission, where it can be had: relative to the repository's folder, or absolute
    note: str = ""  # what is contradicted, or not said

    def __init__(self, title: str, **fields):
        super().__init__(title=title, **fields)

    @model_validator(mode="after")
    def is_of_one_kind(self):
        if self.valid is not None and (self.public is not None or self.private is not None):
            raise ValueError("valid is of validation rows, public and private are a leaderboard's: make two of them")
        if self.epoch is not None and self.valid is None:
            raise ValueError("epoch says when valid was measured, and there is no valid")
        return self


class Notebook(Strict):
    """A competition's limits for notebooks."""

    hidden_rows: int | None = Field(default=None, ge=1)  # of the hidden test set; None: as many as are known
    hours: float = Field(default=HOURS, gt=0, le=SESSION_HOURS)
    gb: float | None = Field(default=None, gt=0)  # of memory; None: what Kaggle gives
    gpu: bool | None = None  # None: where this machine has one
