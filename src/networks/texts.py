"""CLIP's features of texts, kept on disk: classifiers and prompts are tried without loading the model again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from src.networks import clip, encoders
from src.results import checkpoints
from src.schema.competition import Competition
from src.schema.models import Prompts
from src.schema.networks import Encoder

CODE = 1  # raised when other numbers are computed from the same key


@dataclass(frozen=True)
class Texts:
    feats: dict[str, np.ndarray]  # of each text, a unit vector (d,) float32
    scale: float  # CLIP's own: logits are scale x cosine

    def mean(self, texts: Sequence[str]) -> np.ndarray:
        """The unit vector (d,) in the middle of those of some texts, as in Radford et al. 2021, 3.1.4."""
        mean = np.mean([self.feats[text] for text in texts], axis=0)
        return mean / np.linalg.norm(mean)

    def classifier(self, prompts: Prompts, classes: Sequence[str]) -> np.ndarray:
        """One unit vector a class, (d, k).

        For one phrase a class it is `open_clip.build_zero_shot_classifier`; more phrases weigh like more templates.
        """
        return self.classifier_from([prompts.texts(label) for label in classes])

    def classifier_from(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """As `classifier`, (d, k), of the texts of each class."""
        return np.stack([self.mean(of_class) for of_class in texts], axis=1)


def read(competition: Competition, spec: Encoder) -> Texts:
    """All texts of the competition's prompts, by the encoder's own text tower.

    Raises:
        UserError: The model is not available.
    """
    path, key = competition.text_features(encoders.slug(spec)), {"code": CODE, **clip.identity(spec)}
    wanted = sorted({text for texts in competition.prompt_texts.values() for text in texts})
    about = checkpoints.about(path)
    if about is None or about["key"] != key or not set(wanted) <= set(about["texts"]):
        model = clip.load(spec)
        tensors = {
            "feats": torch.from_numpy(clip.encode_texts(model, wanted)),
            "scale": model.model.logit_scale.detach().exp().float().cpu(),
        }
        about = {"key": key, "texts": wanted}
        checkpoints.save(path, tensors, about)
    else:
        tensors = checkpoints.load(path)
    return Texts(dict(zip(about["texts"], tensors["feats"].numpy(), strict=True)), float(tensors["scale"]))
