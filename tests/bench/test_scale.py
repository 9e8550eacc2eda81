"""The bench of many rows: each step is run in a process of its own and said with its seconds and its memory."""

import json

from src.bench import scale


def test_each_step_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(scale, "STEPS", {name: scale.STEPS[name] for name in ("tables", "folds")})
    scale.run(rows=120)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(one["step"], one["rows"]) for one in said] == [("tables", 120), ("folds", 120)]
    assert all(0 < one["gb_peak"] < 1 and one["seconds"] > 0 for one in said)
