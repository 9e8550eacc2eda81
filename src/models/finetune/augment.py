"""Albumentations by name and arguments. 2.0.8 only warns of an argument that it does not know: here it is refused."""

import inspect
import warnings

import albumentations as A
import cv2

from src.base.errors import UserError, unknown
from src.schema.models import Augment

cv2.setNumThreads(0)  # the loader's workers are the threads


def transforms() -> dict[str, type[A.BasicTransform]]:
    """Every transform of a picture that albumentations has, by name."""
    return {
        name: item
        for name, item in vars(A).items()
        if inspect.isclass(item) and issubclass(item, A.BasicTransform) and not inspect.isabstract(item)
    }


def make(augment: Augment) -> A.BasicTransform:
    """The transform that a config names.

    Raises:
        UserError: There is no such transform, or an argument is unknown to it or out of its range.
    """
    known = transforms()
    if augment.name not in known:
        raise UserError(unknown("albumentations transform", augment.name, known))
    valid = [name for name in inspect.signature(known[augment.name].__init__).parameters if name != "self"]
    for name in augment.args:
        if name not in valid:
            raise UserError(f"{augment.name}: {unknown('argument', name, valid)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return known[augment.name](**augment.args)
    except (ValueError, TypeError, UserWarning) as error:
        why = [line.strip() for line in str(error).splitlines() if "further information" not in line]
        raise UserError(f"{augment.name} does not take {augment.args}: {' '.join(why)[:300]}") from error


def compose(augments: tuple[Augment, ...]) -> A.Compose:
    return A.Compose([make(augment) for augment in augments])
