"""What every kind of model answers about itself, and the prompts that some of them read."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from src.schema.networks import Encoder, Network, Precision
from src.schema.strict import Strict, Text

# What is done to training rows whose labels are doubtful (src/scoring/label_noise.py): nothing, or they are left out.
# Held-out rows are scored with the labels as given. Left as it is, no key names it.
LabelNoise = Annotated[Literal["keep", "drop"], Field(exclude_if=lambda value: value == "keep")]
NO_PROBE = "a probe judges the labels, and there is none among the models: add one"


class Prompts(Strict):
    """The texts of zero-shot: each template is filled with each phrase of each class."""

    templates: tuple[Text, ...] = ()
    class_templates: dict[str, tuple[Text, ...]] = {}  # class: its own templates, instead of the common ones
    classnames: dict[str, tuple[Text, ...]] = {}  # class: its phrases; a class that is not here is its own phrase

    @model_validator(mode="after")
    def are_whole(self):
        if not self.templates and not self.class_templates:
            raise ValueError("there is no template: give templates, or class_templates")
        for template in (*self.templates, *(one for own in self.class_templates.values() for one in own)):
            if template.count("{}") != 1 or {*template.replace("{}", "")} & {*"{}"}:
                raise ValueError(f"the template {template!r} needs one {{}}, where the class goes")
        for label, phrases in self.classnames.items():
            if not phrases:
                raise ValueError(f"classnames: the class {label!r} has no phrase: give it one, or leave it out")
        return self

    def templates_of(self, label: str) -> tuple[str, ...]:
        return self.class_templates.get(label, self.templates)

    def phrases_of(self, label: str) -> tuple[str, ...]:
        return self.classnames.get(label, (label,))

    def texts(self, label: str) -> list[str]:
        """The texts of a class: every template with every phrase."""
        return [template.format(phrase) for phrase in self.phrases_of(label) for template in self.templates_of(label)]


class Kind(Strict):
    """The answers of a model to others' questions, by default those of a kind that has nothing to do with them."""

    precision: Precision = "auto"

    stage: ClassVar[str]  # the stage that makes it
    module: ClassVar[str]  # in src/models/: its `load` gives the fitted model; see src/models/fitted.py
    compared_as: ClassVar[str | None] = None  # its kind in compare.csv; None: `compare` leaves it out
    is_trained: ClassVar[bool] = False  # whether it is a network of its own, and its epochs have a history
    reads_columns: ClassVar[bool] = False  # whether it learns from `columns` of the tables beside the picture
    judges_labels: ClassVar[bool] = False  # whether it can find the doubtful labels for others
    # These may be properties of a kind:
    reads_prompts: ClassVar[bool] = False
    starts_from_prompts: ClassVar[bool] = False  # whether it is CLIP's zero-shot classifier before it learns anything
    looks_for_wrong_labels: ClassVar[bool] = False  # in its training rows
    needs_judge: ClassVar[bool] = False  # whether one that `judges_labels` must find those of its training rows first
    is_planned_by_rows: ClassVar[bool] = False  # whether `scheduled` depends on the number of rows
    ingredients: ClassVar[tuple[str, ...]] = ()  # the models that it is made of

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The encoders whose features of every picture it reads."""
        return ()

    @property
    def weights_from(self) -> tuple[Network, ...]:
        """The networks that have weights of their own to start from."""
        return self.encoders

    @property
    def encoders_to_predict(self) -> tuple[Encoder, ...]:
        """The encoders whose weights and texts a finished model still needs for new pictures."""
        return self.encoders

    @property
    def features_to_predict(self) -> tuple[Encoder, ...]:
        """The encoders whose features of the train rows a finished model still needs for new pictures."""
        return self.encoders

    def n_learnt(self, d: int, k: int) -> int:
        """The number of parameters that it learns of d features and k classes, on top of its encoders."""
        return 0

    def scheduled(self, rows: int) -> Self:
        """The model as it is trained on so many rows, which is what its key names."""
        return self

    def misfit(self, task: str) -> str | None:
        """What of it does not go with the competition's task, and what to do, as the end of a sentence; None: all does.

        The tasks are those of src/scoring/targets.py.
        """
        if task != "class" and self.looks_for_wrong_labels:
            return (
                f"doubtful labels are found where a picture has one class, not for task={task!r}: leave label_noise out"
            )
        return None

    def check_against(self, name: str, models: "Mapping[str, Kind]", prompts: Prompts | None) -> None:
        """Compare it, by its own name, with the config's other models and its prompts; a ValueError if one lacks.

        Raises:
            ValueError: It asks for what the config does not have.
        """
        if self.reads_prompts and prompts is None:
            raise ValueError(f"prompts are missing: the model {name!r} needs them")
