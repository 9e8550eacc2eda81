"""The leaderboard's scores: which rows are behind them, how many are right, and what a CV predicts."""

from fractions import Fraction

import numpy as np
import pytest

from src import config
from src.base.errors import UserError
from src.leaderboard import counts
from src.leaderboard.counts import BoardSizes
from src.results.ledger import Entry
from src.schema.settings import Reported
from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.metrics import METRICS
from tests.conftest import toy_competition

# of the corn competition, from their authors' pages: 3,479 test rows
PUBLIC = ["0.83189", "0.80172", "0.81321", "0.77729", "0.77298", "0.72701", "0.76149", "0.71982", "0.28591", "0.16666"]
PRIVATE = ["0.82429", "0.81422", "0.75386", "0.72583", "0.27955", "0.18397"]
CORN = 3479


def shown(k: int, n: int, digits: int = 5) -> str:
    """k / n, cut, by another way than the module's: the decimals of a long division."""
    share, text = Fraction(k, n), ""
    whole = share.numerator // share.denominator
    rest = share - whole
    for _ in range(digits):
        rest *= 10
        text += str(rest.numerator // rest.denominator)
        rest -= rest.numerator // rest.denominator
    return f"{whole}.{text}"


class TestSplits:
    def test_of_corn_is_the_one_that_is_known(self):
        assert counts.splits(PUBLIC, PRIVATE, CORN) == [BoardSizes(696, 2783)]

    def test_of_corn_is_none_if_scores_were_rounded(self):
        assert counts.splits(PUBLIC, PRIVATE, CORN, "rounded") == []

    def test_few_scores_leave_several(self):
        found = counts.splits(["0.71982"], ["0.725"], CORN)
        assert BoardSizes(696, 2783) in found
        assert len(found) > 1
        assert all(counts.count("0.71982", split.public) is not None for split in found)

    def test_the_public_scores_alone_leave_the_multiples_of_the_part(self):
        assert [split.public for split in counts.splits(PUBLIC, [], CORN)] == [696, 1392, 2088, 2784]

    def test_scores_that_contradict_each_other_leave_none(self):
        assert counts.splits([*PUBLIC, "0.71983"], PRIVATE, CORN) == []

    @pytest.mark.parametrize("score", ["-0.5", "1.5", "2"])
    @pytest.mark.parametrize("how", ["cut", "rounded"])
    def test_what_is_no_share_fits_none(self, score, how):
        assert counts.splits([score], [], 50, how) == []

    def test_without_scores_all_are_open(self):
        assert counts.splits([], [], 4) == [BoardSizes(1, 3), BoardSizes(2, 2), BoardSizes(3, 1)]
        assert counts.splits([], [], 1) == []

    def test_zeros_at_the_end_are_digits(self):
        one, many = (len(counts.splits([score], [], 50)) for score in ("0.50000", "0.5"))
        assert one == sum(n % 2 == 0 for n in range(1, 50))  # exactly a half
        assert many > one  # 3 of 5 is 0.6, 5 of 9 is 0.55: cut to one digit also 0.5

    def test_digits_that_are_left_out_were_cut(self):
        assert counts.splits([*PUBLIC, "0.816"], PRIVATE, CORN) == [BoardSizes(696, 2783)]
        assert counts.splits([*PUBLIC, "0.815"], PRIVATE, CORN) == []  # 567 of 696 is 0.81465, 568 is 0.81609

    @pytest.mark.parametrize("seed", range(40))
    def test_the_true_one_is_always_among_them(self, seed):
        rng = np.random.default_rng(seed)
        rows = int(rng.integers(2, 4000))
        n = int(rng.integers(1, rows))
        sizes, digits = (n, rows - n), int(rng.integers(3, 7))
        scores = [[shown(int(k), size, digits) for k in rng.integers(0, size + 1, rng.integers(6))] for size in sizes]
        assert BoardSizes(*sizes) in counts.splits(*scores, rows)

    @pytest.mark.parametrize("seed", range(20))
    def test_the_true_one_is_among_them_if_scores_were_rounded(self, seed):
        rng = np.random.default_rng(seed)
        rows = int(rng.integers(2, 4000))
        n = int(rng.integers(1, rows))
        scores = [
            [f"{float(k) / size:.5f}" for k in rng.integers(0, size + 1, rng.integers(6))] for size in (n, rows - n)
        ]
        assert BoardSizes(n, rows - n, "rounded") in counts.splits(*scores, rows, "rounded")

    def test_they_are_those_of_a_search_through_all_counts(self):
        public, private = ["0.714", "0.42857"], ["0.6", "0.99"]
        for how, fits in (
            ("cut", lambda share, value, digits: int(share * 10**digits) == value),
            ("rounded", lambda share, value, digits: abs(share * 10**digits - value) <= Fraction(1, 2)),
        ):
            found = [
                BoardSizes(n, 120 - n, how)
                for n in range(1, 120)
                if all(
                    any(fits(Fraction(k, size), int(score[2:]), len(score) - 2) for k in range(size + 1))
                    for scores, size in ((public, n), (private, 120 - n))
                    for score in scores
                )
            ]
            assert counts.splits(public, private, 120, how) == found
            assert 0 < len(found) < 119


class TestCount:
    @pytest.mark.parametrize(
        ("score", "n", "k"),
        [
            ("0.71982", 696, 501),
            ("0.72583", 2783, 2020),
            ("0.82429", 2783, 2294),
            ("0.816", 696, 568),
            ("0.71983", 696, None),  # no count
            ("0.71", 2783, None),  # several
            ("1.00000", 696, 696),
            ("0.00000", 696, 0),
            ("1.00143", 696, None),  # 697 of 696
            ("-0.5", 696, None),
        ],
    )
    def test_is_the_one_that_the_score_shows(self, score, n, k):
        assert counts.count(score, n) == k

    def test_of_rounded_scores_is_another(self):
        assert counts.count("0.66667", 3, "rounded") == 2
        assert counts.count("0.66667", 3) is None
        assert counts.count("0.66666", 3) == 2

    @pytest.mark.parametrize("score", ["0.12345", "0.816", "1.0", "1e-05"])
    def test_a_float_of_the_config_has_the_digits_that_were_typed(self, score):
        assert counts.digits_shown(float(score)) == score

    def test_a_small_float_is_read_as_it_is(self):
        assert counts.count(counts.digits_shown(0.00001), 100000) == 1

    @pytest.mark.parametrize("score", ["", "none", "NaN", "inf", "0,71982"])
    def test_what_is_no_number_is_refused(self, score):
        with pytest.raises(UserError, match="is no score: write it as the leaderboard shows it"):
            counts.count(score, 696)

    @pytest.mark.parametrize(("k", "n"), [(501, 696), (0, 3), (3, 3), (1, 3), (2, 300000)])
    def test_is_cut_as_the_leaderboard_does(self, k, n):
        assert counts.cut(k, n) == shown(k, n)


class TestOf:
    def test_reads_the_reported_rows_of_corn(self):
        assert counts.board_sizes(config.load("corn"), [], CORN) == [BoardSizes(696, 2783)]

    def test_reads_the_ledgers_scores_too(self):
        toy = toy_competition(reported=(Reported("theirs", public=0.71982),))
        entries = [Entry("", "a.csv", public=public, status="complete") for public in PUBLIC]
        entries += [Entry("", "a.csv", private=private, status="complete") for private in PRIVATE]
        assert len(counts.board_sizes(toy, [], CORN)) > 1
        assert counts.board_sizes(toy, entries, CORN) == [BoardSizes(696, 2783)]

    def test_passes_over_what_has_no_score(self):
        toy = toy_competition(reported=(Reported("theirs", public=0.5),))
        entry = Entry("", "a.csv", public="0.00001", status="error")
        assert counts.board_sizes(toy, [entry, Entry("", "a.csv", status="pending")], 12) == counts.splits(
            ["0.5"], [], 12
        )

    def test_where_nothing_fits_cut_it_tries_rounded(self):
        toy = toy_competition(reported=(Reported("theirs", public=0.66667, private=0.14286),))
        assert counts.board_sizes(toy, [], 10) == [BoardSizes(3, 7, "rounded")]
        assert "3 public and 7 private rows" in counts.sizes_sentence(toy, [], 10)
        assert "rounded after their decimals" in counts.sizes_sentence(toy, [], 10)

    def test_is_nothing_without_a_score_or_for_another_metric(self):
        row = Reported("theirs", public=0.5)
        assert counts.board_sizes(toy_competition(), [], 12) == []
        assert counts.board_sizes(toy_competition(metric="log_loss", reported=(row,)), [], 12) == []
        assert "no score of the leaderboard is known" in counts.sizes_sentence(toy_competition(), [], 12)
        assert "log_loss is no share of rows" in counts.sizes_sentence(toy_competition(metric="log_loss"), [], 12)

    def test_several_are_said_to_be_narrowed_by_more_scores(self):
        toy = toy_competition(reported=(Reported("theirs", public=0.66666),))
        assert counts.sizes_sentence(toy, [], 12).startswith("3 splits of 12 test rows fit: 3 to 9 are public")
        assert counts.sizes_sentence(toy, [], 12).endswith("more scores narrow it")

    def test_none_is_said_with_the_score_that_stands_in_the_way(self):
        corn = config.load("corn")
        typed = Reported("mistyped", public=0.71983)
        said = counts.sizes_sentence(corn.model_copy(update={"reported": (*corn.reported, typed)}), [], CORN)
        assert "there is no split of 3479 test rows" in said
        assert "without public 0.71983 there is: was it typed or rounded by hand?" in said
        assert "without" not in counts.sizes_sentence(corn, [], 144)


class TestForetold:
    @pytest.mark.parametrize(("rate", "rows", "n"), [(0.8, 500, 100), (0.99, 500, 200), (0.3, 2000, 50), (1.0, 50, 50)])
    def test_the_interval_of_a_share_covers_what_it_says(self, rate, rows, n):
        rng = np.random.default_rng(0)
        hits, fresh = rng.binomial(rows, rate, 200), rng.binomial(n, rate, 200)
        intervals = [
            counts.expected_interval(k / rows, float(np.sqrt(k * (rows - k) / rows)) / rows, rows, n, metric="accuracy")
            for k in hits
        ]
        inside = [low <= k / n <= high for (low, high), k in zip(intervals, fresh, strict=True)]
        assert np.mean(inside) > 0.92  # two standard errors of 200 draws below 0.95
        assert all(0 <= low < high <= 1 or (low, high) == (1, 1) for low, high in intervals)

    def test_the_interval_of_a_mean_covers_what_it_says(self):
        rng, inside = np.random.default_rng(0), []
        for _ in range(400):
            train, fresh = rng.exponential(0.5, 600), rng.exponential(0.5, 150)
            se = train.std() / np.sqrt(600)
            low, high = counts.expected_interval(train.mean(), se, 600, 150, metric="log_loss")
            inside.append(low <= fresh.mean() <= high)
        assert 0.92 < np.mean(inside) < 0.98

    def test_is_the_normal_one_where_both_are_large(self):
        cv, rows, n = 0.8, 14322, 2783
        se = float(np.sqrt(cv * (1 - cv) / rows))
        exact = counts.expected_interval(cv, se, rows, n, metric="accuracy")
        assert exact == pytest.approx(counts.expected_interval(cv, se, rows, n, metric="macro_f1"), abs=1 / n)

    def test_is_wider_for_fewer_rows_and_a_higher_level(self):
        def width(n: int, level: float) -> float:
            low, high = counts.expected_interval(0.8, 0.0033, 14322, n, level, metric="accuracy")
            return high - low

        assert width(696, 0.95) > width(2783, 0.95)
        assert width(696, 0.99) > width(696, 0.95)

    def test_stays_within_the_metrics_bounds(self):
        def of(metric: str, cv: float) -> tuple[float, float]:
            return counts.expected_interval(cv, 0.2, 100, 20, metric=metric)

        assert of("auc", 0.9)[1] == 1
        assert of("log_loss", 0.3)[0] == 0
        assert of("log_loss", 0.9)[1] > 1
        assert of("quadratic_kappa", 0.0)[0] < 0

    def test_of_a_faultless_cv_is_no_point(self):
        low, high = counts.expected_interval(1.0, 0.0, 100, 200, metric="accuracy")
        assert low < 1 == high

    @pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "auc", "quadratic_kappa"])
    def test_at_an_edge_of_another_metric_is_that_of_a_share_between_its_bounds(self, name):
        least, greatest = METRICS[name].bounds
        for cv, share in ((least, 0.0), (greatest, 1.0), ((least + greatest) / 2, 0.5)):
            of_share = np.array(counts.expected_interval(share, 0.0, 100, 200, metric="accuracy"))
            low, high = counts.expected_interval(cv, 0.0, 100, 200, metric=name)
            assert (low, high) == pytest.approx(tuple(least + (greatest - least) * of_share))
            assert low < high

    def test_of_a_log_loss_without_spread_is_not_known(self):
        assert counts.expected_interval(0.0, 0.0, 100, 200, metric="log_loss") is None
        assert counts.expected_interval(0.6931, 1e-17, 100, 200, metric="log_loss") is None


def test_a_share_is_a_mean_of_zeros_and_ones():
    rng = np.random.default_rng(0)
    targets, probs = rng.integers(0, 8, 50), rng.dirichlet(np.ones(8), 50)
    shares = {
        name
        for name, metric in CLASS_METRICS.items()
        if metric.per_row is not None and set(metric.per_row(targets, probs)) <= {0, 1} and name != "micro_f1"
    }  # which of several labels is none
    assert shares == {name for name, metric in CLASS_METRICS.items() if metric.is_share}


def test_the_standard_error_of_a_count_is_the_metrics():
    targets, probs = np.array([0, 0, 1, 1, 1]), np.eye(2)[[0, 1, 1, 1, 1]]
    assert counts.standard_error(4, 5) == pytest.approx(METRICS["accuracy"].score(targets, probs)[1])
