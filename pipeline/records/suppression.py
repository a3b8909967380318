"""A suppression: an anomaly that started no incident, or one of an incident that is held back, and why."""

from dataclasses import dataclass

from pipeline.records.anomaly import Anomaly


@dataclass(frozen=True, slots=True)
class Suppression:
    """One transition of an anomaly that would have started an incident but for ``reason``; it may still join one.

    ``step_us`` is the event time of the decision. For ``owner_budget``: how many incidents a week the anomaly's
    ``owner_budget`` allows, and ``used``, how many of them were spent then; None for other reasons. For ``silence`` and
    ``maintenance``: ``by`` which (``silence/<id>``, sorted), and until when as far as is known now; what goes on then
    is told then, as ``incident``. For ``no_news`` and ``flapping``: it is in ``incident``, and says nothing that was
    not told of it. For ``transient``, ``frequent`` and ``periodic``: it is in ``incident``, which is told if it gets
    worse or lasts until ``until_us``. ``why``: what the past says, in words.
    """

    anomaly: Anomaly
    reason: str
    step_us: int
    used: float | None = None
    by: tuple[str, ...] = ()
    until_us: int | None = None
    incident: str | None = None
    why: str | None = None
