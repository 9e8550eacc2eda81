"""Prompts with something left out, by which it is seen which of their templates and phrases help."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.schema.models import Prompts


@dataclass(frozen=True)
class Variant:
    """Prompts with something left out, and its name."""

    kind: str  # all, template, phrase, without template, without phrase
    label: str  # the class that it belongs to; empty for a template of all classes
    text: str
    prompts: Prompts


def variants(prompts: Prompts, classes: Sequence[str]) -> list[Variant]:
    """The whole ensemble, each template and phrase alone, and the ensemble without each."""
    alone = [
        Variant(kind, label, text, with_texts(prompts, label, kind, (text,)))
        for label, kind, texts in units(prompts, classes)
        for text in texts
    ]
    # of two texts, one alone is the ensemble without the other
    without = [variant for variant, others in leaving_out(prompts, classes) if others > 1]
    return [Variant("all", "", "", prompts), *alone, *without]


def leaving_out(prompts: Prompts, classes: Sequence[str]) -> list[tuple[Variant, int]]:
    """The ensemble without each template and phrase, and how many others there are of its kind: one at least."""
    return [
        (Variant(f"without {kind}", label, text, with_texts(prompts, label, kind, rest)), len(rest))
        for label, kind, texts in units(prompts, classes)
        for text in texts
        if (rest := tuple(other for other in texts if other != text))
    ]


def units(prompts: Prompts, classes: Sequence[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(class or "", template or phrase, the texts) of all that the prompts are made of, where there is a choice."""
    common = any(label not in prompts.class_templates for label in classes)
    every = [
        ("", "template", prompts.templates if common else ()),
        *((label, "template", own) for label, own in prompts.class_templates.items()),
        *((label, "phrase", phrases) for label, phrases in prompts.classnames.items()),
    ]
    return [unit for unit in every if len(unit[2]) > 1]


def with_texts(prompts: Prompts, label: str, kind: str, texts: tuple[str, ...]) -> Prompts:
    if label == "":
        return prompts.model_copy(update={"templates": texts})
    field = "class_templates" if kind == "template" else "classnames"
    return prompts.model_copy(update={field: {**getattr(prompts, field), label: texts}})
