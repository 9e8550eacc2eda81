"""new: writes src/configs/<name>.py for a competition of pictures, or for pictures of your own, by looking at them.

    ./run.sh new leaf-classification-2
    ./run.sh new pictures/leaves --name leaves --label species --small
    ./run.sh new pictures/labels.csv --image 'images/{id}.jpg'

Infers the tables, the columns of ids, images and labels, folders that are classes, whether a row has one class, several
labels or a number, the classes and their names, what a submission holds, and the metric: Kaggle's own, if Kaggle can be
asked, or that of the Evaluation section of a page saved in the folder, as description.md. A comment beside each says
what it was inferred from, and what is a guess is printed with the option that changes it. A column that
may group rows is switched on where test rows have none of its values, which is said, and else proposed. Flips and turns
are used as far as a probe on some of the pictures, asked in half a minute, says that they keep the class. With --small:
models for two cores. What is ambiguous is listed with the option that decides it. Boxes, masks, volumes, tables and
texts are refused with the reason.

Reads input/<slug>/, which is downloaded if it does not exist. Ends by running data and folds on the new config. The
metrics: ./run.sh help scoring
"""

import importlib
import keyword
import os
import re
import shlex
from pathlib import Path

from src import config
from src.base import files, paths
from src.base.errors import UserError, counted, unknown
from src.base.locks import exclusive
from src.base.paths import from_caller, input_root
from src.commands import COMMANDS
from src.commands.new import answering, class_order, drafting, evaluation, flips, inferring, looking, own_pictures
from src.commands.new.drafting import call
from src.commands.new.guess import Flags, Guess
from src.data.sources import written
from src.data.sources.folder import Folder
from src.data.sources.kaggle import Kaggle
from src.data.sources.written import slug_of
from src.driver import run as driver
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.scoring.metrics import METRICS
from src.stages import STAGES

PAGE = re.compile(r"(?:https?://)?(?:www\.)?kaggle\.com/(?:competitions|c)/([^/?#]+).*")
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")  # a folder has to be called so
RESERVED = {*COMMANDS, *STAGES, "test", "bench"}
TRIAL = ("data", "folds")  # the stages that try a new config
# A phrase of their errors, and the field of the config that it is about
ABOUT = {
    "cannot be used": "image",
    "lower folds.n": "models",
    "class '": "classes",
    "the unknown": "classes",
    "unknown column": "id",
    "is the name of": "id",
    "is in train and in test": "id",
    "sample_submission but not": "test",
    "not in sample_submission": "test",
}


def run(
    what: str,
    name: str | None = None,
    id: str | None = None,
    image: str | None = None,
    label: str | None = None,
    metric: str | None = None,
    classes: str | None = None,
    positive: str | None = None,
    small: bool = False,
    force: bool = False,
) -> None:
    """Write the config of a slug or a folder, and try it; a config that the stages refuse stays."""
    folder, slug = parse_place(what)
    called, named = slug or (folder.stem if folder.is_file() else folder.name), name
    name = name or re.sub(r"\W+", "_", called.lower(), flags=re.ASCII).strip("_")
    path = require_free_name(name, force)
    if metric is not None and metric not in METRICS:
        raise UserError("--metric: " + unknown("metric", metric, METRICS))
    flags = Flags(id, image, label, metric, positive)
    title = None
    if folder is not None and own_pictures.are(folder):
        # folders of one name, such as Dataset, lie beside each other by the names of their configs
        source = own_pictures.source(folder, flags, None if named is None else slug_of(named))
        if force:
            written.remove(source.root / source.slug)
        source.fetch(source.root)
        guess = own_pictures.infer(source.root / source.slug, source, flags)
        fields = ("image", "label", "task", "separator", "slug")
        given = {key: getattr(source, key) for key in fields if key in source.model_fields_set}
        usual = Folder(source.path).slug
        given = {key: value for key, value in given.items() if (key, value) != ("slug", usual)}
        item = call("Folder", source.path, **given), "a share of each class is held out, unless there are splits"
    else:
        source = Kaggle(slug if folder is None else link(folder, name))
        source.fetch(source.root)
        item = call("Kaggle", source.slug), f"its files are at input/{source.slug}/"
        title, kaggle_metric = (None, None) if slug is None else title_and_metric(slug)
        root = source.root / source.slug
        guess = inferring.infer(looking.look(root), flags, evaluation.find(root, metric, kaggle_metric))
    class_order.settle(guess, classes)
    default_title = re.sub(r"[-_.]+", " ", source.slug).strip()
    default_title = default_title[:1].upper() + default_title[1:]
    guess.odd += answering.check_spellings(guess.train, guess.classes)
    found = flips.measured(guess, source)
    is_new = not path.exists()
    try:
        write(path, guess, source.root / source.slug, title or default_title, item, small, found)
        try_config(name, path)
    except KeyboardInterrupt:
        if is_new:  # or the same command would find its name in use
            path.unlink(missing_ok=True)
            print(f"removed {short_path(path)}, which was not tried to the end")
        raise
    if folder is not None and isinstance(source, Folder) and (unused := own_pictures.unused(folder, source, guess)):
        n, places = counted(sum(unused.values()), "picture"), " ".join(shlex.quote(str(one)) for one in unused)
        print(f"for the {n} left out, after that: ./run.sh {name} predict {places} --csv predictions.csv")


def parse_place(what: str) -> tuple[Path | None, str | None]:
    """The folder or the CSV, or else the slug."""
    if (page := PAGE.fullmatch(what)) is not None:
        return None, page[1]
    path = Path(os.path.abspath(from_caller(what)))
    if os.path.isdir(path) or (os.path.isfile(path) and path.suffix.lower() == ".csv"):
        return path, None
    if os.path.exists(path):
        raise UserError(
            f"{path} is a file: name a folder, a CSV, or a slug, whose zip lies at {input_root()}/<slug>.zip"
        )
    if not SLUG.fullmatch(what):
        raise UserError(f"there is no folder {path}, and {what!r} is no competition's slug")
    return None, what


def require_free_name(name: str, force: bool) -> Path:
    """The config's path; a command's name, one that is no module's, and one in use raise a UserError."""
    if name in RESERVED:
        raise UserError(f"{name!r} is a word of the command line: give another name, --name my_{name}")
    if not name:
        raise UserError("that name has no letter from a to z: give one by --name, as --name pictures")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot be a config's name, which is a Python module's, of small letters, digits and _: give "
            "one by --name"
        )
    path = paths.CONFIGS / f"{name}.py"
    if path.exists() and not force:
        raise UserError(f"{path} is there: give another --name, or replace it with --force")
    return path


def link(folder: Path, name: str) -> str:
    """The slug of a competition's folder, for which input/ gets a link where it lies elsewhere.

    It is the folder's name, or the config's `name` where input/ has another folder of that name.
    """
    for slug in (slug_of(folder.name), slug_of(name)):
        if (here := Kaggle(slug).root / slug).resolve() == folder.resolve():
            return slug
        if not here.exists():
            break
    else:
        raise UserError(f"{here} is there and is another folder than {folder}: give the config another --name")
    with files.explain_os_errors(here, f"set INPUT_DIR to a folder that you may write, or that has {slug} in it"):
        here.parent.mkdir(parents=True, exist_ok=True)
        here.symlink_to(folder, target_is_directory=True)
    print(f"linked {here} to {folder}")
    why = f"{slug!r} is the folder's name, and may not be Kaggle's slug"
    if slug != slug_of(folder.name):
        why = f"input/{slug_of(folder.name)} is another folder"
    print(
        f"look at this: {why}: if Kaggle has this competition, its slug belongs into source=Kaggle({slug!r}), and is "
        "the name of the folder in input/"
    )
    return slug


def title_and_metric(slug: str) -> tuple[str | None, str | None]:
    """Kaggle's title and metric of a competition; None where Kaggle does not say it, or there are no credentials."""
    if credentials.active() is None:
        return None, None
    try:
        with kaggle_api.session(slug, f"the metric of {slug}") as api:
            known = kaggle_api.competition(api, slug)
    except UserError as error:
        print(f"Kaggle does not tell the metric: {error}")
        return None, None
    return known.title or None, known.evaluation_metric or None


def write(
    path: Path, guess: Guess, root: Path, title: str, source: tuple[str, str], small: bool, found: flips.Flips
) -> None:
    """Write the config, and print what in it to look at."""
    verb = "replaced" if path.exists() else "wrote"
    files.write_text(path, drafting.config(guess, root, path.stem, title, source, small, found))
    print(f"{verb} {short_path(path)}")
    for odd in guess.odd:
        print(f"look at this: {odd}")


def short_path(path: Path) -> str:
    """src/configs/leaves.py."""
    return "/".join(path.parts[-3:])


def try_config(name: str, path: Path) -> None:
    """Run data and folds, and print what comes next; a UserError of theirs gets the line to fix."""
    importlib.invalidate_caches()  # the file is newer than what Python knows of its folder
    try:
        competition = config.load(name)
        with exclusive(competition.folder):
            driver.run(competition, TRIAL)
    except UserError as error:
        again = " ".join(["./run.sh", name, *TRIAL])
        raise UserError(f"{error}\n{short_path(path)} stays: fix {to_fix(path, str(error))}: {again}") from error
    rows = max(40, 6 * len(competition.classes))  # of some class, one for each fold
    print(f"read {short_path(path)}; then: ./run.sh {name} --limit {rows}, and ./run.sh {name}")


def to_fix(path: Path, error: str) -> str:
    """`the files, or image= in its line 12, and run`."""
    field = next((field for phrase, field in ABOUT.items() if phrase in error), "train")
    lines = path.read_text(encoding="utf-8").splitlines()
    line = next(i for i, line in enumerate(lines, 1) if line.startswith(f"    {field}="))
    if field == "models":
        return f"it by folds=Folds(n=3) before its line {line} (and import Folds), and run"
    if "rare_classes=True" in error:
        return f"the files, or write rare_classes=True before its line {line}, and run"
    return f"the files, or {field}= in its line {line}, and run"
