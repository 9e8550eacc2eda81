"""features: encodes every train and test image by every CLIP model that the config names, once for all that use it.

Reads the images; writes features/<clip>-<view>/.
"""

import functools
import time

from src import clip, dataset, features
from src.config import Clip, Competition
from src.dataset import Rows
from src.progress import duration


def clips(competition: Competition) -> list[Clip]:
    return [model for model in competition.models.values() if isinstance(model, Clip)]


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in clips(competition):
        clip.identity(spec)


def run(competition: Competition) -> None:
    data = dataset.read(competition)
    rows = Rows(data.train.ids + data.test.ids, data.train.paths + data.test.paths, data.train.shas + data.test.shas)
    seen = set()
    for spec in clips(competition):
        load = functools.cache(lambda spec=spec: clip.load(spec))  # once for all views, and not if all are there
        for cache in features.caches(competition, spec):
            if cache.folder in seen:
                continue
            seen.add(cache.folder)
            start = time.perf_counter()
            n = cache.make(rows, lambda _, load=load: load())
            if n == 0:
                print(f"{cache.folder.name}  reused: {len(set(rows.shas))} images")
            else:
                seconds = time.perf_counter() - start
                print(f"{cache.folder.name}  {n} images  {duration(seconds)}  {n / seconds:.1f} images/s in all")
