"""The tails of counts and shares agree with scipy and with plain sums, far out, and are valid p-values."""

from itertools import product
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc, betaln, logsumexp
from scipy.stats import betabinom, nbinom, poisson

from detectors.discrete import (
    beta_fraction,
    count_band,
    count_ln_probability,
    count_ln_tails,
    rare_share_ln_tails,
    share_ln_probability,
    share_ln_tails,
    share_surprise_of,
    stirling_error,
    two_sided_surprise,
)

MEANS = [0.001, 0.02, 0.2, 1.0, 7.3, 24.5, 100.0, 1000.0, 30_000.0]
SIZES = [0.01, 0.5, 3.0, 40.0, 1e3, 1e6]


def counts_around(mean: float, size: float) -> set[int]:
    sigma = (mean + mean**2 / size) ** 0.5
    return {max(int(mean + far * sigma), 0) for far in (-5, -2, -1, -0.1, 0, 0.1, 1, 2, 4, 8, 15, 30)}


@pytest.mark.parametrize(("mean", "size"), list(product(MEANS, SIZES)))
def test_count_tails_agree_with_scipy_to_1e_9_down_to_1e_minus_300(mean: float, size: float) -> None:
    chance = size / (size + mean)
    for k in counts_around(mean, size):
        lower, upper = count_ln_tails(float(k), mean, size)
        for found, expected in ((lower, nbinom.cdf(k, size, chance)), (upper, nbinom.sf(k - 1, size, chance))):
            if expected > 1e-300:
                assert found == pytest.approx(log(expected), rel=1e-9, abs=2e-9), (k, found, expected)


@pytest.mark.parametrize("k", [0, 1, 3, 24, 25, 60, 400])
@pytest.mark.parametrize("mean", [0.02, 1.0, 30.0, 300.0])
def test_a_count_of_great_size_is_poisson(k: int, mean: float) -> None:
    lower, upper = count_ln_tails(float(k), mean, 1e12)
    for found, expected in ((lower, poisson.cdf(k, mean)), (upper, poisson.sf(k - 1, mean))):
        if expected > 1e-300:
            assert found == pytest.approx(log(expected), rel=1e-8, abs=1e-8)


def test_count_tails_far_beyond_floats_go_on_as_the_sum_of_probabilities() -> None:
    for mean, size, k in ((0.2, 5.0, 3000), (10.0, 1e4, 5000), (2000.0, 1e5, 0), (2000.0, 1e4, 60_000)):
        ln = nbinom.logpmf(np.arange(k, k + 40_000), size, size / (size + mean))
        lower, upper = count_ln_tails(float(k), mean, size)
        expected = float(ln[0]) if k == 0 else float(logsumexp(ln))
        assert (lower if k == 0 else upper) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("a", "b", "x"), [(1.0, 3.0, 0.1), (50.0, 2.0, 0.9), (0.5, 0.5, 0.4), (1e4, 2e4, 0.33)])
def test_the_fraction_is_that_of_the_incomplete_beta_function(a: float, b: float, x: float) -> None:
    found = a * log(x) + b * log(1 - x) - log(a) - betaln(a, b) + log(beta_fraction(a, b, x, 1 - x))
    assert found == pytest.approx(log(betainc(a, b, x)), rel=1e-9)


@pytest.mark.parametrize("x", [1e-6, 0.3, 1.0, 2.0, 11.9, 12.0, 12.1, 1e3, 1e8])
def test_stirlings_error_joins_where_the_series_begins(x: float) -> None:
    nearby = stirling_error(x * (1 + 1e-9))
    assert stirling_error(x) == pytest.approx(nearby, rel=1e-7)
    assert 0 < stirling_error(x) < 1 / (12 * x) + max(0.0, -log(x))


def share_cases() -> list[tuple[int, float, float]]:
    shapes = [(0.3, 4.0), (0.5, 0.5 + 1e3), (2.0, 2.0), (3.0, 300.0), (40.0, 0.5), (1e3, 1e5), (250.0, 250.0)]
    return [(n, a, b) for n in (1, 2, 7, 24, 25, 160, 1500, 40_000) for a, b in shapes]


@pytest.mark.parametrize(("n", "a", "b"), share_cases())
def test_share_tails_agree_with_the_sum_of_all_probabilities(n: int, a: float, b: float) -> None:
    ln = betabinom.logpmf(np.arange(n + 1), n, a, b)
    mean, sigma = betabinom.mean(n, a, b), betabinom.std(n, a, b)
    for far in (-9, -4, -2, -1, 0, 1, 2, 4, 9, 20):
        k = int(np.clip(mean + far * sigma, 0, n))
        lower, upper = share_ln_tails(float(k), float(n), a, b)
        precision = 1e-8 if n <= 160 else 1e-6 if a + b > 20 else 1e-5
        assert lower == pytest.approx(float(logsumexp(ln[: k + 1])), rel=precision, abs=precision), k
        assert upper == pytest.approx(float(logsumexp(ln[k:])), rel=precision, abs=precision), k


def test_probabilities_sum_to_one() -> None:
    counts = [exp(count_ln_probability(float(k), 7.0, 2.0)) for k in range(600)]
    shares = [exp(share_ln_probability(float(k), 300.0, 0.4, 5.0)) for k in range(301)]
    assert sum(counts) == pytest.approx(1, rel=1e-11)
    assert sum(shares) == pytest.approx(1, rel=1e-11)


@settings(max_examples=150, deadline=None)
@given(st.floats(-2, 3), st.floats(-1.5, 5))
def test_a_two_sided_p_of_counts_is_valid_at_every_level(ln_mean: float, ln_size: float) -> None:
    mean, size = 10**ln_mean, 10**ln_size
    far = int(mean + 12 * (mean + mean**2 / size) ** 0.5) + 2
    ks = np.unique(np.linspace(0, far, 400).astype(int)) if far > 400 else np.arange(far + 1)
    p, below, above = [], [], []
    for k in ks.tolist():
        lower, upper = count_ln_tails(float(k), mean, size)
        zero, _ = count_ln_tails(0.0, mean, size)
        p.append(10 ** -two_sided_surprise(lower, upper, zero))
        below.append(exp(lower))
        above.append(exp(upper))
    for alpha in p:  # the set p ≤ α is a lower and an upper end
        few, many = (
            [i for i, q in enumerate(p) if q <= alpha and below[i] < above[i]],
            [i for i, q in enumerate(p) if q <= alpha and above[i] <= below[i]],
        )
        weight = (below[few[-1]] if few else 0.0) + (above[many[0]] if many else 0.0)
        assert weight <= alpha * (1 + 1e-9)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 150), st.floats(0.001, 0.999), st.floats(2.0, 1e5))
def test_a_two_sided_p_of_shares_is_valid_at_every_level(n: int, mean: float, c: float) -> None:
    weights = np.exp([share_ln_probability(float(k), float(n), mean * c, (1 - mean) * c) for k in range(n + 1)])
    p = 10.0 ** -np.array([share_surprise_of(float(k), float(n), mean * c, (1 - mean) * c) for k in range(n + 1)])
    for alpha in p[p > 1e-300]:
        assert weights[p <= alpha * (1 + 1e-12)].sum() <= alpha * (1 + 1e-8)


def test_more_extreme_counts_and_shares_are_more_surprising() -> None:
    for k in range(20, 400):
        here, further = (two_sided_surprise(*count_ln_tails(float(j), 12.0, 6.0), -14.0) for j in (k, k + 1))
        assert further > here
    shares = [share_surprise_of(float(k), 500.0, 2.0, 98.0) for k in range(15, 501)]
    assert (np.diff(shares) > 0).all()


def test_one_in_two_is_nothing_and_fifty_in_a_hundred_is_much() -> None:
    a, b = 10.0, 990.0  # about 1 %
    assert share_surprise_of(1.0, 2.0, a, b) < 2
    assert share_surprise_of(50.0, 100.0, a, b) > 20


def test_what_is_mirrored_is_equally_surprising() -> None:
    for k, n in product((0.0, 3.0, 40.0), (40.0, 900.0)):
        assert share_surprise_of(k, n, 3.0, 60.0) == share_surprise_of(n - k, n, 60.0, 3.0)


def test_the_zero_that_comes_with_the_tails_is_that_of_the_sum() -> None:
    for n, a, b in ((5.0, 0.2, 9.0), (60.0, 2.0, 30.0), (1e5, 0.7, 5e3)):
        assert rare_share_ln_tails(3.0, n, a, b)[2] == pytest.approx(betabinom.logpmf(0, n, a, b), rel=1e-9)


@pytest.mark.parametrize(("mean", "dispersion"), [(0.02, 0.0), (3.0, 0.0), (3.0, 0.5), (300.0, 0.01), (40.0, 2.0)])
def test_the_band_holds_98_to_100_percent(mean: float, dispersion: float) -> None:
    low, high = count_band(mean, dispersion)
    size = 1 / max(dispersion, 1e-9)
    chance = size / (size + mean)
    held = nbinom.cdf(high, size, chance) - nbinom.cdf(low - 1, size, chance)
    assert 0.98 <= held <= 1
    assert low <= mean <= high
