"""check: lists what is wrong with a submission CSV, before one is spent on it.

    ./run.sh corn check submissions/corn/blend-cv0.8123-0a1b2c3.csv

Each fault in ids, columns, labels or probabilities is a line that says how to fix it. Warnings are printed for a mix of
classes that differs from the out-of-fold one, and for rows that look misaligned. Offline; writes nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import counted
from src.kaggle.refusals import CODES
from src.leaderboard import submission
from src.schema.competition import Competition


def run(competition: Competition, file: Path) -> int:
    """Print a line for each fault and each warning, and the verdict; return the exit code."""
    findings = submission.inspect(competition, file)
    for fault in findings.faults:
        print(f"fault: {fault}")
    warnings = [*findings.warnings, *findings.repeats]
    for warning in warnings:
        print(f"warning: {warning}")
    if findings.faults:
        print(f"{file.name}: {counted(len(findings.faults), 'fault')}: do not send it")
        return CODES["check"]
    verdict = f"right, with {counted(len(warnings), 'warning')}" if warnings else "right"
    print(f"{file.name}: {verdict}: {class_shares(competition, findings.answers)}")
    return 0


def class_shares(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, 4 classes used: broken 31.8%, ...`; for probabilities, the likeliest class counts."""
    labels = answers.to_numpy().argmax(axis=1)
    shares = np.bincount(labels, minlength=len(competition.classes)) / len(labels)
    used = [f"{name} {share:.1%}" for name, share in zip(competition.classes, shares, strict=True) if share]
    classes = f"{len(used)} {'class' if len(used) == 1 else 'classes'} used"
    if not competition.scorer.of_labels:
        classes = f"probabilities of {len(competition.classes)} classes, the likeliest"
    smoke = "" if competition.limit is None else "; it is of a smoke run: do not send it"
    return f"{counted(len(labels), 'row')}, {classes}: {', '.join(used)}{smoke}"
