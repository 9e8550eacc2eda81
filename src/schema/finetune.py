"""The schema of fine-tuning: a recipe, its augmentations, and soups of what it makes.

Each default names its source; what a paper's authors use beyond it is in src/configs/corn.py.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from src.base.errors import unknown
from src.schema.kind import NO_PROBE, Kind, LabelNoise, Prompts
from src.schema.networks import Encoder, Exact, Network
from src.schema.strict import Strict, Text

Share = Annotated[float, Field(ge=0, le=1)]


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

    @property
    def is_planned_by_rows(self) -> bool:
        return self.max_steps is not None

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
        if len(set(self.of)) < len(self.of):
            raise ValueError(f"models.{name}: a model is named twice in of={self.of}")
        for other in self.of:
            if other not in models:
                raise ValueError(f"models.{name}: " + unknown("model", other, models))
            if not models[other].is_trained:
                raise ValueError(f"models.{name}: a soup is of fine-tuned models, and {other!r} is none")
        first = models[self.of[0]]
        for other in self.of:
            if any(getattr(models[other], field) != getattr(first, field) for field in FineTune.of_network):
                raise ValueError(f"models.{name}: {self.of[0]!r} and {other!r} are other networks, or start elsewhere")
        if sum(models[other].seeds for other in self.of) < 2:
            raise ValueError(f"models.{name}: a soup needs two ingredients: more models in of=..., or seeds=2 of one")
