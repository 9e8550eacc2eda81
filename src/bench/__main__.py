"""bench: times this repository's code side by side with what people use elsewhere; all benchmarks if none is named.

    ./run.sh bench
    ./run.sh bench decode finetune --quick
    ./run.sh bench features --model tiny

  decode    pictures to squares on one core, beside open_clip's own transform
  features  pictures to stored features, beside the model alone, open_clip's README loop and clip_benchmark
  probe     the linear probe, beside scikit-learn
  finetune  an epoch of training, beside the model alone and a DataLoader with Pillow and albumentations
  makespan  only if named: how long corn's plan takes on 1 to 40 GPUs, simulated, beside what no order could beat
  scale     only if named: what stages read and write of a million rows, in seconds and memory
  gpu       only if named: all of these on a GPU, in one table and eight minutes (src/bench/gpu.py)

For people there is a table, for programs a line of JSON for each comparison.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from src.__main__ import exit_code
from src.base import gpu, packages
from src.base.arguments import Parser, count
from src.base.errors import UserError, unknown
from src.base.paths import from_caller

BENCHES = {  # each with its options beside --quick
    "decode": ("images",),
    "features": ("images", "model", "rows"),
    "probe": (),
    "finetune": ("images",),
    "makespan": (),
    "scale": ("rows",),
    "gpu": ("folder",),
}
ASKED = ("makespan", "scale", "gpu")  # run only if named; the parts of gpu say for themselves what they lack
WITHOUT_CLIP = ("probe", "scale", "gpu")
# Options that no other benchmark may stand beside
ALONE = {"model": ("features",), "rows": ("features", "scale"), "folder": ("gpu",)}


def make_parser() -> Parser:
    parser = Parser("./run.sh bench", __doc__)
    parser.add_argument("benches", metavar="BENCHMARK", nargs="*", type=benchmark, help=", ".join(BENCHES))
    parser.add_argument(
        "--quick", action="store_true", help="few pictures and rounds: does it run? numbers mean little"
    )
    parser.add_argument("--images", metavar="FOLDER", type=folder, help="real pictures (PNG, JPEG), not made-up ones")
    group = parser.add_argument_group("options of features alone, and of scale")
    group.add_argument(
        "--model", metavar="NAME", help="tiny, ViT-B-32, on a CPU tf_efficientnet_lite0, on a GPU ViT-L-14, ViT-H-14"
    )
    memory = "the memory that it takes to write, find and read N rows, instead; scale: N train rows, and no others"
    group.add_argument("--rows", metavar="N", type=count, help=memory)
    group = parser.add_argument_group("options of gpu alone")
    group.add_argument("--folder", metavar="FOLDER", type=from_caller, help="where figures are kept, and continued")
    return parser


def benchmark(name: str) -> str:
    if name not in BENCHES:
        raise UserError(unknown("benchmark", name, BENCHES))
    return name


def folder(name: str) -> Path:
    path = from_caller(name)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path}")
    return path


def parse(words: list[str]) -> dict[str, Any]:
    """The benchmarks in their order, and the options.

    Raises:
        UserError: An unknown benchmark or option, or a value that does not fit.
    """
    options = make_parser().given(words)
    named = options.pop("benches", [bench for bench in BENCHES if bench not in ASKED])
    for option, alone in ALONE.items():
        if option in options and not (len(named) == 1 and named[0] in alone):
            raise UserError(f"--{option} is an option of one benchmark: ./run.sh bench {' or '.join(alone)} ...")
    return {"benches": [bench for bench in BENCHES if bench in named], **options}


def run(benches: list[str], quick: bool = False, **options: Any) -> int:
    """Run benchmarks one after the other, and return the exit code.

    Raises:
        UserError: A package that one of them needs is missing or too old; then none has run.
    """
    clip = (packages.CLIP,) if {*benches} - {*WITHOUT_CLIP} else ()
    others = {*benches} - {"gpu"}
    packages.require((*packages.CORE, *packages.NETWORKS, *clip) if others else ("torch",))
    gpu.require_usable()
    code = 0
    for bench in benches:
        print(f"== bench: {bench}")
        own = {name: value for name, value in options.items() if name in BENCHES[bench]}
        code = importlib.import_module(f"src.bench.{bench}").run(quick=quick, **own) or code
    return code


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(make_parser().format_help())
        return 0
    return exit_code(lambda: run(**parse(arguments)), "stopped")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
