"""The slow, obvious twin of detectors.together: one entity by its whole matrix, solved anew for each window.

``A`` is what the kernel keeps the inverse of. The tail is that of naive_streams, which rounds to single precision.
"""

from dataclasses import dataclass, field
from math import isfinite, log

import numpy as np
import numpy.typing as npt

from detectors import together
from tests.detectors.naive_expected import clipped
from tests.detectors.naive_streams import Tail


@dataclass
class Member:
    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0

    def score(self, x: float, age: int) -> float:
        """The standard score of x by what was before it; then learn x."""
        deviation, away = self.variance**0.5, x - self.mean
        self.seen += 1
        if self.seen == 1:
            self.mean = x
            return 0.0
        known = deviation > 1e-12 * abs(self.mean)
        score = clipped(away / deviation, -together._FARTHEST, together._FARTHEST) if known else 0.0
        if self.seen - 1 > together._CLIP_FROM and deviation:
            away = clipped(away, -together._CLIP * deviation, together._CLIP * deviation)
        rate = max(1 / self.seen, 1 / together._MEMORY)
        self.mean += rate * away
        self.variance += rate * (away**2 - self.variance)
        return score if self.seen - 1 >= age else score * min((self.seen - 1) / together._YOUNG, 1)


@dataclass
class NaiveEntity:
    members: list[Member]
    seen: int = 0
    smoothed: float = 0.0
    usual: float = 0.0
    tail: Tail = field(default_factory=lambda: Tail(together._PRIOR, together._LEVEL, together._WARM))

    def __post_init__(self) -> None:
        self.a: npt.NDArray[np.float64] = together._RIDGE * np.eye(len(self.members))

    def step(self, values: list[float]) -> tuple[float, float, float, float]:
        """(distance a member, usual distance, upper bound, surprise)"""
        pairs = zip(self.members, values, strict=True)
        z = np.array([member.score(x, self.seen) if isfinite(x) else 0.0 for member, x in pairs])
        moving = sum(member.variance > 0 for member in self.members)
        distance = float(z @ np.linalg.solve(self.a, z))
        self.smoothed += together._SMOOTH * (distance - self.smoothed)
        value = self.smoothed / max(moving, 1)
        found = self._judge(value) if self.seen >= together.COLD else (self.usual, value, 0.0)
        self._learn(z)
        self.seen += 1
        return value, *found

    def _judge(self, value: float) -> tuple[float, float, float]:
        tail = self.tail
        if self.seen == together.COLD:
            self.usual = value
        usual, threshold, upper = self.usual, tail.u, max(tail.u + tail.first * log(2), self.usual)
        if self.seen == together.COLD:
            upper = max(tail.u + tail.first * log(2), 0.0)
        settled = self.seen >= together._SETTLED
        surprise = tail.judge(value, 1e-6, together._SETTLED_PACE if settled else 1.0)
        if surprise == 0 and threshold > 0:
            surprise = together._USUALLY * min(value / threshold, 1)
        self.usual += 0.005 * (min(value, 5 * usual + 1e-9) - usual)
        return usual, upper, surprise

    def _learn(self, z: npt.NDArray[np.float64]) -> None:
        if self.seen == 0:
            return
        new = max(1 / (self.seen + 1), 1 / together._MEMORY)
        self.a = (1 - new) * self.a + new * np.outer(z, z)
        axis = self.seen % len(self.members)
        self.a[axis, axis] += new * together._RIDGE * len(self.members)
