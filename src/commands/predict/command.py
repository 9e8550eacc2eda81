"""predict: what models say of any pictures, side by side, and how long they take.

    ./run.sh predict photo.jpg pictures/ --models clip:ViT-B-32/openai timm:resnet50 --top 3 --html page.html
    ./run.sh predict photo.jpg --models corn:blend timm:resnet50@input/r.safetensors
    ./run.sh corn predict photo.jpg --models probe_vit_h14

Prints the top classes of each model, with probabilities and milliseconds per image; of a competition of several labels
those that it gives, and the likeliest others in brackets; of a number the number: one picture at a time, warm, the
median of several passes, with decoding reported separately. The page that --html writes contains the pictures and loads
nothing from the network.

A model is a CLIP of open_clip (zero-shot) or a timm network with its ImageNet head, from the hub or from a local file
that is named behind @, or an installed package (@package:NAME). The default is timm:tf_efficientnet_lite0, whose
weights are in a package and need no network, and, where the hub answers or they are in its cache,
clip:ViT-B-32-quickgelu/openai and timm:resnext50_32x4d. The classes are ImageNet's 1,000, or a list, or a file with one
per line.

A trained competition is a model too: behind its name the command asks its blend, or those of its models that --models
names; corn:blend compares it with other models. The prediction is the one that the model's stage makes for a test row.
Nothing is trained for it but a stack's weights, and the starting probe of a network that did not keep it.

Of more than 24 pictures it prints how many there are of each class and which a model is least sure of; --csv has all of
them, and the page an index, with the pictures in the order of their class and, in it, of the first model's doubt.

A picture that cannot be read is named, the others are predicted, and the exit code is 1. URLs are fetched only with
--allow-urls, pictures of 20 MB at most.
"""

import itertools
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from src import config
from src.base import files
from src.base.errors import UserError, counted, unknown
from src.base.packages import PACKAGE
from src.base.paths import from_caller, predict_folder
from src.base.text import align
from src.commands.predict import gathering, naming
from src.commands.predict.gathering import Picture, Unreadable, Word
from src.commands.predict.naming import DEFAULTS, Classes, Clip, Finished, Timm
from src.commands.predict.session import InferenceSession, Model, Prediction
from src.data import images
from src.networks import hub
from src.results.model import BLEND
from src.schema.competition import Competition

FEW = 24  # pictures that are looked at one by one, in the order in which they were named


def run(
    competition: Competition | None = None,
    *,
    words: Sequence[str] = (),
    models: Sequence[str] = (),
    classes: str | None = None,
    top: int = 5,
    csv: Path | None = None,
    html: Path | None = None,
    allow_urls: bool = False,
) -> int:
    """Predict and print; return the exit code, 1 if a picture could not be read.

    Args:
        words: Files, folders and URLs.
        models: Names of models; none: the competition's best, or DEFAULTS.

    Raises:
        UserError: Nothing is named, or something that is not known or is not available.
    """
    places = [Word(text, None if "://" in text else from_caller(text)) for text in words]
    gathering.check(places, allow_urls)
    for option, path in (("--csv", csv), ("--html", html)):
        if path is not None:
            check_target(option, path)
    if csv is not None and csv == html:
        raise UserError(f"--csv and --html are both {csv}: name two files")
    choices = None if classes is None else naming.read_classes(classes, from_caller(classes))
    chosen = choose_models(list(dict.fromkeys(models)), competition, choices)
    if not models and competition is None:
        chosen = keep_available(chosen)
    for model in chosen:
        model.check()
    with tempfile.TemporaryDirectory() as scratch:
        pictures, unreadable = gathering.gather(places, Path(scratch))
        for one in unreadable:
            print(f"{one.name}: {one.why}")
        if pictures:
            for model in chosen:
                model.fetch()
            paths = [picture.path for picture in pictures]
            whites = choose_whites(pictures, chosen)
            sessions = {white: InferenceSession(paths, white) for white in set(whites)}
            predictions = [sessions[white].prediction(model) for white, model in zip(whites, chosen, strict=True)]
            report(pictures, unreadable, predictions, top, csv, html, whites[0])
    if unreadable:
        total = len(unreadable) + len(pictures)
        print(f"{counted(len(unreadable), 'picture')} of {total} could not be read: see above")
    return 1 if unreadable else 0


def check_target(option: str, path: Path) -> None:
    """Raise a UserError before any work if the file could not be written in the end."""
    folder = path.parent
    if os.path.isdir(path):  # a Path raises an error of a name that is too long
        raise UserError(f"{option} {path} is a folder: name a file in it")
    if images.is_picture(path.name):
        raise UserError(f"{option} {path} has the name of a picture, which would be written over: name another file")
    if not os.path.isdir(folder):
        raise UserError(f"{option} {path} cannot be written: the folder {folder} is not there: make it first")
    try:
        with suppress(FileNotFoundError):
            path.lstat()  # which knows how long a name may be
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{option} {path} cannot be written: {folder}: {error.strerror}") from error


def choose_models(names: list[str], competition: Competition | None, choices: Classes | None) -> list[Model]:
    """The models of these names, not yet checked; `choices` are those of --classes, which one of them must read."""
    if not names and competition is not None:
        names = [competition.name]
    if not names:
        names = list(DEFAULTS)
        if choices is not None and not choices.imagenet:
            names = [name for name in names if name.startswith("clip:")]
            print(f"only {names[0]}: the heads of the others know ImageNet's 1,000 classes and no others")
    models = [choose_model(name, competition, choices) for name in names]
    if choices is not None and all(isinstance(model, Finished) for model in models):
        raise UserError(f"--classes is for clip: and timm: models: {models[0].name} knows those that it has learnt")
    return models


def keep_available(models: list[Model]) -> list[Model]:
    """Those of the usual models whose weights can be had; the others are named. A UserError if there is none."""
    kept, missing = [], []
    for model in models:
        try:
            model.check()
            model.fetch()
            kept.append(model)
        except (UserError, ModuleNotFoundError) as error:
            missing.append((model.name, error))
    if not kept:
        raise missing[0][1]
    if unreached := [name for name, error in missing if isinstance(error, hub.Unreachable)]:
        print(f"without {' and '.join(unreached)}, whose weights the hub has: {hub.why_offline()}")
    for name, error in missing:
        if name not in unreached:
            print(f"without {name}: {error}")
    return kept


def choose_model(name: str, competition: Competition | None, choices: Classes | None) -> Model:
    """The model of a name: `clip:ARCH/TAG`, `timm:NAME`, each with @FILE, `corn`, `corn:MODEL`, or a bare MODEL."""
    kind, colon, rest = name.partition(":")
    if colon and kind in ("clip", "timm"):
        what, at, file = rest.partition("@")
        of_package = file.startswith(PACKAGE)
        weights = (file if of_package else str(from_caller(file))) if at else None
        spec = naming.parse_encoder(name, what, weights)
        if kind == "timm":
            return Timm(f"timm:{what}" if of_package else name, spec, choices)
        return Clip(name, spec, choices or default_classes(competition), predict_folder())
    if competition is not None and not colon and name in (*competition.models, BLEND):
        return Finished(f"{competition.name}:{name}", competition, name)
    if kind in config.names() or (competition is not None and kind == competition.name):
        trained = competition if competition is not None and kind == competition.name else config.load(kind)
        model = rest if colon else naming.best_finished(trained)
        if model not in (*trained.models, BLEND):
            raise UserError(f"{kind}: " + unknown("model", model, [*trained.models, BLEND]))
        return Finished(f"{kind}:{model}", trained, model)
    own = [] if competition is None else [*competition.models, BLEND]
    raise UserError(unknown("model", name, [*own, *DEFAULTS, *config.names()]))


def default_classes(competition: Competition | None) -> Classes:
    """The classes that a CLIP chooses from without --classes."""
    if competition is None:
        return naming.imagenet()
    prompts = competition.prompts or naming.named_classes(competition.classes, competition.name).prompts
    return Classes(competition.classes, prompts, competition.classes)


def choose_whites(pictures: list[Picture], models: list[Model]) -> list[int]:
    """The value that is white, for each model, in pictures of more than 8 bits: its config's, or by what these hold."""
    held = images.white_over(max(picture.top for picture in pictures))
    if held != images.WHITE and any(model.white is None for model in models):
        deep = counted(sum(picture.top > 0 for picture in pictures), "picture")
        print(f"{deep} of more than 8 bits with no value above {held:,}: that is white")
    whites = [held if model.white is None else model.white for model in models]
    for model, white in zip(models, whites, strict=True):
        if held < white and model.white is not None:
            print(f"{model.name} sees pictures with no value above {held:,} as dark: white={white} is in its config")
    return whites


def report(
    pictures: list[Picture],
    unreadable: list[Unreadable],
    predictions: list[Prediction],
    top: int,
    csv: Path | None,
    html: Path | None,
    white: int,
) -> None:
    """Print the predictions and times, and write the table and the page; `white` is that of the pictures on it."""
    if len(pictures) <= FEW:
        for i, picture in enumerate(pictures):
            print("\n".join([picture.name, *(f"  {line}" for line in side_by_side(predictions, i, top))]))
    else:
        for one in predictions:
            names = [picture.name for picture in pictures]
            print("\n".join(one.answers.summary(one.name, names, one.labels, one.table)))
        if csv is None and html is None:
            print(f"all {len(pictures):,} pictures: --csv FILE writes a table, --html FILE a page by class and doubt")
    print("\n".join(times(predictions)))
    if csv is not None:
        df = table(pictures, predictions, top)
        files.write_text(csv, df.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        print(f"csv: {csv}  {len(df)} rows")
    if html is not None:
        from src.commands.predict import page

        text = page.render(pictures, unreadable, predictions, top, white)
        files.write_text(html, text)
        print(f"page: {html}  {len(text.encode()) / 1e6:.2f} MB")


def table(pictures: list[Picture], predictions: list[Prediction], top: int) -> pd.DataFrame:
    """One row a picture, model and rank; `ms` is the model's for one picture, without preparing it.

    Models of several labels have a column `given` beside, 1 for those that the picture gets; of a number the column
    `number`, and no probability.
    """
    rows = []
    for i, picture in enumerate(pictures):
        for one in predictions:
            for line in one.lines(i, top):
                row = {"image": picture.name, "model": one.name, "rank": line.rank, "label": line.label}
                row |= {"number" if one.answers.is_number else "probability": line.value, "ms": round(one.model, 3)}
                rows.append(row | ({"given": int(line.given)} if one.answers.has_given else {}))
    df = pd.DataFrame(rows)
    if "given" in df:
        df["given"] = df["given"].astype("Int64")  # empty of models that have none
    return df[
        [name for name in ("image", "model", "rank", "label", "probability", "number", "given", "ms") if name in df]
    ]


def side_by_side(predictions: list[Prediction], i: int, top: int) -> list[str]:
    """The likeliest classes of a picture, a column for each model; labels that it does not get are in brackets."""
    columns = [
        [f"{line.text}  {line.label if line.given else f'({line.label})'}" for line in one.lines(i, top)]
        for one in predictions
    ]
    ranks = [str(rank) for rank in range(1, max(map(len, columns)) + 1)]
    names = ["", *(one.name for one in predictions)]
    return align([names, *itertools.zip_longest(ranks, *columns, fillvalue="")])


def times(predictions: list[Prediction]) -> list[str]:
    """The milliseconds of each model."""
    rows = [("for one image, warm (median)", "model", "preparing", "")]
    for one in predictions:
        passes = f"{len(one.model_ms)} passes one after the other" if one.several else ""
        rows.append((one.name, f"{one.model:.1f} ms", f"{one.prepare:.1f} ms", passes))
    return align(rows)
