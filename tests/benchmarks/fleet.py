"""Signals as a shard knows them, and the one place where the figures of the detector meet scorer and detector.

Guarantee: everything goes through the scorer or the detector that people get, with the shipped policy unless told.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import RowDetector
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Kind, Series, Signal
from pipeline.scoring.scorer import Scorer, default_detector
from pipeline.signals.identity import signal_of

Array = npt.NDArray[Any]

WINDOW_US = 60 * US
#: A Monday, 2023-11-13 00:00 UTC.
START_US = 1_699_833_600 * US
METRICS_PER_INSTANCE = 10
INSTANCES_PER_SERVICE = 5
SERVICES_PER_ENVIRONMENT = 20


def signal(number: int) -> Signal:
    """Ten metrics of an instance, five instances of a service; the unit has no least deviation of its own."""
    instance, metric = divmod(number, METRICS_PER_INSTANCE)
    service = instance // INSTANCES_PER_SERVICE
    attributes = (
        ("deployment.environment.name", f"env-{service // SERVICES_PER_ENVIRONMENT:03d}"),
        ("service.instance.id", f"i-{instance % INSTANCES_PER_SERVICE}"),
        ("service.name", f"svc-{service:05d}"),
    )
    return signal_of(Series(f"metric.{metric}", "", Kind.GAUGE, attributes), ("deployment.environment.name",))


def detector() -> RowDetector:
    """The detector that people get."""
    return default_detector(DetectorPolicy())


@dataclass(frozen=True, slots=True)
class Step:
    """One window of all signals, shapes (signals,); ``opened`` = how many anomalies each signal opened."""

    surprise: Array
    lower: Array
    upper: Array
    opened: Array


class Shard:
    """A scorer that holds all signals of one shard, fed window by window."""

    def __init__(self, signals: int, policy: DetectorPolicy) -> None:
        self.scorer = Scorer(policy, extra={})
        self._rows = np.array([self.scorer.add(signal(number)) for number in range(signals)])
        self._number = {signal(number).id: number for number in range(signals)}
        ids = np.fromiter(self._number, np.uint64, signals)
        self._order = np.argsort(ids)
        self._ids = ids[self._order]
        self._end_us = START_US

    def step(self, values: Array) -> Step:
        self._end_us += WINDOW_US
        shape = values.shape
        block, anomalies = self.scorer.step(
            self._end_us,
            self._rows,
            np.full(shape, self._end_us - WINDOW_US),
            np.full(shape, self._end_us - 1),
            values,
            np.ones(shape, np.int64),
        )
        ours = np.isin(block.ids, self._ids, assume_unique=True)  # a scorer may have derived signals too
        at = np.empty(shape, np.int64)
        at[self._order] = np.flatnonzero(ours)
        opened = np.zeros(shape, np.int64)
        for anomaly in anomalies:
            if anomaly.transition == "opened" and anomaly.signal.id in self._number:
                opened[self._number[anomaly.signal.id]] += 1
        return Step(block.surprise[at], block.lower[at], block.upper[at], opened)


def stated_coverage() -> float | None:
    """The share of normal windows that the bands are meant to hold; None where the detector does not say."""
    band_p = getattr(detector(), "band_p", None)
    return None if band_p is None else 1 - float(band_p)
