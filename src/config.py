"""The face for config files: `from src.config import Competition, Probe, Kaggle`, and `load(name)`.

A config is Python, src/configs/<name>.py, and holds facts and numbers only: its variable `competition`. No other file
has to name it. An example of all that is commonly set:

    from src.config import Augment, Competition, FineTune, Folds, Kaggle, Pixels, Probe, Prompts, ZeroShot

    competition = Competition(
        title="Leaves",
        source=Kaggle("leaf-classification-2"),  # its files are in input/leaf-classification-2/
        train="train.csv",
        test="test.csv",
        sample_submission="sample_submission.csv",
        images="images",  # the folder that image names are relative to
        id="id",
        image="{id}.jpg",  # a column, or a pattern over columns
        label="species",
        group="plant",  # rows that share its value stay in one fold
        classes=("acer", "quercus"),
        symmetries=("hflip",),  # flips and turns that keep the class: the report advises no others
        metric="accuracy",  # with log_loss the submission has a probability per class
        folds=Folds(n=5, seed=42),
        prompts=Prompts(templates=("a photo of a {} leaf.",), classnames={"acer": ("maple",), "quercus": ("oak",)}),
        models={
            "pixels": Pixels(),
            "zeroshot_b32": ZeroShot(clip="ViT-B-32", weights="laion2b_s34b_b79k"),
            "probe_b32": Probe(clip="ViT-B-32", weights="laion2b_s34b_b79k", views=("identity", "hflip")),
            "convnext": FineTune(
                backbone="convnext_tiny.fb_in22k_ft_in1k",
                epochs=10,
                lr=1e-4,
                augment=(Augment("HorizontalFlip", p=0.5),),
            ),
        },
    )

`train`, `test`, `sample_submission`, `id`, `image`, `label` and `metric` may be left out: they are then `train.csv`,
`test.csv`, `sample_submission.csv`, `id`, `image`, `label` and `accuracy`. `rare_classes=True` allows classes that have
no train row, or have all of them in one fold.

`train` and `test` may be COCO's JSON, whose images, annotations and categories are joined to rows; of several tables,
train=("train2019.json", "val2019.json"), the rows are below each other. image=Parts(train="train/{label}/{id}.jpg",
test="test/{id}.jpg") names the pictures of each part in its own way. Where a row of the submission is of several
pictures, the tables have a row a picture, and unit=Unit("patient_id"), or Unit("{patient_id}_{side}", by="max"), says
which are one: they stay in one fold, and their predictions are combined. A table by patient with a folder of pictures
each has id="image" and image="{part}/{patient_id}/{file}", where no column is called file: these are listed.

What a row is asked for, and what a submission says of it:

  task="class"    one of `classes`, from the column `label`, or from a column of 0 and 1 for each class
  task="labels"   any of `classes`, from the column `label`, in which `separator` parts them, or from such columns
  task="number"   a number, from the column `label`, within span=(least, greatest)

  submission=Label()                       the class
  submission=Probabilities()               a column of probabilities for each class
  submission=OneProbability("1")           that of a class, or the sum of some: OneProbability("melanoma", "naevus").
                                           The models learn all classes of `label`, which may be finer
  submission=Ranking(k=5)                  the five likeliest classes in a cell; none="new_whale" is the class of
                                           what is none of the others: its place in the ranking is fitted
  submission=LabelList(separator=" ")      all labels of a row in a cell; nothing="none" stands where there is none
  submission=LabelRows(row="{id}_{label}") a row for each picture and label, called so
  submission=OneNumber()                   a number

Without one it is the form that the metric wants; labels in a cell are then parted by `separator`, as in train. Each
takes id="Id" and column="Category", where sample_submission calls its columns otherwise than the train table. The
metrics of each task: ./run.sh help scoring
"""

import importlib

from pydantic import ValidationError

from src.base import packages, paths
from src.base.errors import UserError, unknown
from src.data.sources.digits import Digits
from src.data.sources.folder import Folder
from src.data.sources.kaggle import Kaggle
from src.data.sources.torchvision_sets import Torchvision
from src.data.sources.wilds_sets import Wilds
from src.schema.competition import Competition
from src.schema.forms import Label, LabelList, LabelRows, OneNumber, OneProbability, Probabilities, Ranking
from src.schema.models import Augment, FineTune, Neighbours, Pixels, Probe, Prompts, Soup, ZeroShot
from src.schema.networks import ClipArch, Encoder, lite
from src.schema.settings import Blend, Folds, Notebook, Parts, Reported, Unit
from src.schema.strict import Strict, faults, line_of

__all__ = [
    "Augment",
    "Blend",
    "ClipArch",
    "Competition",
    "Digits",
    "Encoder",
    "FineTune",
    "Folder",
    "Folds",
    "Kaggle",
    "Label",
    "LabelList",
    "LabelRows",
    "Neighbours",
    "Notebook",
    "OneNumber",
    "OneProbability",
    "Parts",
    "Pixels",
    "Probabilities",
    "Probe",
    "Prompts",
    "Ranking",
    "Reported",
    "Soup",
    "Torchvision",
    "Unit",
    "Wilds",
    "ZeroShot",
    "lite",
    "load",
    "names",
]


def names() -> list[str]:
    """The names of all competitions."""
    return [path.stem for path in paths.config_files()]


def load(name: str, limit: int | None = None) -> Competition:
    """The competition of src/configs/<name>.py; with `limit`, its smoke run on that many train and test rows.

    Raises:
        UserError: There is no such config, or a field of it is unknown, of the wrong type or out of range.
    """
    if name not in names():
        raise UserError(unknown("competition", name, names()) + f" (a competition is a file in {paths.CONFIGS})")
    try:
        competition = importlib.import_module(f"src.configs.{name}").competition
        return competition.model_copy(update={"name": name, "limit": limit})
    except ValidationError as error:
        part = next((part for part in all_parts() if part.__name__ == error.title), None)
        where = line_of(error, paths.CONFIGS) or f"src/configs/{name}.py"
        raise UserError(f"{where}: " + "; ".join(faults(error, part))) from error
    except (SyntaxError, NameError, TypeError, AttributeError, ImportError) as error:
        if isinstance(error, ImportError) and packages.package_at_fault(error) is not None:
            raise
        where = line_of(error, paths.CONFIGS)
        if isinstance(error, SyntaxError):
            where = f"src/configs/{name}.py, line {error.lineno}"
        if not where:
            raise
        raise UserError(f"{where}: {error}") from error


def all_parts() -> list[type[Strict]]:
    parts = Strict.__subclasses__()
    for part in parts:
        parts.extend(part.__subclasses__())
    return parts
