"""The honesty of predictions, by the kind of target: probabilities by what came true, numbers by the true ones."""

from src.report.calibration_of import numbers, probabilities

BY_TASK = {"class": probabilities, "labels": probabilities, "number": numbers}
