"""Models by name, for any picture: a CLIP that compares it with class names, a timm backbone with its own head, and a
trained competition's models.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import timm
import torch
from pydantic import ValidationError
from scipy.special import softmax

from src.base import files, machine, packages
from src.base.errors import UserError
from src.base.progress import track
from src.commands.predict.answers import CHOICE, Answers, LabelAnswers, NumberAnswers
from src.commands.predict.session import InferenceSession, Model
from src.models import fitted
from src.models.fitted import Fitted
from src.networks import backbones, clip, encoders
from src.networks.features import l2_normalise
from src.networks.inference import Tower
from src.networks.texts import Texts
from src.results import checkpoints
from src.results.model import best_model, finished_models
from src.schema.competition import Competition
from src.schema.models import Prompts
from src.schema.networks import Encoder, lite
from src.scoring import decisions

AT_HAND = "timm:{backbone}@{weights_file}".format(**lite(0))  # which needs no hub
DEFAULTS = (AT_HAND, "clip:ViT-B-32-quickgelu/openai", "timm:resnext50_32x4d")
PHOTO = ("a photo of a {}.",)
MANY = 500  # texts: what CLIP makes of so many is kept on the disk
CODE = 1  # raised when other numbers are kept under the same key


@dataclass(frozen=True)
class Classes:
    """The classes that a model chooses from."""

    labels: tuple[str, ...]  # as they are printed: all different
    prompts: Prompts  # for CLIP
    names: tuple[str, ...]  # of the prompts; ImageNet's have two twice
    imagenet: bool = False


def imagenet() -> Classes:
    """ImageNet's 1,000 classes, as open_clip names them, with the 7 templates that open_clip ships as the simple ones.

    These are OpenAI's own choice among their 80 (notebooks/Prompt_Engineering_for_ImageNet.ipynb of openai/CLIP), in
    which all 80 are hardly better. Two pairs of classes have one name: these are told apart by their WordNet numbers.
    """
    info = timm.data.ImageNetInfo()
    try:
        import open_clip

        names, templates = open_clip.IMAGENET_CLASSNAMES, open_clip.SIMPLE_IMAGENET_TEMPLATES
    except ModuleNotFoundError:  # then there is no CLIP, and timm's names do
        names, templates = [info.index_to_description(i).partition(",")[0] for i in range(1000)], [PHOTO[0].format]
    number = info.index_to_label_name
    labels = tuple(name if names.count(name) == 1 else f"{name} ({number(i)})" for i, name in enumerate(names))
    return Classes(labels, Prompts(templates=tuple(one("{}") for one in templates)), tuple(names), imagenet=True)


def named_classes(names: Sequence[str], what: str) -> Classes:
    """The classes of these names, "a photo of a {}." for CLIP; `what` is where they stand, for a UserError."""
    names = [name.strip() for name in names]
    if not all(names):
        raise UserError(f"{what} has a class without a name: is there a comma too many?")
    if len(names) < 2:
        few = f"only one class, {names[0]!r}" if names else "no class"
        raise UserError(f"{what} has {few}: give two or more, a,b,c or a file with one on each line, or imagenet")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{what} has the class {twice!r} twice: name it once")
    return Classes(tuple(names), Prompts(templates=PHOTO), tuple(names))


def read_classes(text: str, path: Path) -> Classes:
    """The classes of --classes; `path` is that of the file that `text` may name."""
    if text == "imagenet":
        return imagenet()
    if not os.path.isfile(path):  # a long list is no name that a file could have
        if "," not in text and (path.suffix or os.path.exists(path)):
            raise UserError(f"--classes {text} is no file: give one with a class on each line, or a,b,c, or imagenet")
        return named_classes(text.split(","), f"--classes {text!r}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"--classes {path} cannot be opened: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--classes {path} is not a text in UTF-8 with a class on each line") from error
    return named_classes([line for line in lines if line.strip()], f"--classes {path}")


@contextmanager
def errors_about(name: str) -> Iterator[None]:
    """Replace a UserError's advice about a config by advice about a model's name: no config is at hand here."""
    try:
        yield
    except UserError as error:
        text = re.sub(r'add weights_file="([^"]+)" to the model in the config', rf"name it: {name}@\1", str(error))
        text = re.sub(r"write clip='([^']+)'", rf"write clip:\1{'/' * ('/' in name)}{name.partition('/')[2]}", text)
        raise type(error)(text) from error


@dataclass(frozen=True)
class Clip(Model):
    """A CLIP, zero-shot."""

    name: str
    spec: Encoder
    classes: Classes
    cache: Path  # a folder for the features of many texts

    def check(self) -> None:
        if self.spec.weights is None and self.spec.weights_file is None:
            import open_clip

            tags = open_clip.list_pretrained_tags_by_model(self.spec.clip)
            clip.arch(self.spec)
            known = ", ".join(tags)
            raise UserError(f"{self.name} has no weights: write {self.name}/TAG ({known}), or @FILE behind it")
        with errors_about(self.name):
            clip.identity(self.spec)
            clip.geometry(self.spec)

    def fetch(self) -> None:
        with errors_about(self.name):
            clip.weights_path(self.spec, clip.title(self.spec))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes.labels

    def predict(self, session: InferenceSession) -> np.ndarray:
        loaded, cfg, geometry = clip.load(self.spec), clip.preprocessing(self.spec), clip.geometry(self.spec)
        known = self.texts(loaded)
        classifier = known.scale * known.classifier(self.classes.prompts, self.classes.names)
        tower = Tower(loaded.model.encode_image, geometry, tuple(cfg.mean), tuple(cfg.std))
        return softmax(l2_normalise(session.outputs(self.name, tower)) @ classifier, axis=1)

    def texts(self, loaded: clip.ClipModel) -> Texts:
        """The features of the classes' texts; those of many texts are kept, for they take minutes without a GPU."""
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
            try:
                checkpoints.save(path, {"feats": torch.from_numpy(feats), "scale": scale}, {"key": key})
            except UserError as error:
                print(f"{error}; without it, the class names are encoded again each time")
        return Texts(dict(zip(wanted, feats, strict=True)), float(scale))


@dataclass(frozen=True)
class Timm(Model):
    """A timm backbone with the head that it was trained with."""

    name: str
    spec: Encoder
    choices: Classes | None  # the head's classes in its order; None: ImageNet's

    @cached_property
    def classes(self) -> Classes:
        return self.choices or imagenet()

    def check(self) -> None:
        arch = self.spec.backbone.partition(".")[0]
        if timm.is_model(arch) and self.spec.weights_file is None and not timm.list_pretrained(f"{arch}.*"):
            raise UserError(f"{self.name} has no pretrained weights: write {self.name}@FILE")
        backbones.check(self.spec)
        k = self.head()
        if k != len(self.classes.labels) or (self.classes.imagenet and k != 1000):
            wanted = "ImageNet's 1,000 classes" if self.classes.imagenet else f"{len(self.classes.labels)} classes"
            remedy = "leave --classes out for it" if k == 1000 else "give --classes a file of them in the head's order"
            if k == 0:
                remedy = "take a checkpoint with one"
            head = f"a head of {k} classes" if k else "no head"
            raise UserError(f"{self.name} has {head} and not {wanted}: {remedy}")

    def fetch(self) -> None:
        with errors_about(self.name):
            backbones.weights_path(self.spec)

    def head(self) -> int:
        """The number of classes of its head; where a local file does not say it, that of timm's own."""
        own, k = timm.get_pretrained_cfg(self.spec.backbone), None
        if self.spec.weights_file is not None:
            _, k = backbones.read(self.spec, backbones.weights_path(self.spec))
        usual = 1000 if own is None else own.num_classes
        return usual if k is None else k

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes.labels

    def predict(self, session: InferenceSession) -> np.ndarray:
        model = backbones.load(self.spec, backbones.weights_path(self.spec))
        data = backbones.data_config(self.spec)
        tower = Tower(machine.on_device(model), backbones.geometry(self.spec), data.mean, data.std)
        return softmax(session.outputs(self.name, tower), axis=1)


@dataclass(frozen=True)
class Finished(Model):
    """A finished model of a competition, or its blend."""

    name: str  # as it is printed: `corn:probe_h14`
    competition: Competition
    model: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.competition.outputs

    @cached_property
    def answers(self) -> Answers:
        competition = self.competition
        if competition.span is not None:
            return NumberAnswers(competition.span)
        if competition.target.is_choice:
            return CHOICE
        facts = fitted.read_finished(competition, self.model).facts
        return LabelAnswers(decisions.rule_of(facts.get("decision", {}), competition.outputs))

    @property
    def white(self) -> int:
        return self.competition.white

    @cached_property
    def fitted(self) -> Fitted:
        return fitted.load(self.competition, self.model)

    def check(self) -> None:
        """Load it, or raise a UserError if it is not finished, not of the present config, or has lost its weights."""
        self.fitted  # noqa: B018 it is loaded here

    def predict(self, session: InferenceSession) -> np.ndarray:
        return self.fitted.predict(session)


def best_finished(competition: Competition) -> str:
    """The blend, or where there is none the finished model with the best score."""
    if (name := best_model(competition, finished_models(competition))) is None:
        raise UserError(f"{competition.name} has no finished model: {competition.command()}")
    return name


def parse_encoder(name: str, what: str, weights: str | None) -> Encoder:
    """The encoder of a model's name, `clip:ARCH/TAG` or `timm:NAME`.

    Args:
        what: The name without its library and without its file.
        weights: The path of its local weights, or `package:NAME`.
    """
    if weights is not None and packages.package_of(weights) is None and not Path(weights).is_file():
        raise UserError(f"{name}: there is no file {weights}")
    file = {} if weights is None else {"weights_file": weights}
    try:
        if name.startswith("timm:"):
            return Encoder(backbone=what, **file)
        arch, _, tag = what.partition("/")
        return Encoder(clip=arch, weights=tag or None, stored="float32", **file)
    except ValidationError as error:
        raise UserError(f"{name!r} is no model: write {' or '.join(DEFAULTS[1:])}") from error
