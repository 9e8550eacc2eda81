# %% about [markdown]
# # $title: inference
#
# Predicts whatever test set it finds by the models of the attached dataset: nothing is trained, nothing is fetched.
# It was made, and rehearsed without a network, by `$command`: change it there.

# %% inputs
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

INPUT = Path(os.environ.get("NOTEBOOK_INPUT", "/kaggle/input"))
SCRATCH = Path(os.environ.get("NOTEBOOK_SCRATCH", "/kaggle/temp"))  # is gone with the session
OUTPUT = Path(os.environ.get("NOTEBOOK_OUTPUT", "/kaggle/working"))  # what is scored
DATASET = "$dataset"
SHA256 = "$sha256"  # of the pack.json that this notebook was made with


def attached(slug, file):
    # Kaggle has two ways to lay its inputs out
    folders = [INPUT / slug, INPUT / "competitions" / slug, *sorted(INPUT.glob(f"datasets/*/{slug}"))]
    for folder in folders:
        if (folder / file).exists():
            return folder
    raise FileNotFoundError(f"{slug} is not attached to this notebook, or has no {file}: see its Input, on the right")


PACK = attached(DATASET, "pack.json")
if hashlib.sha256((PACK / "pack.json").read_bytes()).hexdigest() != SHA256:
    raise OSError(f"{PACK} is of another version than this notebook: attach the newest, or push both again")
about = json.loads((PACK / "pack.json").read_text())
sizes = {file: (PACK / file).stat().st_size if (PACK / file).is_file() else None for file in about["files"]}
damaged = [file for file, told in about["files"].items() if sizes[file] != told["size"]]
if damaged:
    raise OSError(f"{len(damaged)} files of {PACK} are missing or cut off, such as {damaged[0]}: push it again")
DATA = attached(about["competition"], about["test"])
print(f"{PACK}: {len(sizes)} files, {sum(sizes.values()) / 1e9:.2f} GB\n{DATA}")

# %% packages
sys.path.insert(0, str(PACK / "project"))
from src.base.packages import unmet  # noqa: E402

PACKAGES = SCRATCH / "packages"  # beside those of Kaggle's image, which stay as they are
shutil.rmtree(PACKAGES, ignore_errors=True)
if lacking := unmet(about["needed"]):
    not_here = sorted({*lacking} - {pin.partition("==")[0] for pin in about["packages"]})
    if not_here:
        lacks = f"this image has no {', '.join(not_here)}, or too old a one"
        raise RuntimeError(f"{lacks}, and {PACK} brings none: pack again by the newest version of the code")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    command = [*pip, "--find-links", PACK / "wheels", "--target", PACKAGES, *about["packages"]]
    if subprocess.run(command, check=False).returncode:
        pythons = ", ".join(about["python"])
        raise RuntimeError(f"pip says above why not: the wheels are for Python {pythons}, and this is {sys.version}")
    print(f"{', '.join(about['packages'])} in {PACKAGES}")

# %% state
SUBMISSIONS = SCRATCH / "submissions"
FOLDER = SUBMISSIONS / about["folder"]
shutil.rmtree(FOLDER, ignore_errors=True)
for file in sorted((PACK / "state").rglob("*")):  # links: what was trained is read where it is
    if file.is_file():
        link = FOLDER / file.relative_to(PACK / "state")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)

# %% stages
environment = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")])),
    "INPUT_DIR": str(DATA.parent),
    "SUBMISSIONS_DIR": str(SUBMISSIONS),
    "HF_HUB_CACHE": str(PACK / "hub"),
    "HF_HUB_OFFLINE": "1",
    "PREDICT_ONLY": "1",
}
stages = [sys.executable, "-m", "src", *about["arguments"]]
with subprocess.Popen(
    stages, cwd=PACK / "project", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as run:
    for line in run.stdout:
        print(line, end="", flush=True)
if run.returncode:
    raise RuntimeError(f"the stages ended with exit code {run.returncode}: they say above why")

# %% submission
(submission,) = FOLDER.glob("blend-cv*.csv")
OUTPUT.mkdir(parents=True, exist_ok=True)
shutil.copyfile(submission, OUTPUT / "submission.csv")
print(f"{OUTPUT / 'submission.csv'}: {len(submission.read_text().splitlines()) - 1} rows, from {submission.name}")
