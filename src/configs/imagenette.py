"""Imagenette at 320 pixels (fastai): ten easy classes of ImageNet, 9,469 rows to train on, 3,925 to validate on.

Every model that saw ImageNet saw these classes: it shows that all is well, and little else.
"""

from src.config import Competition, Prompts, Torchvision
from src.configs.shared.baselines import BASELINES

competition = Competition(
    title="Imagenette, 320 pixels",
    source=Torchvision("Imagenette", size="320px"),
    classes=(
        "tench",
        "English springer",
        "cassette player",
        "chain saw",
        "church",
        "French horn",
        "garbage truck",
        "gas pump",
        "golf ball",
        "parachute",
    ),
    prompts=Prompts(
        # the seven that CLIP's authors found to do nearly as well as their 80, from their notebook on ImageNet (MIT)
        templates=(
            "itap of a {}.",
            "a bad photo of the {}.",
            "a origami {}.",
            "a photo of the large {}.",
            "a {} in a video game.",
            "art of the {}.",
            "a photo of the small {}.",
        ),
        classnames={"English springer": ("English springer spaniel",), "chain saw": ("chainsaw",)},
    ),
    phrasings="imagenette",
    models=BASELINES,
)
