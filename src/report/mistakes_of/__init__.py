"""The mistakes of models, one file a kind of target: what is wrong, how often, and in which pictures."""

from src.report.mistakes_of import classes, labels, numbers

BY_TASK = {"class": classes, "labels": labels, "number": numbers}
