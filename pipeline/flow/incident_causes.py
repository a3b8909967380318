"""Where an incident starts: its members as vitals of their workloads, ranked over who calls whom.

Guarantee: the order of members and edges does not matter. A workload is a candidate by what it loses itself and not by
what those lose that it calls; one whose members say neither how long nor how often it fails comes after those that do,
the most unlikely first.
"""

from collections.abc import Iterable, Sequence
from math import nan

from pipeline.causes import residual
from pipeline.causes.vitals import Role, Sign, Vitals, z_of_surprise
from pipeline.records import Anomaly, Candidate, Edge, Kind, Member
from pipeline.signals.roles import SECONDS, SignalRole, role_of

#: Members that are looked at, the most unlikely; candidates that are told.
MOST_MEMBERS, MOST_TOLD = 200, 5


def candidates(members: Iterable[Member], edges: Iterable[Edge], onset_us: int) -> tuple[Candidate, ...]:
    """The likeliest first, at most MOST_TOLD. ``edges`` are those between the members' workloads."""
    return tuple(residual.rank(vitals_of(members), edges, onset_us=onset_us)[:MOST_TOLD])


def vitals_of(members: Iterable[Member]) -> list[Vitals]:
    """One row for each workload, from the most unlikely members."""
    worst = sorted((member.anomaly for member in members), key=lambda each: (-each.surprise, each.id))[:MOST_MEMBERS]
    by_workload: dict[str, list[Anomaly]] = {}
    for anomaly in worst:
        by_workload.setdefault(anomaly.signal.workload, []).append(anomaly)
    return [_vitals(workload, found) for workload, found in sorted(by_workload.items())]


def _vitals(workload: str, anomalies: Sequence[Anomaly]) -> Vitals:
    signs: dict[Role, list[Sign]] = {}
    for anomaly in anomalies:
        role, sign = _sign(anomaly)
        signs.setdefault(role, []).append(sign)
    latency, errors, saturation = (_worst(signs.get(role, ())) for role in Role)
    return Vitals(workload, max(anomaly.step_us for anomaly in anomalies), nan, latency, errors, saturation)


def _sign(anomaly: Anomaly) -> tuple[Role, Sign]:
    """What an anomaly says: work that was lost, or, where it is none, only how far from usual it is."""
    signal, more = anomaly.signal, anomaly.value - anomaly.expected
    role, scale = role_of(signal), SECONDS.get(signal.unit, 1.0)
    label, z = signal.label(), z_of_surprise(anomaly.surprise)
    if role is SignalRole.LATENCY and more > 0 and anomaly.expected > 0:
        return Role.LATENCY, Sign(label, z, more * scale, anomaly.value * scale, anomaly.expected * scale)
    if role is SignalRole.ERRORS and more > 0 and (signal.kind is Kind.SHARE or signal.unit != "%"):
        return Role.ERRORS, Sign(label, z, more, anomaly.value, max(anomaly.expected, 0.0))
    return Role.SATURATION, Sign(label, z, 0.0, anomaly.value, anomaly.expected)


def _worst(signs: Sequence[Sign]) -> Sign | None:
    """The one that is furthest from usual, with the work of all."""
    if not signs:
        return None
    worst = min(signs, key=lambda sign: (-sign.z, -sign.excess, sign.signal))
    return Sign(worst.signal, worst.z, sum(sorted(sign.excess for sign in signs)), worst.value, worst.usual)
