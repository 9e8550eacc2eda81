"""iWildCam 2020 (WILDS 2.0): what walks past camera traps, 182 classes with "empty" as one; 12 GB to download.

Trained on 129,809 pictures of 243 cameras, validated on 7,314 of the same cameras on other days; test="val" or
test="test" are other cameras. Folds keep a camera together: a burst of pictures shows the same animal, and
cross-validation says what a new camera would get, which is less than on these validation rows.
"""

from src.config import Competition, Prompts, Wilds
from src.configs.shared import class_names
from src.configs.shared.baselines import BASELINES, published

SPECIES = class_names.read("iwildcam")

competition = Competition(
    title="iWildCam 2020",
    source=Wilds("iwildcam"),
    group="location",
    classes=SPECIES.labels,
    rare_classes=True,  # some species were seen once, or by one camera alone
    prompts=Prompts(
        # WiSE-FT's own, from src/templates of its repository (MIT)
        templates=("a photo of {}.", "{} in the wild."),
        classnames=SPECIES.phrases,
    ),
    phrasings="iwildcam",
    models=BASELINES,
    reported=published(
        "Validated here on WILDS' id_val. Far above what Koh et al. 2021 give a fine-tuned ResNet50 on the official "
        "splits (0.757 on id_test): these may be other rows, such as of bursts that were trained on. It is not known.",
        clip_vit_b32={1: 0.7729, 5: 0.8441, 10: 0.8976},
        resnet50={1: 0.8306, 5: 0.9741, 10: 0.9894, 15: 0.9952, 20: 0.9959},
    ),
)
