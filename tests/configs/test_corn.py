"""The corn competition: its facts, and its real files where CORN_ZIP says where they are."""

import os
import shutil

import pytest

from src import __main__ as main
from src import config
from src.data import tables
from src.data.rows import read_dataset
from src.leaderboard import counts
from src.models.finetune.run import check_networks
from src.schema.competition import Competition

CORN_ZIP = os.environ.get("CORN_ZIP")
PUBLIC, PRIVATE = 696, 2783  # rows of the leaderboard's parts; Kaggle cuts a score after five decimals


@pytest.mark.parametrize("reported", config.load("corn").reported, ids=lambda reported: reported.title)
def test_a_reported_score_is_a_count_of_rows(reported):
    for score, rows in ((reported.public, PUBLIC), (reported.private, PRIVATE)):
        assert score is None or counts.count(counts.digits_shown(score), rows) is not None


def test_the_small_variant_is_the_same_competition():
    corn, small = config.load("corn"), config.load("corn_small")
    for field in set(Competition.model_fields) - {"name", "title", "models", "blend", "reported"}:
        assert getattr(small, field) == getattr(corn, field)


@pytest.mark.skipif(CORN_ZIP is None, reason="CORN_ZIP does not say where the competition's zip is")
def test_the_real_files_pass_every_check(roots, capsys):
    corn = config.load("corn")
    (roots / "input").mkdir()
    shutil.copy(CORN_ZIP, roots / "input" / f"{corn.source.slug}.zip")
    assert main.main(["corn", "folds"]) == 0
    assert "train rows: broken" in capsys.readouterr().out
    data, read = read_dataset(corn), tables.read(corn)
    assert data.n_folds == 5
    assert len(data.test) == len(read.sample_submission)
    assert data.test.ids != read.sample_submission["seed_id"].tolist()  # pairing them by row would be wrong


@pytest.mark.parametrize("name", config.names())
def test_every_network_of_a_config_is_known_and_takes_its_size(name):
    check_networks(config.load(name))
