"""The command line: stages run with what they need, mistakes are one sentence and exit code 2."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from src import __main__ as main
from src import cli, config, stages
from src.base import locks, paths
from src.base.errors import UserError
from src.base.text import docstring
from src.cli import Request
from src.commands import COMMANDS, file_of, parser
from src.kaggle.refusals import CODES
from src.schema.models import Probe
from src.stages import STAGES
from tests.conftest import ROOT, needs_kaggle_2_2_4, roots_at, snapshot, toy_competition, toy_files

WHOLE = ("data", "folds", "pixels", "features", "zeroshot", "probe", "neighbours", "finetune", "blend", "submission")


@pytest.fixture
def toy_run(folder, monkeypatch):
    """toy_run(*words) runs the command line with the toy competition in the place of digits; returns the exit code."""
    monkeypatch.setattr(config, "load", lambda name, limit=None: toy_competition(limit=limit))
    return lambda *words: main.main(["digits", *words])


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """The submissions folder of the toy competition, run once for all tests that begin with it."""
    roots = tmp_path_factory.mktemp("finished")
    with roots_at(roots) as patch:
        toy_files(roots / "input" / "toy")
        patch.setattr(config, "load", lambda name, limit=None: toy_competition(limit=limit))
        assert main.main(["digits", "submission"]) == 0
    return roots / "submissions"


@pytest.fixture
def finished_run(toy_run, finished_once, roots):
    """`toy_run` where the toy competition is finished."""
    shutil.copytree(finished_once, roots / "submissions", dirs_exist_ok=True)
    return toy_run


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        (["data"], ["data"]),
        (["audit"], ["data", "folds", "features", "audit"]),
        (["probe"], ["data", "folds", "features", "probe"]),
        (["find_lr"], ["data", "folds", "find_lr"]),
        (["finetune", "zeroshot"], ["data", "folds", "features", "zeroshot", "finetune"]),
        (["submission"], WHOLE),
    ],
)
def test_a_stage_runs_with_what_it_needs(words, stages):
    assert cli.parse(["digits", *words]) == Request("digits", tuple(stages))


def test_a_whole_run_has_all_stages_that_need_not_be_asked_for_and_a_report():
    assert cli.parse(["digits"]) == Request("digits", WHOLE, whole=True)


@pytest.mark.parametrize("words", [["--limit", "40"], ["--limit=40"]])
def test_a_limit_may_stand_anywhere(words):
    assert cli.parse([*words, "digits", "data"]) == Request("digits", ("data",), 40)
    assert cli.parse(["digits", "data", *words]) == Request("digits", ("data",), 40)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["doctor"], Request("digits", command="doctor")),
        (["check", "/a.csv"], Request("digits", command="check", arguments={"file": Path("/a.csv")})),
        (["grade", "a.csv"], Request("digits", command="grade", arguments={"file": Path("/elsewhere/a.csv")})),
        (["submit"], Request("digits", command="submit")),
        (
            ["submit", "/a.csv", "-m", "three seeds"],
            Request("digits", command="submit", arguments={"file": Path("/a.csv"), "message": "three seeds"}),
        ),
        (["submit", "--anyway"], Request("digits", command="submit", arguments={"anyway": True})),
        (["submit", "--message=x=y"], Request("digits", command="submit", arguments={"message": "x=y"})),
        (["pack", "--push"], Request("digits", command="pack", arguments={"push": True})),
        (["data", "submit"], Request("digits", ("data",), command="submit")),
        (["report"], Request("digits", command="report")),
        (
            ["ab", "label_noise", "drop"],
            Request("digits", command="ab", arguments={"field": "label_noise", "value": "drop"}),
        ),
        (["predict", "a.png"], Request("digits", command="predict", arguments={"words": ["a.png"]})),
        (["check", "/a.csv", "--limit", "40"], Request("digits", (), 40, "check", {"file": Path("/a.csv")})),
    ],
)
def test_a_command_has_its_arguments(words, asked, monkeypatch):
    monkeypatch.setenv("CALLED_FROM", "/elsewhere")
    assert cli.parse(["digits", *words]) == asked


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["predict"], {}),
        (["predict", "a.png", "b"], {"words": ["a.png", "b"]}),
        (
            ["predict", "a", "--models", "x", "y", "--top", "3", "--html=b.html", "--allow-urls"],
            {"words": ["a"], "models": ["x", "y"], "top": 3, "html": Path("/elsewhere/b.html"), "allow_urls": True},
        ),
        (["compare"], {}),
        (["compare", "stl10", "food101"], {"names": ["stl10", "food101"]}),
        (
            ["new", "input/leaves", "--name", "leaves", "--label", "species", "--small", "--force"],
            {"what": "input/leaves", "name": "leaves", "label": "species", "small": True, "force": True},
        ),
    ],
)
def test_a_command_without_a_competition_has_its_arguments(words, arguments, monkeypatch):
    monkeypatch.setenv("CALLED_FROM", "/elsewhere")
    assert cli.parse(words) == Request(None, command=words[0], arguments=arguments)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cron"], "unknown competition 'cron': did you mean 'corn'"),
        (["submit", "a.csv"], "submit stands behind a competition: ./run.sh <competition> submit a.csv\n"),
        (["probe", "--limit", "9"], "probe stands behind a competition: ./run.sh <competition> probe\n"),
        (["digits", "blnd"], "unknown stage 'blnd': did you mean 'blend'?"),
        (["digits", "prob"], "unknown stage 'prob': did you mean 'probe'?"),
        (["digits", "mission"], "unknown stage 'mission': did you mean 'submission'?"),
        (["digits", "xyz"], "unknown stage 'xyz': one of data, folds"),
        (["digits", "reprot"], "unknown stage 'reprot': did you mean 'report'"),
        (["new"], "the following arguments are required: SLUG|FOLDER: ./run.sh new [--name NAME]"),
        (["new", "a", "b"], "new does not take 'b'"),
        (["digits", "new", "a"], "new stands without a competition: ./run.sh new"),
        (["digits", "compare"], "compare stands without a competition: ./run.sh compare [NAME ...]"),
        (["predict", "a.jpg", "--top", "0"], "--top: must be a whole number, 1 or more, not '0': ./run.sh predict ["),
        (
            ["predict", "a.jpg", "--models", "--top", "3"],
            "--models: expected at least one argument: ./run.sh predict [",
        ),
        (["predict", "a.jpg", "--clases", "a"], "unknown option '--clases': did you mean '--classes'"),
        (["predict", "a.jpg", "--limit", "3"], "predict takes no --limit"),
        (["predict", "a.jpg", "--clas", "a"], "unknown option '--clas': did you mean '--classes'"),
        (["predict", "a.jpg", "--classes="], "--classes: must not be empty"),
        (["digits", "ab"], "arguments are required: FIELD, VALUE: ./run.sh digits ab FIELD VALUE"),
        (["digits", "ab", "label_noise"], "arguments are required: VALUE: ./run.sh digits ab FIELD VALUE"),
        (["digits", "ab", "label_noise", "drop", "now"], "ab does not take 'now'"),
        (["digits", "submti"], "unknown stage 'submti': did you mean 'submit'"),
        (["digits", "check"], "arguments are required: FILE: ./run.sh digits check FILE"),
        (["digits", "check", "a", "b"], "check does not take 'b'"),
        (["digits", "doctor", "now"], "doctor does not take 'now': ./run.sh digits doctor"),
        (["digits", "submit", "-m"], "-m/--message: expected one argument: ./run.sh digits submit ["),
        (["digits", "submit", "--mesage", "x"], "unknown option '--mesage': did you mean '--message'"),
        (["digits", "submit", "--any"], "unknown option '--any': did you mean '--anyway'"),
        (["digits", "submit", "--limti", "3"], "unknown option '--limti': did you mean '--limit'"),
        (["digits", "scores", "--push"], "unknown option '--push'"),
        (["digits", "data", "scores"], "scores stands alone: ./run.sh digits scores"),
        (["digits", "--limt", "3"], "unknown option '--limt': did you mean '--limit'"),
        (["digits", "--limit"], "--limit: expected one argument"),
        (["digits", "--limit", "many"], "--limit: must be a whole number, 1 or more, not 'many'"),
        (["digits", "--limit", "0"], "--limit: must be a whole number, 1 or more, not '0'"),
        (["digits", "--lim", "3"], "unknown option '--lim': did you mean '--limit'"),
        (["--limit", "3"], "no competition is named"),
        (["digits", "--hours", "0"], "--hours: must be hours, as 8.5 or 8:30, and no more than 100000, not '0'"),
        (["digits", "--hours", "nan"], "--hours: must be hours, as 8.5 or 8:30, and no more than 100000, not 'nan'"),
        (["digits", "--hours", "1e9"], "--hours: must be hours, as 8.5 or 8:30, and no more than 100000, not '1e9'"),
        (["digits", "--hours", f"{'9' * 400}:00"], "--hours: must be hours, as 8.5 or 8:30, and no more than 100000"),
        (["digits", "help"], "help stands without a competition: ./run.sh help [TOPIC ...]"),
        (["help", "exitcodes"], "unknown topic 'exitcodes': did you mean 'exit-codes'?"),
        (["help", "finetne"], "unknown topic 'finetne': did you mean 'finetune'"),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys):
    assert main.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["digits", "--help"], []])
def test_help_lists_all_that_can_be_typed(words, capsys):
    assert main.main(words) == (0 if words else 2)
    said = capsys.readouterr().out
    assert said.startswith("./run.sh <competition> [stage ...] [command [arguments]] [--limit N]\n")
    for name in config.names():
        assert f"  {name} " in said
        assert config.load(name).title in said
    for name in (*STAGES, *COMMANDS, "bench", "base", "sources", "logreg", "config", "exit-codes"):
        assert len(re.findall(rf"^ +{name}  +\S.*[^.]$", said, flags=re.MULTILINE)) >= 1, name
    assert "  submit     sends a CSV to Kaggle, the blend's newest if none is named, and waits for its score\n" in said
    assert "find_lr and audit run only where they are named:\n" in said


@pytest.mark.parametrize(
    ("words", "usage", "said"),
    [
        (["corn", "submit", "--help"], "./run.sh corn submit [", "submit: sends a CSV to Kaggle"),
        (["--limit", "40", "corn", "submit", "-h"], "./run.sh <competition> submit [", "--anyway  "),
        (["corn", "data", "submit", "a.csv", "--help"], "./run.sh corn submit [", "--anyway  "),
        (["corn", "ab", "--help"], "./run.sh corn ab FIELD VALUE\n", "\n  FIELD  "),
        (["corn", "doctor", "--help"], "./run.sh corn doctor\n", "doctor: finds what stands"),
        (["predict", "--help"], "./run.sh predict [", "--allow-urls  "),
        (["corn", "predict", "a.jpg", "--help"], "./run.sh corn predict [", "--allow-urls  "),
        (["compare", "--help"], "./run.sh compare [NAME ...]\n", "compare: scores zero-shot"),
        (["corn", "compare", "--help"], "./run.sh compare [NAME ...]\n", "compare: scores zero-shot"),
        (["new", "--help"], "./run.sh new [", "SLUG|FOLDER  "),
        (["help", "--help"], "./run.sh help [TOPIC ...]\n", "TOPIC  "),
        (["help", "submit"], "./run.sh <competition> submit [", "submit: sends a CSV to Kaggle"),
    ],
)
def test_help_of_a_command_says_what_it_takes(words, usage, said, capsys):
    assert main.main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {usage}")
    assert said in out


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["corn", "probe", "--help"], ["stages/probe.py", "models/probe/__init__.py"]),
        (["corn", "features", "zeroshot", "-h"], ["stages/features.py", "stages/zeroshot.py"]),
        (["help", "audit"], ["stages/audit.py", "audit/__init__.py"]),
        (["help", "sources", "corn_small"], ["data/sources/__init__.py", "configs/corn_small.py"]),
        (["help", "bench"], ["bench/__main__.py", "bench/__init__.py"]),
        (["help", "exit-codes"], ["kaggle/refusals.py"]),
        (["help", "config"], ["config.py"]),
    ],
)
def test_help_of_a_topic_is_the_docstring_of_its_files(words, files, capsys):
    assert main.main(words) == 0
    texts = (f"== src/{file}\n{docstring(ROOT / 'src' / file)}" for file in files)
    assert capsys.readouterr().out == "\n\n".join(texts) + "\n"


def test_help_of_a_command_ends_with_that_of_the_room_of_its_name(capsys):
    assert main.main(["help", "report"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: ./run.sh <competition> report\n")
    assert out.endswith(f"\n\n== src/report/__init__.py\n{docstring(ROOT / 'src/report/__init__.py')}\n")


def test_help_of_a_config_that_is_no_python_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.py").write_text("competition = (")
    monkeypatch.setattr(paths, "CONFIGS", tmp_path)
    assert main.main(["help", "broken"]) == 2
    assert f"error: {tmp_path}/broken.py cannot be read: " in capsys.readouterr().err


def test_help_of_everything_needs_no_package():
    """With a Python that has no site-packages: of all topics, of each command behind a competition, of the benchmarks."""
    code = (
        "from src.__main__ import main\n"
        "from src.bench.__main__ import main as bench\n"
        "from src.cli import COMMANDS, STAGES\n"
        "from src.commands import help\n"
        "asked = [[], ['--help'], *(['help', name.strip()] for rows in help.sections().values() for name, _ in rows)]\n"
        "asked += [[*behind, name, '--help'] for behind in ([], ['corn']) for name in (*COMMANDS, *STAGES)]\n"
        "print([words for words in asked if main(words) != (0 if words else 2)] + [1] * bench(['--help']), end='')\n"
    )
    done = subprocess.run([sys.executable, "-E", "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]")


def examples(name: str) -> list[str]:
    """The command lines in the docstring of a command, without ./run.sh."""
    return re.findall(r"^    \./run\.sh (.*)$", docstring(file_of(name)), flags=re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_examples_of_its_docstring(name):
    requests = [cli.parse(shlex.split(line)) for line in examples(name)]
    assert {request.command for request in requests} <= {name}
    assert requests or parser(name).given([]) == {}  # what takes no arguments needs no example


def test_options_may_stand_before_between_and_after_other_words():
    asked = Request(None, command="predict", arguments={"words": ["a", "b"], "top": 3, "allow_urls": True})
    assert cli.parse(["predict", "a", "--top", "3", "b", "--allow-urls"]) == asked
    assert cli.parse(["predict", "--allow-urls", "--top=3", "a", "b"]) == asked


def test_an_lr_is_suggested_where_it_is_asked_for(toy_run, capsys, roots):
    assert toy_run("find_lr") == 0
    said = capsys.readouterr().out
    assert "convnext  the loss falls most steeply at lr " in said
    curve = pd.read_csv(roots / "submissions/toy/models/convnext/lr.csv")
    assert list(curve.columns) == ["lr", "loss", "smooth"]
    assert [path.name for path in (roots / "submissions/toy/models/convnext").iterdir()] == ["lr.csv"]


def test_a_whole_run(toy_run, capsys, folder, roots):
    assert toy_run() == 0
    said = capsys.readouterr().out
    for stage in cli.STAGES:
        assert (f"== toy: {stage}\n" in said) == (stage not in cli.ASKED)
    table = said[said.index("== toy: done in") :]
    assert [line.split()[0] for line in table.splitlines() if "made now" in line] == [
        "zeroshot",
        "probe",
        "convnext",
        "blend",
    ]
    lines = table.splitlines()[1:]
    assert sum(" ± " in line or " to 1.0000)  " in line for line in lines) == 5  # the constant answer too
    assert len({line.index(".", lines[0].index("log loss")) for line in lines if "made now" in line}) == 1  # aligned
    assert lines[2] == "always 'blue'  0.3333 ± 0.0786"
    (flat,) = [line for line in lines if "no better than" in line]  # a random CLIP
    assert flat.startswith("zeroshot ")
    assert flat.endswith("made now, no better than always 'blue'")
    assert "± 0.0000" not in said
    assert "next: ./run.sh toy submit" in table
    (sub,) = (roots / "submissions/toy").glob("blend-cv*.csv")
    assert len(sub.read_text().splitlines()) == 13
    assert table.splitlines()[-1].startswith(f"report: {roots}/submissions/toy/report.html")
    html = (roots / "submissions/toy/report.html").read_text()
    assert html.endswith("</html>\n")
    assert "± 0.0000" not in html
    # zero-shot and probe share one cache: two views of one model
    caches = [path.name.rpartition("-")[2] for path in (roots / "submissions/toy/features").iterdir()]
    assert sorted(caches) == ["hflip", "identity", "texts.safetensors"]

    before = snapshot(roots)
    assert toy_run() == 0
    again = capsys.readouterr().out
    assert "made now" not in again
    assert again.count("  reused\n") == 3 + 1  # three lines of the table and the file
    assert again.count("  reused, no better than") == 1
    assert "report: " in again
    assert snapshot(roots) == before


def test_a_machine_without_the_packages_of_the_report_has_all_else(finished_run, hide, monkeypatch, capsys, roots):
    hide("altair")
    for name in [name for name in sys.modules if name.startswith(("src.report", "src.commands.report"))]:
        monkeypatch.delitem(sys.modules, name)
    assert finished_run() == 0
    said = capsys.readouterr().out
    assert said.startswith("no report, for want of altair: pip install 'altair>=5.5.0'\n")
    assert "no report: the package 'altair' is missing: pip install" in said
    assert list((roots / "submissions/toy").glob("blend-cv*.csv"))
    assert finished_run("report") == 2
    assert "error: this environment lacks altair: pip install 'altair>=5.5.0', or" in capsys.readouterr().err


def test_what_needs_no_clip_runs_without_open_clip_and_parts_are_left_out_alone(
    toy_run, hide, monkeypatch, capsys, roots
):
    hide("open_clip", "cleanlab", "vl_convert")
    assert toy_run("probe") == 2
    assert "error: this environment lacks open_clip_torch: pip install" in capsys.readouterr().err
    assert not (roots / "submissions/toy").exists()

    probe = Probe(backbone="test_convnext", pretrained=False, img_size=32, cs=(1.0, 100.0))
    models = {"probe": probe, "convnext": toy_competition().models["convnext"]}
    plain = toy_competition(models=models, prompts=None)
    monkeypatch.setattr(config, "load", lambda name, limit=None: plain)
    assert toy_run() == 0
    said = capsys.readouterr().out
    assert said.startswith("no charts in the report, for want of vl-convert-python: pip install")
    assert "report: without the charts: vl-convert-python is not installed" in said
    html = plain.report_html.read_text()
    assert "<b>the charts</b>: vl-convert-python is not installed" in html
    assert "data-chart=" not in html
    assert not list(plain.plots.glob("*.png"))

    assert toy_run("audit") == 0
    said = capsys.readouterr().out
    assert "not looked for: outliers: cleanlab is not installed" in said
    assert "not looked for: labels: cleanlab is not installed" in said


def test_two_runs_of_one_seed_give_the_same_numbers(toy_run, roots, finished_once):
    def tables(folder):
        return {
            name: data
            for name, (_, data) in snapshot(folder).items()
            if name.endswith(("parquet", "csv"))
            and not name.endswith(("history.csv", "images.parquet", "rates.csv"))  # times, paths
        }

    toy_run("submission")
    assert tables(roots / "submissions") == tables(finished_once)
    assert len(tables(finished_once)) == 20


def test_a_smoke_run_does_not_touch_the_real_one(finished_run, roots, monkeypatch, capsys):
    before, zero_shot = snapshot(roots / "submissions/toy"), {"zeroshot": toy_competition().models["zeroshot"]}
    monkeypatch.setattr(config, "load", lambda name, limit=None: toy_competition(limit=limit, models=zero_shot))
    assert finished_run("submission", "--limit", "9") == 0
    assert "a smoke run of 9 rows: do not send" in capsys.readouterr().out
    assert snapshot(roots / "submissions/toy") == before
    (sub,) = (roots / "submissions/toy-limit9").glob("blend-cv*.csv")
    assert len(sub.read_text().splitlines()) == 10


def test_a_wrong_model_stops_before_any_stage_computes(folder, monkeypatch, capsys, roots):
    toy = toy_competition()
    wrong = toy.model_copy(
        update={"models": {**toy.models, "convnext": toy.models["convnext"].model_copy(update={"backbone": "nope"})}}
    )
    monkeypatch.setattr(config, "load", lambda name, limit=None: wrong)
    assert main.main(["digits"]) == 2
    assert "model 'convnext': unknown timm backbone 'nope'" in capsys.readouterr().err
    assert not (roots / "submissions/toy/features").exists()


def test_bad_input_leaves_all_files_as_they_were(finished_run, roots, folder, capsys):
    (folder / "train/000.png").write_bytes(b"")
    before = snapshot(roots)
    assert finished_run("submission") == 2
    assert "000: " in capsys.readouterr().err
    assert snapshot(roots) == before


def test_no_data_leaves_no_folder(monkeypatch, roots, capsys):
    monkeypatch.setattr(config, "load", lambda name, limit=None: toy_competition())
    assert main.main(["digits"]) == CODES["credentials"]
    assert "no data for toy" in capsys.readouterr().err
    assert list((roots / "submissions").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(monkeypatch, folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(config, "load", lambda name, limit=None: toy_competition())
    assert main.main(["digits"]) == 2
    assert f"cannot write {tmp_path}/file/toy" in capsys.readouterr().err


def test_a_second_run_beside_the_first_is_kept_out(toy_run, roots, capsys):
    toy_run("data")
    with locks.exclusive(roots / "submissions/toy"):
        assert toy_run("data") == 2
    assert "another run of toy is at work" in capsys.readouterr().err
    assert toy_run("data") == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_its_own_code(toy_run, monkeypatch, number, code, capsys):
    from src.stages import data

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    monkeypatch.setattr(data, "run", lambda competition: signal.raise_signal(number))
    assert toy_run() == code
    assert "the same command resumes from there" in capsys.readouterr().err


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ModuleNotFoundError("No module named 'open_clip.tokenizer'", name="open_clip.tokenizer"),
            "the package 'open_clip' is missing: pip install open_clip_torch, or let run.sh",
        ),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory", name="cv2"),
            "cv2 cannot be imported (libGL.so.1: cannot open shared object file: No such file or directory): "
            "pip uninstall -y opencv-python, and pip install --force-reinstall --no-deps opencv-python-headless, or let",
        ),
        (
            ImportError("cannot import name 'a' from 'timm.layers' (/x/timm/layers/__init__.py)", name="timm.layers"),
            "pip install --force-reinstall --no-deps timm, or let run.sh",
        ),
        (ImportError("undefined symbol: PyX", name="_backend"), "install again the package that has it, or let run.sh"),
        (
            raised(
                ImportError("\n\nIMPORTANT: PLEASE READ THIS"),
                ImportError("undefined symbol: PyX", name="numpy._core._x"),
            ),
            "numpy cannot be imported (undefined symbol: PyX): pip install --force-reinstall --no-deps numpy, or let",
        ),
        (RuntimeError("operator torchvision::nms does not exist"), "torch and torchvision do not fit each other"),
        (OSError("libcudart.so.12: cannot open shared object file"), "a package's library cannot be loaded (libcudart"),
        (ValueError("numpy.dtype size changed, may indicate binary incompatibility"), "what fits this numpy"),
    ],
)
def test_an_environment_that_does_not_fit_is_said(toy_run, monkeypatch, error, said, capsys):
    def broken(stage):
        raise error

    monkeypatch.setattr(stages, "module", broken)
    assert toy_run() == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'a' from 'src.base.text' (/x/src/base/text.py)", name="src.base.text"),
        ValueError("a bug"),
        OSError(5, "a disk's, of a file a.so"),
        OSError("cannot identify image file '/my.songs/a.png': it is none"),
    ],
)
def test_a_bug_is_not_taken_for_the_environments_fault(toy_run, monkeypatch, error):
    monkeypatch.setattr(stages, "module", mock.Mock(side_effect=error))
    with pytest.raises(type(error), match=re.escape(str(error))):
        toy_run()


def test_a_user_whom_the_system_does_not_know_has_a_home_and_a_name(toy_run, monkeypatch, roots):
    import getpass
    import pwd

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    with pytest.raises(RuntimeError):
        Path.home()
    assert toy_run("data") == 0
    assert Path.home() == roots / "submissions" / ".home"
    assert not Path.home().exists()
    assert getpass.getuser().isdecimal()


def test_a_bug_keeps_its_traceback(toy_run, monkeypatch):
    from src.stages import data

    monkeypatch.setattr(data, "run", lambda competition: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        toy_run()


def test_an_output_that_takes_no_lines_is_one_sentence(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patched:  # where every write finds no room
        patched.setattr(sys, "stdout", full)
        assert main.main(["help"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write the output: the disk is full: ")
    assert said.count("\n") == 1


def test_the_users_mistake_is_an_exception_of_its_own():
    assert not issubclass(UserError, (ValueError, OSError))


@needs_kaggle_2_2_4
def test_whether_a_submission_will_be_allowed_is_asked_before_the_stages_run(toy_run, standin, capsys):
    standin.quota = 0
    assert toy_run("data", "submit") == CODES["quota"]
    assert "none is left today" in capsys.readouterr().err
    assert not standin.calls("StartSubmissionUpload")


def test_a_command_stands_beside_a_run_that_trains(toy_run, standin, roots, capsys):
    (roots / "submissions/toy").mkdir(parents=True)
    with locks.exclusive(roots / "submissions/toy"):
        assert toy_run("data") == 2
        assert toy_run("doctor") == 0


def test_a_command_does_not_wait_for_torch():
    commands = [f"src.commands.{name}" for name in ("doctor", "check", "grade", "submit", "scores", "reproduce")]
    code = (
        f"import importlib, sys\nfor name in {commands!r}: importlib.import_module(name)\n"
        "assert not {'torch', 'sklearn', 'kaggle'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
