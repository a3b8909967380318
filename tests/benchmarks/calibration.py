"""Is p what it says on signals in which nothing is wrong, and are there as many alarms as the budget allows?

Guarantee: the windows counted are causal ones of the real scorer, after a warm-up; every interval holds 95 % of the
resamples of whole signals (a signal is one block of the bootstrap), so dependence in time is in it.

``CALMSTREAM_BENCH_SCALE`` makes fewer signals of each class, ``CALMSTREAM_BENCH_WINDOWS`` fewer windows of each.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from itertools import islice
from math import log10
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.policies import DetectorPolicy
from tests.benchmarks import fleet
from tests.benchmarks.run import Run, scaled, windows
from tests.detectors import synthetic

Array = npt.NDArray[Any]

ALPHAS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}
OF_CLASS = (*(f"ratio_at_{alpha}" for alpha in ALPHAS), "alarms_over_budget", "band_coverage")

_SIGNALS = 1_000
_WEEK = 10_080
_WARM_UP = 2_000
_RESAMPLES = 2_000
_PROCESSES = 2
#: A least relative deviation takes alarms away whatever p is, so it is off where alarms are compared with the budget.
_POLICY = DetectorPolicy(min_relative=0.0)


def name_of(kind: str, figure: str) -> str:
    return f"calibration.{kind}.{figure}"


#: Every figure on synthetic signals.
FIGURES = tuple(name_of(kind, figure) for kind in synthetic.CLASSES for figure in OF_CLASS)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by signal: ``windows``, ``inside`` the band, anomalies ``opened``, each (signals,), and windows with
    p ≤ α, (signals, alphas)."""

    windows: Array
    inside: Array
    opened: Array
    beyond: Array

    def plus(self, other: "Tally") -> "Tally":
        """These signals and those."""
        return Tally(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def figures(run: Run, wanted: set[str]) -> None:
    """Print the wanted figures, class by class, as they come."""
    kinds = [kind for kind in synthetic.CLASSES if any(name_of(kind, figure) in wanted for figure in OF_CLASS)]
    for kind, tally in _tallies(kinds):
        for figure, value, unit, more in _of_class(tally):
            if name_of(kind, figure) in wanted:
                run.emit(name_of(kind, figure), value, unit, **more)


def _tallies(kinds: list[str]) -> Iterator[tuple[str, Tally]]:
    sizes = scaled(_SIGNALS), windows(_WEEK)
    workers = max(1, min(_PROCESSES, os.cpu_count() or 1, len(kinds)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        started = [(kind, pool.submit(measure, kind, *sizes)) for kind in kinds]
        for kind, found in started:
            yield kind, found.result()


def measure(kind: str, signals: int, counted: int, warm_up: int = _WARM_UP) -> Tally:
    """All signals of a class as one shard: a warm-up, then ``counted`` windows of each."""
    shard = fleet.Shard(signals, _POLICY)
    course = synthetic.columns(kind, signals)
    for values in islice(course, warm_up):
        shard.step(values)
    inside, opened = np.zeros((2, signals), np.int64)
    beyond = np.zeros((signals, len(ALPHAS)), np.int64)
    surprise = np.array([-log10(alpha) for alpha in ALPHAS.values()])
    for values in islice(course, counted):
        step = shard.step(values)
        inside += (step.lower <= values) & (values <= step.upper)
        opened += step.opened
        beyond += step.surprise[:, None] >= surprise
    return Tally(np.full(signals, counted), inside, opened, beyond)


def _of_class(tally: Tally) -> Iterable[tuple[str, float, str, dict[str, Any]]]:
    """(figure, value, unit, what explains it)"""
    size = {"signals": tally.windows.size, "windows": int(tally.windows.sum())}
    yield from ratios(tally, ALPHAS, size)
    budget = _POLICY.alert_budget
    weeks = tally.windows / _WEEK
    value, interval = rate(tally.opened, weeks * budget)
    alarms = {"opened": int(tally.opened.sum()), "signal_weeks": float(weeks.sum()), "alert_budget": budget}
    # how uneven the alarms are
    loudest = np.sort(tally.opened)[::-1][: max(1, tally.opened.size // 100)].sum()
    alarms["share_of_the_loudest_hundredth"] = float(loudest / max(tally.opened.sum(), 1))
    yield "alarms_over_budget", value, "ratio", {"interval": interval, **alarms, **size}
    value, interval = rate(tally.inside, tally.windows)
    yield "band_coverage", value, "share", {"interval": interval, "stated": fleet.stated_coverage(), **size}


def ratios(
    tally: Tally, alphas: Iterable[str], size: dict[str, Any]
) -> Iterable[tuple[str, float, str, dict[str, Any]]]:
    """P(p ≤ α)/α; beside it the quartiles over signals, where each has windows enough for a share of its own."""
    for k, (name, alpha) in enumerate(ALPHAS.items()):
        if name in alphas:
            value, interval = rate(tally.beyond[:, k], tally.windows * alpha)
            more: dict[str, Any] = {"interval": interval, "beyond": int(tally.beyond[:, k].sum())}
            if (tally.windows * alpha).min() >= 10:
                own = tally.beyond[:, k] / (tally.windows * alpha)
                more["by_signal_quartiles"] = np.quantile(own, [0.25, 0.5, 0.75]).round(3).tolist()
            yield f"ratio_at_{name}", value, "ratio", more | size


def rate(found: Array, expected: Array) -> tuple[float, list[float]]:
    """Σ found / Σ expected, and the middle 95 % of it when whole signals are drawn again."""
    dice = np.random.default_rng(0)
    drawn = dice.multinomial(found.size, np.full(found.size, 1 / found.size), _RESAMPLES)
    resampled = (drawn @ found) / (drawn @ expected)
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return float(found.sum() / expected.sum()), [low, high]
