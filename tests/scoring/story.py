"""Values of some signals, window by window, through a scorer; and what it says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.policies import DetectorPolicy, Policy, PolicyTable
from pipeline.policies.matcher import parse
from pipeline.records import US, Anomaly, Kind, ScoreBlock, Signal
from pipeline.scoring.scorer import Scorer

T = 1_700_000_000 * US
SIGNAL = Signal(11, "latency", "", Kind.GAUGE, "prod", "service:s", "", ())
#: A signal that does nothing but let time pass.
CLOCK = replace(SIGNAL, id=1, name="clock", workload="service:clock", instance="1")
#: The level at which stories begin: 60 windows around 100.
USUAL = [99.0, 100.0, 101.0] * 20


def policy(name: str, match: str, **changes: Any) -> Policy:
    matcher = parse(match)
    assert not hasattr(matcher, "text"), f"{match} is no condition"
    return Policy(name, (matcher,), changes)  # type: ignore[arg-type]


class Story:
    """``anomalies`` and ``blocks`` so far, ``end_us`` of the newest window. Windows have ``seconds``."""

    def __init__(self, policies: DetectorPolicy | PolicyTable, *signals: Signal, seconds: int = 10) -> None:
        self.scorer = Scorer(policies, extra={})
        self.length_us = seconds * US
        self.signals: list[Signal] = []
        for signal in signals or (SIGNAL,):
            self.add(signal)
        self.end_us = T
        self.anomalies: list[Anomaly] = []
        self.blocks: list[ScoreBlock] = []

    def add(self, signal: Signal) -> None:
        self.scorer.add(signal, self.length_us)
        self.signals.append(signal)

    def tell(self, *values: float) -> "Story":
        """Windows in which all signals have the same value."""
        for value in values:
            self.window(dict.fromkeys((signal.id for signal in self.signals), value))
        return self

    def window(self, values: Mapping[int, float]) -> "Story":
        """One window, with the values of some signals by their ids."""
        self.end_us += self.length_us
        rows = self.scorer.catalogue.rows(np.array(list(values), np.uint64))
        one = np.ones(rows.size, np.int64)
        start_us = (self.end_us - self.length_us) * one
        value = np.array(list(values.values()), np.float64)
        block, found = self.scorer.step(self.end_us, rows, start_us, start_us + 7, value, 3 * one)
        self.blocks.append(block)
        self.anomalies += found
        return self

    def transitions(self, name: str = "") -> list[str]:
        return [anomaly.transition for anomaly in self.anomalies if name in ("", anomaly.signal.name)]

    def newest(self, signal: Signal) -> dict[str, float]:
        """What the newest block says of a signal."""
        (at,) = np.flatnonzero(self.blocks[-1].ids == signal.id)
        names = ("value", "expected", "lower", "upper", "surprise", "anomalous")
        return {name: float(getattr(self.blocks[-1], name)[at]) for name in names}

    def threshold(self, signal: Signal = SIGNAL) -> float:
        row = self.scorer.catalogue.rows(np.array([signal.id], np.uint64))
        return float(self.scorer.rules_of(row).threshold[0])
