"""The bench of several labels: both sides reach the gradient that it says."""

import json

import pytest

from src.bench import probe, probe_labels


def test_each_method_reaches_the_gradient_that_it_is_timed_for(capsys):
    case = probe_labels.Case(600, 16, 3, cs=(0.1, 1.0, 10.0), peers=("newton-cg",))
    feats, _, fold = probe.make_data(probe.Case(case.n, case.d, 2, case.signal))
    probe_labels.measure("toy", case, feats, fold, probe.line)
    said = capsys.readouterr().out.splitlines()
    peer, *ours = [json.loads(line) for line in said if line.startswith("{")]
    assert [one["method"] for one in ours] == ["ours", "ours"]
    assert ours[0]["tol"] == pytest.approx(0.9 * peer["gradient"])
    for row in ours:
        assert row["gradient"] < 1.5 * row["tol"]
        assert row["ratio"] == pytest.approx(peer["seconds"] / row["seconds"])
