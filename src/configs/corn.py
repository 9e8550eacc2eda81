"""It's Corn (PogChamps #3): photographs of corn seeds, one a picture, in four classes. Written for one GPU.

The winner read the rules as "ImageNet-pretrained weights only": the CLIP models are for late submissions, resnet50 is
eligible, and convnext_base. A seed has no up side: a picture flipped or turned by half is as likely as the picture.
"""

from src.config import Augment, Competition, FineTune, Kaggle, Probe, Prompts, Reported, ZeroShot

SEED_VIEWS = ("identity", "hflip", "vflip", "rot180")

competition = Competition(
    title="It's Corn (PogChamps #3)",
    source=Kaggle("kaggle-pog-series-s01e03"),
    train="corn/train.csv",
    test="corn/test.csv",
    sample_submission="corn/sample_submission.csv",
    images="corn",
    id="seed_id",
    image="image",
    label="label",
    classes=("broken", "discolored", "pure", "silkcut"),
    metric="accuracy",
    prompts=Prompts(
        templates=("a photo of a {} corn seed.", "a close-up photo of a {} kernel of corn."),
        classnames={
            "broken": ("broken", "cracked"),
            "discolored": ("discolored", "stained"),
            "pure": ("pure", "healthy"),
            "silkcut": ("silk cut", "split"),
        },
    ),
    models={
        # the architecture of the reported row; which of its weights that row used is not known
        "zeroshot_vit_b32": ZeroShot(clip="ViT-B-32-quickgelu", weights="laion400m_e32"),
        "zeroshot_vit_h14": ZeroShot(clip="ViT-H-14", weights="laion2b_s32b_b79k"),
        "probe_vit_h14": Probe(clip="ViT-H-14", weights="laion2b_s32b_b79k", views=SEED_VIEWS),
        "probe_resnet50": Probe(backbone="resnet50.a1_in1k", views=SEED_VIEWS),
        "convnext_base": FineTune(
            backbone="convnext_base.fb_in22k_ft_in1k",
            img_size=224,
            epochs=12,
            batch_size=64,
            lr=1e-4,
            warmup_epochs=1.0,
            drop_path=0.2,
            label_smoothing=0.1,
            ema_decay=0.999,
            augment=(
                Augment("D4", p=1.0),
                Augment("Affine", scale=(0.85, 1.15), rotate=(-45, 45), translate_percent=(-0.05, 0.05), p=0.7),
                Augment("ColorJitter", brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02, p=0.5),
            ),
            views=SEED_VIEWS,
        ),
    },
    reported=(  # public and private accuracy as their authors gave them
        Reported("Zero-shot ViT-B-32-quickgelu", public=0.16666, private=0.18397, model="zeroshot_vit_b32"),
        Reported("Zero-shot ViT-H-14", public=0.28591, private=0.27955, model="zeroshot_vit_h14"),
        Reported("Linear probing w/ ViT-H-14", public=0.71982, private=0.72583, model="probe_vit_h14"),
        Reported("ConvNeXt, fastai and albumentations", public=0.76149, private=0.75386, model="convnext_base"),
        Reported("First place: 12 models averaged, TTA", public=0.816, private=0.82429),
    ),
)
