"""Encoders on a CPU: the network alone by torch in two layouts and by OpenVINO, and ours from pictures to features.

All in float32, in turns, with random weights, which take as long as others. Ours computes with what networks/engines.py
chooses for some thousand pictures; what it takes to convert a network once is printed and not counted.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from src.base import machine, packages
from src.base.text import duration
from src.bench.compare import Comparison, race_rates, silence, timed
from src.data.decoded import Decoded
from src.networks import encoders, engines, inference
from src.networks.engines import Engine
from src.schema.networks import Encoder

BATCH, QUICK_BATCH = 32, 4
ROUNDS, QUICK_ROUNDS = 5, 2
MODELS = {
    "ViT-B-32": Encoder(clip="ViT-B-32"),
    "tf_efficientnet_lite0": Encoder(backbone="tf_efficientnet_lite0", pretrained=False),
}
MANY = 10_000  # pictures for which an engine is chosen


def describe() -> str:
    """`AMD EPYC (avx2), 2 threads`."""
    flags = ", ".join(sorted(machine.cpu_flags())) or "no flags known"
    return (
        f"{machine.cpu_facts().get('model name', machine.device_name())} ({flags}), {torch.get_num_threads()} threads"
    )


def compare(name: str, paths: list[Path], quick: bool) -> list[Comparison]:
    """The comparisons of one of MODELS, on at least a batch of pictures."""
    spec, batch = MODELS[name], QUICK_BATCH if quick else BATCH
    with silence():
        towers = [encoders.tower(spec) for _ in range(3)]  # of their own, since a layout is one of the weights
    side = towers[0].geometry.size
    ways = {"contiguous": Engine(towers[0].forward), "channels_last": engines.channels_last(towers[1].forward)}
    if not packages.unmet([packages.OPENVINO]):
        ways["OpenVINO"] = Engine(engines.convert(towers[2].forward, batch, side))
    start = time.perf_counter()
    ours = inference.EncoderRunner(encoders.tower(spec), name, "float32", batch, False, MANY)
    chosen = ours.engine.name or "torch"
    print(f"{name}: batches of {batch}, {chosen} is chosen and ready in {duration(time.perf_counter() - start)}")
    arms = {way: timed(alone(engine, batch, side)) for way, engine in ways.items()} | {"ours": timed(pipeline(ours))}
    part = paths[: len(paths) // batch * batch]
    rates = race_rates(arms, [part], QUICK_ROUNDS if quick else ROUNDS, len(part), warm=[part[:batch]])
    pairs = [(way, "contiguous", f"{way} alone") for way in ways if way != "contiguous"]
    pairs.append(("ours", "contiguous", f"from pictures to features, by {chosen}"))
    return [
        Comparison("features", f"{name}: {what} | torch alone", rates[arm], rates[peer]) for arm, peer, what in pairs
    ]


def alone(engine: Engine, batch: int, side: int) -> Callable[[list[Path]], None]:
    """The network on whole batches of pixels in memory, of as many as there are paths."""

    @torch.inference_mode()
    def run(paths: list[Path]) -> None:
        for _ in range(0, len(paths), batch):
            engine.forward(pixels)

    pixels = torch.randn(batch, 3, side, side).contiguous(memory_format=engine.layout)
    return run


def pipeline(encoder: inference.EncoderRunner) -> Callable[[list[Path]], None]:
    """Pictures, from their files on, to features in memory."""

    def run(paths: list[Path]) -> None:
        for _ in inference.encode(encoder, Decoded(paths), range(len(paths)), ["identity"], inference.Times()):
            pass

    return run
