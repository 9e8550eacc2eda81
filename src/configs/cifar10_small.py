"""CIFAR-10 on a machine without GPU or hub: the same files and folds, ImageNet weights of a package.

All 50,000 rows take hours on two cores: ./run.sh cifar10_small --limit 2000 takes 4 minutes, --limit 10000 some 20.
Accuracy out of fold ± standard error of these rows (AMD EPYC, of 2,000 with AVX2, of 10,000 and the minutes with
AVX-512; torch 2.15.0, timm 1.0.31):

  model                            2,000 rows       log loss  10,000 rows      log loss
  pixels                           0.5195 ± 0.0112  1.4073    0.5844 ± 0.0049  1.1656
  probe_lite0 (128 pixels)         0.7535 ± 0.0096  0.7320    0.7765 ± 0.0042  0.6425
  lite0 (96 pixels, one seed)      0.7825 ± 0.0092  0.6617    0.8117 ± 0.0039  0.5511
  blend (stack)                    0.8045 ± 0.0089  0.6011    0.8379 ± 0.0037  0.4683

A network of 0.4 million parameters from scratch, which this config had before, has 0.6170 ± 0.0109 and 1.1505.

./run.sh compare cifar10_small, tiny networks from scratch, trained on 40,000 rows and scored on the 10,000 of fold 0:

  model                               parameters  epoch 0          epoch 1          epoch 5          training
  resnet (64 pixels)                  0.4 M       0.0934 ± 0.0029  0.5594 ± 0.0050  0.7925 ± 0.0041  404 s
  vit (a CLIP's tower, 32 pixels)     0.1 M       0.1111 ± 0.0031  0.3665 ± 0.0048  0.5384 ± 0.0050  204 s
"""

from src.config import ClipArch, FineTune, Pixels, Probe, lite
from src.configs.cifar10 import AUGMENT
from src.configs.cifar10 import competition as cifar10

TINY = ClipArch(
    name="tiny-vit",
    embed_dim=64,
    vision_cfg={"image_size": 32, "patch_size": 4, "layers": 2, "width": 64, "head_width": 32},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
)

competition = cifar10.model_copy(
    update={
        "title": "CIFAR-10, by ImageNet weights of a package on a CPU",
        "models": {
            "pixels": Pixels(),
            "probe_lite0": Probe(**lite(0), img_size=128, views=("identity", "hflip")),
            "lite0": FineTune(
                **lite(0),
                img_size=96,
                epochs=20,  # at most: fewer where they have more steps than these
                max_steps=250,
                batch_size=32,
                lr=1e-3,
                frozen_groups=3,  # half the time
                label_smoothing=0.1,
                ema_decay=0.98,
                augment=AUGMENT,
                views=("identity", "hflip"),
                temperature=True,
            ),
        },
        "compared": {
            "resnet": FineTune(backbone="test_resnet", pretrained=False, img_size=64, epochs=5, batch_size=64, lr=3e-3),
            "vit": FineTune(clip=TINY, head="random", epochs=5, batch_size=64, lr=1e-3),
        },
    }
)
