"""How often answers are given: to the train rows, out of fold, and to the test rows; one file a kind of target."""

from src.report.mix_of import numbers, shares

BY_TASK = {"class": shares, "labels": shares, "number": numbers}
