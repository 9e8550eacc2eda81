"""STL-10: photographs of 96 x 96 pixels from ImageNet, 5,000 to train on and 8,000 to validate on, ten classes."""

from src.config import Competition, Prompts, Torchvision
from src.configs.shared.baselines import BASELINES, ON_TEST, published

competition = Competition(
    title="STL-10",
    source=Torchvision("STL10"),
    classes=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
    prompts=Prompts(
        # CLIP's own, from data/prompts.md of its repository (MIT)
        templates=("a photo of a {}.", "a photo of the {}."),
    ),
    phrasings="stl10",
    models=BASELINES,
    reported=published(
        ON_TEST,
        clip_vit_b32={1: 0.9791, 5: "0.9840", 10: "0.9860"},
        resnet50={1: 0.7256, 5: "0.9260", 10: 0.9534, 15: 0.9584, 20: 0.9585},
    ),
)
