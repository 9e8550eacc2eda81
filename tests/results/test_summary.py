"""summary: what a run's last lines say to do."""

from pathlib import Path

import pytest

from src.data.sources.digits import Digits
from src.data.sources.folder import Folder
from src.results import summary
from tests.conftest import toy_competition


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "next: ./run.sh toy submit"),
        ({"limit": 9}, "a smoke run of 9 rows: do not send x.csv\nnext: ./run.sh toy"),
        ({"source": Folder("pets")}, "next: ./run.sh toy predict PICTURE|FOLDER says what other pictures are"),
        ({"source": Folder("pets"), "limit": 9}, "a smoke run of 9 rows: its scores say little\nnext: ./run.sh toy"),
        ({"source": Digits()}, "next: ./run.sh new SLUG|FOLDER writes a config for your own competition"),
    ],
)
def test_what_comes_next_can_be_done_there(changes, said, roots, monkeypatch):
    monkeypatch.setattr(summary, "from_here", str)
    assert said in summary.next_step(toy_competition(**changes), Path("x.csv"))
