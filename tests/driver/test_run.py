"""A run by units: any order of them ends with the same files, failures cost what waits for them, and there is a CSV."""

import pickle

import pandas as pd
import pytest

from src.base.errors import UserError
from src.commands import unit
from src.driver import run as driver
from src.driver.placing import Placing
from src.driver.work import CompetitionWork
from src.models.finetune import training
from src.results.model import read_model
from src.units.unit import Unit, needs
from tests.conftest import broken_off, snapshot, toy_competition
from tests.driver.conftest import WHOLE, files_of
from tests.placers import Shuffled, copied


def run_by(monkeypatch, competition, placer, names=WHOLE):
    monkeypatch.setattr(Placing, "placer", lambda self, inputs: placer)
    driver.run(competition, names)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_order_of_units_gives_the_same_bytes(folder, expected, monkeypatch, seed):
    competition = toy_competition()
    placer = Shuffled(seed)
    run_by(monkeypatch, competition, placer)
    assert files_of(competition.folder) == expected
    assert len(placer.order) == len(set(placer.order)) == 2 + 1 + 1 + 1 + 3 + 1


def test_what_is_done_is_not_placed_again(finished):
    competition = toy_competition()
    before = snapshot(competition.folder)
    assert driver.pending(competition)[1] == []
    competition.model_folder("convnext").joinpath("fold1.json").unlink()
    competition.model_folder("convnext").joinpath("model.json").unlink()
    _, units = driver.pending(competition)
    assert [unit.title for unit in units if unit.stage == "finetune"] == [
        "finetune convnext 1 42",
        "finetune convnext assemble",
    ]
    driver.run(competition, WHOLE)
    assert files_of(competition.folder).keys() <= before.keys()


def test_a_test_set_that_changed_predicts_again_and_trains_nothing(finished, monkeypatch):
    competition = toy_competition()
    for name in ("test.csv", "sample_submission.csv"):
        table = pd.read_csv(finished / name, dtype=str)
        table[table["id"] != "101"].to_csv(finished / name, index=False)
    _, units = driver.pending(competition)
    assert sum(unit.stage == "finetune" for unit in units) == 4
    monkeypatch.setattr(training, "train_fold", lambda *arguments: pytest.fail("it trains"))
    driver.run(competition, WHOLE)


def test_a_failed_model_leaves_the_others_and_a_csv_of_them(folder, monkeypatch, capsys):
    competition = toy_competition()
    failing = broken_off(training.Training, "train_step", after=3, error=UserError("the loss is not finite"))
    with failing, pytest.raises(UserError, match="the loss is not finite"):
        driver.run(competition, WHOLE)
    said = capsys.readouterr()
    assert "going on with the other units" in said.err
    assert "== toy: blend" not in said.out  # it is not begun
    assert read_model(competition.model_folder("convnext")) is None
    (csv,) = competition.folder.glob("blend-*.csv")
    assert f"submission so far: {csv}" in said.out
    assert set(read_model(competition.model_folder("blend"))["weights"]) == {"zeroshot", "probe"}
    driver.run(competition, WHOLE)
    assert len(list(competition.folder.glob("blend-*.csv"))) == 1
    assert set(read_model(competition.model_folder("blend"))["weights"]) == {*competition.models}
    assert not (competition.folder / ".so-far.json").exists()
    assert "blend  recomputing" not in capsys.readouterr().out


def test_of_a_model_that_diverges_no_further_fold_is_trained(folder, capsys):
    models = toy_competition().models
    competition = toy_competition(models=models | {"later": models["convnext"]})
    failing = broken_off(training.Training, "train_step", after=3, error=training.NotFinite("the loss is not finite"))
    with failing, pytest.raises(UserError, match="the loss is not finite"):
        driver.run(competition, WHOLE)
    said = capsys.readouterr()
    assert "convnext fold 1  train" not in said.out
    assert (
        "same model, or wait for it: finetune convnext 1 42, finetune convnext 2 42, finetune convnext assemble\n"
        in said.err
    )
    assert read_model(competition.model_folder("later")) is not None


def test_what_waits_for_a_stage_that_failed_is_skipped(folder, monkeypatch, capsys):
    competition = toy_competition()
    from src.networks import encoding_units

    with (
        broken_off(encoding_units, "encode_block", after=0, error=UserError("no weights")),
        pytest.raises(UserError, match="no weights"),
    ):
        driver.run(competition, WHOLE)
    assert read_model(competition.model_folder("convnext")) is not None  # which needs no features
    assert read_model(competition.model_folder("probe")) is None
    assert list(competition.folder.glob("blend-*.csv"))


def test_a_submission_that_was_sent_is_kept(folder):
    competition = toy_competition()
    with broken_off(training.Training, "train_step", after=3, error=UserError("no")), pytest.raises(UserError):
        driver.run(competition, WHOLE)
    (csv,) = competition.folder.glob("blend-*.csv")
    competition.scores_csv.write_text(f"time,file,status\n2026-01-01T00:00:00Z,{csv.name},complete\n")
    driver.run(competition, WHOLE)
    assert csv.is_file()


def test_the_submission_so_far_is_only_replaced_by_a_better_one(folder, monkeypatch):
    from src.driver import so_far

    competition = toy_competition()
    driver.run(competition, ("data", "folds", "features", "zeroshot", "probe"))
    run = driver.Run(competition, WHOLE, Placing())
    so_far.write(competition, {"probe"}, run.data, run.asked)
    (better,) = competition.folder.glob("blend-*.csv")
    so_far.write(competition, {"zeroshot"}, run.data, run.asked)
    assert list(competition.folder.glob("blend-*.csv")) == [better]


def test_no_submission_so_far_where_none_is_asked_for(folder):
    competition = toy_competition()
    driver.run(competition, ("data", "folds", "features", "zeroshot", "probe", "finetune"))
    assert not list(competition.folder.glob("*-cv*.csv"))
    assert not competition.model_folder("blend").exists()


def test_a_work_begins_with_names_in_another_process(folder):
    competition = toy_competition()
    driver.run(competition, ("data", "folds"))
    work, _ = driver.pending(competition)
    work.data  # noqa: B018 which is not sent along
    assert len(pickle.dumps(work)) < 20_000
    assert isinstance(copied(work), CompetitionWork)


def test_units_by_their_names_end_as_a_run(folder, expected, capsys):
    """As a SLURM array does it: `units`, and `unit` for each line."""
    competition = toy_competition()
    driver.run(competition, ("data", "folds"))
    _, units = driver.pending(competition, places=True)
    for stage, *names in [one.title.split() for one in units]:
        unit.run(toy_competition(), stage, names)
    assert driver.pending(competition)[1] == []
    capsys.readouterr()
    driver.run(competition, WHOLE)
    assert "fold 0" not in capsys.readouterr().out.split("finetune")[1]
    assert files_of(competition.folder) == expected


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ray": "auto", "gpus": 2}, "--ray takes what the cluster has"),
        ({"at_once": 2, "gpus": 2}, "--at-once is of units on a CPU"),
        ({"at_once": 4096}, "--at-once 4096: this machine has"),
        ({"gpus": 8}, "--gpus 8: this machine has 0 GPUs"),
    ],
)
def test_places_that_are_not_there_are_refused(options, fault):
    with pytest.raises(UserError, match=fault):
        Placing(**options).placer(lambda unit: ())


def test_a_soup_waits_for_its_ingredients():
    runs = [Unit("finetune", ("a", fold, 42)) for fold in range(2)]
    assembled = Unit("finetune", ("a", "assemble"), after=(("finetune", "a", 0), ("finetune", "a", 1)))
    soup = Unit("finetune", ("soup",), after=(("finetune", "a"),))
    waiting = needs([*runs, assembled, soup])
    assert waiting[soup.key] == {*(unit.key for unit in runs), assembled.key}
    assert waiting[assembled.key] == {unit.key for unit in runs}
