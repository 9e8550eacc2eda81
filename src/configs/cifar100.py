"""CIFAR-100: 50,000 photographs of 32 x 32 pixels to train on and 10,000 to validate on, 100 classes."""

from src.config import Competition, Torchvision
from src.configs.cifar10_official import competition as cifar10
from src.configs.shared import class_names
from src.configs.shared.baselines import BASELINES, ON_TEST, published

competition = Competition(
    title="CIFAR-100",
    source=Torchvision("CIFAR100"),
    classes=class_names.read("cifar100").labels,
    prompts=cifar10.prompts,
    phrasings="cifar100",
    models=BASELINES,
    reported=published(
        ON_TEST,
        clip_vit_b32={1: 0.8344, 5: 0.8389, 10: "0.8910"},
        resnet50={1: "0.6680", 5: "0.7220", 10: 0.8204, 15: "0.8250", 20: 0.8265},
    ),
)
