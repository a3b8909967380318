"""Where an incident starts, from what workloads around its members showed of late, and who calls whom.

Guarantee: depends on the members, the rows of windows up to now, and the calls that count now; the order of none of
them matters. Where no row is known the members alone are ranked. What is looked at is bounded: MOST_NEAR workloads,
those of the most unlikely members first, and of each the first MOST_WINDOWS windows of the incident.

A workload that says nothing, because it sends no telemetry or is down, is known by those that call it: what it fails
them, and what they wait for it longer than usual, is what it loses. Of requests that did not reach it only they can
tell: where they see more of them fail than it does, or wait in vain, theirs count. Every workload with a member is a
candidate, those that nothing else speaks for by their members, the last.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum, nan

from pipeline.causes import residual, together
from pipeline.causes.behaviour import Contrast, What
from pipeline.causes.evidence import duration
from pipeline.causes.placement import crowds
from pipeline.causes.saturation import Saturation
from pipeline.causes.self_time import Shift, Slowdown
from pipeline.causes.together import Beside
from pipeline.causes.vitals import Role, Sign, Vitals
from pipeline.flow import incident_causes
from pipeline.flow.incident_causes import MOST_TOLD
from pipeline.flow.neighbours import Neighbours
from pipeline.flow.recent_unusual import RecentUnusual
from pipeline.incidents.evidence import name_of
from pipeline.incidents.joining import MOST_CALLS
from pipeline.records import Anomaly, Called, Candidate, Degree, Lines, Member, Outlier, Pace, Placement, Unusual
from pipeline.signals.roles import SECONDS

MOST_NEAR, MOST_WINDOWS = 400, 30
_MOST_OF_MEMBERS = 200
#: From when on how full something is matters, and at which part of the limit it matters wholly.
_FROM, _FULL, _MOST_Z = 30.0, 80.0, 20.0

#: From a scope and the id of a log template to its text, empty where it is not known.
Texts = Callable[[str, str], str]
_Rows = Mapping[str, Sequence[Unusual]]


class LiveCauses:
    """Asks ``neighbours`` and ``recent`` as they are."""

    def __init__(self, neighbours: Neighbours, recent: RecentUnusual, texts: Texts) -> None:
        self._neighbours, self._recent, self._texts = neighbours, recent, texts

    def of(self, scope: str, members: Collection[Member], onset_us: int) -> tuple[Candidate, ...]:
        """The likeliest first, at most MOST_TOLD."""
        rows = self._rows(scope, members, onset_us)
        if not rows:
            return _with_members(self._neighbours.of(scope, members, onset_us), members)
        seen = self._seen(scope, rows)
        vitals = [_vitals(row, seen.get((name, row.end_us), ())) for name in sorted(rows) for row in rows[name]]
        speak = {each.entity for each in vitals if each.latency or each.errors or each.saturation}
        vitals = [each for each in vitals if each.entity in speak]
        others = incident_causes.vitals_of(each for each in members if each.anomaly.signal.workload not in speak)
        silent = self._silent(scope, rows, seen)
        lost = {each.entity for each in silent}
        others = [each for each in others if each.entity not in lost]
        names = {each.entity for each in (*vitals, *silent, *others)}
        edges = self._neighbours.among(scope, names)
        findings = residual.findings([*vitals, *silent, *others], edges, onset_us=onset_us)
        beside = {name: self._beside(scope, rows[name]) for name in sorted(rows)}
        for node, crowd in crowds(_placements(rows)).items():
            beside[node] = replace(beside.get(node, together.NOTHING), crowd=crowd)
            for name, part in crowd.explains.items():
                beside[name] = replace(beside[name], by_node=max(beside[name].by_node, part))
        compared = sum(max((row.lines.compared for row in own if row.lines), default=0) for own in rows.values())
        return _with_members(together.rank(findings, beside, compared), members)

    def _rows(self, scope: str, members: Collection[Member], onset_us: int) -> dict[str, list[Unusual]]:
        """Of the members' workloads, of those at most MOST_CALLS calls away, and of the nodes that instances in trouble
        run on."""
        worst: dict[str, float] = {}
        for member in members:
            workload = member.anomaly.signal.workload
            worst[workload] = max(worst.get(workload, 0.0), member.anomaly.surprise)
        front = sorted(worst, key=lambda name: (-worst[name], name))[:_MOST_OF_MEMBERS]
        near = dict.fromkeys(front)
        for _ in range(MOST_CALLS):
            following = []
            for name in front:
                for other in self._neighbours.around(scope, name):
                    if other not in near and len(near) < MOST_NEAR:
                        near[other] = None
                        following.append(other)
            front = following
        found = {name: list(self._recent.of(scope, name, onset_us, MOST_WINDOWS)) for name in near}
        placements = [row.placement for own in found.values() for row in own if row.placement]
        for node in sorted({each.node for placement in placements for each in placement.nodes}):
            found[node] = list(self._recent.of(scope, node, onset_us, MOST_WINDOWS))
        return {name: rows for name, rows in found.items() if rows}

    def _seen(self, scope: str, rows: _Rows) -> dict[tuple[str, int], list[Called]]:
        """What callers see of those that they call, by whom and window end."""
        names = self._neighbours.names(scope) if any(row.called for own in rows.values() for row in own) else {}
        seen: dict[tuple[str, int], list[Called]] = {}
        for name in sorted(rows):
            for row in rows[name]:
                for each in row.called:
                    peer = names.get(name_of(each.peer), each.peer) if each.peer.startswith("service:") else each.peer
                    seen.setdefault((peer, row.end_us), []).append(each)
        return seen

    def _silent(self, scope: str, rows: _Rows, seen: Mapping[tuple[str, int], Sequence[Called]]) -> list[Vitals]:
        """Who is called and says nothing in a window, as its callers see it."""
        said = {(name, row.end_us) for name, own in rows.items() for row in own}
        return [
            _of_callers(peer, end_us, called, tells=self._neighbours.calls_somebody(scope, peer))
            for (peer, end_us), called in sorted(seen.items())
            if (peer, end_us) not in said
        ]

    def _beside(self, scope: str, rows: Sequence[Unusual]) -> Beside:
        """What stands out most in any of the windows."""
        lines = max(
            (row.lines for row in rows if row.lines), key=lambda each: (each.strength, each.template), default=None
        )
        pace = max(
            (row.pace for row in rows if row.pace), key=lambda each: (each.strength, each.operation), default=None
        )
        full = max(
            (found for row in rows if (found := _full(row)) is not None),
            key=lambda each: (each.strength, each.signal),
            default=None,
        )
        apart = max((row.outlier for row in rows if row.outlier), key=_apart, default=None)
        workload = rows[0].workload
        return Beside(
            None if lines is None else _contrast(workload, lines),
            "" if lines is None else self._lines_words(scope, lines),
            None if pace is None else _slowdown(workload, pace),
            "" if pace is None else _pace_words(pace),
            full,
            () if apart is None else (outlier_words(apart),),
            {role: _explained(rows, role) for role in (Role.LATENCY, Role.ERRORS)},
        )

    def _lines_words(self, scope: str, lines: Lines) -> str:
        text = self._texts(scope, lines.template)
        name = f"'{text}'" if text else f"of template {lines.template}"
        share = lines.usual_happened / lines.usual_of
        usual = "none" if share == 0.0 else f"{100.0 * share:.2g} %"
        return f"log lines {name}: {lines.happened:,.0f} of {lines.of:,.0f} in a window, usually {usual} of them"


def _with_members(found: Sequence[Candidate], members: Iterable[Member]) -> tuple[Candidate, ...]:
    """The workloads of members that are not among them come last, the most unlikely first."""
    worst: dict[str, Anomaly] = {}
    for anomaly in sorted((member.anomaly for member in members), key=lambda each: (-each.surprise, each.id)):
        worst.setdefault(anomaly.signal.workload, anomaly)
    for each in found:
        worst.pop(each.entity, None)
    last = [Candidate(name, each.signal.label(), 0.0, (each.why,)) for name, each in worst.items()]
    return (*found, *last)[:MOST_TOLD]


def _placements(rows: _Rows) -> dict[str, Placement]:
    """Where the instances in trouble run: of each workload in the window in which there are most."""
    found: dict[str, Placement] = {}
    for name, own in rows.items():
        known = [row.placement for row in own if row.placement is not None]
        if known:
            found[name] = max(known, key=lambda each: each.unusual)
    return found


# -- rows to what is ranked --------------------------------------------------------------------------------------------


def _vitals(row: Unusual, seen: Sequence[Called]) -> Vitals:
    """What it says of itself; of failures the more of what it says and what its callers see."""
    signs = [_sign(each) for each in (row.latency, row.errors, row.saturation)]
    requests = nan if row.requests is None else row.requests
    if seen:
        by_callers = _of_callers(row.workload, row.end_us, seen, tells=True)
        for place, sign in enumerate((by_callers.latency, by_callers.errors)):
            known = signs[place]
            if sign is not None and (known is None or sign.excess > known.excess):
                signs[place] = sign
    return Vitals(row.workload, row.end_us, requests, *signs)


def _explained(rows: Iterable[Unusual], role: Role) -> float:
    """The part of what a workload loses that its calls lose it. Traces tell of calls later than of what they were made
    for, so that not windows are compared but the worst of each."""
    calls, own = 0.0, 0.0
    for row in rows:
        degrees = (getattr(each, role.value) for each in row.called)
        calls = max(calls, fsum(sorted(degree.excess for degree in degrees if degree is not None)))
        degree = getattr(row, role.value)
        own = max(own, 0.0 if degree is None else degree.excess)
    return calls / max(own, calls) if calls > 0.0 else 0.0


def _sign(degree: Degree | None) -> Sign | None:
    if degree is None:
        return None
    return Sign(degree.signal, degree.z, degree.excess, degree.value, degree.usual)


def _of_callers(peer: str, end_us: int, called: Iterable[Called], *, tells: bool) -> Vitals:
    """What all callers see of a workload in a window; one that ``tells`` of itself is not slow unless it says so, or
    does not answer."""
    every = sorted(called, key=lambda each: (each.requests, repr(each)))
    slow = [each.latency for each in every if each.latency is not None and not (tells and each.peer == peer)]
    failed = [each.errors for each in every if each.errors is not None]
    return Vitals(peer, end_us, sum(each.requests for each in every), _worst(slow), _worst(failed))


def _worst(degrees: Sequence[Degree]) -> Sign | None:
    if not degrees:
        return None
    worst = min(degrees, key=lambda each: (-each.z, -each.excess, each.signal))
    return Sign(worst.signal, worst.z, sum(sorted(each.excess for each in degrees)), worst.value, worst.usual)


def _contrast(workload: str, lines: Lines) -> Contrast:
    numbers = lines.happened, lines.of, lines.usual_happened, lines.usual_of
    return Contrast(workload, "", (What.TEMPLATE, lines.template), *numbers, lines.strength)


def _slowdown(workload: str, pace: Pace) -> Slowdown:
    part = (workload, "", pace.operation, "")
    return Slowdown(pace.strength, Shift(part, pace.strength, pace.times, pace.median_ms, pace.usual_ms))


def _full(row: Unusual) -> Saturation | None:
    """How full something is that has a limit."""
    degree, percent = row.saturation, row.full_percent
    if degree is None or percent is None or degree.value <= 0.0:
        return None
    near = min(max((percent - _FROM) / (_FULL - _FROM), 0.0), 1.0)
    usual = percent * degree.usual / degree.value
    return Saturation(degree.signal, percent, usual, min(max(degree.z, 0.0), _MOST_Z) * near)


# -- words -------------------------------------------------------------------------------------------------------------


def _pace_words(pace: Pace) -> str:
    what = f"{pace.operation} waits for its answer" if pace.way else f"{pace.operation} itself takes"
    return f"{what} {duration(pace.median_ms / 1e3)}, usually {duration(pace.usual_ms / 1e3)}"


def _apart(outlier: Outlier) -> tuple[float, float, str, str]:
    """How far an instance is from the others: by how many times, and by how much."""
    ratio = outlier.value / outlier.others if outlier.others > 0.0 else 0.0
    return max(ratio, 0.0), abs(outlier.value - outlier.others), outlier.signal, outlier.instance


def outlier_words(outlier: Outlier) -> str:
    """One instance against its siblings."""
    value, others = (_measured(each, outlier.unit) for each in (outlier.value, outlier.others))
    all_of, usual = outlier.siblings + 1, outlier.siblings + 1 - outlier.unusual
    rest = "the other" if outlier.siblings == 1 else "the others" if outlier.unusual == 1 else f"{usual} of the others"
    said = f"{outlier.unusual} of {all_of} instances: {outlier.instance} is at {value}, {rest} at {others}"
    return f"{said} ({outlier.signal})"


def _measured(value: float, unit: str) -> str:
    if unit in SECONDS and value > 0.0:
        return duration(value * SECONDS[unit])
    if unit == "By" and value >= 1e6:
        return f"{value / 1e6:,.4g} MB"
    return f"{value:.3g}" if unit in ("", "1") else f"{value:.3g} {unit}"
