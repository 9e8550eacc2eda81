"""The folders of results, as the environment names them."""

import os

import pytest

from src.base.errors import UserError
from src.base.paths import scratch_of, submissions_root


def test_a_folder_for_results_that_libraries_cannot_open_is_refused(tmp_path, monkeypatch):
    for name in ("SUBMISSIONS_DIR", "SCRATCH_DIR"):
        monkeypatch.setenv(name, os.fsdecode(b"/Latin-1/\xe9"))
    for root in (submissions_root, lambda: scratch_of(tmp_path)):
        with pytest.raises(UserError, match="is no path in UTF-8: name another by SUBMISSIONS_DIR or SCRATCH_DIR"):
            root()
