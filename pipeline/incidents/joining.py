"""To which open incident an anomaly belongs, by which edge, and in words why.

Edges, the strongest first: the same signal, the same workload (other signals and instances of it), workloads that call
each other over at most two calls, the same unusual message at once (``alike``), and nearness in time alone. The last
counts only where the service graph does not know both sides: two workloads that it knows and that are far apart in it
have nothing to do with each other, unless they say the same.

Near in time is what begins within ``join_us`` of the onsets of an incident. The workloads of which something goes on,
and those that they call or are called by, take in what begins up to SPREADS times as late, unless it is likely to be a
false discovery.

In a storm, with STORM incidents that an anomaly is near to in time, nearness in time is enough again: one incident more
would tell nobody anything.

Guarantee: what is found depends on the incidents and the graph alone; of two that are equally near the one with the
newest onset is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pipeline.incidents.alike import Said, Texts
from pipeline.incidents.open_incident import Open
from pipeline.records import US, Anomaly

#: Calls over which a fault is taken to spread, and how long an incident takes in what begins.
MOST_CALLS, LONGEST_US = 2, 4 * 3600 * US
#: While a member goes on, what begins in its neighbourhood may be so many times later than what is near in time.
SPREADS = 10
#: Workloads looked at around an anomaly: beyond that a hub is no reason to belong together.
MOST_AROUND = 1_000

#: So many incidents of one scope at once are a storm.
STORM = 15

SAME_SIGNAL, SAME_WORKLOAD, CALLS, TEXT, TIME = 4, 3, 2, 1, 0


class Graph(Protocol):
    """Who calls whom, in one scope."""

    def around(self, scope: str, workload: str) -> Iterable[str]:
        """Workloads that it calls or is called by, sorted; nothing where it is not known."""
        ...


class NoGraph:
    """Nothing is known of calls."""

    def around(self, scope: str, workload: str) -> Iterable[str]:
        return ()


@dataclass(frozen=True, slots=True)
class Edge:
    """By what an anomaly belongs to an incident: the stronger the better."""

    strength: int
    why: str


#: From a scope and a workload to each that is near, the shortest way.
Ways = dict[tuple[str, str], dict[str, tuple[str, ...]]]


def best(
    anomaly: Anomaly,
    incidents: Iterable[Open],
    graph: Graph,
    join_us: int,
    known: Ways | None = None,
    texts: Texts | None = None,
) -> tuple[Open | None, str]:
    """The incident that an anomaly belongs to and why; None where there is none. ``known``: ways that were found of
    the graph as it is; ``texts``: what workloads write (None: words join nothing)."""
    near = [incident for incident in incidents if _near(anomaly, incident)]
    if not near:
        return None, ""
    ways, said = _ways_of(anomaly, graph, known), None if texts is None else texts.said(anomaly)
    found = [(edge, each) for each in near if (edge := _edge(anomaly, each, ways, join_us, said)) is not None]
    near = [incident for incident in near if _apart(anomaly, incident) <= join_us]
    if not found and len(near) >= STORM:
        found = [(Edge(TIME, f"the same scope, in a storm of {len(near)} incidents"), incident) for incident in near]
    if not found:
        return None, ""
    edge, incident = max(found, key=lambda one: (one[0].strength, one[1].newest_onset_us, one[1].id))
    apart = abs(anomaly.onset_us - incident.newest_onset_us) / US
    return incident, f"{edge.why}, onset {apart:g} s from the newest member's"


def between(anomaly: Anomaly, incident: Open, graph: Graph, join_us: int, known: Ways | None = None) -> Edge | None:
    """By what it belongs to this incident, None where it does not; ``known`` as in ``best``."""
    near = _near(anomaly, incident)
    return _edge(anomaly, incident, _ways_of(anomaly, graph, known), join_us) if near else None


def _ways_of(anomaly: Anomaly, graph: Graph, known: Ways | None) -> dict[str, tuple[str, ...]]:
    asked = (anomaly.signal.scope, anomaly.signal.workload)
    known = {} if known is None else known
    if asked not in known:
        known[asked] = _ways(*asked, graph)
    return known[asked]


def _near(anomaly: Anomaly, incident: Open) -> bool:
    """Could it belong to it at all?"""
    return incident.scope == anomaly.signal.scope and anomaly.onset_us <= incident.onset_us + LONGEST_US


def _apart(anomaly: Anomaly, incident: Open) -> int:
    """How far its onset is from those of the incident, 0 between them."""
    return max(incident.onset_us - anomaly.onset_us, anomaly.onset_us - incident.newest_onset_us, 0)


def _edge(
    anomaly: Anomaly, incident: Open, ways: dict[str, tuple[str, ...]], join_us: int, said: Said | None = None
) -> Edge | None:
    signal, apart = anomaly.signal, _apart(anomaly, incident)
    soon = apart <= join_us
    later = anomaly.discovered and anomaly.onset_us > incident.newest_onset_us and apart <= SPREADS * join_us
    if not soon and not later:
        return None
    within = incident.workloads if soon else +incident.active
    if signal.id in incident.signals:
        return Edge(SAME_SIGNAL, "the same signal")
    if signal.workload in within:
        return Edge(SAME_WORKLOAD, f"the same workload {signal.workload}")
    if near := ways.keys() & within.keys():
        way = min((ways[name] for name in near), key=lambda each: (len(each), each))
        return Edge(CALLS, f"{len(way) - 1} call{'s' if len(way) > 2 else ''} away: {' – '.join(way)}")
    if soon and said is not None and (why := said.also_in(incident.said, join_us)) is not None:
        return Edge(TEXT, why)
    if not soon or (len(ways) > 1 and not incident.unknown):
        return None
    return Edge(TIME, "the same scope")


def _ways(scope: str, workload: str, graph: Graph) -> dict[str, tuple[str, ...]]:
    """The shortest way from a workload to each that is at most MOST_CALLS away; to itself the one of no call."""
    found: dict[str, tuple[str, ...]] = {workload: (workload,)}
    front = [workload]
    for _ in range(MOST_CALLS):
        following = []
        for name in front:
            for other in graph.around(scope, name):
                if other not in found and len(found) < MOST_AROUND:
                    found[other] = (*found[name], other)
                    following.append(other)
        front = following
    return found
