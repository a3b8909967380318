"""Behaviour of workloads: what happens in a call of a kind now that usually does not, and the other way round.

Guarantee: a contrast depends on the counts of the window and of the reference alone, whatever order they came in; what
is missing counts as much as what is new. Memory is bounded: of kinds of calls the ones without a call for longest are
forgotten, of a kind's events the rarest, and both are counted.

What is compared is a share: an event (a log template, a span inside, a call of something else) in ``happened`` of
``calls`` against ``usual_happened`` of ``usual_calls``. The strength is the logarithm of the likelihood ratio of two
shares against one, in nats, after the usual share was moved by 0.05 toward the new one, so that a difference nobody
would mind has no strength however many calls there were. Where logs have no trace ids, lines take the place of calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class What(StrEnum):
    """What an event of a call is."""

    TEMPLATE = "template"
    STEP = "step"  # a span of the same workload below the one that was called
    CALL = "call"  # something else is called


#: A workload, and what of it was called ("" = nothing is known of calls: its log lines).
Key = tuple[str, str]
Event = tuple[What, str]

#: Calls in the reference from which something usual can be said.
LEAST_CALLS = 5.0
#: A difference of shares that nobody would mind.
TOLERATED = 0.05
#: What was a day ago counts half.
HALF_LIFE_US = 86_400 * 1_000_000
MOST_KEYS, MOST_EVENTS = 20_000, 256


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls of one kind, and in how many of them each event happened, once or more often."""

    calls: float
    events: Mapping[Event, float]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One event of one kind of calls, and what is usual. ``strength`` in nats."""

    workload: str
    operation: str
    event: Event
    happened: float
    calls: float
    usual_happened: float
    usual_calls: float
    strength: float


@dataclass(frozen=True, slots=True)
class Contrasts:
    """The strongest contrast of each workload that has one, and how many events were compared in all."""

    strongest: Mapping[str, Contrast]
    compared: int


def contrast(happened: Array, calls: Array, usual_happened: Array, usual_calls: Array) -> Array:
    """Strengths in nats, shape (events,), ≥ 0; all arguments have that shape, ``calls`` and ``usual_calls`` are > 0."""
    share = happened / calls  # x/n
    usual = (usual_happened + 0.5) / (usual_calls + 1.0)  # (c + ½)/(N + 1)
    least = 0.5 / (usual_calls + 1.0)
    more = np.sign(share - usual)
    moved = np.clip(usual + TOLERATED * more, least, 1.0 - least)  # P
    pooled = (happened + moved * usual_calls) / (calls + usual_calls)
    found = _log_likelihood(happened, calls, share) + _log_likelihood(moved * usual_calls, usual_calls, moved)
    found -= _log_likelihood(happened, calls, pooled) + _log_likelihood(moved * usual_calls, usual_calls, pooled)
    return np.where((share - moved) * more > 0.0, np.maximum(found, 0.0), 0.0)


def _log_likelihood(happened: Array, calls: Array, share: Array) -> Array:
    rest = calls - happened
    yes = happened * np.log(np.where(happened > 0.0, share, 1.0))
    no = rest * np.log(np.where(rest > 0.0, 1.0 - share, 1.0))
    result: Array = yes + no
    return result


def together(windows: Iterable[Mapping[Key, Seen]]) -> dict[Key, Seen]:
    """What was seen in several windows, or by several shards."""
    found: dict[Key, tuple[float, dict[Event, float]]] = {}
    for window in windows:
        for key, seen in window.items():
            calls, events = found.get(key, (0.0, {}))
            for event, times in seen.events.items():
                events[event] = events.get(event, 0.0) + times
            found[key] = calls + seen.calls, events
    return {key: Seen(calls, events) for key, (calls, events) in found.items()}


#: Workload, operation, at, calls, and what, name and times of each event.
Saved = tuple[str, str, int, float, list[tuple[str, str, float]]]


class Habits:
    """The reference: what usually happens in calls, by kind of call, fading by age."""

    def __init__(self, saved: Iterable[Saved] = ()) -> None:
        self._kinds: dict[Key, tuple[int, Seen]] = {}  # the one learnt last comes last
        self.forgotten_kinds = 0
        self.forgotten_events = 0
        for workload, operation, at_us, calls, events in saved:
            seen = Seen(calls, {(What(what), name): times for what, name, times in events})
            self._kinds[workload, operation] = at_us, seen

    def __len__(self) -> int:
        return len(self._kinds)

    def learn(self, window: Mapping[Key, Seen], at_us: int, but: frozenset[str] = frozenset()) -> None:
        """Take a window as usual, apart from the workloads ``but``: those that an incident is said to come from."""
        for key in sorted(window):
            if key[0] in but:
                continue
            before = self.usual(key, at_us)
            self._kinds.pop(key, None)
            whole = window[key] if before is None else together(({key: before}, {key: window[key]}))[key]
            self._kinds[key] = at_us, self._bounded(whole)
        while len(self._kinds) > MOST_KEYS:
            del self._kinds[next(iter(self._kinds))]
            self.forgotten_kinds += 1

    def usual(self, key: Key, now_us: int) -> Seen | None:
        """What is known of a kind of call, faded to now."""
        known = self._kinds.get(key)
        if known is None:
            return None
        at_us, seen = known
        if now_us <= at_us:
            return seen
        faded = 0.5 ** ((now_us - at_us) / HALF_LIFE_US)
        return Seen(seen.calls * faded, {event: times * faded for event, times in seen.events.items()})

    def rename(self, heirs: Mapping[Event, Event]) -> None:
        """Events that turned out to be others (templates that are one). In a call both may have happened: as many are
        counted as if they never did, at most all."""
        if not heirs:
            return
        for key, (at_us, seen) in self._kinds.items():
            if seen.events.keys() & heirs.keys():
                events: dict[Event, float] = {}
                for event, times in sorted(seen.events.items()):
                    heir = heirs.get(event, event)
                    events[heir] = min(events.get(heir, 0.0) + times, seen.calls)
                self._kinds[key] = at_us, Seen(seen.calls, events)

    def _bounded(self, seen: Seen) -> Seen:
        if len(seen.events) <= MOST_EVENTS:
            return seen
        often = sorted(seen.events, key=lambda event: (-seen.events[event], event))[:MOST_EVENTS]
        self.forgotten_events += len(seen.events) - MOST_EVENTS
        return Seen(seen.calls, {event: seen.events[event] for event in often})

    def dump(self) -> list[Saved]:
        """For a checkpoint: kinds in the order in which they were learnt, so that the same are forgotten next."""
        return [
            (
                *key,
                at_us,
                seen.calls,
                [(what.value, name, times) for (what, name), times in sorted(seen.events.items())],
            )
            for key, (at_us, seen) in self._kinds.items()
        ]


def contrasts(window: Mapping[Key, Seen], habits: Habits, now_us: int) -> Contrasts:
    """Compare a window with what is usual. Kinds of calls that were hardly ever seen are not compared: that they are
    there, or that telemetry of them began, says nothing."""
    names: list[tuple[Key, Event]] = []
    numbers: list[tuple[float, float, float, float]] = []
    for key, seen in sorted(window.items()):
        usual = habits.usual(key, now_us)
        if usual is None or usual.calls < LEAST_CALLS or seen.calls <= 0.0:
            continue
        for event in sorted(seen.events.keys() | usual.events.keys()):
            names.append((key, event))
            numbers.append((seen.events.get(event, 0.0), seen.calls, usual.events.get(event, 0.0), usual.calls))
    if not names:
        return Contrasts({}, 0)
    strength = contrast(*np.array(numbers).T)
    strongest: dict[str, Contrast] = {}
    for place in np.flatnonzero(strength > 0.0).tolist():
        (workload, operation), event = names[place]
        known = strongest.get(workload)
        if known is None or strength[place] > known.strength:
            strongest[workload] = Contrast(workload, operation, event, *numbers[place], float(strength[place]))
    return Contrasts(strongest, len(names))
