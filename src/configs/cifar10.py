"""CIFAR-10: Kaggle's own competition, 50,000 photographs of 32 x 32 pixels in ten classes, from scratch on one GPU.

Kaggle's zip goes to input/cifar-10.zip. A ResNet of timm's sees its pictures enlarged: its stem reduces them by 4, as
for ImageNet.
"""

from src.config import Augment, Competition, FineTune, Folds, Kaggle

AUGMENT = (
    Augment("HorizontalFlip", p=0.5),
    Augment("Affine", translate_percent=(-0.125, 0.125), border_mode=4, p=1.0),  # 4: mirrored edges
)

competition = Competition(
    title="CIFAR-10, from scratch",
    source=Kaggle("cifar-10"),
    train="trainLabels.csv",
    test="sampleSubmission.csv",  # there is no table of the test images but this
    sample_submission="sampleSubmission.csv",
    id="id",
    image="{part}/{id}.jpg",
    ids_overlap=True,  # both parts count from 1
    label="label",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    metric="accuracy",
    folds=Folds(n=5, seed=42),
    models={
        "resnet18": FineTune(
            backbone="resnet18",
            pretrained=False,
            img_size=96,
            epochs=30,
            batch_size=256,
            lr=3e-3,
            warmup_epochs=3.0,
            label_smoothing=0.1,
            cutmix=1.0,
            mix_p=0.5,
            ema_decay=0.998,
            augment=AUGMENT,
            views=("identity", "hflip"),
        ),
    },
    # From scratch too, so that no hub is needed; cifar10_official has the pretrained ones. The labels of Kaggle's test
    # rows are not known: fold 0 is validated on.
    compared={
        # by the recipe of resnet18
        "resnet50": FineTune(
            backbone="resnet50",
            pretrained=False,
            img_size=96,
            epochs=20,
            batch_size=256,
            lr=3e-3,
            warmup_epochs=2.0,
            label_smoothing=0.1,
            cutmix=1.0,
            mix_p=0.5,
            augment=AUGMENT,
        ),
        # a CLIP's tower by DeiT's recipe (Touvron et al. 2021): lr 5e-4 at a batch of 512, warm-up, mixup and cutmix,
        # these in half of the batches, since 20 epochs are few
        "vit_b32": FineTune(
            clip="ViT-B-32",
            head="random",
            epochs=20,
            batch_size=512,
            lr=5e-4,
            warmup_epochs=5.0,
            label_smoothing=0.1,
            mixup=0.8,
            cutmix=1.0,
            mix_p=0.5,
            augment=AUGMENT,
        ),
    },
)
