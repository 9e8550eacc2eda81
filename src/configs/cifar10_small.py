"""CIFAR-10 on a machine without GPU: the same files, folds and augmentation, a network of 0.4 million parameters.

All 50,000 rows take hours on two cores: ./run.sh cifar10_small --limit 2000.
"""

from src.configs.cifar10 import competition as cifar10

competition = cifar10.model_copy(
    update={
        "title": "CIFAR-10, from scratch on a CPU",
        "models": {
            "resnet_tiny": cifar10.models["resnet18"].model_copy(
                # smaller batches: of 2,000 rows an epoch has few steps
                update={"backbone": "test_resnet", "img_size": 64, "batch_size": 64, "ema_decay": 0.99}
            ),
        },
    }
)
