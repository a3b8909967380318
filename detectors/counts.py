"""Small counts: how unlikely is this many, or this few, by the row's own negative binomial distribution.

Guarantee: p is valid (P(p ≤ α) ≤ α but for what is not yet known of the row, and that widens the tails); a row whose
values lie on no lattice 0, q, 2q … gets surprise 0, and so does a value off the row's lattice; one outlier moves mean
and variance by a bounded amount. 40 bytes of state a row.

The value is a count or a rate (count/window seconds): the row learns q, the step of its lattice. Zeros beyond what the
negative binomial explains are a chance of their own (zero-inflated counts). What is not known of mean and variance is
added to the dispersion, so that a short history has the predictive tails of a Gamma-Poisson.

Symbols: x value, q quantum, k = x/q, m and v mean and variance of x, μ = m/q, φ dispersion (variance μ + φμ²), w chance
that a window counts at all, λ = μ/w.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log1p, sqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors.discrete import LEAST_SIZE, MOST_SIZE, count_band, count_ln_tails, count_ln_zero, two_sided_surprise
from detectors.lattice import LARGEST, MOST, coarser, lattice
from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

_FEW = 30.0  # counts up to this mean are few
_SEVERAL = 3.0  # windows with something in them, before a row is one that counts
_LEAST_MEAN = 1e-12
_PRIOR_DISPERSION, _PRIOR_WEIGHT = 0.3, 4.0  # φ before it is known, and how many units of information that is worth
_SPREAD_DOUBT = 4.0  # how much the doubt about the variance widens the tails: this share of it over the windows seen
_SURE_ZEROS = 3.0  # standard errors by which zeros must be too many to have a chance of their own


@njit(cache=True, error_model="numpy")
def size_of(dispersion: float) -> float:
    """The size of a negative binomial with variance mean + dispersion·mean²; Poisson from 1e12."""
    return min(max(1.0 / max(dispersion, 1e-300), LEAST_SIZE), MOST_SIZE)


@njit(cache=True, error_model="numpy")
def inflated_count_surprise(k: float, mean: float, dispersion: float, presence: float) -> float:
    """−log10 of the two-sided p of the count k ≥ 0, which is 0 but for a chance ``presence`` and else negative binomial
    with ``mean`` and variance mean + dispersion·mean²."""
    mean = max(mean, _LEAST_MEAN)
    size = size_of(dispersion)
    ln_lower, ln_upper = count_ln_tails(k, mean, size)
    ln_zero = count_ln_zero(mean, size)
    if presence < 1.0:
        absence = 1.0 - presence
        ln_lower = log1p(-presence * -np.expm1(ln_lower))
        ln_zero = log1p(-presence * -np.expm1(ln_zero))
        ln_upper = ln_upper + log1p(-absence) if k > 0.0 else 0.0
    return two_sided_surprise(ln_lower, ln_upper, ln_zero)


@njit(cache=True, error_model="numpy")
def count_surprise(k: float, mean: float, dispersion: float) -> float:
    """−log10 of the two-sided p of the count k ≥ 0 by the negative binomial with variance mean + dispersion·mean²."""
    return inflated_count_surprise(k, mean, dispersion, 1.0)


@njit(cache=True, error_model="numpy")
def dispersion_of(mean: float, variance: float, windows: float) -> float:
    """φ of counts from their moments over so many windows, drawn towards a prior where counts are too small to tell."""
    information = windows * mean * mean * mean / (2.0 * mean + 1.0)
    seen = (variance - mean) / (mean * mean)
    return max((_PRIOR_WEIGHT * _PRIOR_DISPERSION + information * seen) / (_PRIOR_WEIGHT + information), 0.0)


@njit(cache=True, error_model="numpy")
def doubt_of(mean: float, dispersion: float, mean_windows: float, spread_windows: float) -> float:
    """What must be added to φ for what is not known of mean and variance after so many windows."""
    spread = _SPREAD_DOUBT * (1.0 + 3.0 * dispersion) * (1.0 + 30.0 / spread_windows) / spread_windows
    return (1.0 / mean + dispersion) * (1.0 / mean_windows + spread)


@njit(cache=True, error_model="numpy")
def presence_step(presence: float, mean: float, dispersion: float, zeros: float, windows: float) -> float:
    """w after one step towards the w whose share of zeros, 1 − w + w·P(0 | λ), is the one seen; 1 where zeros are not
    surely more than the negative binomial alone has.

    ``mean`` and ``dispersion`` are those of all windows; given w, the rest has φ_w = w·(1 + φ) − 1.
    """
    sure = zeros - _SURE_ZEROS * sqrt(zeros * (1.0 - zeros) / windows)
    if dispersion < 1e-3 or exp(count_ln_zero(mean, size_of(dispersion))) >= sure:
        return 1.0
    size = size_of(presence * (1.0 + dispersion) - 1.0)
    expected = 1.0 - presence + presence * exp(count_ln_zero(mean / presence, size))
    return min(max(presence + expected - zeros, 1.0 / (1.0 + dispersion)), 1.0)


@njit(cache=True, error_model="numpy")
def count_moments(
    zeros: float, height: float, spread: float, mean_windows: float, spread_windows: float
) -> tuple[float, float]:
    """Mean μ and dispersion φ, from the moments of the values that are not 0."""
    share = 1.0 - zeros
    mean = share * height + 0.5 / mean_windows
    variance = share * (spread + height * height) - share * share * height * height
    return mean, dispersion_of(mean, variance, spread_windows)


@njit(cache=True, error_model="numpy")
def count_score(
    k: float, height: float, spread: float, zeros: float, absence: float, mean_windows: float, spread_windows: float
) -> tuple[float, float, float, float]:
    """Surprise of k (−1: not asked), the central 99 %, and the next ``absence``.

    ``height`` is the mean of the counts that are not 0, ``spread`` their variance, both in quanta.
    """
    mean, dispersion = count_moments(zeros, height, spread, mean_windows, spread_windows)
    presence = max(1.0 - absence, 1.0 / (1.0 + dispersion))
    rate, own = mean / presence, max(presence * (1.0 + dispersion) - 1.0, 0.0)
    own += doubt_of(rate, own, presence * mean_windows, presence * spread_windows)
    low, high = count_band(rate, own)
    surprise = inflated_count_surprise(k, rate, own, presence) if k >= 0.0 else 0.0
    absence = 1.0 - presence_step(presence, mean, dispersion, zeros, mean_windows)
    return surprise, low if presence > 0.995 else 0.0, high, absence


@njit(cache=True, error_model="numpy")
def count_learn(
    x: float,
    zero: float,
    windows: float,
    height: float,
    spread: float,
    zeros: float,
    mean_rate: float,
    spread_rate: float,
) -> tuple[float, float, float]:
    """Height, spread and zeros after x, of which ``zero`` (0 … 1) is to be taken for an empty window."""
    if x != 0.0:
        some = max((1.0 - zeros) * windows, 0.0) + 1.0
        away = x - height
        height += max(mean_rate, 1.0 / some) * away
        spread += max(spread_rate, 1.0 / some) * (away * (x - height) - spread)
    return height, spread, zeros + max(mean_rate, 1.0 / (windows + 1.0)) * (zero - zeros)


@njit(cache=True, error_model="numpy")
def _count_step(
    values: Any, mask: Any, seen: Any, quantum: Any, height: Any, spread: Any, zeros: Any, absence: Any, fit: Any,
    common: Any, mean_rate: float, spread_rate: float, min_history: int, clip: float, least_fit: float,
    expected: Any, lower: Any, upper: Any, surprise: Any,
) -> None:  # fmt: skip
    for row in range(values.size):
        if not mask[row] or not np.isfinite(values[row]):
            continue
        n, x = np.float64(seen[row]), min(max(values[row], -LARGEST), LARGEST)
        h, v, z = np.float64(height[row]), np.float64(spread[row]), np.float64(zeros[row])
        m = (1.0 - z) * h
        step, q, f, k = lattice(x, quantum[row], np.float64(fit[row]))
        reach = 4.0 * (sqrt(v) + abs(h - m))
        found, low, high = 0.0, float(m - reach), float(m + reach)
        mean_n, spread_n = min(max(n, 1.0), 2.0 / mean_rate), min(max(n, 1.0), 2.0 / spread_rate)
        asked = min(np.rint(x / step), 10.0 * MOST) if step > 0.0 else -1.0
        unit, absent = quantum[row], np.float64(absence[row])
        on_lattice = unit == 0.0 or fit[row] >= least_fit
        if on_lattice and unit > 0.0 and 0.0 <= h <= MOST * unit:  # the band is that of the lattice before x
            here = asked if step == unit else -1.0
            found, low, high, more = count_score(here, h / unit, v / (unit * unit), z, absent, mean_n, spread_n)
            low, high = low * unit, high * unit
            absence[row] = more if k >= 0.0 else absent
        if on_lattice and step > 0.0 and step != unit and 0.0 <= h <= MOST * step:
            found, _, _, _ = count_score(asked, h / step, v / (step * step), z, absent, mean_n, spread_n)
        expected[row] = m if n > 0.0 else values[row]
        lower[row] = min(low, m) if n > 0.0 else values[row]
        upper[row] = max(high, m) if n > 0.0 else values[row]
        warm = n >= min_history
        surprise[row] = found if warm else 0.0
        weight = clip / found if warm and found > clip else 1.0
        x = m + (min(x, 10.0 * MOST * step) - m) * weight if weight < 1.0 else x
        if warm and (step == 0.0 or not on_lattice):
            x = min(max(x, m - reach), m + reach)
        zero = weight if values[row] == 0.0 else 0.0
        height[row], spread[row], zeros[row] = count_learn(x, zero, n, h, v, z, mean_rate, spread_rate)
        seen[row] += 1
        if q != quantum[row]:
            common[row] = 0
        else:
            q, common[row] = coarser(q, common[row], k, seen[row], z)
        quantum[row], fit[row] = q, f


@dataclass(frozen=True, slots=True)
class CountsDetector:
    """Parameters of the counts detector; rates are per window. ``clip`` is the surprise from which a value is drawn in
    before it is learned; ``least_fit`` the share of values that must lie on the row's lattice."""

    mean_rate: float = 0.004
    spread_rate: float = 0.001
    min_history: int = 12
    clip: float = 4.0
    least_fit: float = 0.7

    version: ClassVar[str] = "counts/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "quantum": np.float64,
        "height": np.float32,
        "spread": np.float32,
        "zeros": np.float32,
        "absence": np.float32,
        "fit": np.float32,
        "common": np.int32,
    }
    slow: ClassVar[frozenset[str]] = frozenset({"quantum"})

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(self, state: State, values: Floats, mask: Mask, now: float) -> Scores:
        scores = Scores(*(np.full(values.shape, np.nan) for _ in range(4)))
        a = state.arrays
        _count_step(
            values, mask, a["seen"], a["quantum"], a["height"], a["spread"], a["zeros"], a["absence"], a["fit"],
            a["common"], self.mean_rate, self.spread_rate, self.min_history, self.clip, self.least_fit,
            scores.expected, scores.lower, scores.upper, scores.surprise,
        )  # fmt: skip
        return scores

    def most_evidence(self, state: State, scores: Scores, values: Floats, quantum: Floats) -> Floats:
        """(rows,): how surprising the window just scored is as a count, infinite for rows that do not count few things
        and for a value that is no count. ``quantum`` is that of the state before the window.

        No other evidence of a single value can be stronger: a rare event that was seen before is rare, not impossible.
        """
        a = state.arrays
        few = (quantum > 0.0) & (a["height"] <= _FEW * a["quantum"]) & (a["fit"] >= self.least_fit)
        few &= (a["seen"] > self.min_history) & (values >= 0.0)
        few &= (1.0 - a["zeros"]) * np.minimum(a["seen"], 1.0 / self.mean_rate) >= _SEVERAL
        with np.errstate(divide="ignore", invalid="ignore"):
            counts = values / a["quantum"]
            few &= np.abs(counts - np.rint(counts)) <= 0.02
        return np.where(few, scores.surprise, np.inf)
