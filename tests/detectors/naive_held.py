"""The twin of detectors.held: what a row was like before an incident is a deep copy of its parts.

Constants are those of the module.
"""

from copy import deepcopy
from dataclasses import dataclass
from math import exp
from typing import Protocol

from detectors import held
from tests.detectors.naive_expected import Forecast, SoftRange, single
from tests.detectors.naive_streams import Drift, Quiet, Records, Shapes, Shift, Tail


class Row(Protocol):
    """The parts of a row that are held or begin anew."""

    soft: SoftRange
    records: Records
    quiet: Quiet
    forecast: Forecast
    shift: Shift
    tails: dict[str, Tail]
    drift: Drift
    shapes: list[Shapes]
    hourly: float


@dataclass
class Before:
    """What a row was like."""

    sizes: dict[str, float]
    tails: dict[str, Tail]

    @classmethod
    def of(cls, row: Row) -> "Before":
        return cls(_sizes(row), deepcopy(row.tails))


def _sizes(row: Row) -> dict[str, float]:
    return {
        "low": row.soft.low,
        "high": row.soft.high,
        "least": row.records.least,
        "most": row.records.most,
        "usual change": row.quiet.usual,
        "usual spread": row.quiet.spread,
        "scale": row.forecast.scale,
        "usual away": row.shift.usual,
    }


def _mixed(was: float, learned: float) -> float:
    return (1 - held.KEPT) * was + held.KEPT * learned


def _mixed_by_size(was: float, learned: float) -> float:
    return single(was ** (1 - held.KEPT) * learned**held.KEPT if min(was, learned) > 0 else _mixed(was, learned))


@dataclass
class Held:
    before: Before | None = None
    windows: int = 0  # of an incident
    calm: int = 0
    sure: bool = False

    def follow(self, row: Row, before: Before, x: float, error: float, hot: bool, run: float) -> None:
        """After a window: ``hot`` if it was surprising, ``run`` such windows in a row."""
        if self.before is None and hot:
            self.before, self.windows, self.calm, self.sure = before, 0, 0, False
        if self.before is None:
            return
        if not self.sure:
            self.sure, self.windows = run >= held.BEGINS, 1
            self.before = self.before if hot else None
            return
        self.windows += 1
        like_before = not hot and self._usual(x, error)
        self.calm = self.calm + 1 if like_before else max(self.calm - int(held._RELAPSE), 0)
        if self.calm >= held.CALM_WINDOWS:
            self._go_back(row)
            anew(row, x)
            self.before = None
        elif self.windows > held.LONGEST:
            self.before = None

    def _usual(self, x: float, error: float) -> bool:
        assert self.before is not None
        residual, sizes = self.before.tails["residual"], self.before.sizes
        return error <= residual.u + residual.first and sizes["least"] <= x <= sizes["most"]

    def _go_back(self, row: Row) -> None:
        assert self.before is not None
        now = _sizes(row)
        sizes = {name: _mixed(was, now[name]) for name, was in self.before.sizes.items()}
        row.soft.low, row.soft.high = sizes["low"], sizes["high"]
        row.records = Records(sizes["least"], sizes["most"])
        row.quiet.usual, row.quiet.spread = sizes["usual change"], sizes["usual spread"]
        row.forecast.scale, row.shift.usual = sizes["scale"], sizes["usual away"]
        for name, was in self.before.tails.items():
            tail = row.tails[name]
            if was.values < held._GROWN:
                continue
            for part in ("u", "mean", "first", "second"):
                setattr(tail, part, _mixed_by_size(getattr(was, part), getattr(tail, part)))
            tail.excesses = single(_mixed(was.excesses, tail.excesses))
            tail.values = single(_mixed(was.values, tail.values))


def anew(row: Row, x: float) -> None:
    """What is reckoned over the last windows begins anew."""
    row.drift.recent = list(row.drift.usual)
    for scale in row.shapes:
        scale.means, scale.sum, scale.windows = [], 0.0, 0
    row.quiet.place, row.quiet.change = row.soft.place_of(x), exp(row.quiet.usual) - 1e-9
    row.hourly = 0.0
