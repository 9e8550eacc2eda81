"""grade: a submission's public and private score, if the competition's solution is in its folder.

    ./run.sh corn grade submissions/corn/blend-cv0.8123-0a1b2c3.csv

The solution is input/<slug>/solution.csv with the columns id, label and Usage (Public, Private or Ignored). Offline;
writes nothing.
"""

from pathlib import Path

from src.base.errors import UserError
from src.leaderboard import faults, solution, submission
from src.schema.competition import Competition


def run(competition: Competition, file: Path) -> None:
    """Print the scores by the competition's metric; the faults of the file are listed in a UserError."""
    path = competition.input(competition.solution)
    if not path.is_file():
        names = f"{competition.sample_id}, {competition.label}, Usage"
        raise UserError(
            f"there is no solution {path}, and Kaggle gives none: put one there (columns {names}), or let Kaggle score "
            f"the file: ./run.sh {competition.name} submit"
        )
    rows, form = faults.requirements(competition)[0].ids, competition.form
    ids = list(dict.fromkeys(form.parse(row, competition.classes)[0] for row in rows))
    lines = solution.lines(competition, ids, submission.answers(competition, file, ids))
    if not lines:
        raise UserError(f"{path} has no test row whose Usage is Public or Private: it cannot score anything")
    print("\n".join(lines))
