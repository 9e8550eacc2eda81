"""The schema of a competition, `load(name)`, and the only place that builds paths.

A config is Python, src/configs/<name>.py, and holds facts and numbers only: its variable `competition`.
"""

import importlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny, ValidationError, field_validator, model_validator

from src.errors import UserError, unknown
from src.schema import Strict, faults, line_of
from src.sources import Digits, Kaggle, Source

__all__ = [
    "Augment",
    "Blend",
    "ClipArch",
    "Competition",
    "Digits",
    "FineTune",
    "Folds",
    "Kaggle",
    "Probe",
    "Prompts",
    "Reported",
    "ZeroShot",
    "load",
    "names",
]

ROOT = Path(__file__).parent.parent
CONFIGS = Path(__file__).parent / "configs"

Text = Annotated[str, Field(min_length=1)]
View = Literal["identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]
Views = Annotated[tuple[View, ...], Field(min_length=1)]
Precision = Literal["auto", "float32", "bfloat16"]


class Folds(Strict):
    n: int = Field(default=5, ge=3)  # C and the blend's weights are chosen on the folds inside: two are needed there
    seed: int = Field(default=42, ge=0)


class Prompts(Strict):
    """What zero-shot tells CLIP: each template is filled with each phrase of each class."""

    templates: tuple[Text, ...] = Field(min_length=1)
    classnames: dict[str, tuple[Text, ...]] = {}  # class: its phrases; a class that is not here is its own phrase

    @field_validator("templates")
    @classmethod
    def have_one_placeholder(cls, templates):
        for template in templates:
            if template.count("{}") != 1 or re.sub(r"\{\}", "", template).count("{"):
                raise ValueError(f"the template {template!r} needs one {{}}, where the class goes")
        return templates

    def texts(self, label: str) -> list[str]:
        """What CLIP is told of a class: every template with every phrase."""
        return [
            template.format(phrase) for phrase in self.classnames.get(label, (label,)) for template in self.templates
        ]


class ClipArch(Strict):
    """A CLIP that open_clip has no name for, made from open_clip's own vision and text configs (random weights)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    embed_dim: int = Field(ge=1)
    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]


class Model(Strict):
    """What every model has. `weights_file` is a local checkpoint: with it, no network is needed."""

    stage: ClassVar[str]
    weights_file: Text | None = None  # relative to the repository's folder, or absolute
    seed: int = Field(default=42, ge=0)
    precision: Precision = "auto"  # auto: bfloat16 autocast on CUDA, float32 on the CPU (where bfloat16 is slower)


class Clip(Model):
    clip: Text | ClipArch  # open_clip's name of the architecture
    weights: Text | None = None  # open_clip's tag; None without a weights_file: random weights
    views: Views = ("identity",)  # their features are averaged


class ZeroShot(Clip):
    stage: ClassVar[str] = "zeroshot"


class Probe(Clip):
    """Logistic regression on CLIP features; C is chosen inside each fold's training rows."""

    stage: ClassVar[str] = "probe"
    cs: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0), min_length=1
    )


class Augment(Strict):
    """An albumentations transform by its name and arguments: Augment("Affine", rotate=(-10, 10), p=0.5)."""

    name: Text
    args: dict[str, Any] = {}

    def __init__(self, name: str, /, **args):
        super().__init__(name=name, args=args)


class FineTune(Model):
    """A timm backbone trained on each fold's training rows, for a fixed number of epochs."""

    stage: ClassVar[str] = "finetune"
    backbone: Text  # timm's name, with its tag: convnext_tiny.fb_in22k_ft_in1k
    pretrained: bool = True  # False: random weights
    backbone_args: dict[str, Any] = {}  # more arguments for timm.create_model
    img_size: int = Field(default=224, ge=8)
    epochs: int = Field(ge=1)
    batch_size: int = Field(default=64, ge=1)
    lr: float = Field(gt=0, lt=10)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    clip_grad: float | None = Field(default=1.0, gt=0)  # norm
    ema_decay: float | None = Field(default=None, gt=0, lt=1)  # of an exponential moving average that predicts
    augment: tuple[Augment, ...] = (Augment("HorizontalFlip", p=0.5),)
    views: Views = ("identity",)  # test-time augmentation: their probabilities are averaged

    @model_validator(mode="after")
    def warmup_ends(self):
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self


class Blend(Strict):
    models: tuple[Text, ...] | None = None  # None: all
    method: Literal["auto", "mean", "weights"] = "auto"  # auto: weights where they beat the mean by a standard error


class Reported(Strict):
    """A score that somebody reported, and which of our models it is to be compared with."""

    title: Text
    public: float | None = None
    private: float | None = None
    model: str | None = None

    def __init__(self, title: str, **fields):
        super().__init__(title=title, **fields)


class Competition(Strict):
    title: Text
    source: SerializeAsAny[Source]
    train: Text  # tables and the images' folder: relative to the source's folder
    test: Text
    sample_submission: Text
    solution: Text = "solution.csv"  # id, label, Usage: not Kaggle's to give, but used where it is there
    images: str = ""
    id: Text
    image: Text  # a column, or a pattern over columns: "{id}.jpg"
    label: Text
    group: Text | None = None  # a column: rows that share its value stay in one fold
    classes: tuple[Text, ...] = Field(min_length=2)
    metric: Literal["accuracy", "log_loss"]
    folds: Folds = Folds()
    prompts: Prompts | None = None
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")], ZeroShot | Probe | FineTune] = Field(
        min_length=1
    )
    blend: Blend = Blend()
    reported: tuple[Reported, ...] = ()

    name: str = ""  # load() sets both
    limit: int | None = Field(default=None, ge=1)

    @field_validator("classes")
    @classmethod
    def are_distinct(cls, classes):
        if len(set(classes)) < len(classes):
            raise ValueError(f"a class is named twice in {classes}")
        return classes

    @model_validator(mode="after")
    def names_fit(self):
        if "blend" in self.models:
            raise ValueError("models: 'blend' is the blend's own name: call the model something else")
        for model in self.blend.models or ():
            if model not in self.models:
                raise ValueError("blend.models: " + unknown("model", model, self.models))
        for label in self.prompts.classnames if self.prompts else ():
            if label not in self.classes:
                raise ValueError("prompts.classnames: " + unknown("class", label, self.classes))
        for reported in self.reported:
            if reported.model is not None and reported.model not in self.models:
                raise ValueError("reported: " + unknown("model", reported.model, self.models))
        if self.prompts is None and self.of_stage("zeroshot"):
            raise ValueError("prompts are missing: zero-shot needs them")
        return self

    def of_stage(self, stage: str) -> dict[str, Any]:
        """The models that a stage makes: {name: its part of the config}."""
        return {name: model for name, model in self.models.items() if model.stage == stage}

    # Paths. INPUT_DIR and SUBMISSIONS_DIR move the two roots, as a Kaggle notebook needs it.

    @property
    def input_root(self) -> Path:
        return Path(os.environ.get("INPUT_DIR") or ROOT / "input")

    @property
    def folder(self) -> Path:
        """Everything that is made for this competition; a smoke run has a folder of its own."""
        root = Path(os.environ.get("SUBMISSIONS_DIR") or ROOT / "submissions")
        return root / (self.name if self.limit is None else f"{self.name}-limit{self.limit}")

    def input(self, path: str) -> Path:
        return self.input_root / self.source.slug / path

    @property
    def images_record(self) -> Path:
        return self.folder / "images.parquet"

    @property
    def folds_csv(self) -> Path:
        return self.folder / "folds.csv"

    def features(self, clip: str, view: str) -> Path:
        return self.folder / "features" / f"{clip}-{view}"

    def model_folder(self, model: str) -> Path:
        return self.folder / "models" / model

    def submission(self, what: str, cv: float, sha: str) -> Path:
        return self.folder / f"{what}-cv{cv:.4f}-{sha[:7]}.csv"


def resolve(weights_file: str) -> Path:
    """A weights file as a config names it: relative to the repository's folder, or absolute."""
    return ROOT / Path(weights_file).expanduser()


def names() -> list[str]:
    """The names of all competitions."""
    return sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")


def load(name: str, limit: int | None = None) -> Competition:
    """The competition of src/configs/<name>.py; with `limit`, its smoke run on that many train and test rows.

    Raises:
        UserError: There is no such config, or a field of it is unknown, of the wrong type or out of range.
    """
    if name not in names():
        raise UserError(unknown("competition", name, names()) + f" (a competition is a file in {CONFIGS})")
    try:
        competition = importlib.import_module(f"src.configs.{name}").competition
        return competition.model_copy(update={"name": name, "limit": limit})
    except ValidationError as error:
        part = next((part for part in all_parts() if part.__name__ == error.title), None)
        where = line_of(error, CONFIGS) or f"src/configs/{name}.py"
        raise UserError(f"{where}: " + "; ".join(faults(error, part))) from error
    except (SyntaxError, NameError, TypeError, AttributeError) as error:
        where = line_of(error, CONFIGS)
        if isinstance(error, SyntaxError):
            where = f"src/configs/{name}.py, line {error.lineno}"
        if not where:
            raise
        raise UserError(f"{where}: {error}") from error


def all_parts() -> list[type[Strict]]:
    parts = Strict.__subclasses__()
    for part in parts:
        parts.extend(part.__subclasses__())
    return parts
