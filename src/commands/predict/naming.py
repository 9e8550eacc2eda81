"""Models by name, for any picture: a CLIP that compares it with class names, and a timm backbone with its own head."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from pydantic import ValidationError
from scipy.special import softmax
from torch import Tensor

from src.base import files, machine
from src.base.errors import UserError
from src.base.progress import track
from src.commands.predict.session import InferenceSession
from src.networks import backbones, clip, encoders, hub
from src.networks.features import unit
from src.networks.inference import Tower
from src.networks.texts import Texts
from src.results import checkpoints
from src.schema.models import Encoder, Prompts

DEFAULTS = ("clip:ViT-B-32-quickgelu/openai", "timm:resnext50_32x4d")
PHOTO = ("a photo of a {}.",)
MANY = 500  # texts: what CLIP makes of so many is kept on the disk
CODE = 1  # raised when other numbers are kept under the same key


@dataclass(frozen=True)
class Classes:
    """What a picture may be."""

    labels: tuple[str, ...]  # as they are shown: all different
    prompts: Prompts  # what CLIP is told of them
    names: tuple[str, ...]  # of the prompts; ImageNet's have two twice
    imagenet: bool = False


def imagenet() -> Classes:
    """ImageNet's 1,000 classes, as open_clip names them, with the 7 templates that open_clip ships as the simple ones.

    These are OpenAI's own choice among their 80 (notebooks/Prompt_Engineering_for_ImageNet.ipynb of openai/CLIP), in
    which all 80 are hardly better. Two pairs of classes have one name: these are told apart by their WordNet numbers.
    """
    names = open_clip.IMAGENET_CLASSNAMES
    numbers = timm.data.ImageNetInfo()
    labels = [
        name if names.count(name) == 1 else f"{name} ({numbers.index_to_label_name(i)})" for i, name in enumerate(names)
    ]
    templates = tuple(template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES)
    return Classes(tuple(labels), Prompts(templates=templates), tuple(names), imagenet=True)


def of_names(names: Sequence[str], what: str) -> Classes:
    """Classes by their names, each told CLIP as "a photo of a {}.".

    Args:
        what: Where they stand, for the error.

    Raises:
        UserError: There are fewer than two, or one is empty or there twice.
    """
    names = [name.strip() for name in names]
    if not all(names):
        raise UserError(f"{what} has a class without a name: is there a comma too many?")
    if len(names) < 2:
        said = f"only one class, {names[0]!r}" if names else "no class"
        raise UserError(f"{what} has {said}: give two or more, a,b,c or a file with one on each line, or imagenet")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{what} has the class {twice!r} twice: name it once")
    return Classes(tuple(names), Prompts(templates=PHOTO), tuple(names))


def classes_of(text: str, path: Path) -> Classes:
    """What --classes asks for.

    Args:
        path: Of the file that `text` may name.

    Raises:
        UserError: As `of_names`, or the file cannot be read.
    """
    if text == "imagenet":
        return imagenet()
    if not path.is_file():
        if "," not in text and (path.suffix or path.exists()):
            raise UserError(f"--classes {text} is no file: give one with a class on each line, or a,b,c, or imagenet")
        return of_names(text.split(","), f"--classes {text!r}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"--classes {path} cannot be opened: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--classes {path} is not a text in UTF-8 with a class on each line") from error
    return of_names([line for line in lines if line.strip()], f"--classes {path}")


@contextmanager
def saying(name: str) -> Iterator[None]:
    """What is said of a config in an error is said of a model's name: no config is at hand here."""
    try:
        yield
    except UserError as error:
        said = re.sub(r'add weights_file="([^"]+)" to the model in the config', rf"name it: {name}@\1", str(error))
        said = re.sub(r"write clip='([^']+)'", rf"write clip:\1{'/' * ('/' in name)}{name.partition('/')[2]}", said)
        raise UserError(said) from error


@dataclass(frozen=True)
class Clip:
    """A CLIP, zero-shot."""

    name: str
    spec: Encoder
    classes: Classes
    cache: Path  # a folder for what it makes of many texts

    def check(self) -> None:
        """Raises UserError: The architecture, its tag or its file is not known, or its pictures are no squares."""
        if self.spec.weights is None and self.spec.weights_file is None:
            tags = open_clip.list_pretrained_tags_by_model(self.spec.clip)
            clip.arch(self.spec)
            raise UserError(
                f"{self.name} has no weights: write {self.name}/TAG ({', '.join(tags)}), or @FILE behind it"
            )
        with saying(self.name):
            clip.identity(self.spec)
            clip.geometry(self.spec)

    def fetch(self) -> None:
        """Finds its weights. Raises UserError: They are not available."""
        with saying(self.name):
            clip.weights(self.spec, clip.title(self.spec))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes.labels

    def predict(self, session: InferenceSession) -> np.ndarray:
        """(n, k) probabilities."""
        loaded, cfg, geometry = clip.load(self.spec), clip.preprocessing(self.spec), clip.geometry(self.spec)
        known = self.texts(loaded)
        classifier = known.scale * known.classifier(self.classes.prompts, self.classes.names)
        tower = Tower(loaded.model.encode_image, geometry, tuple(cfg.mean), tuple(cfg.std))
        return softmax(unit(session.outputs(self.name, tower)) @ classifier, axis=1)

    def texts(self, loaded: clip.ClipModel) -> Texts:
        """What it makes of the classes; of many texts that is kept, for it takes minutes without a GPU."""
        wanted = list(dict.fromkeys(text for name in self.classes.names for text in self.classes.prompts.texts(name)))
        path = self.cache / f"{encoders.slug(self.spec)}-{files.digest(wanted)[:7]}-texts.safetensors"
        key = {"code": CODE, "texts": files.digest(wanted), **clip.identity(self.spec)}
        if checkpoints.about(path) == {"key": key}:
            tensors = checkpoints.load(path)
            return Texts(dict(zip(wanted, tensors["feats"].float().numpy(), strict=True)), float(tensors["scale"]))
        parts = [wanted[i : i + clip.TEXTS] for i in range(0, len(wanted), clip.TEXTS)]
        parts = track(parts, f"{self.name}: class names", len(wanted), "texts", of=len)
        feats = np.concatenate([clip.encode_texts(loaded, part) for part in parts])
        scale = loaded.model.logit_scale.detach().exp().float().cpu()
        if len(wanted) > MANY:
            keep(path, feats, scale, {"key": key})
        return Texts(dict(zip(wanted, feats, strict=True)), float(scale))


def keep(path: Path, feats: np.ndarray, scale: Tensor, about: dict[str, Any]) -> None:
    """Where nothing can be written, the texts are encoded again the next time."""
    try:
        checkpoints.save(path, {"feats": torch.from_numpy(feats), "scale": scale}, about)
    except UserError as error:
        print(f"{error}; without it, the class names are encoded again each time")


@dataclass(frozen=True)
class Timm:
    """A timm backbone with the head that it was trained with."""

    name: str
    spec: Encoder
    given: Classes | None  # the head's classes in its order; None: ImageNet's

    @cached_property
    def classes(self) -> Classes:
        return self.given or imagenet()

    def check(self) -> None:
        """Raises UserError: The name is not known, or its head is not of these classes."""
        arch = self.spec.backbone.partition(".")[0]
        if timm.is_model(arch) and self.spec.weights_file is None and not timm.list_pretrained(f"{arch}.*"):
            raise UserError(f"{self.name} has no pretrained weights: write {self.name}@FILE")
        backbones.check(self.spec)
        k = self.head(None if self.spec.weights_file is None else backbones.weights(self.spec))
        if k != len(self.classes.labels) or (self.classes.imagenet and k != 1000):
            asked = "ImageNet's 1,000 classes" if self.classes.imagenet else f"{len(self.classes.labels)} classes"
            remedy = "leave --classes out for it" if k == 1000 else "give --classes a file of them in the head's order"
            if k == 0:
                remedy = "take a checkpoint with one"
            raise UserError(f"{self.name} has {f'a head of {k} classes' if k else 'no head'} and not {asked}: {remedy}")

    def fetch(self) -> None:
        """Finds its weights. Raises UserError: They are not available."""
        with saying(self.name):
            backbones.weights(self.spec)

    def head(self, path: Path | None) -> int:
        """How many classes it has; of a local file that says nothing of it, as many as timm's own."""
        own = timm.get_pretrained_cfg(self.spec.backbone)
        usual = 1000 if own is None else own.num_classes
        if path is None:
            return usual
        with hub.refusing_bad_weights(self.name, path):
            k = backbones.classes_of(path, "fc" if own is None else own.classifier)
        return usual if k is None else k

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes.labels

    def predict(self, session: InferenceSession) -> np.ndarray:
        """(n, k) probabilities."""
        path = backbones.weights(self.spec)
        k = len(self.classes.labels)
        with hub.refusing_bad_weights(self.name, path):
            overlay = {"file": str(path), "num_classes": k}
            model = timm.create_model(
                self.spec.backbone, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=k
            )
        data = backbones.data_config(self.spec)
        tower = Tower(machine.on_device(model), backbones.geometry(self.spec), data.mean, data.std)
        return softmax(session.outputs(self.name, tower), axis=1)


def encoder_of(name: str, what: str, path: Path | None) -> Encoder:
    """The encoder that a name of a model asks for, `clip:ARCH/TAG` or `timm:NAME`.

    Args:
        what: The name without its library and without its file.
        path: Of its local weights.

    Raises:
        UserError: It is no such name, or the file is missing.
    """
    if path is not None and not path.is_file():
        raise UserError(f"{name}: there is no file {path}")
    given = {} if path is None else {"weights_file": str(path)}
    try:
        if name.startswith("timm:"):
            return Encoder(backbone=what, **given)
        arch, _, tag = what.partition("/")
        return Encoder(clip=arch, weights=tag or None, stored="float32", **given)
    except ValidationError as error:
        raise UserError(f"{name!r} is no model: write {' or '.join(DEFAULTS)}") from error
