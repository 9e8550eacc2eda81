"""Describable Textures (DTD): 47 words for textures, 1,880 pictures each to train on and to validate on.

Its partition 1 of ten; test="test" validates on the official test rows instead.
"""

from src.config import Competition, Prompts, Torchvision
from src.configs.shared import class_names
from src.configs.shared.baselines import BASELINES, ON_VAL, published

competition = Competition(
    title="Describable Textures",
    source=Torchvision("DTD", partition=1),
    classes=class_names.read("textures").labels,
    prompts=Prompts(
        # CLIP's own, from data/prompts.md of its repository (MIT)
        templates=(
            "a photo of a {} texture.",
            "a photo of a {} pattern.",
            "a photo of a {} thing.",
            "a photo of a {} object.",
            "a photo of the {} texture.",
            "a photo of the {} pattern.",
            "a photo of the {} thing.",
            "a photo of the {} object.",
        ),
    ),
    phrasings="textures",
    models=BASELINES,
    reported=published(
        ON_VAL,
        clip_vit_b32={1: "0.4340", 5: 0.5101, 10: "0.6170"},
        resnet50={1: 0.3718, 5: 0.6117, 10: 0.6181, 15: 0.6431, 20: 0.6431},
    ),
)
