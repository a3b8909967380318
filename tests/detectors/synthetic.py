"""Seeded telemetry in which nothing is wrong, by class of signal, and injectors of labelled anomalies.

Guarantee: every signal is stationary or periodic (a day and a week); the same arguments give the same values, however
many windows are taken; memory is a bounded number of windows of all signals. Parameters are drawn for each signal.

A class is a generator of blocks (_BLOCK, signals) without an end; ``columns`` and ``sample`` are what others use.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Dice = np.random.Generator

#: Windows in a day, at windows of 60 s.
DAY = 1440
#: Windows that are made at once.
_BLOCK = 60
_BURN_IN = 1000  # windows until an autoregression has forgotten that it began at its mean


# -- seasons and recursions, (_BLOCK, signals) ----------------------------------------------------------------------


def _seasons(dice: Dice, signals: int, day: int, strongest: float) -> Iterator[Floats]:
    """Factors around 1 with a day of three harmonics and calmer weekends; ``strongest`` bounds the swing of a day."""
    weight = dice.uniform(0.1, 1.0, (3, signals)) * np.array([[1.0], [0.5], [0.25]])
    weight *= dice.uniform(0.2, strongest, signals) / weight.sum(axis=0)
    phase = dice.uniform(0, 2 * np.pi, (3, signals))
    weekend, begins = dice.uniform(0.0, 0.5, signals), dice.uniform(0, 2 * np.pi, signals)
    at = np.arange(_BLOCK)[:, None]
    while True:
        day_angle, week_angle = 2 * np.pi * at / day, 2 * np.pi * at / (7 * day)
        factor = np.ones((_BLOCK, signals))
        for harmonic in range(3):
            factor += weight[harmonic] * np.sin((harmonic + 1) * day_angle + phase[harmonic])
        calm = 1 / (1 + np.exp(-20 * (np.cos(week_angle + begins) - np.cos(2 * np.pi / 7))))
        yield factor * (1 - weekend * calm)
        at = at + _BLOCK


def _autoregression(dice: Dice, one: Floats, two: Floats) -> Iterator[Floats]:
    """x_t = one·x_{t−1} + two·x_{t−2} + e_t with a standard deviation of 1, from its stationary state."""
    sigma = np.sqrt((1 + two) * ((1 - two) ** 2 - one**2) / (1 - two))
    last, before = np.zeros((2, one.size))
    for number in range(-_BURN_IN // _BLOCK, 2**62):
        block = dice.standard_normal((_BLOCK, one.size)) * sigma
        for noise in block:
            noise += one * last + two * before
            last, before = noise, last
        last, before = last.copy(), before.copy()  # the block is the caller's from here on
        if number >= 0:
            yield block


def _level(dice: Dice, signals: int) -> Floats:
    return 10 ** dice.uniform(0, 4, signals)


# -- classes --------------------------------------------------------------------------------------------------------


def smooth(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """A day and a week, and noise of 0.5 % to 5 % of the level."""
    level = _level(dice, signals)
    sigma = level * 10 ** dice.uniform(np.log10(0.005), np.log10(0.05), signals)
    for season in _seasons(dice, signals, day, 0.6):
        yield level * season + sigma * dice.standard_normal(season.shape)


def heavy_tailed(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """Student's t with 2.5 to 4 degrees of freedom, and lognormal."""
    student = signals // 2
    level, freedom = _level(dice, signals), dice.uniform(2.5, 4.0, student)
    spread = dice.uniform(0.01, 0.2, student)
    sigma = dice.uniform(0.2, 0.8, signals - student)
    while True:
        t = 1 + spread * dice.standard_t(freedom, (_BLOCK, student))
        logs = np.exp(sigma * dice.standard_normal((_BLOCK, sigma.size)))
        yield level * np.hstack([t, logs])


def zero_inflated(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """0 in most windows; in 2 % to 30 % of them, in bursts of one to five windows on average, something lognormal."""
    share = 10 ** dice.uniform(np.log10(0.02), np.log10(0.3), signals)
    stops = 1 / dice.uniform(1.0, 5.0, signals)
    starts = stops * share / (1 - share)
    level, sigma = _level(dice, signals), dice.uniform(0.3, 1.0, signals)
    on = dice.random(signals) < share
    while True:
        block = level * np.exp(sigma * dice.standard_normal((_BLOCK, signals)))
        for values, chance in zip(block, dice.random((_BLOCK, signals)), strict=True):
            on = np.where(on, chance >= stops, chance < starts)
            values *= on
        yield block


def counts(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """Poisson and negative-binomial counts with means of 0.2 to 200, half of them with a day and a week."""
    rate = 10 ** dice.uniform(np.log10(0.2), np.log10(200), signals)
    seasonal = dice.random(signals) < 0.5
    shape = dice.uniform(1.0, 20.0, signals // 2)  # of the gamma that mixes the Poisson
    for season in _seasons(dice, signals, day, 0.8):
        mean = rate * np.where(seasonal, season, 1.0)
        mean[:, : shape.size] *= dice.standard_gamma(shape, (_BLOCK, shape.size)) / shape
        yield dice.poisson(mean).astype(np.float64)


def bounded(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """Utilisation in percent: beta, and the logistic of an autoregression; some stand at either end."""
    independent = signals // 2
    mean, weight = dice.uniform(0.03, 0.97, independent), 10 ** dice.uniform(0.7, 2.0, independent)
    rest = signals - independent
    middle, swing = dice.uniform(-3, 3, rest), dice.uniform(0.2, 1.0, rest)
    for course in _autoregression(dice, dice.uniform(0.7, 0.95, rest), np.zeros(rest)):
        beta = dice.beta(mean * weight, (1 - mean) * weight, (_BLOCK, independent))
        yield 100 * np.hstack([beta, 1 / (1 + np.exp(-(middle + swing * course)))])


def autocorrelated(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """AR(1), AR(2) that swings, and almost a random walk, seen through noise, that returns to its mean."""
    kind = np.arange(signals) % 3
    phi = np.where(kind == 2, dice.uniform(0.97, 0.99, signals), dice.uniform(0.8, 0.97, signals))
    angle = 2 * np.pi / 10 ** dice.uniform(np.log10(8), np.log10(240), signals)
    one, two = np.where(kind == 1, 2 * phi * np.cos(angle), phi), np.where(kind == 1, -(phi**2), 0.0)
    level, swing = _level(dice, signals), dice.uniform(0.02, 0.2, signals)
    seen_through = np.where(kind == 2, dice.uniform(0.02, 0.2, signals), 0.0)
    for course in _autoregression(dice, one, two):
        yield level * (1 + swing * (course + seen_through * dice.standard_normal(course.shape)))


CLASSES: dict[str, Callable[[Dice, int, int], Iterator[Floats]]] = {
    made.__name__: made for made in (smooth, heavy_tailed, zero_inflated, counts, bounded, autocorrelated)
}


def mixed(dice: Dice, signals: int, day: int) -> Iterator[Floats]:
    """All classes: row i is of class i modulo their number."""
    parts = [made(dice, len(range(k, signals, len(CLASSES))), day) for k, made in enumerate(CLASSES.values())]
    while True:
        block = np.empty((_BLOCK, signals))
        for k, part in enumerate(parts):
            block[:, k :: len(parts)] = next(part)
        yield block


# -- what others use ------------------------------------------------------------------------------------------------


def columns(name: str, signals: int, seed: int = 0, day: int = DAY) -> Iterator[Floats]:
    """Windows of a class (or of ``mixed``), one after the other without an end, each (signals,)."""
    made = mixed if name == "mixed" else CLASSES[name]
    for block in made(np.random.default_rng([seed, crc32(name.encode())]), signals, day):
        yield from block


def sample(name: str, signals: int, windows: int, seed: int = 0, day: int = DAY) -> Floats:
    """The first windows of the same, as (signals, windows)."""
    return np.stack(list(islice(columns(name, signals, seed, day), windows)), axis=1)


# -- anomalies ------------------------------------------------------------------------------------------------------


def noise_of(values: Floats) -> float:
    """How far a window usually is from the one before, as a standard deviation; never 0."""
    steps = 1.4826 * np.median(np.abs(np.diff(values))) / np.sqrt(2)
    return float(steps or values.std() or 0.01 * abs(values[0]) or 1.0)


def _spike(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return part + by * np.linspace(1, 0, part.size, endpoint=False)


def _level_shift(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return part + by


def _missing_cycle(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return np.quantile(part, 0.05) + noise * dice.standard_normal(part.size)


def _swapped_cycle(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return np.roll(part, part.size // 2)


def _stuck(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return np.full(part.size, part[0])


def _noise_burst(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return part + by * dice.standard_normal(part.size)


def _drift(part: Floats, by: float, noise: float, dice: Dice) -> Floats:
    return part + by * np.linspace(0, 1, part.size)


#: What the anomalous windows are instead. A trend is a drift whose end stays.
INJECTORS: dict[str, Callable[[Floats, float, float, Dice], Floats]] = {
    "spike": _spike,
    "level_shift": _level_shift,
    "missing_cycle": _missing_cycle,
    "swapped_cycle": _swapped_cycle,
    "stuck": _stuck,
    "noise_burst": _noise_burst,
    "drift": _drift,
    "trend": _drift,
}


def inject(values: Floats, kind: str, at: int, length: int, strength: float, dice: Dice) -> Floats:
    """A copy of one signal (windows,) with an anomaly in ``length`` windows from ``at`` on.

    ``strength`` is in units of the noise before it, and may be negative. A missing cycle stays at the lowest level of
    the stretch and a swapped one has its halves exchanged (give ``length`` a cycle, ``strength`` is not used, as for
    ``stuck``); a spike falls back evenly, a drift is gone at its end, a trend stays where it ended.
    """
    noise = noise_of(values[:at] if at >= 10 else values)
    out = values.copy()
    out[at : at + length] = INJECTORS[kind](values[at : at + length], strength * noise, noise, dice)
    if kind == "trend":
        out[at + length :] += strength * noise
    return out
