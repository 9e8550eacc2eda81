"""CIFAR-10 as its authors split it: 50,000 photographs of 32 x 32 pixels to train on, 10,000 to validate on.

Kaggle's competition of the same pictures, whose test rows are others as well, is src/configs/cifar10.py.
"""

from src.config import Competition, Prompts, Torchvision
from src.configs.shared.baselines import BASELINES, ON_TEST, published

competition = Competition(
    title="CIFAR-10, its official split",
    source=Torchvision("CIFAR10"),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    prompts=Prompts(
        # CLIP's own, from data/prompts.md of its repository (MIT)
        templates=(
            "a photo of a {}.",
            "a blurry photo of a {}.",
            "a black and white photo of a {}.",
            "a low contrast photo of a {}.",
            "a high contrast photo of a {}.",
            "a bad photo of a {}.",
            "a good photo of a {}.",
            "a photo of a small {}.",
            "a photo of a big {}.",
            "a photo of the {}.",
            "a blurry photo of the {}.",
            "a black and white photo of the {}.",
            "a low contrast photo of the {}.",
            "a high contrast photo of the {}.",
            "a bad photo of the {}.",
            "a good photo of the {}.",
            "a photo of the small {}.",
            "a photo of the big {}.",
        ),
    ),
    phrasings="cifar10",
    models=BASELINES,
    reported=published(
        ON_TEST,
        clip_vit_b32={1: 0.9689, 5: 0.9639, 10: 0.9792},
        resnet50={1: 0.8657, 5: 0.9338, 10: 0.9501, 15: 0.9572, 20: "0.9570"},
    ),
)
