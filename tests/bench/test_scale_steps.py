"""The steps of the bench of many rows, in one process."""

import pkgutil

from src.bench import scale
from src.results.model import read_model


def test_each_step_finds_what_earlier_ones_have_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INPUT_DIR", str(tmp_path / "input"))
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "submissions"))
    monkeypatch.setattr(scale, "PICTURES", 4)
    scale.make(tmp_path / "input" / scale.SLUG, 200)
    one = scale.competition()
    for name, step in scale.STEPS.items():
        if name != "report":  # has tests of its own, and takes as long as all others
            pkgutil.resolve_name(step)(one)
    scores = [read_model(one.model_folder(name))["cv"] for name in (*one.models, "blend")]
    assert scores[0] > scores[2] > 0.2
    assert "right: 50 rows, 10 classes used" in capsys.readouterr().out
