"""compare by units: cells of several data sets in any order, in other processes, and what one failure stops."""

import pickle
import shutil

import pytest

from src import __main__ as main
from src import cli
from src.base.errors import UserError
from src.base.paths import submissions_root
from src.commands.compare import command, contenders, phrasings
from src.commands.compare.cells import Cell, split
from src.commands.compare.work import CellWork
from src.data import checked
from src.data.rows import read_dataset
from src.driver.placing import Placing
from src.networks import encoders
from src.results.compare import read_compare
from src.schema.models import FineTune, Probe, ZeroShot
from tests.commands.test_compare import KINDS, known, with_solution
from tests.conftest import TINY_CLIP, set_roots, snapshot, toy_competition, toy_files
from tests.placers import Shuffled, copied

TUNED = {"epochs": 1, "warmup_epochs": 0.0, "lr": 1e-3, "batch_size": 12}
MODELS = {
    "zeroshot": ZeroShot(clip=TINY_CLIP, stored="float32"),
    "probe": Probe(clip=TINY_CLIP, cs=(1.0,), widen=False, normalise=(True,)),
    "clip": FineTune(clip=TINY_CLIP, img_size=16, wise_ft=(0.0,), **TUNED),
    "from-probe": FineTune(clip=TINY_CLIP, head="probe", **TUNED),
}
CELLS = {*MODELS, *(f"{name}+{kind}" for name in ("zeroshot", "clip") for kind in ("one-kind", "varied"))}
NAMES = ("toy", "other")


def competitions():
    return {name: toy_competition(name=name, models=MODELS, phrasings="toy") for name in NAMES}


def at(patch, root) -> None:
    set_roots(patch, root)
    patch.setattr(phrasings, "kinds", {"toy": KINDS}.__getitem__)
    known(patch, **competitions())


@pytest.fixture(scope="module")
def inline_root(tmp_path_factory):
    """Two data sets, whose cells were made one after the other."""
    root = tmp_path_factory.mktemp("inline")
    with_solution(toy_files(root / "input" / "toy"))
    with pytest.MonkeyPatch.context() as patch:
        at(patch, root)
        assert command.run([*NAMES]) == 0
    return root


@pytest.fixture
def inline(inline_root, monkeypatch):
    at(monkeypatch, inline_root)
    return inline_root


@pytest.fixture
def wide(monkeypatch):
    """The placer that runs all units, in a random order."""
    placer = Shuffled(seed=3)
    monkeypatch.setattr(Placing, "placer", lambda self, inputs: placer)
    return placer


def files_of(root) -> dict[str, bytes]:
    """What does not tell the time: in compare.csv that is all but the seconds."""
    paths = [*root.rglob("compare/*/*.parquet"), *root.rglob("compare.json")]
    tables = {str(path): read_compare(path) for path in root.rglob("compare.csv")}
    numbers = {path: df.drop(columns=["seconds", "images_per_second"]).to_csv() for path, df in tables.items()}
    return {str(path.relative_to(root)): path.read_bytes() for path in paths} | {
        path.removeprefix(str(root)): text.encode() for path, text in numbers.items()
    }


def work_of(name: str, models: tuple[str, ...] = tuple(MODELS)) -> CellWork:
    """The work of a data set's cells, with those of varied templates, as other processes are given it."""
    competition = competitions()[name]
    data = read_dataset(competition)
    varied = contenders.with_templates(competition, KINDS["varied"])
    asked = [(competition, model, "") for model in models]
    asked += [(varied, model, "varied") for model in models if competition.models[model].starts_from_prompts]
    work = CellWork()
    work.take([Cell(*one, data, split(competition, data)) for one in asked], {name: checked.write(competition, data)})
    return work


def test_cells_of_all_data_sets_in_a_random_order_give_the_same_bytes(inline, monkeypatch, tmp_path, wide):
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "others"))
    assert command.run([*NAMES]) == 0
    made = [title for title in wide.order if title.startswith("compare ")]
    assert sorted(made) == sorted(f"compare {name} {cell}" for name in NAMES for cell in CELLS)
    assert made != sorted(made, key=lambda title: title.split()[1] != NAMES[0])  # those of one behind the other's
    found = files_of(tmp_path / "others")
    assert len(found) > 2 * len(CELLS)
    assert found == files_of(inline / "submissions")


def test_what_is_made_is_not_placed_again(inline, wide, capsys):
    before = snapshot(inline / "submissions")
    assert command.run([*NAMES]) == 0
    assert [title for title in wide.order if title.startswith("compare ")] == []
    said = capsys.readouterr().out
    assert said.count("clip, varied templates  reused: accuracy") == len(NAMES)
    again = snapshot(inline / "submissions")
    assert {path: again[path] for path in before} == before


@pytest.mark.parametrize("error", [UserError("the loss is not finite"), ZeroDivisionError("a bug")])
def test_a_cell_that_fails_leaves_the_others_and_their_tables(inline, monkeypatch, tmp_path, wide, capsys, error):
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "others"))
    shutil.copytree(inline / "submissions", tmp_path / "others")
    shutil.rmtree(tmp_path / "others/toy/compare/clip")
    shutil.rmtree(tmp_path / "others/other/compare/clip+varied")
    for path in (tmp_path / "others").rglob("compare.csv"):
        path.unlink()
    fine_tuned = contenders.fine_tuned

    def failing(cell, key):
        if cell.competition.name == "toy":
            raise error
        return fine_tuned(cell, key)

    monkeypatch.setattr(contenders, "fine_tuned", failing)
    if isinstance(error, UserError):
        assert command.run([*NAMES]) == 1
        out, err = capsys.readouterr()
        assert err == "error: toy: clip: the loss is not finite\n"
        assert out.endswith("not made: toy: clip: the loss is not finite\n")
    else:
        with pytest.raises(ZeroDivisionError):
            command.run([*NAMES])
    tables = {name: read_compare(tmp_path / "others" / name / "compare.csv") for name in NAMES}
    own = {name: set(df[df["templates"] == ""]["model"]) for name, df in tables.items()}
    assert own == {"toy": MODELS.keys() - {"clip"}, "other": {*MODELS}}
    assert "varied" in set(tables["other"][tables["other"]["model"] == "clip"]["templates"])


def test_a_cell_is_done_by_its_files_and_its_key(inline, monkeypatch, tmp_path):
    shutil.copytree(inline / "submissions", tmp_path / "others")
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "others"))
    work = work_of("toy")
    (unit,) = [unit for unit in work.cells if unit.names == ("toy", "clip")]
    assert all(map(work.is_done, work.cells))
    files = work.outputs(unit)
    assert [path.name for path in files] == [
        *("epoch0.parquet", "history.csv", "valid-alpha0.5.parquet", "valid.parquet", "cell.json")
    ]
    changed = work.cells[unit].competition.models["clip"].model_copy(update={"lr": 1e-4})
    monkeypatch.setitem(MODELS, "clip", changed)
    shutil.rmtree(tmp_path / "others/toy/models/probe")  # its stage may have left it out this time
    assert [unit.names[1] for unit in work_of("toy").pending()] == ["probe", "clip", "clip+varied"]
    files[-2].unlink()
    assert not work.is_done(unit)


def test_a_work_begins_with_names_in_another_process(inline):
    work = work_of("toy")
    assert len(pickle.dumps(work)) < 30_000
    assert all(map(copied(work).is_done, work.cells))


@pytest.mark.parametrize("name", ["zeroshot+varied", "clip", "from-probe"])
def test_a_machine_apart_makes_a_cell_of_the_files_that_it_is_sent(inline, monkeypatch, tmp_path, name):
    work, root = work_of("toy"), submissions_root()
    (unit,) = [unit for unit in work.cells if unit.names == ("toy", name)]
    expected = {path.name: path.read_bytes() for path in work.outputs(unit) if path.suffix == ".parquet"}
    for path in work.inputs(unit):
        there = tmp_path / "apart" / path.relative_to(root)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "apart"))
    monkeypatch.setattr(encoders, "tower", lambda *arguments: pytest.fail("features are encoded again"))
    copied(work).run(unit)
    assert {path.name: path.read_bytes() for path in work.outputs(unit) if path.suffix == ".parquet"} == expected


def test_features_that_no_stage_has_encoded_are_not_sent(inline, monkeypatch, tmp_path):
    shutil.copytree(inline / "submissions", tmp_path / "others")
    shutil.rmtree(tmp_path / "others/toy/features")
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "others"))
    work = work_of("toy")
    sent = {path.name for unit in work.cells for path in work.inputs(unit)}
    assert sent == {"rows.parquet", "folds.csv", "folds.json"}


def test_options_say_where_cells_are_made(monkeypatch):
    request = cli.parse(["compare", "--at-once", "2", "toy"])
    assert (request.arguments, request.placing) == ({"names": ["toy"]}, {"at_once": 2})
    with pytest.raises(UserError, match="compare takes no --hours: stop it at any time"):
        main.run(cli.parse(["compare", "toy", "--hours", "8"]))
    with pytest.raises(UserError, match="unknown option '--gpu': did you mean '--gpus'"):
        cli.parse(["compare", "--gpu", "2"])
