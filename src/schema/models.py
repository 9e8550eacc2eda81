"""The schema of models: pixels, zero-shot, probes, fine-tuning by a recipe, soups of fine-tuned models.

Each model is a part of a competition's config; the stage of its kind makes it. Questions about a model are answered by
its properties (`Kind`), so that nobody else asks which kind it is. Each default of fine-tuning names its source; what a
paper's authors use beyond it is in src/configs/corn.py.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from src.base.errors import unknown
from src.schema.networks import Encoder, Exact, Network, Positive, Precision
from src.schema.strict import Strict, Text

Share = Annotated[float, Field(ge=0, le=1)]
# What is done to training rows whose labels are doubtful (src/scoring/label_noise.py): nothing, or they are left out.
# Held-out rows are scored with the labels as given. Left as it is, no key names it.
LabelNoise = Annotated[Literal["keep", "drop"], Field(exclude_if=lambda value: value == "keep")]
NO_PROBE = "a probe judges the labels, and there is none among the models: add one"


class Prompts(Strict):
    """The texts of zero-shot: each template is filled with each phrase of each class."""

    templates: tuple[Text, ...] = ()
    class_templates: dict[str, tuple[Text, ...]] = {}  # class: its own templates, instead of the common ones
    classnames: dict[str, tuple[Text, ...]] = {}  # class: its phrases; a class that is not here is its own phrase

    @model_validator(mode="after")
    def are_whole(self):
        if not self.templates and not self.class_templates:
            raise ValueError("there is no template: give templates, or class_templates")
        for template in (*self.templates, *(one for own in self.class_templates.values() for one in own)):
            if template.count("{}") != 1 or template.replace("{}", "").count("{"):
                raise ValueError(f"the template {template!r} needs one {{}}, where the class goes")
        for label, phrases in self.classnames.items():
            if not phrases:
                raise ValueError(f"classnames: the class {label!r} has no phrase: give it one, or leave it out")
        return self

    def templates_of(self, label: str) -> tuple[str, ...]:
        return self.class_templates.get(label, self.templates)

    def phrases_of(self, label: str) -> tuple[str, ...]:
        return self.classnames.get(label, (label,))

    def texts(self, label: str) -> list[str]:
        """The texts of a class: every template with every phrase."""
        return [template.format(phrase) for phrase in self.phrases_of(label) for template in self.templates_of(label)]


class Kind(Strict):
    """The answers of a model to others' questions, by default those of a kind that has nothing to do with them."""

    precision: Precision = "auto"

    stage: ClassVar[str]  # the stage that makes it
    module: ClassVar[str]  # in src/models/: its `load` gives the fitted model; see src/models/fitted.py
    compared_as: ClassVar[str | None] = None  # its kind in compare.csv; None: `compare` leaves it out
    is_trained: ClassVar[bool] = False  # whether it is a network of its own, and its epochs have a history
    judges_labels: ClassVar[bool] = False  # whether it can find the doubtful labels for others
    # These may be properties of a kind:
    reads_prompts: ClassVar[bool] = False
    starts_from_prompts: ClassVar[bool] = False  # whether it is CLIP's zero-shot classifier before it learns anything
    looks_for_wrong_labels: ClassVar[bool] = False  # in its training rows
    needs_judge: ClassVar[bool] = False  # whether one that `judges_labels` must find those of its training rows first
    ingredients: ClassVar[tuple[str, ...]] = ()  # the models that it is made of

    @property
    def encoders(self) -> "tuple[Encoder, ...]":
        """The encoders whose features of every picture it reads."""
        return ()

    @property
    def weights_from(self) -> "tuple[Encoder | FineTune, ...]":
        """The networks that have weights of their own to start from."""
        return self.encoders

    @property
    def encoders_to_predict(self) -> "tuple[Encoder, ...]":
        """The encoders whose weights and texts a finished model still needs for new pictures."""
        return self.encoders

    @property
    def features_to_predict(self) -> "tuple[Encoder, ...]":
        """The encoders whose features of the train rows a finished model still needs for new pictures."""
        return self.encoders

    def n_learnt(self, d: int, k: int) -> int:
        """The number of parameters that it learns of d features and k classes, on top of its encoders."""
        return 0

    def scheduled(self, rows: int) -> Self:
        """The model as it is trained on so many rows, which is what its key names."""
        return self

    def misfit(self, task: str) -> str | None:
        """What of it does not go with the competition's task, and what to do, as the end of a sentence; None: all does.

        The tasks are those of src/scoring/targets.py.
        """
        if task != "class" and self.looks_for_wrong_labels:
            return (
                f"doubtful labels are found where a picture has one class, not for task={task!r}: leave label_noise out"
            )
        return None

    def check_against(self, name: str, models: "Mapping[str, Kind]", prompts: Prompts | None) -> None:
        """Compare it, by its own name, with the config's other models and its prompts; a ValueError if one lacks.

        Raises:
            ValueError: It asks for what the config does not have.
        """
        if self.reads_prompts and prompts is None:
            raise ValueError(f"prompts are missing: the model {name!r} needs them")


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


class Augment(Strict):
    """An albumentations transform by its name and arguments: Augment("Affine", rotate=(-10, 10), p=0.5)."""

    name: Text
    args: dict[str, Any] = {}

    def __init__(self, name: str, /, **args):
        super().__init__(name=name, args=args)


class FineTune(Network, Kind):
    """A timm backbone, or a CLIP's image tower, trained on each fold's training rows for a fixed number of epochs."""

    stage: ClassVar[str] = "finetune"
    module: ClassVar[str] = "finetune.fitted"
    compared_as: ClassVar[str] = "fine-tuned"
    is_trained: ClassVar[bool] = True
    # Fields of the network, and of the weights that all its runs start from.
    of_network: ClassVar[tuple[str, ...]] = (
        *("backbone", "pretrained", "backbone_args", "clip", "weights", "weights_file", "head", "img_size", "seed"),
        *("mean", "std", "interpolation", "margin", "margin_scale"),
    )
    # Fields that do not reach a run's weights: a change of them trains nothing again. What is of the model alone does
    # not reach a run's tables of probabilities either.
    of_tables: ClassVar[frozenset[str]] = frozenset({"views", "wise_ft"})
    of_model: ClassVar[frozenset[str]] = frozenset({"seeds", "temperature"})
    backbone_fields: ClassVar[tuple[str, ...]] = ("pretrained", "backbone_args")

    # of a CLIP: the linear head starts from the zero-shot classifier (Wortsman et al. 2022, WiSE-FT) or from a probe
    # on the fold's training rows (Kumar et al. 2022, LP-FT); None: zeroshot. A backbone's head is always random.
    head: Literal["zeroshot", "probe", "random"] | None = None

    # The recipe
    epochs: int = Field(ge=1)  # at most, where there are max_steps
    # of the optimizer: where an epoch has many, fewer epochs, so that a --limit and all rows are one config. No key
    # names it: the key has the epochs
    max_steps: int | None = Field(default=None, ge=1, exclude_if=lambda value: value is None)
    lr: float = Field(gt=0, lt=10)  # the peak, for AdamW; `./run.sh <competition> find_lr` suggests one
    # the peak of the head alone, which is new where the rest is not; None: lr. find_lr keeps their ratio. No key names
    # it where it is None
    head_lr: float | None = Field(default=None, gt=0, lt=10, exclude_if=lambda value: value is None)
    batch_size: int = Field(default=64, ge=1)
    micro_batch: int | None = Field(default=None, ge=1)  # images at a time, gradients are summed; None: batch_size
    weight_decay: float = Field(default=0.05, ge=0)  # not of biases and norms; as in BEiT, Swin and ConvNeXt
    layer_decay: float | None = Field(default=None, gt=0, le=1)  # lr of a layer to the next: BEiT 0.65 to 0.9
    warmup_epochs: float = Field(default=1.0, ge=0)  # linear, then half a cosine to 0 (Loshchilov & Hutter 2017)
    head_epochs: int = Field(default=0, ge=0)  # of the first epochs: only the head is trained
    # so many of timm's first groups of layers (the stem, then a stage each) stay as they are, batch norms too: they
    # are much alike for all photographs (Yosinski et al. 2014), and take most of a step's time. No key names 0
    frozen_groups: int = Field(default=0, ge=0, exclude_if=lambda value: value == 0)
    clip_grad: float | None = Field(default=1.0, gt=0)  # norm; as in ViT's fine-tuning (Dosovitskiy et al. 2021)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # Szegedy et al. 2016: 0.1
    # ArcFace (Deng et al. 2019): radians by which a picture has to be nearer to its own class than to any other, while
    # it is trained; the head's logits are margin_scale x cosine. Theirs are 0.5 and 64, of 85,000 faces; fewer and less
    # alike classes want less. 0: a linear head. No key names it then
    margin: float = Field(default=0.0, ge=0, lt=math.pi / 2, exclude_if=lambda value: value == 0)
    margin_scale: float = Field(default=30.0, gt=0, exclude_if=lambda value: value == 30)
    drop_path: float = Field(default=0.0, ge=0, lt=1)  # Huang et al. 2016; ConvNeXt's fine-tuning: 0.1 to 0.4
    mixup: float = Field(default=0.0, ge=0)  # alpha of its Beta (Zhang et al. 2018: 0.2 to 0.8); 0: none
    cutmix: float = Field(default=0.0, ge=0)  # likewise (Yun et al. 2019: 1.0); with both, a batch has one of them
    mix_p: Share = 1.0  # of the batches that are mixed
    # of the loss: n / (classes x rows of the class); of a label, rows without it / rows with it, for rows with it
    class_weight: Literal["none", "balanced"] = "none"
    # balanced: an epoch draws n rows, each class as often as another; of several labels, by the rarest that a row has
    sampling: Literal["all", "balanced"] = "all"
    label_noise: LabelNoise = "keep"  # a probe that the head starts from learns the labels as given
    # the probe that finds the doubtful labels; None: the config's first. No key names it: what it finds is in the key
    judge: Text | None = Field(default=None, exclude=True)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)  # of an exponential moving average that predicts
    augment: tuple[Augment, ...] = (Augment("HorizontalFlip", p=0.5),)
    # where pictures are augmented. device: they lie there whole, and only flips and shifts by whole pixels are made,
    # for a tiny network that a loader cannot feed. No key names the loader
    augment_on: Literal["loader", "device"] = Field(default="loader", exclude_if=lambda value: value == "loader")
    seeds: int = Field(default=1, ge=1, le=100)  # so many runs a fold, from `seed` on; their mean predicts
    grad_checkpointing: bool = False  # less memory, a third slower
    compile: bool = False  # torch.compile: a minute or more before the first step

    # The predictions
    # test-time augmentation: their probabilities are averaged
    views: Annotated[tuple[Exact, ...], Field(min_length=1)] = ("identity",)
    # of a CLIP: weights (1 - alpha) x start + alpha x fine-tuned; the alpha of a fold is chosen on the other folds
    wise_ft: tuple[Share, ...] = ()
    temperature: bool = False  # divides the logits (Guo et al. 2017), cross-fitted

    def scheduled(self, rows: int) -> Self:
        """The recipe with as many epochs of `rows` training rows as max_steps allow; warm-up shrinks with them."""
        if self.max_steps is None:
            return self
        epochs = min(self.epochs, max(1, round(self.max_steps / math.ceil(rows / self.batch_size))))
        shorter = {"warmup_epochs": self.warmup_epochs * epochs / self.epochs}
        shorter["head_epochs"] = min(self.head_epochs, epochs - 1)
        return self.model_copy(update={"epochs": epochs, "max_steps": None, **shorter})

    @property
    def encoder(self) -> Encoder:
        """The CLIP whose image tower it trains."""
        shared = ("clip", "weights", "weights_file", "seed", "precision", "mean", "std", "interpolation")
        return Encoder(**{name: getattr(self, name) for name in shared})

    @property
    def start(self) -> str:
        """The start of the head."""
        return self.head or ("random" if self.clip is None else "zeroshot")

    @property
    def backbone_arguments(self) -> dict[str, Any]:
        drop_path = {"drop_path_rate": self.drop_path} if self.drop_path > 0 else {}  # not every backbone has one
        return self.backbone_args | drop_path

    @property
    def weights_from(self) -> "tuple[FineTune, ...]":
        return (self,)

    @property
    def encoders_to_predict(self) -> tuple[Encoder, ...]:
        """WiSE-FT predicts with the weights, too, that training started from."""
        return (self.encoder,) if self.wise_ft else ()

    @property
    def features_to_predict(self) -> tuple[Encoder, ...]:
        return self.encoders_to_predict if self.start == "probe" else ()

    @property
    def starts_from_prompts(self) -> bool:
        return self.start == "zeroshot"

    reads_prompts = starts_from_prompts

    @property
    def looks_for_wrong_labels(self) -> bool:
        return self.label_noise != "keep"

    @property
    def needs_judge(self) -> bool:
        return self.looks_for_wrong_labels

    def misfit(self, task: str) -> str | None:
        if task != "class" and self.margin:
            return f"margin is of one class a picture, not for task={task!r}: leave it out"
        if task != "class" and self.start == "zeroshot":
            return f"no head of task={task!r} starts from the zero-shot classifier: head='probe' or head='random'"
        if task == "number":
            of_classes = {"class_weight": "none", "sampling": "all", "label_smoothing": 0.0, "temperature": False}
            for field, nothing in of_classes.items():
                if getattr(self, field) != nothing:
                    return f"{field} is of classes and labels, and a number has none: leave it out"
        return super().misfit(task)

    def check_against(self, name: str, models: Mapping[str, Kind], prompts: Prompts | None) -> None:
        super().check_against(name, models, prompts)
        judges = [other for other, model in models.items() if model.judges_labels]
        if self.judge is not None and self.judge not in judges:
            raise ValueError(f"models.{name}.judge: " + (unknown("probe", self.judge, judges) if judges else NO_PROBE))
        if self.needs_judge and not judges:
            raise ValueError(f"models.{name}: label_noise={self.label_noise!r}: {NO_PROBE}")

    @model_validator(mode="after")
    def recipe_fits(self):
        if self.backbone is not None and self.start != "random":
            raise ValueError(f"head={self.head!r} is a clip's: a timm backbone's new head is random")
        if self.clip is not None and self.drop_path > 0:
            raise ValueError("drop_path is a backbone's: open_clip's towers have none")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        if self.head_epochs >= self.epochs:
            raise ValueError(f"head_epochs ({self.head_epochs}) must be less than epochs ({self.epochs})")
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch ({self.micro_batch}) is more than batch_size ({self.batch_size})")
        if self.wise_ft and (self.clip is None or self.start == "random"):
            raise ValueError("wise_ft needs a clip whose head starts from zeroshot or probe: that is its other end")
        if self.margin and (self.mixup or self.cutmix):
            raise ValueError("margin is of one class, and mixup and cutmix mix two: leave one of them out")
        if self.margin and (self.start == "probe" or self.wise_ft):
            raise ValueError("margin's head has directions alone, no lengths: leave head='probe' and wise_ft out")
        if len(set(self.wise_ft)) < len(self.wise_ft):
            raise ValueError(f"an alpha is named twice in wise_ft={self.wise_ft}")
        return self


class Soup(Kind):
    """The mean of weights of fine-tuned models of one network and start, the greedy choice of them cross-fitted.

    Wortsman et al. 2022, "Model soups". The ingredients are all seeds of all models named.
    """

    stage: ClassVar[str] = "finetune"
    module: ClassVar[str] = "finetune.soups"

    of: Annotated[tuple[Text, ...], Field(min_length=1)]

    @property
    def ingredients(self) -> tuple[str, ...]:
        return self.of

    def check_against(self, name: str, models: Mapping[str, Kind], prompts: Prompts | None) -> None:
        super().check_against(name, models, prompts)
        for other in self.of:
            if other not in models:
                raise ValueError(f"models.{name}: " + unknown("model", other, models))
            if not models[other].is_trained:
                raise ValueError(f"models.{name}: a soup is of fine-tuned models, and {other!r} is none")
        first = models[self.of[0]]
        for other in self.of:
            if any(getattr(models[other], field) != getattr(first, field) for field in FineTune.of_network):
                raise ValueError(f"models.{name}: {self.of[0]!r} and {other!r} are other networks, or start elsewhere")
        if sum(models[other].seeds for other in dict.fromkeys(self.of)) < 2:
            raise ValueError(f"models.{name}: a soup needs two ingredients: more models in of=..., or seeds=2 of one")


AnyModel = Pixels | ZeroShot | Probe | Neighbours | FineTune | Soup  # the kinds of a config's models
ComparedModel = ZeroShot | Probe | FineTune  # those of them that have a `compared_as`
