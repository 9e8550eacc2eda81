"""CIFAR-10 on a machine without GPU: the same files, folds and augmentation, a network of 0.4 million parameters.

All 50,000 rows take hours on two cores: ./run.sh cifar10_small --limit 2000. On 2 CPU cores (AMD EPYC, torch 2.15.0,
timm 1.0.31) resnet_tiny has CV accuracy 0.6170 ± 0.0109 and log loss 1.1505 on these 2,000 rows, in 436 s.

./run.sh compare cifar10_small, tiny networks from scratch, trained on 40,000 rows and scored on the 10,000 of fold 0:

  model                               parameters  epoch 0          epoch 1          epoch 5          training
  resnet (64 pixels)                  0.4 M       0.0934 ± 0.0029  0.5594 ± 0.0050  0.7925 ± 0.0041  404 s
  vit (a CLIP's tower, 32 pixels)     0.1 M       0.1111 ± 0.0031  0.3665 ± 0.0048  0.5384 ± 0.0050  204 s
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
