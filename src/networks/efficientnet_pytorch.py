"""The names of EfficientNet-PyTorch (lukemelas) and its descendants, as timm has them: B0 to B8 and Lite0 to Lite4.

Both ported the same TensorFlow networks. EfficientNet-PyTorch numbers the blocks through, timm within their stage; and
timm numbers a block's layers from the first that it has, where the other keeps the number of one that is not there.
"""

import re
from collections.abc import Collection, Mapping
from typing import TypeVar

T = TypeVar("T")

OF_NETWORK = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
OF_BLOCK = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
OF_BLOCK |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
OF_BLOCK |= {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
# of a block without expansion, which timm calls depthwise separable
OF_PLAIN_BLOCK = OF_BLOCK | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


def are_names(names: Collection[str]) -> bool:
    return "_conv_stem.weight" in names and "_blocks.0._depthwise_conv.weight" in names


def renamed(state: Mapping[str, T], wanted: Collection[str]) -> dict[str, T]:
    """The entries by timm's names.

    Args:
        wanted: The names of timm's network, which say how its blocks are divided into stages; of an entry that has no
            place there, the name stays as it is.
    """
    places = sorted({(int(s), int(i)) for s, i in re.findall(r"(?m)^blocks\.(\d+)\.(\d+)\.", "\n".join(wanted))})
    expanding = {int(number) for number in re.findall(r"_blocks\.(\d+)\._expand_conv\.", " ".join(state))}

    def new(name: str) -> str:
        if (found := BLOCK.fullmatch(name)) is None:
            layer, _, parameter = name.rpartition(".")
            return f"{OF_NETWORK[layer]}.{parameter}" if layer in OF_NETWORK else name
        number, layer, parameter = int(found[1]), found[2], found[3]
        layers = OF_BLOCK if number in expanding else OF_PLAIN_BLOCK
        if number >= len(places) or layer not in layers:
            return name
        stage, place = places[number]
        return f"blocks.{stage}.{place}.{layers[layer]}.{parameter}"

    return {new(name): value for name, value in state.items()}
