"""The policy of every row, as arrays: what people decided, in the form that a step needs.

Guarantee: row i has what ``PolicyTable.resolve`` gives for signal i and its window length; nothing else is read of a
policy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import PARTS
from detectors.budget import AlertBudget
from detectors.season import AUTO, DAILY, NONE, WEEKLY
from pipeline.policies import PolicyTable, Resolved
from pipeline.records import US, Signal
from pipeline.scoring.alerts import THRESHOLD

Array = npt.NDArray[Any]

_WEEK_SECONDS = 604_800.0
_BUDGET_WINDOW_SECONDS = 60.0  # the length of windows for which a budget is stated
_LEAST_SHARE, _MOST_SHARE = 1.0, 8.0
_DIRECTIONS = {"both": 0, "up": 1, "down": -1}
_SEASONS = {"auto": AUTO, "none": NONE, "daily": DAILY, "weekly": WEEKLY}
_BITS: Mapping[str, int] = {part: 1 << bit for bit, part in enumerate(PARTS)}
COUNTS, SILENCE, TOGETHER, RARITY, FELT = (_BITS[part] for part in ("counts", "silence", "together", "rarity", "felt"))

_FIELDS: Mapping[str, npt.DTypeLike] = {
    "resolved": np.int32,  # index of the policy
    "rate": np.int32,  # index of the episodes a window that the budget allows
    "fixed": np.float64,  # a threshold instead of the budget, NaN = none
    "direction": np.int8,
    "least": np.float64,
    "relative": np.float64,
    "hard_lower": np.float64,
    "hard_upper": np.float64,
    "off": np.uint16,
    "season": np.uint8,
    "history": np.int32,
    "open_windows": np.uint8,
    "of_windows": np.uint8,
    "close_windows": np.uint8,
    "rare": np.bool_,  # judged by how seldom alerts of its type come
    "discovery": np.float64,  # false-discovery rate, NaN = no filter
}


def budget_of(alert_budget: float, window_seconds: float) -> float:
    """Anomalies a signal and week for windows of this length. A budget is stated for windows of 60 s and grows in
    proportion to the length, from one to eight times: a week has few long windows, each says more, and on real data
    far fewer of them surprise than are allowed (docs/detection.md has the figures)."""
    share = window_seconds / _BUDGET_WINDOW_SECONDS
    return alert_budget * min(max(share, _LEAST_SHARE), _MOST_SHARE)


class RowPolicies:
    """``arrays`` by name, each (rows or more,); ``off`` and ``season`` have the capacity of the table."""

    def __init__(self, policies: PolicyTable) -> None:
        self.policies = policies
        self.arrays: dict[str, Array] = {name: np.zeros(0, dtype) for name, dtype in _FIELDS.items()}
        self._resolved: list[Resolved] = []
        self._cases: list[Mapping[str, Any]] = []
        self._index: dict[tuple[int, str, int, bool], int] = {}
        self._rates: dict[float, int] = {}  # episodes a window → index
        self._thresholds: tuple[Array, Array] | None = None  # what they follow from, and by row

    def resolved(self, row: int) -> Resolved:
        """The policy of a row."""
        return self._resolved[self.arrays["resolved"][row]]

    def apply(self, policies: PolicyTable) -> None:
        """From now on these policies are in force; every row must be set again."""
        self.policies, self._resolved, self._cases, self._index, self._rates = policies, [], [], {}, {}

    def thresholds(self, pool: AlertBudget) -> Array:
        """The surprise at which a window of a row is unlikely, now; by row."""
        if self._thresholds is None or self._thresholds[0] is not pool.fit:
            by_rate = pool.threshold(np.array(list(self._rates) or [1.0]))
            fixed = self.arrays["fixed"]
            self._thresholds = pool.fit, np.where(np.isnan(fixed), by_rate[self.arrays["rate"]], fixed)
        return self._thresholds[1]

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._thresholds = None
        for name, array in self.arrays.items():
            if array.size < capacity:
                self.arrays[name] = np.concatenate([array, np.zeros(capacity - array.size, array.dtype)])

    def set(self, rows: Array, signals: Sequence[Signal], window_us: Sequence[int]) -> None:
        """Resolve the policies of these distinct rows."""
        self._thresholds = None
        cases = np.fromiter(map(self._case, signals, window_us), np.int64, len(signals))
        used, place = np.unique(cases, return_inverse=True)
        for name, array in self.arrays.items():
            array[rows] = np.array([self._cases[case][name] for case in used.tolist()], array.dtype)[place]

    def _case(self, signal: Signal, window_us: int) -> int:
        """The number of what signals with this policy, unit and window have."""
        found = self.policies.resolve(signal)
        alerts = bool(signal.alert_type)
        key = (id(found), signal.unit, window_us, alerts)
        at = self._index.get(key)
        if at is None:
            at = self._index[key] = len(self._cases)
            self._cases.append(self._values(found, signal.unit, window_us / US or _BUDGET_WINDOW_SECONDS, alerts))
        return at

    def _values(self, found: Resolved, unit: str, seconds: float, alerts: bool) -> Mapping[str, Any]:
        policy = found.policy
        rare = alerts and "rarity" not in policy.parts_off
        fixed = _or_nan(policy.threshold_surprise)
        self._resolved.append(found)
        rate = budget_of(policy.alert_budget, seconds) * seconds / _WEEK_SECONDS
        return {
            "resolved": len(self._resolved) - 1,
            "rate": self._rates.setdefault(rate, len(self._rates)),
            "fixed": THRESHOLD if rare and policy.threshold_surprise is None else fixed,
            "direction": _DIRECTIONS[policy.direction],
            "least": policy.least_deviation(unit),
            "relative": policy.min_relative,
            "hard_lower": -np.inf if policy.hard_lower is None else policy.hard_lower,
            "hard_upper": np.inf if policy.hard_upper is None else policy.hard_upper,
            "off": sum(_BITS[part] for part in policy.parts_off),
            "season": _SEASONS[policy.season],
            "history": policy.min_history_windows,
            "open_windows": policy.open_windows,
            "of_windows": policy.of_windows,
            "close_windows": policy.close_windows,
            "rare": rare,
            "discovery": _or_nan(policy.false_discovery_rate),
        }


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
