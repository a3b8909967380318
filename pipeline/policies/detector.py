"""What an SRE decides about detection: how many false alarms, which deviations matter, and for how long.

Guarantee: a policy that exists is valid; anything else raises ``PolicyError`` naming the key and the right form.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, get_args

Direction = Literal["both", "up", "down"]
Season = Literal["auto", "none", "daily", "weekly"]

#: Deviations below these are never anomalies, by UCUM unit of the window's value (a counter's rate has "<unit>/s").
MIN_ABSOLUTE_BY_UNIT: Mapping[str, float] = {"1": 0.05, "%": 5.0, "By/s": 1e6, "s": 0.005, "ms": 5.0}

#: Parts of the default detector that can be turned off; the same as detectors.PARTS, which this room cannot see.
PART_NAMES = (
    "residual",
    "season",
    "record",
    "flat",
    "quiet",
    "drift",
    "novelty",
    "counts",
    "shift",
    "silence",
    "together",
    "rarity",
    "felt",
)


class PolicyError(ValueError):
    """A policy that cannot be. ``key`` is where the fault is (``detection.direction``, ``match.0``)."""

    def __init__(self, key: str, wrong: str) -> None:
        super().__init__(f"{key} {wrong}")
        self.key = key


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """One set of knobs for one signal.

    ``alert_budget`` is the one that matters: anomalies per signal and week that may come when nothing is wrong.
    ``threshold_surprise`` replaces it by a fixed threshold on the surprise (−log10 of the tail probability). An
    anomaly opens when ``open_windows`` of the last ``of_windows`` were unlikely and ends after ``close_windows``
    windows in a row whose surprise is below half the threshold. ``min_absolute`` is in the signal's unit and is used
    for units that ``min_absolute_by_unit`` does not name; ``min_relative`` is a share of the expected value. A value
    below ``hard_lower`` or above ``hard_upper`` is an anomaly at once, whatever the history. ``season`` is a hint,
    ``parts_off`` names parts of the detector that are not asked (see PART_NAMES). ``false_discovery_rate`` is the
    share of false ones among the anomalies of one step that may start incidents; None leaves that filter out.
    ``above``, for a histogram, is the value in its own unit of which the share above it is a signal too. ``slo`` is
    what is promised, in percent, of a signal that tells which share fails: it makes incidents severe.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    alert_budget: float = 0.5
    threshold_surprise: float | None = None
    direction: Direction = "both"
    min_absolute: float = 0.0
    min_absolute_by_unit: Mapping[str, float] = field(default_factory=lambda: dict(MIN_ABSOLUTE_BY_UNIT))
    min_relative: float = 0.01
    hard_lower: float | None = None
    hard_upper: float | None = None
    season: Season = "auto"
    parts_off: tuple[str, ...] = ()
    min_history_windows: int = 40
    open_windows: int = 1
    of_windows: int = 3
    close_windows: int = 3
    false_discovery_rate: float | None = None
    above: float | None = None
    slo: float | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(f"detection.{name}", getattr(self, name)))
        if not 1 <= self.open_windows <= self.of_windows <= 8:
            raise PolicyError(
                "detection.open_windows",
                "and of_windows must satisfy 1 <= open_windows <= of_windows <= 8, "
                f"not {self.open_windows} of {self.of_windows}",
            )
        lower, upper = self.hard_lower, self.hard_upper
        if lower is not None and upper is not None and lower >= upper:
            raise PolicyError("detection.hard_lower", f"is {lower:g}; it must be below hard_upper, which is {upper:g}")

    def least_deviation(self, unit: str) -> float:
        """The smallest absolute deviation that counts, for a signal of this unit."""
        return self.min_absolute_by_unit.get(unit, self.min_absolute)

    def changed(self, changes: Mapping[str, Any]) -> "DetectorPolicy":
        """This policy with some keys changed. Raises PolicyError for a key or value that cannot be.

        What ``changes`` names wins, and what contradicts it gives way, so changes that are valid by themselves are
        valid over any policy: a budget takes away a fixed threshold, ``open_windows`` widens ``of_windows``, one end of
        the hard range takes away the other where they cross. Units join those that are there.
        """
        if unknown := sorted(changes.keys() - KEYS.keys()):
            raise PolicyError(f"detection.{unknown[0]}", f"is not a key; {there_are(unknown[0], KEYS)}")
        if changes.get("threshold_surprise") is not None and "alert_budget" in changes:
            raise PolicyError("detection.threshold_surprise", "replaces alert_budget; name one of the two")
        alone = replace(DetectorPolicy(), **{**_giving_way(DetectorPolicy(), changes), **changes})
        merged = {name: getattr(alone, name) for name in changes}
        if "min_absolute_by_unit" in merged:
            merged["min_absolute_by_unit"] = {**self.min_absolute_by_unit, **merged["min_absolute_by_unit"]}
        return replace(self, **{**_giving_way(self, merged), **merged})


def there_are(given: str, keys: Iterable[str]) -> str:
    """The keys that there are, and the one that was probably meant."""
    near = get_close_matches(given, keys, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"there are {', '.join(keys)}{meant}"


def _giving_way(policy: DetectorPolicy, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What of a policy contradicts the changes, and what becomes of it."""
    found: dict[str, Any] = {}
    if "alert_budget" in changes:
        found["threshold_surprise"] = None
    few, of = changes.get("open_windows"), changes.get("of_windows")
    if isinstance(few, int):
        found["of_windows"] = max(policy.of_windows, min(few, 8))
    if isinstance(of, int):
        found["open_windows"] = min(policy.open_windows, max(of, 1))
    lower, upper = changes.get("hard_lower", policy.hard_lower), changes.get("hard_upper", policy.hard_upper)
    if _is_number(lower) and _is_number(upper) and lower >= upper:
        found["hard_upper" if "hard_lower" in changes else "hard_lower"] = None
    return found


# -- what each key may be ----------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(key: str, value: Any, *, least: float = -math.inf, above: float = -math.inf) -> float:
    if not _is_number(value):
        raise PolicyError(key, f"is {value!r}; it must be a number")
    if value <= above:
        raise PolicyError(key, f"is {value!r}; it must be above {above:g}")
    if value < least:
        raise PolicyError(key, f"is {value!r}; it must be {least:g} or more")
    return float(value)


def _positive(key: str, value: Any) -> float:
    return _number(key, value, above=0)


def _not_negative(key: str, value: Any) -> float:
    return _number(key, value, least=0)


def _positive_or_none(key: str, value: Any) -> float | None:
    return None if value is None else _positive(key, value)


def _number_or_none(key: str, value: Any) -> float | None:
    return None if value is None else _number(key, value)


def _share_or_none(key: str, value: Any) -> float | None:
    if value is not None and not (_is_number(value) and 0 < value < 1):
        raise PolicyError(key, f"is {value!r}; it must be between 0 and 1, for instance 0.1, or null")
    return None if value is None else float(value)


def _promise_or_none(key: str, value: Any) -> float | None:
    if value is not None and not (_is_number(value) and 50 <= value < 100):
        raise PolicyError(key, f"is {value!r}; it must be percent, from 50 to below 100, for instance 99.9, or null")
    return None if value is None else float(value)


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise PolicyError(key, f"is {value!r}; it must be a whole number from {least} to {most}")
    return value


def _one_of(key: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise PolicyError(key, f"is {value!r}; use {', '.join(words[:-1])} or {words[-1]}")
    return str(value)


def _by_unit(key: str, value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(unit, str) for unit in value):
        raise PolicyError(key, f"is {value!r}; it must map units to numbers, for instance {{ms: 5}}")
    return {unit: _not_negative(f"{key}.{unit}", least) for unit, least in value.items()}


def _parts(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise PolicyError(key, f"is {value!r}; it must be a list of parts, of {', '.join(PART_NAMES)}")
    for part in value:
        if part not in PART_NAMES:
            raise PolicyError(key, f"names {part!r}, which is no part; there are {', '.join(PART_NAMES)}")
    return tuple(sorted(set(value), key=PART_NAMES.index))


_CHECKS: Mapping[str, Any] = {
    "alert_budget": _positive,
    "threshold_surprise": _positive_or_none,
    "direction": lambda key, value: _one_of(key, value, get_args(Direction)),
    "min_absolute": _not_negative,
    "min_absolute_by_unit": _by_unit,
    "min_relative": _not_negative,
    "hard_lower": _number_or_none,
    "hard_upper": _number_or_none,
    "season": lambda key, value: _one_of(key, value, get_args(Season)),
    "parts_off": _parts,
    "min_history_windows": lambda key, value: _whole(key, value, 5, 1_000_000),
    "open_windows": lambda key, value: _whole(key, value, 1, 8),
    "of_windows": lambda key, value: _whole(key, value, 1, 8),
    "close_windows": lambda key, value: _whole(key, value, 1, 255),
    "false_discovery_rate": _share_or_none,
    "above": _number_or_none,
    "slo": _promise_or_none,
}

#: Key → its default.
KEYS: Mapping[str, Any] = {each.name: getattr(DetectorPolicy(), each.name) for each in fields(DetectorPolicy)}
