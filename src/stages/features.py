"""features: encodes every train and test image by every encoder that the config names, once for all that use it.

Reads the images; writes pictures/ (decoded, where they fit) and features/<encoder>-<view>/.
"""

import functools

from src import dataset, encoders, features
from src.config import Competition


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in encoders.of(competition):
        encoders.identity(spec)


def run(competition: Competition) -> None:
    data = dataset.read(competition)
    rows, store = data.rows, encoders.store(competition, data)
    views: dict[str, dict[str, features.Cache]] = {}  # of each encoder: models may share it and its views
    for spec in encoders.of(competition):
        for cache in features.caches(competition, spec):
            views.setdefault(encoders.slug(spec), {}).setdefault(cache.view, cache)
    for slug, caches in views.items():
        spec = next(iter(caches.values())).spec
        counts = features.make(
            list(caches.values()),
            rows,
            functools.partial(encoders.tower, spec),
            functools.partial(encoders.pictures, store, spec, list(caches)),
        )
        if reused := [view for view, n in counts.items() if n == 0]:
            print(f"{slug}  {', '.join(reused)}  reused: {len(set(rows.shas))} images")
