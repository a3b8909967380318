"""The slow, obvious twin of detectors.SilenceDetector: one row in plain Python, every gap with its weight in a list."""

from dataclasses import dataclass, field
from math import inf, isfinite, log, log10, nan

from detectors.silence import SilenceDetector
from tests.detectors.naive_counts import Scored

EDGES = sorted([1, 2, 3, *(4 * 2**up for up in range(13)), *(6 * 2**up for up in range(12))])


def rounded(gap: int) -> int:
    """The gap as it is remembered: the end of its half octave."""
    return next((edge for edge in EDGES if edge >= gap), EDGES[-1])


@dataclass
class NaiveSilence:
    """One row of detectors.SilenceDetector, for as many gaps as are not yet forgotten."""

    detector: SilenceDetector
    gaps: list[tuple[int, float]] = field(default_factory=list)
    silence: int = 0
    phase: str = "new"

    def step(self, value: float, sent: bool = True, lagging: bool = False) -> Scored:
        if sent and isfinite(value):
            if self.phase == "live":
                self._learn(self.silence + 1)
            self.phase, self.silence = "live", 0
            return nan, nan, nan, 0.0
        if self.phase in ("new", "ended"):
            return nan, nan, nan, 0.0
        self.phase = "lagged" if lagging else self.phase
        self.silence += not lagging
        if len(self.gaps) < self.detector.min_history:
            return nan, nan, nan, 0.0
        return self._score(lagging)

    def _score(self, lagging: bool) -> Scored:
        total, longest = self._total(), self._reached(1.0)
        surprise = 0.0
        if self.silence > self.detector.end_windows and self.silence > self.detector.end_gaps * longest:
            self.phase = "ended"
        elif self.silence and not lagging:
            surprise = self._surprise(self.silence)
        return self._reached(0.5 * total), self._reached(0.99 * total), self._reached(0.01 * total), surprise

    def _total(self) -> float:
        return sum(weight for _, weight in self.gaps)

    def _reached(self, weight: float) -> float:
        """The longest gap so that gaps as long weigh as much."""
        return max(
            (edge for edge in EDGES if sum(w for gap, w in self.gaps if gap >= edge) >= weight - 1e-6), default=1
        )

    def _surprise(self, silence: int) -> float:
        total, longest, usual = self._total(), self._reached(1.0), self._reached(0.5 * self._total())
        longer, beyond = sum(weight for gap, weight in self.gaps if gap > silence), 1.0
        if silence > longest:
            decades = log((longest + 1) / (usual + 1))
            power = min(log(total + 1) / decades if decades else inf, 12.0, total / 4)
            beyond = ((silence + 1) / (longest + 1)) ** -power
        return max(-log10(min((longer + beyond) / (total + 1), 1.0)), 0.0)

    def _learn(self, gap: int) -> None:
        known = len(self.gaps) >= self.detector.min_history
        unusual = gap > 1 and known and self._surprise(gap - 1) > self.detector.clip
        self.gaps.append((rounded(gap), self.detector.unusual_weight if unusual else 1.0))
