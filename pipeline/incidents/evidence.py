"""What happened in a scope of late: changes and events, as evidence for incidents.

Guarantee: what is found depends on what was added alone, not on the order; adding the same twice changes nothing.
Memory is bounded by scope: the oldest goes first.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.records import US, Change, Event, Happened

#: How long before an incident's first onset a change, or an event, may have been to be evidence.
CHANGES_US, EVENTS_US = 3600 * US, 300 * US
#: Held at most for a scope, shown at most for an incident.
MOST_HELD, MOST_SHOWN = 2_000, 20


@dataclass(frozen=True, slots=True)
class Found:
    """Changes and events that may have to do with an incident, the most likely first."""

    changes: tuple[Happened, ...] = ()
    events: tuple[Happened, ...] = ()


class Evidence:
    """By scope, what happened."""

    def __init__(self, held: Iterable[Happened] = ()) -> None:
        self._scopes: dict[str, dict[tuple[str, ...], Happened]] = {}
        for happened in held:
            self.add(happened)

    def add(self, happened: Happened) -> None:
        """Remember something; of two with one id (and phase) the earlier time stays."""
        known = self._scopes.setdefault(happened.scope, {})
        key = _key(happened)
        if key not in known or happened.time_us < known[key].time_us:
            known[key] = happened
        if len(known) > MOST_HELD:
            del known[min(known, key=lambda each: (known[each].time_us, each))]

    def forget(self, before_us: int) -> None:
        """Nothing that happened before then will be asked for."""
        for scope, known in list(self._scopes.items()):
            kept = {key: each for key, each in known.items() if each.time_us >= before_us}
            if kept:
                self._scopes[scope] = kept
            else:
                del self._scopes[scope]

    def near(
        self, scope: str, workloads: Collection[str], onset_us: int, now_us: int, likely: Sequence[str] = ()
    ) -> Found:
        """What happened to these workloads, or anywhere in the scope if it is a change, shortly before ``onset_us`` and
        until ``now_us``. First what happened to those where it is ``likely`` to start, in their order, then to the
        other workloads themselves, then the latest before the onset."""
        names = {name_of(workload) for workload in workloads}
        places = {name_of(workload): -place for place, workload in enumerate(reversed(likely), 1)}
        known = [each for each in self._scopes.get(scope, {}).values() if each.time_us <= now_us]

        def rank(each: Happened) -> tuple[int, bool, bool, int, tuple[str, ...]]:
            return (
                places.get(name_of(each.workload), 0),
                name_of(each.workload) not in names,
                each.time_us > onset_us,
                abs(each.time_us - onset_us),
                _key(each),
            )

        changes = [each for each in known if isinstance(each.what, Change) and each.time_us >= onset_us - CHANGES_US]
        events = [
            each
            for each in known
            if isinstance(each.what, Event) and each.time_us >= onset_us - EVENTS_US and name_of(each.workload) in names
        ]
        return Found(tuple(sorted(changes, key=rank)[:MOST_SHOWN]), tuple(sorted(events, key=rank)[:MOST_SHOWN]))

    def __iter__(self) -> Iterator[Happened]:
        """Everything, in a fixed order."""
        for _, known in sorted(self._scopes.items()):
            yield from (each for _, each in sorted(known.items()))


def name_of(workload: str) -> str:
    """The name that people give a workload, without its kind and namespace: who announces a change knows no more."""
    return workload.partition(":")[2].rpartition("/")[2] or workload


def _key(happened: Happened) -> tuple[str, ...]:
    what = happened.what
    return ("change", what.id, what.phase) if isinstance(what, Change) else ("event", what.id)
