"""The pictures whose features are missing, through an encoder into the feature store (networks/features.py).

Images are encoded in blocks (networks/blocks.py). Who hands them out begins the caches, in a precision that all blocks
then have; a block is encoded by any process, also twice (networks/encoding_units.py). A killed run loses what a minute
has encoded, or a batch. Images that come later are encoded and the others are not.
"""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import numpy as np

from src.base import locks
from src.base.errors import UserError
from src.base.progress import track
from src.data.decoded import Pictures
from src.data.rows import Parts, Rows
from src.networks import encoders, inference
from src.networks.blocks import Block, Blocks, Plans
from src.networks.features import Cache, feature_caches
from src.networks.inference import EncoderRunner, Times, Tower
from src.schema.competition import Competition
from src.schema.networks import Encoder

OVERFLOWED = ", since features overflow in float16"
EVERY_S = 60  # between two shards of a block that takes longer

Runners = Callable[[str], EncoderRunner]  # by precision


class Overflowed(UserError):
    """Features are not finite in float16, and the config leaves the precision open: see `begin`."""


def begin(competition: Competition, data: Parts, specs: Sequence[Encoder], wider: bool = False) -> list[Block]:
    """Begin the caches of encoders where images are missing, say what is reused, and return the blocks to encode.

    It is for the process that hands out the blocks, while none of them is being encoded.

    Args:
        wider: A block has `Overflowed`: all images of these encoders are encoded again, in bfloat16, in every view.
    """
    images, pending = data.rows.distinct(), []
    for slug, caches in caches_of(competition, specs).items():
        blocks = Blocks(caches, images)
        plan = functools.partial(widened, blocks) if wider else blocks.plans
        if plans := plan():  # of a folder in which nothing is lacking nothing is written
            with alone(competition, slug):
                blocks.update()  # others may have begun them in the meantime
                blocks.begin(plans := plan(), OVERFLOWED if wider else "")
        if reused := [view for view in blocks.caches if view not in plans]:
            say_reused(slug, reused, len(images))
        pending += blocks.pending()
    return pending


def alone(competition: Competition, slug: str) -> AbstractContextManager[None]:
    """Let one process at a time begin the caches of an encoder."""
    return locks.locked(competition.folder / f".features-{slug}.lock")


def widened(blocks: Blocks) -> Plans:
    """That of every view where features overflow: all of a model are of one precision."""
    return dict.fromkeys(blocks.caches, (len(blocks.images), encoders.WIDER))


def caches_of(competition: Competition, specs: Iterable[Encoder]) -> dict[str, list[Cache]]:
    """By encoder its caches, one a view: models may share both."""
    by_slug: dict[str, dict[str, Cache]] = {}
    for spec in specs:
        for cache in feature_caches(competition, spec):
            by_slug.setdefault(encoders.slug(spec), {}).setdefault(cache.view, cache)
    return {slug: list(by_view.values()) for slug, by_view in by_slug.items()}


def say_reused(slug: str, views: Sequence[str], n: int) -> None:
    print(f"{slug}  {', '.join(views)}  reused: {n} images")


def encode_missing(competition: Competition, specs: Sequence[Encoder], data: Parts) -> None:
    """Encode all rows by encoders, of which several may be the same, where their features are missing, and say so.

    Raises:
        UserError: As `make_features`.
    """
    for slug, caches in caches_of(competition, specs).items():
        counts = encode_rows(competition, caches, data)
        if reused := [view for view, n in counts.items() if n == 0]:
            say_reused(slug, reused, len(set(data.rows.shas)))


def encode_rows(competition: Competition, caches: Sequence[Cache], data: Parts) -> dict[str, int]:
    """As `make_features`, of all rows of a competition; of several processes that come here the first encodes them."""
    spec, views = caches[0].spec, [cache.view for cache in caches]
    pictures = functools.partial(encoders.pictures, encoders.store(competition, data, spec), spec, views)
    with alone(competition, encoders.slug(spec)):
        return make_features(caches, data.rows, functools.partial(encoders.tower, spec), pictures)


def make_features(
    caches: Sequence[Cache], rows: Rows, load: Callable[[], Tower], pictures: Callable[[Rows], Pictures]
) -> dict[str, int]:
    """Encode the images of `rows` that caches of one encoder lack; an image that is there twice is encoded once.

    Views that lack the same images are made from one loading of them. Where features overflow in float16, and the
    config leaves the precision open, all images are encoded in bfloat16, in every view.

    Args:
        load: Gives the model; called only if there is something to encode, and before anything is changed.
        pictures: Gives the pictures of rows.

    Returns:
        For each view how many images were encoded.

    Raises:
        UserError: The model is not available, or its features are not finite, or the disk is full.
    """
    blocks = Blocks(caches, rows.distinct())
    counts = dict.fromkeys(blocks.caches, 0)
    try:
        return counts | make(blocks, blocks.plans(), "", load, pictures)
    except Overflowed:
        pass  # and with it the network is gone, or its weights would stay in memory beside those of the next one
    return counts | make(blocks, widened(blocks), OVERFLOWED, load, pictures)


def make(
    blocks: Blocks, plans: Plans, why: str, load: Callable[[], Tower], pictures: Callable[[Rows], Pictures]
) -> dict[str, int]:
    """Begin caches, which says `why`, and encode all blocks."""
    precisions, most = {precision for _, precision in plans.values()}, max((n for n, _ in plans.values()), default=0)
    runners = {precision: runner(blocks, load, precision, most) for precision in sorted(precisions)}
    blocks.begin(plans, why)
    return encode_blocks(blocks, range(len(blocks)), runners.pop, pictures) if plans else {}


def runner(blocks: Blocks, load: Callable[[], Tower], precision: str, most: int) -> EncoderRunner:
    spec, tower = blocks.spec, inference.cast_weights(load(), precision)
    title, total = encoders.title(spec), len(blocks.images)
    return EncoderRunner(tower, title, precision, spec.batch_size, spec.compile, most, total)


def encode_blocks(
    blocks: Blocks, numbers: Iterable[int], runners: Runners, pictures: Callable[[Rows], Pictures]
) -> dict[str, int]:
    """Encode what the caches lack of blocks; returns for each view how many images, if any.

    Raises:
        Overflowed: What is there of other blocks is to be encoded again.
    """
    together: dict[str, dict[tuple[str, ...], list[np.ndarray]]] = {}
    for part in (part for number in numbers for part in blocks.lacking(number)):
        together.setdefault(part.precision, {}).setdefault(part.views, []).append(part.places)
    counts: dict[str, int] = {}
    for precision, by_views in together.items():
        encoder = runners(precision)
        for views, parts in by_views.items():
            todo = blocks.images.take(np.concatenate(parts))
            encode(blocks, views, encoder, parts, pictures(todo))
            counts |= {view: counts.get(view, 0) + len(todo) for view in views}
        del encoder  # before the next one is loaded
    return counts


def encode(
    blocks: Blocks, views: Sequence[str], encoder: EncoderRunner, parts: list[np.ndarray], pictures: Pictures
) -> None:
    """Encode pictures, which are those of images at places of the blocks, a part of places a block, into some views.

    A shard is written at the end of each block, and where the last one was written long ago.
    """
    spec, caches = blocks.spec, [blocks.caches[view] for view in views]
    may_overflow = spec.precision == "auto" and encoder.precision == "float16"
    places, ends = np.concatenate(parts), np.cumsum([len(part) for part in parts]).tolist()
    times, pending, start, written = Times(), [], 0, time.monotonic()
    batches = inference.encode(encoder, pictures, range(len(places)), views, times, ends)
    slug, done = encoders.slug(spec), 0
    for feats in track(batches, f"features {slug}", len(places), "images", of=lambda feats: len(feats[views[0]])):
        if may_overflow and not all(np.isfinite(feats[view]).all() for view in views):
            raise Overflowed(f"{encoders.title(spec)} has features that overflow in float16: run that again")
        pending.append(feats)
        done += len(feats[views[0]])
        while start < done and (done >= ends[0] or time.monotonic() - written >= EVERY_S):
            stop = min(done, ends[0])
            whole = {view: np.concatenate([batch[view] for batch in pending]) for view in views}
            ids, shas = blocks.images.take(places[start:stop]).ids, blocks.shas[places[start:stop]]
            for cache in caches:
                cache.add(ids, shas, whole[cache.view][: stop - start], encoder.precision)
            pending = [{view: feats[stop - start :] for view, feats in whole.items()}]
            ends, start, written = ends[stop == ends[0] :], stop, time.monotonic()
    print(f"{slug}  {', '.join(views)}  {times.summary(len(places))}")
