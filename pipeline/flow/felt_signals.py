"""What callers feel of a signal, as the scorer asks for it: the meaning of its name, and the scale of its unit.

Guarantee: depends on the signal alone.
"""

from detectors import felt
from pipeline.records import Signal
from pipeline.scoring.felt_rows import NOTHING, Measure
from pipeline.signals.roles import SECONDS, SignalRole, felt_by_callers, felt_in_calls, is_share_of_limit


def measures(signal: Signal) -> Measure:
    """What it measures, and what makes seconds or a share of its values."""
    served = felt_by_callers(signal)
    role = served or felt_in_calls(signal)
    share = 0.01 if signal.unit == "%" else 1.0
    if role is SignalRole.LATENCY:
        return Measure(felt.LATENCY, SECONDS.get(signal.unit, 1.0), by_callers=served is not None)
    if role is SignalRole.ERRORS:
        return Measure(felt.SHARE, share, by_callers=served is not None)
    return Measure(felt.FULL, share) if is_share_of_limit(signal) else NOTHING
