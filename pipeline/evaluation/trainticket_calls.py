"""Spans and lines to what causes are found from: what happened in each call of a kind, and how long its parts took.

Guarantee: the same telemetry gives the same, in whatever order it came. Templates are mined in the order of time, by
the miner that people get, and know nothing of lines to come.

A *call* is a span whose parent is of another workload (or that has none), with all spans of its workload below it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.causes.behaviour import Event, Key, Seen, What
from pipeline.causes.self_time import Part, logged
from pipeline.evaluation.trainticket_files import Line, Span
from pipeline.signals import traces
from pipeline.signals.templates import TemplateMiner, workload_number

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """``seen``: what happened in calls, by kind; ``parts``: y of how long parts took."""

    seen: dict[Key, Seen]
    parts: dict[Part, Array]


class Texts:
    """Templates by number, as far as they are known by now."""

    def __init__(self) -> None:
        self._miner = TemplateMiner()
        self._texts: dict[int, str] = {}

    def mine(self, lines: Sequence[Line]) -> tuple[list[Event], dict[Event, Event]]:
        """The template of each line, in their order, and templates that turned out to be others."""
        order = sorted(range(len(lines)), key=lambda place: lines[place])
        owners = np.array([workload_number(lines[place].workload) for place in order], np.int64)
        numbers = self._miner.add_many([lines[place].text for place in order], owners).tolist()
        news = self._miner.drain()
        heirs = {alias.old_number: alias.number for alias in news.aliases}
        self._texts |= {one.number: one.text for one in news.born}
        self._texts |= {one.number: one.text for one in news.reworded.values()}
        found = [_event(0)] * len(lines)
        for place, number in zip(order, numbers, strict=True):
            found[place] = _event(_last(number, heirs))
        return found, {_event(old): _event(_last(old, heirs)) for old in heirs}

    def text(self, event: Event) -> str:
        """What people read of an event."""
        return self._texts.get(int(event[1]), event[1]) if event[0] is What.TEMPLATE else event[1]


def _event(number: int) -> Event:
    return What.TEMPLATE, str(number)


def _last(number: int, heirs: dict[int, int]) -> int:
    while number in heirs:
        number = heirs[number]
    return number


def observe(spans: Sequence[Span], lines: Sequence[Line], templates: Sequence[Event], *, joined: bool) -> Observed:
    """``joined``: lines count in the call in which they were written; else by the calls of their workload, of whatever
    kind (by its lines where it has no spans)."""
    parent = _parents(spans)
    entry = _entries(spans, parent)
    happened: list[set[Event]] = [set() for _ in spans]
    for place, span in enumerate(spans):
        if entry[place] != place:
            happened[entry[place]].add((What.STEP, span.operation))
        elif (caller := int(parent[place])) >= 0:
            happened[entry[caller]].add((What.CALL, f"{span.workload} {span.operation}"))
    if joined:
        places = {(span.trace, span.span): place for place, span in enumerate(spans)}
        for line, template in zip(lines, templates, strict=True):
            at = places.get((line.trace, line.span))
            if at is not None:
                happened[entry[at]].add(template)
    calls = (
        ((span.workload, span.operation), happened[place]) for place, span in enumerate(spans) if entry[place] == place
    )
    seen = _counted(calls)
    if not joined:
        seen |= _apart(seen, lines, templates)
    return Observed(seen, _parts(spans, parent, entry))


def _counted(calls: Iterable[tuple[Key, set[Event]]]) -> dict[Key, Seen]:
    found: dict[Key, tuple[int, dict[Event, float]]] = {}
    for key, happened in calls:
        number, events = found.get(key, (0, {}))
        for event in happened:
            events[event] = events.get(event, 0.0) + 1.0
        found[key] = number + 1, events
    return {key: Seen(float(number), events) for key, (number, events) in found.items()}


def _apart(calls: Mapping[Key, Seen], lines: Sequence[Line], templates: Sequence[Event]) -> dict[Key, Seen]:
    """Lines of each workload by its calls: a template of which there are as many lines counts as in all."""
    number: dict[str, float] = {}
    for (workload, _), seen in calls.items():
        number[workload] = number.get(workload, 0.0) + seen.calls
    written = _counted((((line.workload, ""), {each}) for line, each in zip(lines, templates, strict=True)))
    found = {}
    for key, seen in written.items():
        of = number.get(key[0], seen.calls)
        found[key] = Seen(of, {event: min(times, of) for event, times in seen.events.items()})
    return found


def _parents(spans: Sequence[Span]) -> Array:
    """The place of each span's parent, −1 where it is not among them."""
    places = {(span.trace, span.span): place for place, span in enumerate(spans)}
    return np.array([places.get((span.trace, span.parent), -1) for span in spans], np.int64)


def _entries(spans: Sequence[Span], parent: Array) -> list[int]:
    """The place of the span with which each span's call began."""
    found = [-1] * len(spans)
    for place in range(len(spans)):
        way, at = [], place
        while found[at] < 0:
            way.append(at)
            found[at] = at  # also where spans name each other as their parents
            above = int(parent[at])
            if above < 0 or spans[above].workload != spans[at].workload:
                break
            at = above
        for each in way:
            found[each] = found[at]
    return found


def _parts(spans: Sequence[Span], parent: Array, entry: Sequence[int]) -> dict[Part, Array]:
    columns = traces.Spans(
        trace=np.zeros((len(spans), 2), np.uint64),
        span=np.arange(1, len(spans) + 1, dtype=np.uint64),
        parent=(parent + 1).astype(np.uint64),
        start_us=np.array([span.start_us for span in spans], np.int64),
        end_us=np.array([span.end_us for span in spans], np.int64),
        failed=np.zeros(len(spans), np.bool_),
        workload=np.zeros(len(spans), np.int64),
    )
    own = logged(traces.self_times(columns, parent) / 1e3).tolist()
    called: dict[int, Span] = {}
    for place in np.flatnonzero(parent >= 0).tolist():
        above = int(parent[place])
        if spans[above].workload != spans[place].workload:
            called[above] = min(called.get(above, spans[place]), spans[place])
    times: dict[Part, list[float]] = {}
    for place, span in enumerate(spans):
        other = called.get(place)
        if other is None:
            part = (span.workload, "", spans[entry[place]].operation, span.operation)
        else:
            part = (span.workload, other.workload, other.operation, "")
        times.setdefault(part, []).append(own[place])
    return {part: np.array(values) for part, values in times.items()}
