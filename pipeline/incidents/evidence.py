"""What happened in a scope of late: changes and events, as evidence for incidents.

Guarantee: what is found depends on what was added alone, not on the order; adding the same twice changes nothing.
Memory is bounded by scope: the oldest goes first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Protocol

from pipeline.incidents.suspicion import Scene, suspicion
from pipeline.records import US, Change, Event, Happened

#: How long before an incident's first onset a change, or an event, may have been to be evidence.
CHANGES_US, EVENTS_US = 3600 * US, 300 * US
#: Held at most for a scope, shown at most for an incident.
MOST_HELD, MOST_SHOWN = 2_000, 20


_Key = tuple[str, ...]


class Graph(Protocol):
    """Who calls whom, in one scope."""

    def around(self, scope: str, workload: str) -> Iterable[str]: ...


class _Unknown:
    """Nothing is known of calls."""

    def around(self, scope: str, workload: str) -> Iterable[str]:
        return ()


@dataclass(frozen=True, slots=True)
class Found:
    """Changes and events that may have to do with an incident, the most likely first."""

    changes: tuple[Happened, ...] = ()
    events: tuple[Happened, ...] = ()


class Evidence:
    """By scope, what happened; ``graph`` knows who calls whom."""

    def __init__(self, held: Iterable[Happened] = ()) -> None:
        self.graph: Graph = _Unknown()
        self._scopes: dict[str, dict[_Key, Happened]] = {}
        #: By scope times and keys, the oldest first; what is not so any more is passed over.
        self._oldest: dict[str, list[tuple[int, _Key]]] = {}
        for happened in held:
            self.add(happened)

    def add(self, happened: Happened) -> None:
        """Remember something; of two with one id (and phase) the earlier time stays."""
        known = self._scopes.setdefault(happened.scope, {})
        key = _key(happened)
        if key not in known or happened.time_us < known[key].time_us:
            known[key] = happened
            heappush(self._oldest.setdefault(happened.scope, []), (happened.time_us, key))
        if len(known) > MOST_HELD:
            self._forget_oldest(happened.scope)

    def forget(self, before_us: int) -> None:
        """Nothing that happened before then will be asked for."""
        for scope, known in list(self._scopes.items()):
            kept = {key: each for key, each in known.items() if each.time_us >= before_us}
            if kept:
                self._scopes[scope] = kept
                self._order(scope)
            else:
                del self._scopes[scope], self._oldest[scope]

    def near(
        self, scope: str, since_us: Mapping[str, int], onset_us: int, now_us: int, likely: Sequence[str] = ()
    ) -> Found:
        """What happened to these workloads (with since when they are unusual), or anywhere in the scope if it is a
        change, shortly before ``onset_us`` and until ``now_us``. Changes come by how much they are suspected; events
        first of those where it is ``likely`` to start, in their order, then the latest before the onset."""
        scene = self._scene(scope, since_us, onset_us, likely)
        places = {name: -place for place, name in enumerate(reversed(scene.likely), 1)}
        known = [each for each in self._scopes.get(scope, {}).values() if each.time_us <= now_us]

        def rank(each: Happened) -> tuple[float, int, bool, int, _Key]:
            place = places.get(name_of(each.workload), 0)
            return -each.score, place, each.time_us > onset_us, abs(each.time_us - onset_us), _key(each)

        changes = [
            _judged(each, each.what, scene)
            for each in known
            if isinstance(each.what, Change) and each.time_us >= onset_us - CHANGES_US
        ]
        events = [
            each
            for each in known
            if isinstance(each.what, Event)
            and each.time_us >= onset_us - EVENTS_US
            and name_of(each.workload) in scene.since_us
        ]
        return Found(tuple(sorted(changes, key=rank)[:MOST_SHOWN]), tuple(sorted(events, key=rank)[:MOST_SHOWN]))

    def _forget_oldest(self, scope: str) -> None:
        known, oldest = self._scopes[scope], self._oldest[scope]
        if len(oldest) > 2 * MOST_HELD:
            oldest = self._order(scope)
        while True:
            time_us, key = heappop(oldest)
            if key in known and known[key].time_us == time_us:
                del known[key]
                return

    def _order(self, scope: str) -> list[tuple[int, _Key]]:
        found = self._oldest[scope] = [(each.time_us, key) for key, each in self._scopes[scope].items()]
        heapify(found)
        return found

    def _scene(self, scope: str, since_us: Mapping[str, int], onset_us: int, likely: Sequence[str]) -> Scene:
        names: dict[str, int] = {}
        for workload, at_us in since_us.items():
            names[name_of(workload)] = min(at_us, names.get(name_of(workload), at_us))
        around: dict[str, set[str]] = {}
        for workload in {*since_us, *likely}:
            for other in self.graph.around(scope, workload):
                around.setdefault(name_of(workload), set()).add(name_of(other))
                around.setdefault(name_of(other), set()).add(name_of(workload))
        known = {name: frozenset(others - {name}) for name, others in around.items()}
        return Scene(onset_us, names, tuple(dict.fromkeys(map(name_of, likely))), known)

    def text_of(self, scope: str, attribute: str, value: str) -> str:
        """The text of the newest event there with this value of an attribute, empty where there is none."""
        found = [
            (each.time_us, each.what.text)
            for each in self._scopes.get(scope, {}).values()
            if isinstance(each.what, Event) and (attribute, value) in each.what.attributes
        ]
        return max(found, default=(0, ""))[1]

    def __iter__(self) -> Iterator[Happened]:
        """Everything, in a fixed order."""
        for _, known in sorted(self._scopes.items()):
            yield from (each for _, each in sorted(known.items()))


def name_of(workload: str) -> str:
    """The name that people give a workload, without its kind and namespace: who announces a change knows no more."""
    return workload.partition(":")[2].rpartition("/")[2] or workload


def _judged(happened: Happened, change: Change, scene: Scene) -> Happened:
    score, why = suspicion(change, name_of(happened.workload), scene)
    return replace(happened, score=score, why=why)


def _key(happened: Happened) -> _Key:
    what = happened.what
    return ("change", what.id, what.phase) if isinstance(what, Change) else ("event", what.id)
