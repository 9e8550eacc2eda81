"""Functional Map of the World (WILDS 1.1): what land is used for, seen by satellites, 62 classes; 54 GB to download.

Trained on pictures before 2013 (76,863), validated on other ones of these years (11,483); test="val" or test="test" are
later years. Region and year are columns of the tables; folds do not keep one of them together, since
there are only six regions.
"""

from src.config import Competition, Prompts, Wilds
from src.configs.shared import class_names
from src.configs.shared.baselines import BASELINES, published

CLASSES = class_names.read("fmow")

competition = Competition(
    title="Functional Map of the World",
    source=Wilds("fmow"),
    classes=CLASSES.labels,
    prompts=Prompts(
        # WiSE-FT's own, from src/templates of its repository (MIT)
        templates=(
            "satellite photo of a {}.",
            "aerial photo of a {}.",
            "satellite photo of a {} in asia.",
            "aerial photo of a {} in asia.",
            "satellite photo of a {} in africa.",
            "aerial photo of a {} in africa.",
            "satellite photo of a {} in the americas.",
            "aerial photo of a {} in the americas.",
            "satellite photo of a {} in europe.",
            "aerial photo of a {} in europe.",
            "satellite photo of a {} in oceania.",
            "aerial photo of a {} in oceania.",
            "a photo of a {}.",
            "{}.",
        ),
        classnames=CLASSES.phrases,
    ),
    phrasings="fmow",
    models=BASELINES,
    reported=published(
        "Validated here on WILDS' id_val, of the years trained on. Which rows the article took is not known.",
        clip_vit_b32={1: 0.4684, 5: 0.5389, 10: 0.5661},
        resnet50={1: 0.4644, 5: 0.4926, 10: 0.5234, 15: 0.5609, 20: 0.5382},
    ),
)
