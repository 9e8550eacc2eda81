"""Food-101: dishes in 101 classes, 75,750 photographs to train on, some with wrong labels, 25,250 to validate on."""

from src.config import Competition, Prompts, Torchvision
from src.configs.shared import class_names
from src.configs.shared.baselines import BASELINES, ON_TEST, published

competition = Competition(
    title="Food-101",
    source=Torchvision("Food101"),
    classes=class_names.read("food101").labels,
    prompts=Prompts(
        # CLIP's own, from data/prompts.md of its repository (MIT)
        templates=("a photo of {}, a type of food.",),
    ),
    phrasings="food101",
    models=BASELINES,
    reported=published(
        ON_TEST,
        clip_vit_b32={1: 0.8672, 5: 0.8564, 10: 0.8863},
        resnet50={1: 0.6714, 5: 0.7869, 10: 0.8149, 15: 0.8427, 20: 0.8474},
    ),
)
