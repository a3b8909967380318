"""Events and anomalies: which troubles were noticed, how late, and how often somebody was woken for nothing.

Guarantee: what counts is what people are told: an anomaly reaches from its onset to its last unlikely window; an event
is noticed when an anomaly reaches into it, late by the windows from its first row to the row at which that anomaly
opened. Anomalies that end before the first scored row do not count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from pipeline.evaluation.scored import Scored, Span

_WEEK_US = 7 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one or several files; ``delays`` in windows, one an event noticed."""

    events: int = 0
    noticed: int = 0
    anomalies: int = 0
    right: int = 0
    windows: int = 0
    signal_weeks: float = 0.0
    delays: tuple[int, ...] = field(default=())

    @property
    def recall(self) -> float | None:
        """The share of events that were noticed."""
        return self.noticed / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        """The share of anomalies that reach into an event."""
        return self.right / self.anomalies if self.anomalies else None

    @property
    def delay(self) -> float | None:
        """Median, in windows."""
        return float(median(self.delays)) if self.delays else None

    @property
    def false_a_week(self) -> float | None:
        """Anomalies outside events per signal and week."""
        return (self.anomalies - self.right) / self.signal_weeks if self.signal_weeks else None

    @property
    def alarms_per_1000(self) -> float | None:
        """Anomalies per 1,000 windows of a signal."""
        return 1000 * self.anomalies / self.windows if self.windows else None


def tally(scored: Scored) -> Tally:
    """The counts of one file, over all of its signals, that of the entity among them."""
    fleet = scored.fleet
    events = [event for event in fleet.events if event[1] >= fleet.scored_from]
    spans = [span for span in scored.spans if span.last >= fleet.scored_from]
    delays = [delay for event in events if (delay := _delay(event, spans)) is not None]
    scored_rows = fleet.rows - fleet.scored_from
    windows = scored_rows * (len(fleet.signals) + (scored.entity is not None))
    return Tally(
        events=len(events),
        noticed=len(delays),
        anomalies=len(spans),
        right=sum(any(_meet(span, event) for event in events) for span in spans),
        windows=windows,
        signal_weeks=windows * fleet.window_us / _WEEK_US,
        delays=tuple(delays),
    )


def together(tallies: Iterable[Tally]) -> Tally:
    """The counts of several files."""
    found = list(tallies)
    return Tally(
        events=sum(one.events for one in found),
        noticed=sum(one.noticed for one in found),
        anomalies=sum(one.anomalies for one in found),
        right=sum(one.right for one in found),
        windows=sum(one.windows for one in found),
        signal_weeks=sum(one.signal_weeks for one in found),
        delays=tuple(delay for one in found for delay in one.delays),
    )


def _meet(span: Span, event: tuple[int, int]) -> bool:
    return span.onset <= event[1] and span.last >= event[0]


def _delay(event: tuple[int, int], spans: Sequence[Span]) -> int | None:
    """Windows from the event's first row to the first opening that noticed it; None when nothing did."""
    opened = [max(span.opened - event[0], 0) for span in spans if _meet(span, event)]
    return min(opened) if opened else None
