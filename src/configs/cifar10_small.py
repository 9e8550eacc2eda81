"""CIFAR-10 on a machine without GPU: the same files, folds and augmentation, a network of 0.4 million parameters.

All 50,000 rows take hours on two cores: ./run.sh cifar10_small --limit 2000.
"""

from src.config import ClipArch, FineTune
from src.configs.cifar10 import competition as cifar10

TINY = ClipArch(
    name="tiny-vit",
    embed_dim=64,
    vision_cfg={"image_size": 32, "patch_size": 4, "layers": 2, "width": 64, "head_width": 32},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
)

competition = cifar10.model_copy(
    update={
        "title": "CIFAR-10, from scratch on a CPU",
        "models": {
            "resnet_tiny": cifar10.models["resnet18"].model_copy(
                # smaller batches: of 2,000 rows an epoch has few steps
                update={"backbone": "test_resnet", "img_size": 64, "batch_size": 64, "ema_decay": 0.99}
            ),
        },
        "compared": {
            "resnet": FineTune(backbone="test_resnet", pretrained=False, img_size=64, epochs=5, batch_size=64, lr=3e-3),
            "vit": FineTune(clip=TINY, head="random", epochs=5, batch_size=64, lr=1e-3),
        },
    }
)
