"""Threads: results in order, few of them waiting."""

from src.base import threads


def test_results_come_in_order_and_few_of_them_wait():
    done = []
    results = threads.parallel(lambda i: done.append(i) or i, range(1000), "testing")
    assert next(results) == 0
    assert len(done) < 500
    assert list(results) == list(range(1, 1000))
