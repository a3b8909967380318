"""Exact tails of the negative binomial and the beta-binomial, in logarithms, one number at a time for compiled loops.

Guarantee: ln P(X ≤ k) and ln P(X ≥ k) to 1e-9 of their size (1e-9 absolutely near 0) down to e^-700 and beyond, for
means and trials up to 10^6; nothing is allocated, and the work is bounded. A beta-binomial tail of more than 160 terms
is an integral, to 1e-6 (3e-5 where a + b < 20 and a < 0.2).

Symbols: δ(x) Stirling's error, x^a·y^b/(a·B(a, b))·h the incomplete beta function with its continued fraction h.
Sources: Loader, "Fast and accurate computation of binomial probabilities" (2000), for the probabilities as deviances;
DLMF 8.17.22 for the continued fraction; DLMF 2.10.1 (Euler-Maclaurin) for long sums.
"""

from math import exp, expm1, floor, lgamma, log, log1p, pi, sqrt

import numpy as np
from numba import njit

#: Sizes of a negative binomial: at the most it is a Poisson distribution to 12 digits.
LEAST_SIZE, MOST_SIZE = 1e-3, 1e12

_HALF_LN_2PI = 0.5 * log(2.0 * pi)
_TINY = 1e-300
_PRECISION = 1e-13
_MOST_STEPS = 20_000
_FEW = 24.0  # counts up to here are summed from 0
_LONG_SUM = 160.0  # terms; a longer sum is an integral
_FORGOTTEN = 24.0  # e^-24 of a sum is left out
_NODES, _WEIGHTS = (np.polynomial.legendre.leggauss(20) + np.array([[1.0], [0.0]])) / 2.0  # on [0, 1]
_BAND = 2.5758293035489004  # of the standard normal: the central 99 %
_LN_2, _LN_10 = log(2.0), log(10.0)


@njit(cache=True, error_model="numpy")
def stirling_error(x: float) -> float:
    """δ(x) = ln Γ(x) − (x − ½)·ln x + x − ½·ln 2π, for x > 0."""
    if x < 12.0:
        return lgamma(x) - (x - 0.5) * log(x) + x - _HALF_LN_2PI
    y = 1.0 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188))))) / x


@njit(cache=True, error_model="numpy")
def beta_fraction(a: float, b: float, x: float, y: float) -> float:
    """h in I_x(a, b) = x^a·y^b/(a·B(a, b))·h, y = 1 − x; quick for x < (a + 1)/(a + b + 2), √min(a, b) steps near it.

    1/h = 1 + d₁/(1 + d₂/(1 + …)), d_j = n_j/((a + j − 1)(a + j)), as A_j = (a + j)·A_{j−1} + n_j·A_{j−2}: no division.
    Where the difference of two products would lose what y has, it is written with y.
    """
    above, below = 1.0, 1.0
    above_next, below_next = a + 1.0, 1.0 + a * y - b * x
    h = above_next / below_next
    for m in range(1, _MOST_STEPS):
        step, even = a + 2 * m, m * (b - m) * x
        rest = a * (2 * m + 1.0 - b) + m * (3 * m + 2.0 - b) + y * (a + m) * (a + b + m)
        above, above_next = (
            step * above_next + even * above,
            rest * above_next + (step + 1.0) * even * above,
        )
        below, below_next = (
            step * below_next + even * below,
            rest * below_next + (step + 1.0) * even * below,
        )
        if m % 4 == 0:
            before, h = h, above_next / below_next
            if abs(h - before) < _PRECISION * abs(h):
                break
            scale = 1.0 / below_next
            above, below, above_next, below_next = above * scale, below * scale, h, 1.0
    return h


@njit(cache=True, error_model="numpy")
def count_ln_zero(mean: float, size: float) -> float:
    """ln P(X = 0)."""
    return -size * log1p(mean / size)


@njit(cache=True, error_model="numpy")
def count_ln_probability(k: float, mean: float, size: float) -> float:
    """ln P(X = k) of the negative binomial with this mean and variance mean + mean²/size; k whole, mean > 0."""
    if k == 0.0:
        return count_ln_zero(mean, size)
    away = k - mean
    deviance = k * log1p(size * away / (mean * (size + k))) - size * log1p(away / (size + mean))
    factors = 0.5 * log(size / (k * (size + k))) - _HALF_LN_2PI
    return factors - deviance + stirling_error(size + k) - stirling_error(size) - stirling_error(k)


@njit(cache=True, error_model="numpy")
def _few_counts(k: float, mean: float, size: float, zero: float) -> tuple[float, float]:
    """count_ln_tails for a k small enough to sum from 0, where P(X = 0) is a number."""
    x = mean / (size + mean)
    below, term, j = 0.0, zero, 0.0
    while j < k:
        below += term
        term *= (j + size) / (j + 1.0) * x
        j += 1.0
    ln_lower = log(min(below + term, 1.0))
    if below < 0.99:
        return ln_lower, log1p(-below)
    return ln_lower, log(term * beta_fraction(k, size, x, size / (size + mean)))


@njit(cache=True, error_model="numpy")
def _both(ln_small: float, here: float) -> float:
    """ln of the other tail: 1 − e^ln_small + here."""
    return log(min(max(-expm1(ln_small) + here, _TINY), 1.0))


@njit(cache=True, error_model="numpy")
def count_ln_tails(k: float, mean: float, size: float) -> tuple[float, float]:
    """ln P(X ≤ k) and ln P(X ≥ k) of the negative binomial; k whole and ≥ 0, mean > 0, size > 0."""
    ln_zero = count_ln_zero(mean, size)
    if k == 0.0:
        return ln_zero, 0.0
    if k <= _FEW and ln_zero > -600.0:
        return _few_counts(k, mean, size, exp(ln_zero))
    x, y = mean / (size + mean), size / (size + mean)
    ln_here = count_ln_probability(k, mean, size)
    if k + 1.0 > mean + mean / size:
        ln_upper = min(ln_here + log(beta_fraction(k, size, x, y)), 0.0)
        return _both(ln_upper, exp(ln_here)), ln_upper
    factor = x * (size + k) / size * beta_fraction(size, k + 1.0, y, x)
    ln_lower = min(ln_here + log(factor), 0.0)
    return ln_lower, _both(ln_lower, exp(ln_here))


@njit(cache=True, error_model="numpy")
def count_band(mean: float, dispersion: float) -> tuple[float, float]:
    """About the central 99 % of counts with variance mean + dispersion·mean².

    Above after Cornish and Fisher, below after Wilson and Hilferty.
    """
    spread = sqrt(mean + dispersion * mean * mean)
    skewed = (1.0 + 2.0 * dispersion * mean) / spread * (_BAND * _BAND - 1.0) / 6.0
    ninth = (1.0 / mean + dispersion) / 9.0
    lower = np.ceil(mean * max(1.0 - ninth - _BAND * sqrt(ninth), 0.0) ** 3 - 0.5)
    return min(lower, floor(mean)), max(floor(mean + spread * (_BAND + skewed)), np.ceil(mean))


@njit(cache=True, error_model="numpy")
def two_sided_surprise(ln_lower: float, ln_upper: float, ln_zero: float) -> float:
    """−log10 of a valid two-sided p from ln P(X ≤ k), ln P(X ≥ k) and ln P(X = 0), where no extreme is likelier than 0.

    An upper tail below P(X = 0) counts once, for nothing on the other side is as unlikely; any other tail counts twice.
    P(p ≤ α) ≤ α holds: for α < P(X = 0) no value on the lower side has p ≤ α (Blaker 2000 goes further).
    """
    ln_p = min(ln_lower, ln_upper) + _LN_2
    if ln_upper < ln_lower and ln_upper < ln_zero:
        ln_p = ln_upper
    return max(-ln_p / _LN_10, 0.0)


@njit(cache=True, error_model="numpy")
def _ln_factorial_rest(n: float) -> float:
    """ln n! − n·ln n + n."""
    return 0.0 if n == 0.0 else _HALF_LN_2PI + 0.5 * log(n) + stirling_error(n)


@njit(cache=True, error_model="numpy")
def share_ln_zero(n: float, a: float, b: float) -> float:
    """ln P(X = 0) of the beta-binomial: Γ(b + n)·Γ(c)/(Γ(b)·Γ(c + n)), c = a + b."""
    c = a + b
    if n <= _FEW:
        product, i = 1.0, 0.0
        while i < n:
            product *= (b + i) / (c + i)
            i += 1.0
        return log(product)
    rising = (b - 0.5) * log1p(n / b) - (c - 0.5) * log1p(n / c) - n * log1p(a / (b + n))
    return rising + stirling_error(b + n) - stirling_error(b) - stirling_error(c + n) + stirling_error(c)


@njit(cache=True, error_model="numpy")
def share_ln_probability(k: float, n: float, a: float, b: float) -> float:
    """ln P(X = k) of the beta-binomial: k of n, whose probability is Beta(a, b) distributed; n ≥ 1."""
    c, rest = a + b, n - k
    found = _ln_factorial_rest(n) - _ln_factorial_rest(k) - _ln_factorial_rest(rest)
    if k > 0.0:
        found += k * log1p(a / k) + (a - 0.5) * log1p(k / a) + stirling_error(a + k) - stirling_error(a)
    if rest > 0.0:
        found += rest * log1p(b / rest) + (b - 0.5) * log1p(rest / b) + stirling_error(b + rest) - stirling_error(b)
    return found - n * log1p(c / n) - (c - 0.5) * log1p(n / c) - stirling_error(c + n) + stirling_error(c)


@njit(cache=True, error_model="numpy")
def _share_ratio(j: float, n: float, a: float, b: float) -> float:
    """P(X = j + 1)/P(X = j)."""
    return (n - j) * (j + a) / ((j + 1.0) * (n - j - 1.0 + b))


@njit(cache=True, error_model="numpy")
def _ln_gamma(x: float) -> float:
    """ln Γ(x) − ½·ln 2π."""
    return (x - 0.5) * log(x) - x + stirling_error(x)


@njit(cache=True, error_model="numpy")
def _share_ln_weight(j: float, n: float, a: float, b: float) -> float:
    """ln P(X = j) but for a constant; j need not be whole."""
    return _ln_gamma(j + a) - _ln_gamma(j + 1.0) + _ln_gamma(n - j + b) - _ln_gamma(n - j + 1.0)


@njit(cache=True, error_model="numpy")
def _share_reach(k: float, n: float, a: float, b: float) -> float:
    """About how many terms from k upward hold all but e^-24 of their sum."""
    c = a + b
    bend = (c + 1.0) * c * c / (n * a * b * (c + n))
    steepness = max(-log(max(_share_ratio(k, n, a, b), _TINY)), 0.0)
    return min((sqrt(steepness * steepness + 2.0 * _FORGOTTEN * bend) - steepness) / bend, n - k)


@njit(cache=True, error_model="numpy")
def _share_integral(k: float, n: float, a: float, b: float, reach: float) -> float:
    """Σ P(X = j)/P(X = k) over j ≥ k ≥ 1: the integral, half the first and last term, a twelfth of the slope at k.

    In v = ln(x/(n + 1 − x)), where powers of x and of n − x are smooth.
    """
    ln_here = _share_ln_weight(k, n, a, b)
    ln_last = _share_ln_weight(k + reach, n, a, b) - ln_here
    while reach < n - k and ln_last > -_FORGOTTEN:
        reach = min(2.0 * reach, n - k)
        ln_last = _share_ln_weight(k + reach, n, a, b) - ln_here
    start, end = log(k / (n + 1.0 - k)), log((k + reach) / (n + 1.0 - k - reach))
    total = 0.0
    for i in range(_NODES.size):
        grown = exp(start + (end - start) * _NODES[i])
        x = (n + 1.0) * grown / (1.0 + grown)
        total += _WEIGHTS[i] * x / (1.0 + grown) * exp(_share_ln_weight(min(x, n), n, a, b) - ln_here)
    slope = 0.5 * log(_share_ratio(k, n, a, b) * _share_ratio(k - 1.0, n, a, b))
    return (end - start) * total + 0.5 + 0.5 * exp(ln_last) - slope / 12.0


@njit(cache=True, error_model="numpy")
def _share_sum_upward(k: float, n: float, a: float, b: float) -> float:
    """Σ P(X = j)/P(X = k) over j ≥ k, for probabilities that fall from k to n."""
    total, term, j = 0.0, 1.0, k
    end = n
    if _share_reach(k, n, a, b) > _LONG_SUM:
        end = k + _FEW
    while j < end and term > _PRECISION * total:
        total += term
        term *= _share_ratio(j, n, a, b)
        j += 1.0
    if end < n and term > _PRECISION * total:
        return total + term * _share_integral(j, n, a, b, _share_reach(j, n, a, b))
    return total + term


@njit(cache=True, error_model="numpy")
def rare_share_ln_tails(k: float, n: float, a: float, b: float) -> tuple[float, float, float]:
    """share_ln_tails, and ln P(X = 0), for a ≤ b."""
    ln_zero = share_ln_zero(n, a, b)
    if k == 0.0:
        return ln_zero, 0.0, ln_zero
    if k <= _FEW and ln_zero > -600.0:
        below, term, j = 0.0, exp(ln_zero), 0.0
        while j < k:
            below += term
            term *= _share_ratio(j, n, a, b)
            j += 1.0
        ln_upper = log1p(-below) if below < 0.99 else log(term * _share_sum_upward(k, n, a, b))
        return log(min(below + term, 1.0)), ln_upper, ln_zero
    ln_here = share_ln_probability(k, n, a, b)
    if a < 1.0 or k * (a + b) >= n * a:
        ln_upper = min(ln_here + log(_share_sum_upward(k, n, a, b)), 0.0)
        return _both(ln_upper, exp(ln_here)), ln_upper, ln_zero
    ln_lower = min(ln_here + log(_share_sum_upward(n - k, n, b, a)), 0.0)
    return ln_lower, _both(ln_lower, exp(ln_here)), ln_zero


@njit(cache=True, error_model="numpy")
def share_ln_tails(k: float, n: float, a: float, b: float) -> tuple[float, float]:
    """ln P(X ≤ k) and ln P(X ≥ k) of the beta-binomial; 0 ≤ k ≤ n whole, n ≥ 1, a + b ≥ 2."""
    if a <= b:
        ln_lower, ln_upper, _ = rare_share_ln_tails(k, n, a, b)
    else:
        ln_upper, ln_lower, _ = rare_share_ln_tails(n - k, n, b, a)
    return ln_lower, ln_upper


@njit(cache=True, error_model="numpy")
def share_surprise_of(k: float, n: float, a: float, b: float) -> float:
    """−log10 of the two-sided p of k of n, whose probability is Beta(a, b) distributed."""
    if a > b:
        k, a, b = n - k, b, a
    ln_lower, ln_upper, ln_zero = rare_share_ln_tails(k, n, a, b)
    return two_sided_surprise(ln_lower, ln_upper, ln_zero)
