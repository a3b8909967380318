"""Why a scored window of a signal was, or was not, an anomaly: each rule that it had to pass, in numbers and in words.

Guarantee: what decided is read from the window's own row (bits that the score chain wrote), never worked out again; the
policy that numbers of a rule are taken from is the one in force now, and where it was another one then, that is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.flow.signal_status import SignalStatus
from pipeline.records import ScoreBlock
from pipeline.scoring.episodes import COLD, ENDS, FORCED, MATTERS, OPENS, RESTS, SURPRISES, WAS_OPEN
from pipeline.scoring.relatives import ENTITY_SIGNAL

Verdict = Literal[
    "anomaly_opened",
    "in_anomaly",
    "anomaly_ended",
    "still_learning",
    "below_threshold",
    "wrong_direction",
    "too_small_absolute",
    "too_small_relative",
    "too_small",
    "resting",
    "n_of_m",
]

#: In a word or two, for tables.
SHORT: dict[str, str] = {
    "anomaly_opened": "anomalous",
    "in_anomaly": "anomalous",
    "anomaly_ended": "anomaly ended",
    "still_learning": "still learning",
    "below_threshold": "",
    "wrong_direction": "unwanted direction",
    "too_small_absolute": "too small",
    "too_small_relative": "too small",
    "too_small": "too small",
    "resting": "too soon after another",
    "n_of_m": "unlikely, not often enough",
}
_DIRECTIONS = {"both": "in either direction", "up": "upwards", "down": "downwards"}


@dataclass(frozen=True, slots=True)
class SeenWindow:
    """One window of one signal, as ``calm.scores`` has it."""

    end_us: int
    points: int
    value: float
    expected: float
    lower: float
    upper: float
    surprise: float
    threshold: float
    verdict: int
    policies: str

    @property
    def unlikely(self) -> bool:
        """Did it count as one of the n of m? (Not the ones in which another episode might not open yet.)"""
        passed = self.verdict & FORCED or (self.verdict & MATTERS and self.verdict & SURPRISES)
        return bool(passed) and not self.verdict & RESTS


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that decides: whether the window passed it (None: it did not come to that), in words, in numbers."""

    name: str
    passed: bool | None
    words: str
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reasons:
    """``verdict``: what became of the window; for one that was no anomaly, the first rule that held it back."""

    verdict: Verdict
    words: str
    rules: tuple[Rule, ...]
    policies_changed: bool


def seen_window(block: ScoreBlock, row: int) -> SeenWindow:
    """A row of a block."""
    return SeenWindow(
        end_us=block.end_us,
        points=int(block.count[row]),
        value=float(block.value[row]),
        expected=float(block.expected[row]),
        lower=float(block.lower[row]),
        upper=float(block.upper[row]),
        surprise=float(block.surprise[row]),
        threshold=float(block.threshold[row]),
        verdict=int(block.verdict[row]),
        policies=block.policies,
    )


def windows_before(status: SignalStatus, windows: Sequence[SeenWindow], at: int) -> int | None:
    """How many windows had been seen (inherited ones among them) when window ``at`` of ``windows``, which are the
    signal's newest ones, newest first, was judged; None where it began anew since."""
    end_us, closed_us = windows[at].end_us, status.closed_us
    before = status.seen - sum(end_us <= each.end_us <= closed_us for each in windows)
    before += sum(closed_us < each.end_us < end_us for each in windows)
    return before if before >= 0 else None


def reasons_of(status: SignalStatus, windows: Sequence[SeenWindow], at: int) -> Reasons:
    """Why window ``at`` of ``windows`` (newest first) was an anomaly, or not."""
    window = windows[at]
    rules = (
        _history(status, window, windows_before(status, windows, at)),
        _threshold(status, window),
        _deviation(status, window),
        *_range(status, window),
        _rest(window),
        _often_enough(status, windows[at:]),
    )
    verdict = _verdict(status, window)
    return Reasons(verdict, _SUMMARY[verdict], rules, window.policies != status.policies)


def _verdict(status: SignalStatus, window: SeenWindow) -> Verdict:
    bits = window.verdict
    if bits & OPENS:
        return "anomaly_opened"
    if bits & WAS_OPEN:
        return "anomaly_ended" if bits & ENDS else "in_anomaly"
    if not bits & FORCED:
        if bits & COLD:
            return "still_learning"
        if not bits & SURPRISES:
            return "below_threshold"
        if not bits & MATTERS:
            return _smallness(status, window)
    return "resting" if bits & RESTS else "n_of_m"


def _smallness(status: SignalStatus, window: SeenWindow) -> Verdict:
    """Which of the rules about the deviation it did not pass."""
    size = _size(status, window)
    least, relative = _least(status, window)
    if _direction(status) != "both" and size <= 0:
        return "wrong_direction"
    if size < least:
        return "too_small_absolute"
    return "too_small_relative" if size < relative else "too_small"


def _direction(status: SignalStatus) -> str:
    return "both" if status.signal.name == ENTITY_SIGNAL else status.rules.direction  # a distance has none


def _size(status: SignalStatus, window: SeenWindow) -> float:
    """How far off in the wanted direction."""
    difference = window.value - window.expected
    return {"both": abs(difference), "up": difference, "down": -difference}[_direction(status)]


def _least(status: SignalStatus, window: SeenWindow) -> tuple[float, float]:
    return status.rules.least_deviation(status.signal.unit), status.rules.min_relative * abs(window.expected)


def _history(status: SignalStatus, window: SeenWindow, before: int | None) -> Rule:
    warm = not window.verdict & COLD
    seen = "an unknown number of windows, for it began anew since" if before is None else f"{before} windows"
    if warm:
        words = f"It had seen {seen}, and {status.needed} are needed before any is judged."
    elif before is not None and before >= status.needed:
        words = f"What it has inherited of signals like it was still being fitted to it ({seen} counted)."
    else:
        words = (
            f"It was still learning: it had seen {seen} of the {status.needed} that are needed before any is judged."
        )
    return Rule("history", warm, words, {"seen": before, "needed": status.needed})


def _threshold(status: SignalStatus, window: SeenWindow) -> Rule:
    fixed = status.rules.threshold_surprise
    by = _source(status, "threshold_surprise" if fixed is not None else "alert_budget")
    if fixed is not None:
        origin = f"threshold_surprise {fixed:g} of {by}"
    else:
        origin = f"learned from the fleet for alert_budget {status.rules.alert_budget:g} a week of {by}"
    if fixed is not None and window.threshold > fixed + 1e-4 and not window.verdict & WAS_OPEN:
        origin += ", and more because anomalies of it came often"
    passed = bool(window.verdict & SURPRISES)
    words = (
        f"Its surprise was {window.surprise:.3g} ({_chance(window.surprise)}), {'at or above' if passed else 'below'} "
        f"the threshold of {window.threshold:.3g} that was in force ({origin})."
    )
    numbers = {"surprise": window.surprise, "threshold": window.threshold, "policy": by}
    return Rule("threshold", passed, words, numbers | {"kind": "fixed" if fixed is not None else "alert_budget"})


def _chance(surprise: float) -> str:
    return "nothing unusual" if surprise < 0.01 else f"as rare as 1 window in {10.0 ** min(surprise, 300):.3g}"


def _deviation(status: SignalStatus, window: SeenWindow) -> Rule:
    size, (least, relative), unit = _size(status, window), _least(status, window), _unit(status)
    direction, passed = _direction(status), bool(window.verdict & MATTERS)
    share, key = f"{100 * status.rules.min_relative:g} % of what was expected", _absolute_key(status)
    needed = (
        f"at least {least:.4g}{unit} ({key} of {_source(status, key)}) and {relative:.4g}{unit} ({share}, min_relative "
        f"of {_source(status, 'min_relative')}) are asked for, {_DIRECTIONS[direction]}"
    )
    if direction != "both":
        needed += f" (direction of {_source(status, 'direction')})"
    numbers = {"deviation": window.value - window.expected, "min_absolute": least, "min_relative": relative}
    off = f"It was {window.value - window.expected:+.4g}{unit} off"
    if passed and size < max(least, relative):
        words = (
            f"{off}, less than is asked for, but what was odd is how it moved, and it usually moves by more than that."
        )
    elif passed:
        words = f"{off}, which is enough: {needed}."
    elif direction != "both" and size <= 0:
        words = f"{off}, which is not the direction that is asked for: {needed}."
    else:
        words = f"{off}, which is too small: {needed}."
    return Rule("deviation", passed, words, numbers | {"direction": direction})


def _absolute_key(status: SignalStatus) -> str:
    named = status.signal.unit in status.rules.min_absolute_by_unit
    return "min_absolute_by_unit" if named else "min_absolute"


def _range(status: SignalStatus, window: SeenWindow) -> Iterator[Rule]:
    """The hard range, where there is one or was."""
    lower, upper, unit = status.rules.hard_lower, status.rules.hard_upper, _unit(status)
    forced = bool(window.verdict & FORCED)
    if lower is None and upper is None and not forced:
        return
    wanted = " and ".join(
        f"{word} {bound:.4g}{unit} ({key} of {_source(status, key)})"
        for word, bound, key in (("not below", lower, "hard_lower"), ("not above", upper, "hard_upper"))
        if bound is not None
    )
    side = "outside" if forced else "inside"
    counts = ", and so it counts whatever else is said" if forced else ""
    words = f"It was {side} the range that it must keep: {wanted or 'that of a policy of then'}{counts}."
    yield Rule("hard_range", forced, words, {"hard_lower": lower, "hard_upper": upper})


def _rest(window: SeenWindow) -> Rule:
    if window.verdict & WAS_OPEN:
        return Rule("open", None, "An anomaly of it was open already.", {})
    if window.verdict & RESTS:
        words = (
            "Another anomaly of it opened, or its level became the normal one, so short a time ago that only a plainly "
        )
        return Rule("rest", False, words + "stronger one may open.", {})
    asked = True if window.unlikely else None
    return Rule("rest", asked, "No anomaly of it came so short a time before that another one must wait.", {})


def _often_enough(status: SignalStatus, newest: Sequence[SeenWindow]) -> Rule:
    """n of m; ``newest`` begins with the window itself."""
    n, m = status.rules.open_windows, status.rules.of_windows
    count = 0
    for each in newest[:m]:
        if each.verdict & ENDS:
            break
        count += each.unlikely
    of = min(len(newest), m)
    were = "was" if count == 1 else "were"
    words = f"Unlikely {were} {count} of its last {of} windows; an anomaly opens with {n} of {m}."
    numbers = {"unlikely": count, "open_windows": n, "of_windows": m}
    decided = newest[0].unlikely and not newest[0].verdict & WAS_OPEN
    return Rule("n_of_m", bool(newest[0].verdict & OPENS) if decided else None, words, numbers)


_SUMMARY: dict[Verdict, str] = {
    "anomaly_opened": "An anomaly opened with this window.",
    "in_anomaly": "It was part of an anomaly that was open already.",
    "anomaly_ended": "The anomaly that was open ended with this window.",
    "still_learning": "It was no anomaly, for too little was known to judge it.",
    "below_threshold": "It was no anomaly, for it was not surprising enough.",
    "wrong_direction": "It was no anomaly, for it deviated in a direction that nobody asks for.",
    "too_small_absolute": "It was no anomaly, for the deviation was below min_absolute.",
    "too_small_relative": "It was no anomaly, for the deviation was below min_relative of what was expected.",
    "too_small": "It was no anomaly, for the policy of then asked for another direction or a larger deviation.",
    "resting": "It was no anomaly of its own, for another one came so short a time before.",
    "n_of_m": "It was unlikely, but no anomaly opened with it, for there were too few such windows.",
}


def _source(status: SignalStatus, key: str) -> str:
    """The policy that a key comes from."""
    base = status.policy.rpartition("+")[2]
    return f"policy {status.given_by.get(key, base)}"


def _unit(status: SignalStatus) -> str:
    return "" if status.signal.unit in ("", "1") else f" {status.signal.unit}"
