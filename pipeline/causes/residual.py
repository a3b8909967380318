"""Where trouble starts, from vitals and who calls whom: work beyond the usual that is not explained by what a workload
calls.

Guarantee: the order of rows and edges does not matter, and neither does counting requests in other units; no workload
whose vitals are out of the ordinary is left out, one that is wholly explained comes last; there are no candidates
where nobody is out of the ordinary. Calls in circles, calls to oneself, and workloads without vitals are no trouble.

Symbols: E work beyond the usual, R = max(0, E_v − Σ_c E_c⁺·E_v⁺/Σ_p E_p⁺) over what v calls (c) and all that call it
(p): what a callee lost is shared out among its callers by what they lost.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite, nan
from statistics import median

from pipeline.causes.evidence import sentences
from pipeline.causes.vitals import Role, Sign, Vitals
from pipeline.records import US, Candidate, Edge

#: A workload this many standard deviations from usual is out of the ordinary.
LEAST_Z = 3.0
#: Beyond so many, how far callers are from usual says no more about which role is in trouble.
_MOST_ENTRY_Z = 20.0
#: Calls that were first made so long before the trouble, or later, are new.
LATELY_US = 3600 * US
#: Beyond every event time.
FAR_US = 2**62
#: Roles that are work; saturation is none.
_WORK = (Role.LATENCY, Role.ERRORS)

_Calls = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a workload over the windows of an incident. ``work`` and ``left`` are E and R by role, ``worst``
    the sign with the highest z, ``requests`` of all windows (NaN = not known), ``score`` what it is ranked by,
    ``by_role`` its parts. ``new`` are workloads that it began to call about when the trouble began."""

    entity: str
    requests: float
    z: float
    work: Mapping[Role, float]
    left: Mapping[Role, float]
    worst: Mapping[Role, Sign]
    by_role: Mapping[Role, float]
    new: tuple[str, ...]

    @property
    def score(self) -> float:
        return sum(self.by_role[role] for role in _WORK)

    @property
    def role(self) -> Role | None:
        """The role that speaks most for it being the cause, else the one that is furthest from usual."""
        best = max(_WORK, key=lambda role: (self.by_role[role], role))
        if self.by_role[best] > 0.0:
            return best
        return max(self.worst, key=lambda role: (self.worst[role].z, role), default=None)


def rank(
    rows: Iterable[Vitals],
    edges: Iterable[Edge],
    *,
    entries: Collection[str] = (),
    onset_us: int | None = None,
    measured: Collection[str] | None = None,
) -> list[Candidate]:
    """Candidates for the cause, the likeliest first.

    ``rows``: vitals of workloads in the windows of the incident; a window without a row was as usual. ``entries``: the
    workloads at which people feel it (none: those with rows that nobody else with rows calls); how far they are from
    usual weighs latency against errors. ``onset_us``: calls that began an hour before then, or later, explain nothing
    away: that they are made at all is what their caller changed. ``measured``: all workloads that send vitals; calls
    through others are taken for calls to what those call (None: they all do).
    """
    found = findings(rows, edges, entries=entries, onset_us=onset_us, measured=measured)
    usual = max((finding.z for finding in found), default=0.0) < LEAST_Z
    shown = [] if usual else [each for each in found if each.score > 0.0 or each.z >= LEAST_Z]
    return [_candidate(each) for each in shown]


def findings(
    rows: Iterable[Vitals],
    edges: Iterable[Edge],
    *,
    entries: Collection[str] = (),
    onset_us: int | None = None,
    measured: Collection[str] | None = None,
) -> list[Finding]:
    """What is known of every workload with rows, the likeliest cause first; arguments as of ``rank``."""
    by_entity = _by_entity(rows)
    if not by_entity:
        return []
    known = sorted(set(edges), key=lambda edge: edge.key)
    began_us = FAR_US if onset_us is None else onset_us - LATELY_US
    new = [edge for edge in known if edge.first_us >= began_us]
    old = [edge for edge in known if edge.first_us < began_us]
    calls = _callees(old, None if measured is None else {*measured, *by_entity})
    found = _findings(by_entity, calls, new, entries)
    return sorted(found, key=lambda each: (-each.score, -each.z, each.entity))


def _by_entity(rows: Iterable[Vitals]) -> dict[str, list[Vitals]]:
    found: dict[str, dict[int, Vitals]] = {}
    for row in rows:
        found.setdefault(row.entity, {})[row.end_us] = row
    return {entity: [found[entity][end_us] for end_us in sorted(found[entity])] for entity in sorted(found)}


def _candidate(finding: Finding) -> Candidate:
    role = finding.role
    signal = finding.worst[role].signal if role is not None else ""
    return Candidate(finding.entity, signal, finding.score, sentences(finding))


# -- who calls whom ----------------------------------------------------------------------------------------------------


def _callees(edges: Iterable[Edge], measured: set[str] | None) -> dict[str, set[str]]:
    """Whom each workload calls, itself left out, straight through those that are not measured."""
    direct: defaultdict[str, set[str]] = defaultdict(set)
    for edge in edges:
        if edge.client != edge.server:
            direct[edge.client].add(edge.server)
    if measured is None:
        return dict(direct)
    return {client: _beyond(client, direct, measured) for client in list(direct) if client in measured}


def _beyond(client: str, direct: _Calls, measured: set[str]) -> set[str]:
    found, seen, front = set(), {client}, [client]
    while front:
        following = {server for name in front for server in direct.get(name, ())} - seen
        seen |= following
        found |= following & measured
        front = sorted(following - measured)
    return found


# -- work --------------------------------------------------------------------------------------------------------------


def _findings(
    by_entity: Mapping[str, Sequence[Vitals]], calls: _Calls, new: Sequence[Edge], entries: Collection[str]
) -> list[Finding]:
    callers: defaultdict[str, set[str]] = defaultdict(set)
    for client, servers in calls.items():
        for server in servers:
            callers[server].add(client)
    requests = _requests(by_entity, calls, callers)
    work = {role: _work(by_entity, role, requests) for role in _WORK}
    left = {role: _left(work[role], calls, callers) for role in _WORK}
    weight = _weights(by_entity, entries, callers)
    total = {role: fsum(left[role].values()) for role in _WORK}
    begun: defaultdict[str, set[str]] = defaultdict(set)
    for edge in new:
        begun[edge.client].add(edge.server)
    found = []
    for entity, windows in by_entity.items():
        by_role = {role: weight[role] * left[role][entity] / (total[role] or 1.0) for role in _WORK}
        found.append(
            Finding(
                entity=entity,
                requests=sum(known) if (known := [row.requests for row in windows if isfinite(row.requests)]) else nan,
                z=max(row.z for row in windows),
                work={role: work[role][entity] for role in _WORK},
                left={role: left[role][entity] for role in _WORK},
                worst=_worst(windows),
                by_role=by_role,
                new=tuple(sorted(begun.get(entity, ()))),
            )
        )
    return found


def _worst(windows: Sequence[Vitals]) -> dict[Role, Sign]:
    found = {}
    for role in Role:
        signs = [sign for row in windows if (sign := row.sign(role)) is not None]
        if signs:
            found[role] = max(signs, key=lambda sign: (sign.z, sign.excess, sign.signal))
    return found


def _requests(by_entity: Mapping[str, Sequence[Vitals]], calls: _Calls, callers: _Calls) -> dict[str, float]:
    """Requests a window. Where not known: as many as those that call it have (the median), else as those it calls,
    else as anybody, else one."""
    known = {
        entity: sum(counts) / len(counts)
        for entity, windows in by_entity.items()
        if (counts := [row.requests for row in windows if isfinite(row.requests)])
    }
    found = {}
    for entity in by_entity:
        near = [known[other] for side in (callers, calls) for other in side.get(entity, ()) if other in known]
        found[entity] = known.get(entity) or median(near or known.values() or [1.0])
    return found


def _work(by_entity: Mapping[str, Sequence[Vitals]], role: Role, requests: Mapping[str, float]) -> dict[str, float]:
    """E: work beyond the usual over all windows, by workload."""
    found = {}
    for entity, windows in by_entity.items():
        total = 0.0
        for row in windows:
            sign = row.sign(role)
            alone = role is Role.LATENCY and not isfinite(row.requests)
            total += 0.0 if sign is None else sign.excess * (requests[entity] if alone else 1.0)
        found[entity] = total
    return found


def _left(work: Mapping[str, float], calls: _Calls, callers: _Calls) -> dict[str, float]:
    """R: what of it is not explained by what the workload calls."""
    lost = {entity: max(amount, 0.0) for entity, amount in work.items()}
    found = {}
    for entity in work:
        explained = 0.0
        for callee in sorted(calls.get(entity, ())):
            total = sum(lost.get(caller, 0.0) for caller in sorted(callers[callee]))
            if total > 0.0:
                explained += lost.get(callee, 0.0) * (lost[entity] / total)
        found[entity] = max(0.0, work[entity] - explained)
    return found


def _weights(by_entity: Mapping[str, Sequence[Vitals]], entries: Collection[str], callers: _Calls) -> dict[Role, float]:
    """How much each role is in trouble: the highest z where people feel it, else (they do not) anywhere."""
    felt = [entity for entity in by_entity if entity in entries]
    if not felt:
        felt = [each for each in by_entity if not any(caller in by_entity for caller in callers.get(each, ()))]
    found = {role: _highest(by_entity, felt, role) for role in _WORK}
    if max(found.values()) < LEAST_Z:
        found = {role: _highest(by_entity, by_entity, role) for role in _WORK}
    if max(found.values()) < LEAST_Z:
        return found
    return {role: weight if weight >= LEAST_Z else 0.0 for role, weight in found.items()}


def _highest(by_entity: Mapping[str, Sequence[Vitals]], entities: Iterable[str], role: Role) -> float:
    return min(max((row.felt(role) for each in entities for row in by_entity[each]), default=0.0), _MOST_ENTRY_Z)
