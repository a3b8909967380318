"""A suppression: an anomaly that started no incident, and why."""

from dataclasses import dataclass

from pipeline.records.anomaly import Anomaly


@dataclass(frozen=True, slots=True)
class Suppression:
    """One transition of an anomaly that would have started an incident but for ``reason``; it may still join one.

    ``step_us`` is the event time of the decision. For ``owner_budget``: how many incidents a week the anomaly's
    ``owner_budget`` allows, and ``used``, how many of them were spent then; None for other reasons.
    """

    anomaly: Anomaly
    reason: str
    step_us: int
    used: float | None = None
