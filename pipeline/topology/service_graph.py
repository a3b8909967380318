"""The live service graph: edges between workloads, with their age, that fade when nothing is called any more.

Guarantee: the order in which news of edges arrives does not matter, nor does hearing the same twice; an edge is there
until nothing was heard of it for as long as the graph is told to remember.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from pipeline.records import Edge

#: Event time without a call after which an edge is gone.
REMEMBERED_US = 24 * 3600 * 1_000_000

_Key = tuple[str, str, str, str]


class ServiceGraph:
    """Edges by (scope, client, server, kind). ``writer`` tells apart those who each know a part of the calls."""

    def __init__(self, remembered_us: int = REMEMBERED_US) -> None:
        self._remembered_us = remembered_us
        self._parts: dict[_Key, dict[str, Edge]] = {}
        self._callees: dict[tuple[str, str], set[_Key]] = {}
        self._callers: dict[tuple[str, str], set[_Key]] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def hear(self, edge: Edge, writer: str = "") -> None:
        """Take in what a writer says of an edge; what is older than what it said before only tells how old it is."""
        parts = self._parts.setdefault(edge.key, {})
        known = parts.get(writer, edge)
        newer, first_us = max(known, edge, key=_age), min(edge.first_us, known.first_us)
        parts[writer] = replace(newer, first_us=first_us)
        self._callees.setdefault((edge.scope, edge.client), set()).add(edge.key)
        self._callers.setdefault((edge.scope, edge.server), set()).add(edge.key)

    def expire(self, now_us: int) -> list[Edge]:
        """Forget edges that were not heard of for too long; which these are."""
        gone = [edge for edge in self.edges() if edge.last_us < now_us - self._remembered_us]
        for edge in gone:
            del self._parts[edge.key]
            for index, name in ((self._callees, edge.client), (self._callers, edge.server)):
                keys = index[edge.scope, name]
                keys.discard(edge.key)
                if not keys:
                    del index[edge.scope, name]
        return gone

    def edges(self) -> Iterator[Edge]:
        """Every edge once, in order of its key."""
        for key in sorted(self._parts):
            yield self._whole(key)

    def callees(self, scope: str, workload: str) -> list[Edge]:
        """Whom a workload calls."""
        return [self._whole(key) for key in sorted(self._callees.get((scope, workload), ()))]

    def callers(self, scope: str, workload: str) -> list[Edge]:
        """Who calls a workload."""
        return [self._whole(key) for key in sorted(self._callers.get((scope, workload), ()))]

    def reach(self, scope: str, workload: str, most: int = 1000) -> dict[str, int]:
        """Everything that a workload depends on: workloads by the number of calls on the shortest way, itself being 0.
        At most so many."""
        return _walk(workload, most, lambda name: (edge.server for edge in self.callees(scope, name)))

    def reached_by(self, scope: str, workload: str, most: int = 1000) -> dict[str, int]:
        """Everything that depends on a workload, as ``reach``."""
        return _walk(workload, most, lambda name: (edge.client for edge in self.callers(scope, name)))

    def _whole(self, key: _Key) -> Edge:
        first, *others = self._parts[key].values()
        for other in others:
            first = replace(
                first,
                first_us=min(first.first_us, other.first_us),
                last_us=max(first.last_us, other.last_us),
                calls=first.calls + other.calls,
            )
        return first


def _age(edge: Edge) -> tuple[int, int]:
    return edge.last_us, edge.calls


def _walk(workload: str, most: int, step: Callable[[str], Iterable[str]]) -> dict[str, int]:
    found, front = {workload: 0}, [workload]
    while front and len(found) < most:
        following = []
        for name in front:
            for other in step(name):
                if other not in found and len(found) < most:
                    found[other] = found[name] + 1
                    following.append(other)
        front = following
    return found
