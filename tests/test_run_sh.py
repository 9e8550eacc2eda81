"""run.sh: from any folder, with blanks in the path, with the right Python, and with the exit code of what it runs."""

import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PYTHON = shlex.quote(sys.executable)


def test_runs_a_stage_with_what_it_needs_below_roots_relative_to_where_the_caller_stands(run_sh, roots):
    (roots / "a place").mkdir()
    words = ("digits", "zeroshot", "--limit", "60")
    done = run_sh(*words, cwd=roots / "a place", INPUT_DIR="in put", SUBMISSIONS_DIR="out", SCRATCH_DIR="..")
    assert done.returncode == 0, done.stderr
    assert "zeroshot_tiny  oof accuracy 0." in done.stdout
    assert (roots / "a place/in put/digits/train.csv").is_file()
    assert (roots / "a place/out/digits-limit60/models/zeroshot_tiny/model.json").is_file()
    assert not (roots / "a place/out/digits-limit60/pictures").exists()
    assert [path.name for path in roots.glob("digits-limit60-*/pictures/*")] != []


def test_a_mistake_has_exit_code_2_and_no_traceback(run_sh):
    done = run_sh("digits", "blnd")
    assert done.returncode == 2
    assert done.stderr == "error: " + done.stderr.removeprefix("error: ")
    assert "Traceback" not in done.stderr
    assert run_sh().returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["decde"], "unknown benchmark 'decde': did you mean 'decode'?"),
        (["--quik"], "unknown option '--quik': did you mean '--quick'?"),
        (["features", "--rows", "many"], "--rows: must be a whole number, 1 or more, not 'many': ./run.sh bench ["),
        (["--rows", "5"], "--rows is an option of one benchmark: ./run.sh bench features or scale ..."),
        (["gpu", "decode", "--folder", "x"], "--folder is an option of one benchmark: ./run.sh bench gpu ..."),
        (["features", "--row", "5"], "unknown option '--row': did you mean '--rows'?"),
        (["decode", "--images", "nowhere"], "there is no folder {cwd}/nowhere"),
    ],
)
def test_a_benchmark_is_asked_for_in_its_words(run_sh, tmp_path, words, said):
    done = run_sh("bench", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said.format(cwd=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_where_the_execute_bit_is_lost_and_the_checkout_is_windows(tmp_path):
    """As on a mounted Windows folder: no mode, and line ends by core.autocrlf."""
    for name in ("run.sh", ".gitattributes"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "a.csv").write_bytes(b"a,b\r\n1,2\n")
    git = ["git", "-C", str(tmp_path), "-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
    for words in (["init", "-q"], ["add", "."], ["rm", "-q", "--cached", "-r", "."], ["add", "."]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (tmp_path / "run.sh").unlink()
    (tmp_path / "a.csv").unlink()
    subprocess.run([*git, "checkout", "--", "run.sh", "a.csv"], check=True, capture_output=True)
    assert b"\r" not in (tmp_path / "run.sh").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == b"a,b\r\n1,2\n"
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "run.sh").chmod(0o644)
    env = {**os.environ, "PYTHON": sys.executable, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(["bash", "run.sh", "--help"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "./run.sh" in done.stdout


@pytest.mark.parametrize("number", [0, 1])
def test_a_closed_stream_is_an_empty_one(tmp_path, number):
    """As some schedulers start a program: else a file that it opens takes the stream's number."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || [ -c /dev/fd/$STREAM ] || touch "${0%/*}/closed"\n')
    python.chmod(0o755)
    closing = f"exec ./run.sh digits {number}{'<' if number == 0 else '>'}&-"
    env = {**os.environ, "USE_CURRENT_ENV": "1", "PYTHON": str(python), "STREAM": str(number)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    assert subprocess.run(["bash", "-c", closing], cwd=ROOT, env=env, **pipes).returncode == 0
    assert not (tmp_path / "closed").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_signs_that_the_terminal_cannot_show_are_replaced(encoding):
    code = (
        "import sys; from src.__main__ import exit_code\n"
        "exit_code(lambda: print('0.5 ± 0.1', '猫', b'a\\xff'.decode(errors='surrogateescape')) or 0, '')\n"
        "print('β', file=sys.stderr)"
    )
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    cat = "猫" if encoding == "utf-8" else "\\u732b"
    assert cat in done.stdout.decode(encoding)
    assert ("±" if encoding != "ascii" else "\\xb1") in done.stdout.decode(encoding)


def fake_python(folder, version: str):
    """A `python3` that says it is of this version, and else is the real one."""
    script = folder / "python3"
    major, minor = version.split(".")[:2]
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -V ] && echo "Python {version}" && exit\n'
        f'[ "$1" = -c ] || exec {PYTHON} "$@"\n'
        f"exec {PYTHON} -c 'import sys; sys.version_info = ({major}, {minor}, 0); exec(sys.argv[1])' \"$2\"\n"
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_library_takes_for_a_mistake_is_still_a_signal(number):
    """Interrupted in the middle of a tensor, safetensors raises a ValueError."""
    code = (
        "import os, sys; from src.__main__ import exit_code\n"
        "def work():\n"
        f"    try: os.kill(os.getpid(), {int(number)})\n"
        "    except KeyboardInterrupt: raise ValueError('could not determine the shape') from None\n"
        "sys.exit(exit_code(work, 'stopped; the same command resumes'))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.strip()) == (128 + number, "stopped; the same command resumes")


@pytest.mark.parametrize("version", ["3.10.4", "3.14.0", "2.7.18"])
def test_another_python_is_refused_with_a_word(run_sh, tmp_path, version):
    done = run_sh("--help", PYTHON=str(fake_python(tmp_path, version)))
    assert done.returncode == 2
    assert f"run.sh needs Python 3.11, 3.12 or 3.13 and found Python {version}" in done.stderr


def test_a_supported_python_is_taken(run_sh, tmp_path):
    done = run_sh("--help", PYTHON=str(fake_python(tmp_path, "3.12.1")))
    assert (done.returncode, "Competitions:" in done.stdout) == (0, True)


class TestVenv:
    """With a `venv` and a `pip` of two lines: the real ones take minutes and 6 GB."""

    @pytest.fixture
    def clone(self, tmp_path):
        clone = tmp_path / "a clone with blanks"
        (clone / "src").mkdir(parents=True)
        shutil.copy(ROOT / "run.sh", clone)
        (clone / "requirements.txt").write_text("six==1.17.0\n")
        (clone / "src/__main__.py").write_text("import sys; print('ran', *sys.argv[1:])\n")
        (clone / "src/bench").mkdir()
        (clone / "src/bench/__main__.py").write_text("import sys; print('timed', *sys.argv[1:])\n")
        (clone / "src/bench/requirements.txt").write_text("clip_benchmark==1.6.2\n")
        scripts = {
            "python3": f"""[ "$1 $2" = "-m venv" ] || exec {PYTHON} "$@"
                mkdir -p .venv/bin && echo made >> made.log && cp "$(dirname "$0")/in_venv" .venv/bin/python""",
            "in_venv": f"""[ "$1 $2" = "-m pip" ] || exec {PYTHON} "$@"
                echo "$@" >> pip.log
                [ ! -e ../fail ]""",
        }
        for name, text in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        return clone

    def run(self, clone, *words):
        env = {**os.environ, "PYTHON": str(clone.parent / "python3"), "USE_CURRENT_ENV": ""}
        return subprocess.run([str(clone / "run.sh"), *words], cwd="/", env=env, capture_output=True, text=True)

    def made(self, clone):
        return (clone / "made.log").read_text().count("made")

    def test_is_made_once(self, clone):
        for _ in range(2):
            done = self.run(clone, "digits", "data")
            assert (done.returncode, done.stdout) == (0, "ran digits data\n"), done.stderr
        assert self.made(clone) == 1

    def test_is_updated_when_requirements_change_and_kept_when_that_fails(self, clone):
        self.run(clone, "digits")
        (clone / "requirements.txt").write_text("six==1.16.0\n")
        (clone.parent / "fail").touch()
        failed = self.run(clone, "digits")
        assert failed.returncode == 2
        assert "does not fit requirements.txt: updating it" in failed.stderr
        (clone.parent / "fail").unlink()
        assert self.run(clone, "digits").stdout == "ran digits\n"
        assert self.made(clone) == 1
        assert len((clone / "pip.log").read_text().splitlines()) == 3

    def test_is_made_again_when_it_was_left_half_made(self, clone):
        (clone.parent / "fail").touch()
        done = self.run(clone, "digits")
        assert done.returncode == 2
        assert "could not install requirements.txt" in done.stderr
        (clone.parent / "fail").unlink()
        assert self.run(clone, "digits").returncode == 0
        assert self.made(clone) == 2

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "ran"),
            (("--help",), "ran --help"),
            (("help",), "ran help"),
            (("help", "probe"), "ran help probe"),
            (("corn", "predict", "-h"), "ran corn predict -h"),
            (("new", "--help"), "ran new --help"),
            (("bench", "--help"), "timed --help"),
            (("bench", "decode", "-h"), "timed decode -h"),
        ],
    )
    def test_help_needs_none(self, clone, words, said):
        done = self.run(clone, *words)
        assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr
        assert not (clone / ".venv").exists()

    def test_words_that_hold_those_of_help_ask_for_none(self, clone):
        assert self.run(clone, "corn", "submit", "-m", "no -h, no --help in it").returncode == 0
        assert self.made(clone) == 1

    def test_peers_of_the_benchmarks_are_added_once(self, clone):
        for _ in range(2):
            done = self.run(clone, "bench", "decode", "--quick")
            assert (done.returncode, done.stdout) == (0, "timed decode --quick\n"), done.stderr
        installs = (clone / "pip.log").read_text().splitlines()
        assert ["src/bench/requirements.txt" in line for line in installs] == [False, True]
        assert "--no-deps" in installs[1]

    def test_peers_that_cannot_be_had_stop_no_benchmark(self, clone):
        self.run(clone, "digits")
        (clone.parent / "fail").touch()
        done = self.run(clone, "bench")
        assert (done.returncode, done.stdout) == (0, "timed\n")
        assert "could not install src/bench/requirements.txt" in done.stderr
        assert not (clone / ".venv/bench-requirements.txt").exists()


READ_ONLY = ["unshare", "--map-root-user", "--mount", "bash", "-ec"]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*READ_ONLY, "true"], capture_output=True).returncode != 0,
    reason="this system allows no mount",
)
def test_inputs_may_lie_on_a_read_only_mount(tmp_path):
    """As Kaggle's /kaggle/input does: what must be written is written below the submissions, and found there again."""
    inputs, submissions = tmp_path / "input", tmp_path / "submissions"
    inputs.mkdir()
    mount = f"mount --bind {inputs} {inputs} && mount -o remount,ro,bind {inputs} && ! touch {inputs}/x 2>/dev/null"
    env = {**os.environ, "INPUT_DIR": str(inputs), "SUBMISSIONS_DIR": str(submissions)}
    command = [*READ_ONLY, f"{mount} && exec {sys.executable} -m src digits folds --limit 40"]
    first, second = (subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert f"writing scikit-learn's digits to {submissions}/.input/digits" in first.stdout
    assert "writing" not in second.stdout
    assert (submissions / ".input/digits/train.csv").is_file()
    assert not list(inputs.iterdir())
