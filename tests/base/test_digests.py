"""Digests of long lists are those of the lists."""

import numpy as np
import pytest

from src.base import digests, files


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_digests_are_those_of_the_whole_lists(n, monkeypatch):
    monkeypatch.setattr(digests, "PIECE", 2)
    ids, numbers = [f'ä"{i}' for i in range(n)], np.arange(n) / 3
    labels = np.arange(2 * n).reshape(n, 2)
    assert digests.digest(digests.listing(ids)) == files.digest(ids)
    rows = [[*row] for row in zip(ids, numbers.tolist(), labels.tolist(), strict=True)]
    assert digests.digest(digests.rows_listing(ids, numbers, labels)) == files.digest(rows)
