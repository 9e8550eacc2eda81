"""The kinds of models that a config may name; those that are fine-tuned are in finetune.py, what all answer in kind.py.

Each model is a part of a competition's config; the stage of its kind makes it. Questions about a model are answered by
its properties (`Kind`), so that nobody else asks which kind it is.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.schema.finetune import Augment, FineTune, Soup
from src.schema.kind import NO_PROBE, Kind, LabelNoise, Prompts
from src.schema.networks import Encoder, Positive

__all__ = [
    "NO_PROBE",
    "AnyModel",
    "Augment",
    "ComparedModel",
    "FineTune",
    "Kind",
    "Neighbours",
    "Pixels",
    "Probe",
    "Prompts",
    "Soup",
    "ZeroShot",
]


class Pixels(Kind):
    """A regression and a forest on small pixels, colours and gradients: the baseline that a network must beat."""

    stage: ClassVar[str] = "pixels"
    module: ClassVar[str] = "pixels.fitted"

    trees: int = Field(default=100, ge=1, le=1000)  # in the forest of each fold
    seed: int = Field(default=42, ge=0)


class ZeroShot(Encoder, Kind):
    stage: ClassVar[str] = "zeroshot"
    module: ClassVar[str] = "zeroshot"
    compared_as: ClassVar[str] = "zero-shot"
    reads_prompts: ClassVar[bool] = True
    starts_from_prompts: ClassVar[bool] = True

    # of the prompts; greedy: the templates and phrases that do best on training folds
    ensemble: Literal["all", "greedy"] = "all"
    prior: Literal["none", "train"] = "none"  # train: a bias a class, so that they are predicted as often as they occur

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        return (self,)

    def misfit(self, task: str) -> str | None:
        if task == "number":
            return "zero-shot compares pictures with texts, and a number has none: take a probe of the same clip"
        if task == "labels" and self.prior == "train":
            return "each label has a bias of its own, fitted on the training rows: leave prior out"
        return super().misfit(task)

    @model_validator(mode="after")
    def has_texts(self):
        if self.backbone is not None:
            raise ValueError("zero-shot needs a model that reads texts: clip=..., not backbone=...")
        return self


class Probe(Encoder, Kind):
    """A regression on features; C, and whether they are made unit vectors, is chosen inside each fold.

    Of one class a picture it is multinomial, of several labels logistic for each, with a C for each.
    """

    stage: ClassVar[str] = "probe"
    module: ClassVar[str] = "probe.fitted"
    compared_as: ClassVar[str] = "probe"
    reads_columns: ClassVar[bool] = True
    judges_labels: ClassVar[bool] = True

    cs: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    widen: bool = True  # go on beyond the grid of `cs` while the best value is at its edge
    normalise: Annotated[tuple[bool, ...], Field(min_length=1, max_length=2)] = (True, False)  # what is tried
    class_weight: Literal["none", "balanced"] = "none"
    views_as: Literal["mean", "rows"] = "mean"  # a picture's views: one mean vector, or training rows of their own
    beside: tuple[Encoder, ...] = ()  # further encoders, whose features stand beside these
    # what the config's `columns` are multiplied by, once their standard deviation is 1; features of unit length are 1
    # in all. Left as it is, no key names it
    columns_scale: Annotated[Positive, Field(exclude_if=lambda value: value == 1)] = 1.0
    towards: Literal["zero", "zeroshot"] = "zero"  # where the penalty pulls: no weights, or the zero-shot classifier
    # what learns a number: ridge regression (C is 1 / alpha), or logistic regression of its share of the span. No key
    # names the first
    number: Annotated[Literal["ridge", "share"], Field(exclude_if=lambda value: value == "ridge")] = "ridge"
    label_noise: LabelNoise = "keep"
    solver: Literal["batched", "scikit-learn"] = "batched"
    tol: float = Field(default=1e-6, gt=0)  # of the gradient

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """Itself and those beside it."""
        return self, *self.beside

    @property
    def looks_for_wrong_labels(self) -> bool:
        return self.label_noise != "keep"

    @property
    def reads_prompts(self) -> bool:
        return self.towards == "zeroshot"

    def n_learnt(self, d: int, k: int) -> int:
        return k * (1 + d)

    def misfit(self, task: str) -> str | None:
        if task != "class" and self.towards == "zeroshot":
            return f"towards='zeroshot' is for one class a picture, not for task={task!r}: leave it out"
        if task == "number" and self.class_weight != "none":
            return "class_weight is of classes and labels, and a number has none: leave it out"
        if task != "number" and self.number != "ridge":
            return f"number={self.number!r} is for task='number', not for task={task!r}: leave it out"
        return super().misfit(task)

    @model_validator(mode="after")
    def options_fit(self):
        if len(set(self.normalise)) < len(self.normalise) or len(set(self.cs)) < len(self.cs):
            raise ValueError("a value is named twice in normalise or cs")
        if self.views_as == "rows" and any(encoder.views != self.views for encoder in self.beside):
            raise ValueError("views_as='rows' needs the same views of all encoders")
        if self.towards == "zeroshot" and self.clip is None:
            raise ValueError("towards='zeroshot' needs a model that reads texts: clip=..., not backbone=...")
        if self.solver == "scikit-learn" and self.towards != "zero":
            raise ValueError("scikit-learn pulls towards zero only: solver='batched'")
        if self.solver == "scikit-learn" and self.number != "ridge":
            raise ValueError("scikit-learn's logistic regression learns no shares: solver='batched'")
        return self


class Neighbours(Encoder, Kind):
    """The votes of the training rows whose features are most alike: for many classes of few rows each."""

    stage: ClassVar[str] = "neighbours"
    module: ClassVar[str] = "neighbours.fitted"

    # What is tried inside each fold: see src/models/neighbours
    ks: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)] = (1, 3, 5, 10, 20, 50)
    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.02, 0.05, 0.1, 0.2, 0.5)
    priors: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.01, 0.1, 1.0)

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        return (self,)


AnyModel = Pixels | ZeroShot | Probe | Neighbours | FineTune | Soup  # the kinds of a config's models
ComparedModel = ZeroShot | Probe | FineTune  # those of them that have a `compared_as`
