"""The schema of a competition, and the only place that builds its paths."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator, model_validator

from src.base import packages
from src.base.errors import unknown
from src.base.packages import CLIP, DUPLICATES, LABELS
from src.base.paths import scratch_of, submissions_root
from src.schema.forms import DEFAULTS, AnyForm, Form, LabelList, Ranking
from src.schema.models import AnyModel, ComparedModel, Prompts
from src.schema.networks import Encoder, Exact
from src.schema.settings import Blend, Folds, Notebook, Parts, Reported, Unit
from src.schema.source import Source
from src.schema.strict import Strict, Text
from src.scoring.metrics import METRICS_OF, Metric
from src.scoring.targets import TARGETS, Target

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]  # names a folder


def in_folder(name: str) -> property:
    """A competition's property: the path of that name in its folder."""
    return property(lambda competition: competition.folder / name)


class Competition(Strict):
    title: Text
    source: SerializeAsAny[Source]
    # A table, as CSV or COCO's JSON, or a pattern that lists files: "train/{species}/{file}"; all three are relative to
    # the source's folder. Several of train rows are one below the other
    train: Text | Annotated[tuple[Text, ...], Field(min_length=1)] = "train.csv"
    test: Text = "test.csv"
    sample_submission: Text = "sample_submission.csv"
    solution: Text = "solution.csv"  # id, label, Usage: not Kaggle's to give, but used where it is there
    images: str = ""
    id: Text = "id"
    # A column, or a pattern over columns: "{id}.jpg"; {part} is train or test, .* any ending, {id:.2} the first two
    # signs of a column and {id!2} its third one. Parts has one for each
    image: Text | Parts = "image"
    unit: Unit | None = None  # of several pictures; None: each picture is one
    white: int = Field(default=65535, ge=1, le=65535)  # of pictures of more than 8 bits: 4095 of 12, whatever the file
    label: Text = "label"
    group: Text | None = None  # a column: rows that share its value, if any, stay in one fold
    columns: tuple[Text, ...] = ()  # of train and test, beside the picture: numbers are scaled, other cells are kinds
    ids_overlap: bool = False  # True: an id may be in train and in test, where it is another picture
    # What a row is asked for: one of the classes; any of them, its labels; or a number
    task: Literal["class", "labels", "number"] = "class"
    classes: tuple[Text, ...] = ()
    separator: str = Field(
        default=" ", min_length=1
    )  # of several labels in a cell of the train table, or of submission
    span: tuple[float, float] | None = None  # of a number: the least and the greatest that it can be
    # The flips and turns under which a picture stays of its class, as `new` measures it; None: not known
    symmetries: tuple[Exact, ...] | None = None
    rare_classes: bool = False  # True: a class may have no train row, or all in one fold, and is then hardly learnt
    metric: str = "accuracy"  # one of METRICS_OF the task
    submission: AnyForm | None = None  # its form; None: what the metric wants
    folds: Folds = Folds()
    store_gb: float = Field(default=8.0, ge=0)  # of decoded pictures at most: more are decoded each time
    prompts: Prompts | None = None
    models: dict[ModelName, AnyModel] = Field(min_length=1)
    compared: dict[ModelName, ComparedModel] | None = None  # the models of `compare`; None: the same
    phrasings: Text | None = None  # the file of templates, of one kind and of many, that `compare` tries beside prompts
    blend: Blend = Blend()
    reported: tuple[Reported, ...] = ()
    notebook: Notebook = Notebook()  # limits of one that predicts a hidden test set

    name: str = ""  # load() sets both
    limit: int | None = Field(default=None, ge=1)

    @field_validator("classes")
    @classmethod
    def are_distinct(cls, classes):
        if len(set(classes)) < len(classes):
            raise ValueError(f"a class is named twice in {classes}")
        return classes

    @model_validator(mode="after")
    def target_fits(self):
        if self.metric not in (known := METRICS_OF[self.task]):
            raise ValueError("metric: " + unknown("metric", self.metric, known) + f" (of task={self.task!r})")
        least = {"class": 2, "labels": 1, "number": 0}[self.task]
        if len(self.classes) < least or (self.task == "number" and self.classes):
            wants = {0: "no classes", 1: "one class at least", 2: "two classes at least"}[least]
            raise ValueError(f"classes: task={self.task!r} wants {wants}, not {len(self.classes)}")
        if (self.span is not None) != (self.task == "number"):
            missing = "a number's least and greatest value are missing: give span=(0, 100)"
            raise ValueError(missing if self.span is None else "span: only task='number' has one")
        if self.span is not None and not -math.inf < self.span[0] < self.span[1] < math.inf:
            raise ValueError(f"span: two finite values, the least below the greatest, not {self.span}")
        if self.submission is not None:
            answers = known[self.metric].answers
            if self.task not in self.submission.tasks or answers not in self.submission.answers:
                raise ValueError(
                    f"submission: {type(self.submission).__name__} is no form for task={self.task!r} and metric="
                    f"{self.metric!r}, which wants {DEFAULTS[self.task, answers].__name__} or the like"
                )
            if (places := known[self.metric].places) is not None and self.submission.k > places:
                raise ValueError(f"submission: {self.metric} is of {places} labels, not of {self.submission.k}")
        self.form.check(self.classes)
        if len(set(self.sample_columns)) < len(self.sample_columns):
            raise ValueError(f"submission: a column is twice in {', '.join(self.sample_columns)}: rename one of them")
        if self.unit is not None and "{" in self.unit.column and self.form.id is None:
            raise ValueError("unit: a pattern is no column's name: give the sample's in submission=...(id=...)")
        return self

    @model_validator(mode="after")
    def names_fit(self):
        if "blend" in self.models:
            raise ValueError("models: 'blend' is the blend's own name: call the model something else")
        if self.id in ("fold", *self.outputs):  # tables of folds and of probabilities have both beside each other
            taken = "a class" if self.id in self.classes else "the column of folds.csv"
            raise ValueError(f"id: {self.id!r} is the name of {taken} too: rename that column in the tables")
        for column in self.columns:
            if column in (self.id, self.label) or self.columns.count(column) > 1:
                why = "named twice" if self.columns.count(column) > 1 else "no column to learn from"
                raise ValueError(f"columns: {column!r} is {why}: leave it out")
        stacked = len(self.models) > 1 and self.blend.method in ("auto", "stack")
        if self.columns and not stacked and not any(model.reads_columns for model in self.models.values()):
            raise ValueError("columns: no model learns from them: add a Probe, or leave them out")
        for model in self.blend.models or ():
            if model not in self.models:
                raise ValueError("blend.models: " + unknown("model", model, self.models))
        if self.blend.csvs and not self.scorer.of_labels:
            raise ValueError(
                f"blend.csvs: labels are voted on, but {self.metric} wants {self.scorer.answers}, and averaging "
                "submissions of these is not offered: leave csvs out"
            )
        if self.blend.method == "ranks" and not self.scorer.is_of_order:
            raise ValueError(f"blend.method: ranks lose what {self.metric} looks at: take another method")
        if self.blend.method == "ranks" and self.target.is_choice and len(self.classes) > 2:
            raise ValueError("blend.method: ranks of more than two classes are not offered: take another method")
        if self.prompts:
            self.prompts_fit(self.prompts)
        compared = self.compared or {}
        known = [*self.models, *compared, "blend"]
        for reported in self.reported:
            if reported.model not in (None, *known):
                raise ValueError("reported: " + unknown("model", reported.model, known))
        for name, model in compared.items():
            if self.models.get(name, model) != model:
                raise ValueError(f"compared: {name!r} is another model than models.{name}: call it something else")
        for name, model in (self.models | compared).items():
            if why := model.misfit(self.task):
                raise ValueError(f"models.{name}: {why}")
            model.check_against(name, self.models, self.prompts)
        return self

    def prompts_fit(self, prompts: Prompts) -> None:
        for field in ("classnames", "class_templates"):
            for label in getattr(prompts, field):
                if label not in self.classes:
                    raise ValueError(f"prompts.{field}: " + unknown("class", label, self.classes))
        for label in self.classes:
            if not prompts.templates_of(label):
                raise ValueError(f"prompts: the class {label!r} has no template: give templates, or class_templates")

    def of_stage(self, stage: str) -> dict[str, AnyModel]:
        """The models of a stage: {name: its part of the config}."""
        return {name: model for name, model in self.models.items() if model.stage == stage}

    def tables_of(self, part: str) -> tuple[str, ...]:
        """The tables, or the patterns that list files, of train, test or sample_submission."""
        tables = getattr(self, part)
        return (tables,) if isinstance(tables, str) else tables

    def image_of(self, part: str) -> str:
        """The column, or the pattern over columns, that names the images of train or test rows."""
        return getattr(self.image, part) if isinstance(self.image, Parts) else self.image

    @property
    def target(self) -> Target:
        """What the task changes in targets and tables of predictions."""
        return TARGETS[self.task]

    @property
    def scorer_key(self) -> dict[str, Any]:
        """What scores depend on: the metric, and the submission's form where it changes what the metric is of."""
        key = {"metric": self.metric}
        if self.scorer is METRICS_OF[self.task][self.metric]:
            return key
        return {**key, "submission": self.form.model_dump(mode="json")}

    @property
    def loss(self) -> Metric:
        """The score by which models learn, and predictions that the metric finds equal are told apart."""
        return METRICS_OF[self.task][self.target.loss_name]

    @property
    def is_scored_by_loss(self) -> bool:
        """Whether the metric is the loss too, which need not be told beside it."""
        return self.metric == self.target.loss_name

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns of a table of predictions: the classes, or the number's."""
        return self.classes or (self.label,)

    @property
    def target_key(self) -> dict[str, Any]:
        """The part of a model's key that is of the target."""
        key = {"classes": list(self.classes)}
        if self.unit is not None:
            key["unit"] = self.unit.model_dump()
            if self.unit.by == "max" and (asked := self.asked) is not None:
                # it says which picture stands for all
                key["unit"]["of"] = np.array(self.classes, object)[asked].tolist()
        return key if self.task == "class" else {**key, "task": self.task, "span": self.span and list(self.span)}

    @property
    def form(self) -> Form:
        """The form of a submission."""
        if self.submission is not None:
            return self.submission
        metric = METRICS_OF[self.task][self.metric]
        form, given = DEFAULTS[self.task, metric.answers], {}
        if form is Ranking:
            given["k"] = metric.places
        if form is LabelList:
            given["separator"] = self.separator
        return form(**given)

    @property
    def asked(self) -> np.ndarray | None:
        """(k,) the classes of whose probabilities a submission has the sum; None where each counts for itself."""
        return self.form.asked(self.classes)

    @property
    def sample_id(self) -> str:
        """The sample submission's column of ids."""
        return self.form.id or (self.unit.column if self.unit else self.id)

    @property
    def sample_columns(self) -> list[str]:
        """The columns of a submission."""
        return [self.sample_id, *self.form.columns(self.label, self.classes)]

    @property
    def scorer(self) -> Metric:
        """The metric, of targets and tables of predictions of this task."""
        return self.form.scored(METRICS_OF[self.task][self.metric], self.classes)

    @property
    def prompt_texts(self) -> dict[str, list[str]]:
        """The texts of each class."""
        return {label: self.prompts.texts(label) for label in self.classes}

    def command(self, *words: str) -> str:
        """The command of this run: `./run.sh digits probe --limit 60`."""
        limit = () if self.limit is None else ("--limit", str(self.limit))
        return " ".join(["./run.sh", self.name, *words, *limit])

    @property
    def trained(self) -> dict[str, AnyModel]:
        """The models that are networks of their own."""
        return {name: model for name, model in self.models.items() if model.is_trained}

    @property
    def on_board(self) -> tuple[Reported, ...]:
        """The scores reported of a leaderboard; the rest are of a data set's validation rows, for `compare`."""
        return tuple(row for row in self.reported if row.valid is None)

    @property
    def encoders(self) -> list[Encoder]:
        """All encoders of the models."""
        return [encoder for model in self.models.values() for encoder in model.encoders]

    @property
    def packages(self) -> set[str]:
        """The packages that not every config's stages import, by distribution."""
        models = self.models.values()
        networks = [spec for model in models for spec in (*model.encoders, *model.weights_from)]
        is_needed = {
            CLIP: any(spec.clip is not None for spec in networks),
            LABELS: any(model.looks_for_wrong_labels for model in models),
            DUPLICATES: self.folds.groups is not None,
        }
        of_weights = {packages.package_of(spec.weights_file or "") for spec in networks} - {None}
        return of_weights | {name for name, needed in is_needed.items() if needed}

    # Paths. INPUT_DIR and SUBMISSIONS_DIR move the two roots, as a Kaggle notebook needs it; SCRATCH_DIR the pictures.

    @property
    def input_root(self) -> Path:
        return self.source.root

    @property
    def folder(self) -> Path:
        """The folder of this competition's results; a smoke run has one of its own."""
        return submissions_root() / (self.name if self.limit is None else f"{self.name}-limit{self.limit}")

    def input(self, path: str) -> Path:
        return self.input_root / self.source.slug / path

    images_record = in_folder("images.parquet")
    rows_parquet = in_folder("rows.parquet")  # the rows, once they were checked
    folds_csv = in_folder("folds.csv")
    pictures = property(lambda competition: scratch_of(competition.folder) / "pictures")
    duplicates = in_folder("duplicates")  # pictures that are nearly the same
    scores_csv = in_folder("scores.csv")  # the ledger of submissions
    audit_csv = in_folder("audit.csv")  # the audit's findings: doubtful labels, near-duplicates, leaks, outliers
    ab_csv = in_folder("ab.csv")  # comparisons of the config with one field changed
    compare_csv = in_folder("compare.csv")  # models beside each other and beside published scores, epoch by epoch
    report_html = in_folder("report.html")
    plots = in_folder("plots")  # the report's charts as pictures
    pack = in_folder("pack")  # the files for a notebook-only competition

    def features(self, encoder: str, view: str) -> Path:
        return self.folder / "features" / f"{encoder}-{view}"

    def text_features(self, encoder: str) -> Path:
        return self.folder / "features" / f"{encoder}-texts.safetensors"

    def model_folder(self, model: str) -> Path:
        return self.folder / "models" / model

    def submission_csv(self, what: str, cv: float, sha: str) -> Path:
        return self.folder / f"{what}-cv{cv:.4f}-{sha[:7]}.csv"

    def votes(self, voters: int, sha: str) -> Path:
        """A submission by majority vote, which has no score of its own."""
        return self.folder / f"votes-of{voters}-{sha[:7]}.csv"
