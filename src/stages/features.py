"""features: encodes every train and test image by every CLIP model that the config names, once for all that use it.

Reads the images; writes features/<clip>-<view>/.
"""

import functools
import time

from src import clip, dataset, features
from src.config import Clip, Competition
from src.progress import duration


def clips(competition: Competition) -> list[Clip]:
    return [model for model in competition.models.values() if isinstance(model, Clip)]


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in clips(competition):
        clip.identity(spec)


def run(competition: Competition) -> None:
    rows = dataset.read(competition).rows
    specs = {clip.slug(spec): spec for spec in clips(competition)}
    load = functools.lru_cache(maxsize=1)(lambda slug: clip.load(specs[slug]))  # once for all its views
    seen = set()
    for spec in clips(competition):
        for cache in features.caches(competition, spec):
            if cache.folder in seen:
                continue
            seen.add(cache.folder)
            start = time.perf_counter()
            n = cache.make(rows, functools.partial(load, clip.slug(spec)))
            if n == 0:
                print(f"{cache.folder.name}  reused: {len(set(rows.shas))} images")
            else:
                seconds = time.perf_counter() - start
                print(f"{cache.folder.name}  {n} images  {duration(seconds)}  {n / seconds:.1f} images/s in all")
