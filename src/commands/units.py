"""units: lists what a run would still have to compute, one unit of work a line, in an order in which each can run.

    ./run.sh corn units

Behind each, after a tab, stand those that it waits for. `./run.sh corn unit finetune convnext 0 42` runs one of them,
which is all that a scheduler needs. With SLURM, on machines that share the repository's folder:

    while ./run.sh corn units > units.txt && [ -s units.txt ]; do
      grep -v $'\\t' units.txt > ready.txt
      sbatch --wait --gpus=1 --array=1-$(wc -l < ready.txt) \\
        --wrap 'sed -n ${SLURM_ARRAY_TASK_ID}p ready.txt | xargs ./run.sh corn unit' || break
    done

On one machine `xargs -P 2 -L 1 ./run.sh corn unit < ready.txt` takes the place of sbatch. Once nothing is listed,
`./run.sh corn` puts the blend, the submission and the report together. What comes beside the units is printed to
stderr. Beside a run that is at work, the units that it has not finished yet are listed. With Ray instead:
./run.sh help driver
"""

from src.driver import run as driver
from src.schema.competition import Competition
from src.units.unit import in_order, needs


def run(competition: Competition) -> None:
    """Print the pending units, after the stages data and folds.

    Raises:
        UserError: As these stages.
    """
    units = driver.list_pending(competition, places=True)
    waiting = needs(units)
    for unit in in_order(units):
        before = [" ".join(map(str, key)) for key in sorted(waiting[unit.key], key=str)]
        print(unit.title, *([f"after {', '.join(before)}"] if before else []), sep="\t")
