"""What was lost, from the sum over time of how far a signal was from what was expected.

Guarantee: numbers come from what an anomaly carries; what was not measured yet is told apart. Signals that are no
amounts in a time (``{order}/s``, ``EUR/min``, counted things) have none.
"""

import math

from pipeline.records import US, Anomaly, Kind, Lost, Signal, iso

#: Seconds in the times that units are told by.
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def amount_of(signal: Signal) -> tuple[str, float] | None:
    """What a signal tells amounts of, in words ("" where its unit does not say), and the seconds that it tells them by;
    None where it tells none."""
    if signal.kind is Kind.COUNT:
        return _noun(signal.unit.rpartition("/")[0] or signal.unit), 1.0
    what, slash, time = signal.unit.rpartition("/")
    return (_noun(what), _SECONDS[time]) if slash and time in _SECONDS else None


def lost_of(anomaly: Anomaly, now_us: int, share: float = 1.0) -> Lost | None:
    """The loss that an anomaly tells of, up to ``now_us``; ``share`` times what the signal itself tells."""
    told = amount_of(anomaly.signal)
    if told is None or anomaly.excess is None or anomaly.silent or not math.isfinite(anomaly.excess):
        return None
    noun, seconds = told
    return made(anomaly, anomaly.excess / seconds * share, noun or f"of {anomaly.signal.label()}", now_us)


def made(anomaly: Anomaly, excess: float, noun: str, now_us: int) -> Lost:
    """The loss of so many more (or, negative, fewer) of something in the time of an anomaly."""
    counted, since_us, counted_us = abs(excess), anomaly.onset_us, anomaly.step_us
    until_us = counted_us if anomaly.end_us is not None else max(now_us, counted_us)
    amount = counted
    if until_us > counted_us > since_us:
        amount = counted * ((until_us - since_us) / (counted_us - since_us))
    more = excess > 0
    words = f"about {amount_words(amount)} {noun} {'more' if more else 'fewer'} than expected since {clock(since_us)}"
    if until_us > counted_us:
        words += f" ({amount_words(counted)} counted until {clock(counted_us)}, as many a second since)"
    return Lost(amount, noun, more, since_us, until_us, counted, counted_us, words)


def mean_off(anomaly: Anomaly) -> float:
    """How far it was from what was expected on the average since its onset, in its own unit; at its peak where that is
    not known."""
    seconds = (anomaly.step_us - anomaly.onset_us) / US
    if anomaly.excess is None or not math.isfinite(anomaly.excess) or seconds <= 0:
        return anomaly.value - anomaly.expected
    return anomaly.excess / seconds


def amount_words(amount: float) -> str:
    """Two digits that matter, for it is an estimate."""
    if amount < 10:
        return f"{amount:.2g}"
    return f"{round(amount, 1 - math.floor(math.log10(amount))):,.0f}"


def clock(time_us: int) -> str:
    """The time of day in UTC."""
    return f"{iso(time_us)[11:19]}Z"


def _noun(unit: str) -> str:
    if unit.startswith("{") and unit.endswith("}"):
        name = unit[1:-1]
        return name if not name or name.endswith("s") else f"{name}s"
    return "" if unit == "1" else unit
