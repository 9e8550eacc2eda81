"""The models that data sets are compared with, and the scores of an article that did so before.

The article: "Fine-Tuning the CLIP Foundation Model for Image Classification" (Alexander Thamm GmbH, 2024-02-06), nine
data sets, validation accuracy after some epochs. Its set-up: CLIP ViT-B/32 by WiSE-FT's code, 10 epochs, lr 3e-5, batch
512; ResNet50 with torchvision's IMAGENET1K_V2, 20 epochs, lr 0.001 and 0.01 for the head, batch 256, the weights' own
transforms. Not known here: which rows it validated on, the ResNet's optimizer, and the prompts of the CLIP's head.
"""

from src.schema.models import FineTune, Probe, ZeroShot
from src.schema.settings import Reported

# OpenAI's weights, which are what WiSE-FT's code loads; they were trained with QuickGELU
CLIP = {"clip": "ViT-B-32-quickgelu", "weights": "openai"}
ALPHAS = tuple(step / 10 for step in range(11))  # WiSE-FT's own grid (Wortsman et al. 2022)

CLIP_VIT_B32 = FineTune(
    **CLIP,
    head="zeroshot",
    epochs=10,
    batch_size=512,
    lr=3e-5,
    weight_decay=0.1,  # as in Wortsman et al. 2022, who warm up for 500 steps; here it is one epoch
    wise_ft=ALPHAS,
)
RESNET50 = FineTune(
    backbone="resnet50.tv2_in1k",  # torchvision's IMAGENET1K_V2
    epochs=20,
    batch_size=256,
    lr=1e-3,
    head_lr=1e-2,
)
# The third: as many parameters as ResNet50 has (28 and 26 million), and ImageNet-1k alone, as its weights. Fine-tuning
# as in Liu et al. 2022, table 6: lr 5e-5 at a batch of 512, layer-wise lr, smoothing 0.1, no weight decay to speak of.
# Here the batch is ResNet50's, and so are the epochs; the head is new, which is what its own lr is for.
CONVNEXT_TINY = FineTune(
    backbone="convnext_tiny.fb_in1k",
    epochs=20,
    batch_size=256,
    micro_batch=128,  # it has no batch norm: the sum is the same, in half the memory
    lr=1e-4,
    head_lr=1e-3,
    weight_decay=1e-8,
    layer_decay=0.9,
    drop_path=0.1,
    label_smoothing=0.1,
)
BASELINES = {
    "zeroshot_vit_b32": ZeroShot(**CLIP),
    "probe_vit_b32": Probe(**CLIP),
    "clip_vit_b32": CLIP_VIT_B32,
    "resnet50": RESNET50,
    "convnext_tiny": CONVNEXT_TINY,
}
# What is known of the rows behind the article's scores, for its notes.
ON_TEST = "The data set has no validation rows, its test rows are taken here. Which the article took is not known."
ON_VAL = "Validated here on the official val. Which rows the article took is not known."


def published(note: str, **scores: dict[int, float | str]) -> tuple[Reported, ...]:
    """The article's rows of one data set: published("...", resnet50={10: 0.9501}), a score for each epoch."""
    titles = {"resnet50": "ResNet50, fine-tuned", "clip_vit_b32": "CLIP ViT-B/32, fine-tuned"}
    return tuple(
        Reported(f"{titles[model]}, epoch {epoch}", valid=score, epoch=epoch, model=model, note=note)
        for model, by_epoch in scores.items()
        for epoch, score in by_epoch.items()
    )
