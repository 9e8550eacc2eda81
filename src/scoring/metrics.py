"""All metrics, by the task and the name that a config gives."""

from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.label_metrics import LABEL_METRICS
from src.scoring.metric import DIGITS, ROUNDING, Answers, Metric, Z
from src.scoring.number_metrics import NUMBER_METRICS
from src.scoring.targets import BOARD_MIN_PROB

__all__ = ["BOARD_MIN_PROB", "DIGITS", "METRICS", "METRICS_OF", "ROUNDING", "Answers", "Metric", "Z"]

METRICS_OF = {"class": CLASS_METRICS, "labels": LABEL_METRICS, "number": NUMBER_METRICS}  # by the task
# All names. One name means one thing whatever the task: its bounds, whether it is a share and which way is better are
# the same. A score is computed by the metric of the task, `Competition.scorer`.
METRICS = NUMBER_METRICS | LABEL_METRICS | CLASS_METRICS
