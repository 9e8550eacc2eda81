"""What a config may ask of models: the schema of zero-shot and probe, and of the encoders they use.

Each model is a part of a competition's config (src/config.py); the stage of its name makes it. Fine-tuning's schema
is in src/recipe.py.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from src.schema import Strict

Text = Annotated[str, Field(min_length=1)]
Exact = Literal["identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]
Crop = Literal["crop_center", "crop_top_left", "crop_top_right", "crop_bottom_left", "crop_bottom_right"]
Positive = Annotated[float, Field(gt=0)]
# What is done to training rows whose labels are doubtful: nothing, left out, or learnt as half the label and half what
# the judge says (src/scoring/label_noise.py). Held-out rows are scored with the labels as given. Left as it is, no key
# names it.
LabelNoise = Annotated[Literal["keep", "drop", "soften"], Field(exclude_if=lambda value: value == "keep")]


class Prompts(Strict):
    """What zero-shot tells CLIP: each template is filled with each phrase of each class."""

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
        """What CLIP is told of a class: every template with every phrase."""
        return [template.format(phrase) for phrase in self.phrases_of(label) for template in self.templates_of(label)]


class ClipArch(Strict):
    """A CLIP that open_clip has no name for, made from open_clip's own vision and text configs (random weights)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    embed_dim: int = Field(ge=1)
    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]


class Model(Strict):
    """What every model has. `weights_file` is a local checkpoint: with it, no network is needed."""

    weights_file: Text | None = None  # relative to the repository's folder, or absolute
    seed: int = Field(default=42, ge=0)
    # auto: bfloat16 autocast on CUDA, float16 where the GPU has no bfloat16, float32 on the CPU (where both are slower)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


class Encoder(Model):
    """What turns a picture into features: the image tower of a CLIP, or a timm backbone without its head."""

    clip: Text | ClipArch | None = None  # open_clip's name of the architecture
    weights: Text | None = None  # open_clip's tag; None without a weights_file: random weights
    backbone: Text | None = None  # timm's name, with its tag: resnet50.a1_in1k
    pretrained: bool = True  # False: a backbone with random weights
    backbone_args: dict[str, Any] = {}  # more arguments for timm.create_model
    img_size: int | None = Field(default=None, ge=8)  # of a backbone; None: what it was trained with
    views: Annotated[tuple[Exact | Crop, ...], Field(min_length=1)] = ("identity",)
    stored: Literal["float16", "float32"] = "float16"  # how the features lie on disk
    scale: Positive = 1.0  # of these features beside others in one probe; 0.5 penalises their weights 4 times as much
    batch_size: int | None = Field(default=None, ge=1)  # None: 32 on a CPU, found by trying on a GPU
    compile: bool = False  # torch.compile: a minute or more before the first batch

    @model_validator(mode="after")
    def is_one_encoder(self):
        if (self.clip is None) == (self.backbone is None):
            raise ValueError("give it either clip=... or backbone=...")
        if self.backbone is not None and self.weights is not None:
            raise ValueError(f"a timm backbone's weights are named in its name: backbone='{self.backbone}.<tag>'")
        if self.clip is not None and self.model_fields_set & {"pretrained", "backbone_args", "img_size"}:
            raise ValueError("pretrained, backbone_args and img_size are a backbone's, not a clip's")
        if len(set(self.views)) < len(self.views):
            raise ValueError(f"a view is named twice in {self.views}")
        return self


class ZeroShot(Encoder):
    stage: ClassVar[str] = "zeroshot"

    # of the prompts; greedy: the templates and phrases that do best on training folds
    ensemble: Literal["all", "greedy"] = "all"
    prior: Literal["none", "train"] = "none"  # train: a bias a class, so that they are foretold as often as they occur

    @model_validator(mode="after")
    def has_texts(self):
        if self.backbone is not None:
            raise ValueError("zero-shot needs a model that reads texts: clip=..., not backbone=...")
        return self


class Probe(Encoder):
    """Logistic regression on features; C, and whether they are made unit vectors, is chosen inside each fold."""

    stage: ClassVar[str] = "probe"

    cs: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    widen: bool = True  # go on beyond the grid of `cs` while the best value is at its edge
    normalise: Annotated[tuple[bool, ...], Field(min_length=1, max_length=2)] = (True, False)  # what is tried
    class_weight: Literal["none", "balanced"] = "none"
    views_as: Literal["mean", "rows"] = "mean"  # a picture's views: one mean vector, or training rows of their own
    beside: tuple[Encoder, ...] = ()  # further encoders, whose features stand beside these
    towards: Literal["zero", "zeroshot"] = "zero"  # where the penalty pulls: no weights, or the zero-shot classifier
    label_noise: LabelNoise = "keep"
    solver: Literal["batched", "scikit-learn"] = "batched"
    tol: float = Field(default=1e-6, gt=0)  # of the gradient

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """All whose features it reads: itself and those beside it."""
        return self, *self.beside

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
        if self.solver == "scikit-learn" and self.label_noise == "soften":
            raise ValueError("scikit-learn learns no soft labels: solver='batched', or label_noise='drop'")
        return self
