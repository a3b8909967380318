"""Who calls whom, as the correlate shard has heard it, for incidents to ask.

Guarantee: an answer depends on what was heard and on event time alone. An edge counts only when its first call is a
while ago, so that it does not matter which of two writers was faster to tell. Memory is bounded: beyond MOST_EDGES new
edges are not taken; what nobody called for REMEMBERED_US is forgotten.
"""

from collections.abc import Collection, Iterable

from pipeline.flow import incident_causes
from pipeline.incidents.evidence import name_of
from pipeline.records import NO_TIME, Candidate, Edge, EdgeKind, Member
from pipeline.topology.service_graph import REMEMBERED_US

MOST_EDGES = 50_000

#: Kinds of those that are called by a name of their own.
_NO_SERVICES = ("service:", "database:", "queue:")

#: Scope, client, server.
_Key = tuple[str, str, str]
#: Scope, client, server, first and last call.
Saved = tuple[str, str, str, int, int]


class Neighbours:
    """``settle_us``: event time after its first call from which on an edge counts."""

    def __init__(self, settle_us: int, saved: Iterable[Saved] = ()) -> None:
        self._settle_us = settle_us
        self._now_us = NO_TIME
        self._called: dict[_Key, tuple[int, int]] = {}
        self._around: dict[tuple[str, str], dict[str, None]] = {}
        for scope, client, server, first_us, last_us in saved:
            self._add((scope, client, server), first_us, last_us)

    def hear(self, edge: Edge) -> bool:
        """Was there room for it?"""
        key = (edge.scope, edge.client, edge.server)
        known = self._called.get(key)
        if known is None and len(self._called) >= MOST_EDGES:
            return False
        if edge.client != edge.server:
            first_us, last_us = known or (edge.first_us, edge.last_us)
            self._add(key, min(first_us, edge.first_us), max(last_us, edge.last_us))
        return True

    def at(self, now_us: int) -> None:
        """Answer as of this event time from now on."""
        self._now_us = now_us

    def around(self, scope: str, workload: str) -> Iterable[str]:
        """Workloads that it calls or is called by, sorted; nothing where it is not known."""
        others = self._around.get((scope, workload), ())
        return sorted(name for name in others if self._counts(scope, workload, name))

    def names(self, scope: str) -> dict[str, str]:
        """Workloads by the name that people give them, where that is clear; who was called by no more than a name, for
        it did not answer, is none of them, nor is a store or a queue."""
        found: dict[str, set[str]] = {}
        for known_scope, workload in self._around:
            if known_scope == scope and not workload.startswith(_NO_SERVICES):
                found.setdefault(name_of(workload), set()).add(workload)
        return {name: workloads.pop() for name, workloads in found.items() if len(workloads) == 1}

    def calls_somebody(self, scope: str, workload: str) -> bool:
        """Does it send spans of calls, and so tell of itself?"""
        return any((scope, workload, other) in self._called for other in self._around.get((scope, workload), ()))

    def callers(self, scope: str, workload: str) -> list[str] | None:
        """Workloads that call it, sorted; None where it is not known."""
        known = [name for name in self._around.get((scope, workload), ()) if self._counts(scope, workload, name)]
        return sorted(name for name in known if self._settled((scope, name, workload))) if known else None

    def of(self, scope: str, members: Collection[Member], onset_us: int) -> tuple[Candidate, ...]:
        """Where an incident with these members starts."""
        workloads = {member.anomaly.signal.workload for member in members}
        return incident_causes.candidates(members, self.among(scope, workloads), onset_us)

    def among(self, scope: str, workloads: Collection[str]) -> list[Edge]:
        """The calls between these that count now."""
        found = []
        for client in sorted(workloads):
            for server in self._around.get((scope, client), ()):
                times = self._called.get((scope, client, server))
                if server in workloads and times is not None and times[0] + self._settle_us <= self._now_us:
                    found.append(Edge(scope, client, server, EdgeKind.CALL, *times, 0))
        return found

    def forget(self, now_us: int) -> None:
        """What nobody called for too long."""
        for key in [key for key, (_, last_us) in self._called.items() if last_us + REMEMBERED_US < now_us]:
            del self._called[key]
            scope, client, server = key
            if (scope, server, client) not in self._called:
                for one, other in ((client, server), (server, client)):
                    del self._around[scope, one][other]
                    if not self._around[scope, one]:
                        del self._around[scope, one]

    def dump(self) -> list[Saved]:
        """For a checkpoint, in a fixed order."""
        return [(*key, *times) for key, times in sorted(self._called.items())]

    def __len__(self) -> int:
        return len(self._called)

    def _add(self, key: _Key, first_us: int, last_us: int) -> None:
        scope, client, server = key
        self._called[key] = (first_us, last_us)
        self._around.setdefault((scope, client), {})[server] = None
        self._around.setdefault((scope, server), {})[client] = None

    def _counts(self, scope: str, one: str, other: str) -> bool:
        return self._settled((scope, one, other)) or self._settled((scope, other, one))

    def _settled(self, key: _Key) -> bool:
        times = self._called.get(key)
        return times is not None and times[0] + self._settle_us <= self._now_us
