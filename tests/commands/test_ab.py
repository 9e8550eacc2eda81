"""ab: a probe with one field changed beside the probe as it is; what it stores, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.commands import ab
from src.data.rows import read_dataset
from src.models.probe.fitting import TrainRows
from src.results import predictions
from src.results.ab import Comparison, put_comparison, read_ab
from src.schema.models import FineTune, Probe
from src.scoring.metrics import METRICS
from src.stages import data, features, folds, probe
from tests.conftest import TINY_CLIP, snapshot, toy_competition
from tests.running import run_stage

PROBE = Probe(clip=TINY_CLIP, cs=(100.0,), normalise=(True,), widen=False)
COMPARISON = Comparison("tol", "0.1", "probe", "accuracy", 0.5, 0.1, 0.6, 0.1, 0.1, 0.04, 3, "f" * 64, "a" * 64)


def competition_of(**changes):
    return toy_competition(**{"models": {"probe": PROBE}, **changes})


@pytest.fixture
def prepared(folder):
    competition = competition_of()
    for module in (data, folds, features, probe):
        run_stage(module, competition)
    return competition


def test_both_scores_and_the_paired_difference_are_printed_and_stored(prepared, capsys):
    before = snapshot(prepared.folder)
    capsys.readouterr()
    ab.run(prepared, "cs", "(1e-18,)")
    said = capsys.readouterr().out
    assert {path: file for path, file in snapshot(prepared.folder).items() if path in before} == before
    rows = read_dataset(prepared)
    base = predictions.read(prepared.model_folder("probe") / "oof.parquet", prepared, rows.train.ids)
    train = TrainRows(prepared, PROBE.model_copy(update={"cs": (1e-18,)}), rows)
    arm = train.out_of_fold(train.fits())
    accuracy = METRICS["accuracy"]
    (gain, se), (score, _) = accuracy.gain(rows.targets, arm, than=base), accuracy.score(rows.targets, arm)
    assert gain < 0
    [found] = read_ab(prepared.ab_csv)
    assert (found.field, found.value, found.model, found.metric) == ("cs", "(1e-18,)", "probe", "accuracy")
    assert (found.arm, found.difference, found.difference_se) == pytest.approx((score, gain, se))
    assert (found.base, found.base_se) == pytest.approx(accuracy.score(rows.targets, base))
    assert found.rows == (base.argmax(axis=1) != arm.argmax(axis=1)).sum() > 0
    assert found.folds == rows.folds_sha
    assert f"as it is    accuracy {found.base:.4f} (0.9036 to 1.0000)" in said
    assert (
        f"difference  {gain:+.4f} ± {se:.4f} (paired, + is better; {found.rows} of 36 rows get another label)" in said
    )
    assert said.count("fitted 3 folds") == 1  # the probe as it is, is finished


def test_a_second_call_is_known_and_a_changed_probe_is_compared_anew(prepared, capsys, monkeypatch):
    ab.run(prepared, "label_noise", "drop")
    before = snapshot(prepared.folder)
    assert "training rows dropped for each fold: " in capsys.readouterr().out
    ab.run(prepared, "label_noise", "'drop'")
    said = capsys.readouterr().out
    assert "(known)" in said
    assert "fitted" not in said
    assert snapshot(prepared.folder) == before
    changed = competition_of(models={"probe": PROBE.model_copy(update={"class_weight": "balanced"})})
    ab.run(changed, "label_noise", "drop")
    assert capsys.readouterr().out.count("fitted 3 folds") == 2  # this one's oof is not there
    first, second = read_ab(prepared.ab_csv)[0], pd.read_csv(prepared.ab_csv).to_dict("records")
    assert len(second) == 1  # in the place of the other
    assert second[0]["key"] == first.key
    ab.run(changed, "tol", "1e-3")
    assert [one.field for one in read_ab(prepared.ab_csv)] == ["label_noise", "tol"]


def test_every_probe_is_compared_and_what_cannot_have_the_value_is_left_out(prepared, capsys):
    other = PROBE.model_copy(update={"towards": "zeroshot"})
    competition = competition_of(models={"probe": PROBE, "other": other})
    ab.run(competition, "solver", "scikit-learn")
    said = capsys.readouterr().out
    assert "other  is left out: Probe: scikit-learn pulls towards zero only" in said
    assert [one.model for one in read_ab(competition.ab_csv)] == ["probe"]
    ab.run(competition, "label_noise", "drop")
    assert [(one.model, one.value) for one in read_ab(competition.ab_csv)] == [
        ("probe", "scikit-learn"),
        ("probe", "drop"),
        ("other", "drop"),
    ]


REFUSED = [
    ("label_nois", "drop", "unknown field of a probe 'label_nois': did you mean 'label_noise'?"),
    ("label_noise", "soften", "probe: Probe.label_noise: input should be 'keep' or 'drop', not 'soften'"),
    ("label_noise", "keep", "probe: its label_noise is 'keep' already: give another value"),
    ("cs", "0.1", r"probe: Probe.cs must be a tuple: \(..., ...\) with a comma behind a single value, not 0.1"),
    ("views", "('hflip',)", r"needs features that are not there \(tiny-test-.*-hflip\).*run ./run.sh toy features"),
]


def test_what_cannot_be_compared_is_a_sentence(prepared):
    for field, value, said in REFUSED:
        with pytest.raises(UserError, match=said):
            ab.run(prepared, field, value)
    assert not prepared.ab_csv.exists()


def test_what_does_not_go_with_the_competition_is_a_sentence(roots):
    number = competition_of(task="number", classes=(), span=(0, 9), metric="rmse", prompts=None)
    for field, value, said in (("label_noise", "drop", "label_noise out"), ("towards", "zeroshot", "is for one class")):
        with pytest.raises(UserError, match=f"probe: .*{said}"):
            ab.run(number, field, value)
    with pytest.raises(UserError, match="probe: prompts are missing"):
        ab.run(competition_of(prompts=None), "towards", "zeroshot")


def test_without_features_or_probe_it_says_what_to_run(toy):
    for module in (data, folds):
        module.run(toy)
    with pytest.raises(UserError, match=r"features of probe are not all there \(.*\): run ./run.sh toy features"):
        ab.run(toy, "tol", "1e-3")
    tuned = FineTune(backbone="test_convnext", epochs=2, lr=1e-3)
    with pytest.raises(UserError, match="toy has no probe among its models"):
        ab.run(competition_of(models={"tuned": tuned}), "tol", "1e-3")


@pytest.mark.parametrize(
    ("difference", "se", "verdict"),
    [
        (0.1, 0.04, "clearly better"),
        (-0.1, 0.04, "clearly worse"),
        (0.1, 0.06, "not distinguishable"),
        (0.0, 0.0, "not distinguishable"),
        (np.nan, np.nan, "not distinguishable"),
    ],
)
def test_two_standard_errors_are_clear(tmp_path, difference, se, verdict):
    found = Comparison(**{**vars(COMPARISON), "difference": difference, "difference_se": se})
    assert found.verdict == verdict
    put_comparison(tmp_path / "ab.csv", COMPARISON)
    put_comparison(tmp_path / "ab.csv", found)
    [read] = read_ab(tmp_path / "ab.csv")
    assert repr(read) == repr(found)


def test_a_table_that_is_not_ours_is_a_sentence(tmp_path):
    path = tmp_path / "ab.csv"
    assert read_ab(path) == []
    put_comparison(path, COMPARISON)
    whole = path.read_text()
    for damaged in (whole.replace("arm_se", "se"), whole.replace("0.04", "small")):
        path.write_text(damaged)
        with pytest.raises(UserError, match=r"ab.csv is no table of comparisons .*: move it away"):
            read_ab(path)
