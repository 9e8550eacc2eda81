"""CIFAR-10: Kaggle's own competition, 50,000 photographs of 32 x 32 pixels in ten classes, from scratch on one GPU.

A ResNet of timm's sees its pictures enlarged: its stem reduces them by 4, as for ImageNet.
"""

from src.config import Augment, Competition, FineTune, Folds, Kaggle

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
            augment=(
                Augment("HorizontalFlip", p=0.5),
                Augment("Affine", translate_percent=(-0.125, 0.125), border_mode=4, p=1.0),  # 4: mirrored edges
            ),
            views=("identity", "hflip"),
        ),
    },
)
