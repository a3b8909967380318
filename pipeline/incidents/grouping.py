"""Anomalies of one scope to incidents, by the time of their onsets.

Guarantee: what comes out depends only on the anomalies in event-time order; timers fire at their exact event time, no
matter how far the watermark jumps. Ids are made from the first member; every member says by what it joined. An anomaly
that was filtered out as a false one, or whose owner's budget is spent, joins an incident but starts none, and that is
told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.incidents.evidence import Evidence
from pipeline.incidents.owner_budget import OwnerBudget, Saved
from pipeline.records import US, Anomaly, Happened, Incident, Member, Suppression

#: Members written out in an event; all are counted.
MEMBERS_SHOWN = 50
AFFECTED_SHOWN = 50
#: Beyond every event time.
FAR_US = 2**62


@dataclass(slots=True)
class Open:
    """An open incident: its members by anomaly id, in the order they joined."""

    id: str
    scope: str
    detected_us: int
    revision: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    onset_us: int = field(init=False)
    newest_onset_us: int = field(init=False)

    def __post_init__(self) -> None:
        onsets = [member.anomaly.onset_us for member in self.members.values()]
        self.onset_us, self.newest_onset_us = (min(onsets), max(onsets)) if onsets else (FAR_US, -FAR_US)

    def join(self, member: Member) -> None:
        """Add a member, or replace what is known of it."""
        self.members[member.anomaly.id] = member
        self.onset_us = min(self.onset_us, member.anomaly.onset_us)
        self.newest_onset_us = max(self.newest_onset_us, member.anomaly.onset_us)

    def ended_us(self) -> int | None:
        """When the last member ended (its decision), None while one goes on."""
        if any(member.anomaly.end_us is None for member in self.members.values()):
            return None
        return max(member.anomaly.step_us for member in self.members.values())


class Grouping:
    """Open incidents of a shard. ``join_us``: how far onsets may lie apart; ``resolve_us``: quiet before the end.

    ``suppressed`` are transitions of anomalies that would have started an incident and did not, in their order; whoever
    takes them clears it.
    """

    def __init__(
        self,
        join_us: int,
        resolve_us: int,
        opened: Iterable[Open] = (),
        budgets: Iterable[Saved] = (),
        evidence: Iterable[Happened] = (),
    ) -> None:
        self.evidence = Evidence(evidence)
        self.suppressed: list[Suppression] = []
        self.budgets = OwnerBudget(budgets)
        self._join_us = join_us
        self._resolve_us = resolve_us
        self.open: dict[str, Open] = {incident.id: incident for incident in opened}
        self._of: dict[str, str] = {key: incident.id for incident in self.open.values() for key in incident.members}
        self._deadline: dict[str, int] = {}
        for incident in self.open.values():
            self._set_deadline(incident)

    def next_deadline(self) -> int | None:
        """Event time of the next incident that will resolve if nothing happens."""
        return min(self._deadline.values(), default=None)

    def step(self, anomalies: Sequence[Anomaly], now_us: int) -> list[Incident]:
        """Apply the anomalies decided at ``now_us`` (sorted by signal id and revision), then the timers due.

        Those that may not start an incident just so come last, the most surprising first: they may join what the others
        started, and what an owner's budget has left goes to the worst.
        """
        before = {incident.id for incident in self.open.values()}
        touched: dict[str, None] = {}
        for anomaly in sorted(anomalies, key=_turn):
            incident = self._apply(anomaly, now_us)
            if incident is not None:
                touched[incident.id] = None
        out = []
        for key in touched:
            incident = self.open[key]
            self._set_deadline(incident)
            out.append(self._transition(incident, "updated" if key in before else "opened", now_us))
        for key in sorted(key for key, due in self._deadline.items() if due <= now_us):
            out.append(self._resolve(self.open[key], now_us))
        return out

    def _apply(self, anomaly: Anomaly, now_us: int) -> Open | None:
        known = self._of.get(anomaly.id)
        if known is not None:
            joined = self.open[known]
            joined.join(replace(joined.members[anomaly.id], anomaly=anomaly))
            return joined
        if anomaly.transition == "ended":
            return None
        incident, why = self._find(anomaly)
        if incident is None and (suppression := self._must_not_start(anomaly, now_us)) is not None:
            self.suppressed.append(suppression)
            return None
        if incident is None:
            incident, why = Open(_incident_id(anomaly), anomaly.signal.scope, now_us), "first member"
            self.open[incident.id] = incident
        incident.join(Member(anomaly, why))
        self._of[anomaly.id] = incident.id
        return incident

    def _must_not_start(self, anomaly: Anomaly, now_us: int) -> Suppression | None:
        """Why this anomaly starts no incident; None if it may. What a budget allows is spent."""
        if not anomaly.discovered:
            return Suppression(anomaly, "false_discovery", now_us)
        if anomaly.owner_budget is None:
            return None
        scope, owner = anomaly.signal.scope, anomaly.owner or ""
        if self.budgets.take(scope, owner, anomaly.owner_budget, now_us):
            return None
        return Suppression(anomaly, "owner_budget", now_us, self.budgets.used(scope, owner, now_us))

    def _find(self, anomaly: Anomaly) -> tuple[Open | None, str]:
        near = [
            incident
            for incident in self.open.values()
            if incident.scope == anomaly.signal.scope
            and incident.onset_us - self._join_us <= anomaly.onset_us <= incident.newest_onset_us + self._join_us
        ]
        if not near:
            return None, ""
        best = max(near, key=lambda incident: (incident.newest_onset_us, incident.id))
        apart = abs(anomaly.onset_us - best.newest_onset_us) / US
        return best, f"same scope, onset {apart:g} s from the newest member's"

    def _set_deadline(self, incident: Open) -> None:
        ended = incident.ended_us()
        if ended is None:
            self._deadline.pop(incident.id, None)
        else:
            self._deadline[incident.id] = ended + self._resolve_us

    def _resolve(self, incident: Open, now_us: int) -> Incident:
        del self._deadline[incident.id], self.open[incident.id]
        for key in incident.members:
            del self._of[key]
        return self._transition(incident, "resolved", now_us)

    def _transition(self, incident: Open, transition: str, now_us: int) -> Incident:
        incident.revision += 1
        members = sorted(
            incident.members.values(), key=lambda m: (-m.anomaly.surprise, m.anomaly.signal.id, m.anomaly.id)
        )
        ends = [m.anomaly.end_us for m in members if m.anomaly.end_us is not None]
        worst = members[0].anomaly
        resolved = transition == "resolved"
        workloads = {member.anomaly.signal.workload for member in members}
        found = self.evidence.near(incident.scope, workloads, incident.onset_us, now_us)
        return Incident(
            id=incident.id,
            revision=incident.revision,
            transition=transition,
            scope=incident.scope,
            severity=severity(worst.surprise),
            title=title(worst, len(members)),
            step_us=now_us,
            onset_us=incident.onset_us,
            detected_us=incident.detected_us,
            resolved_us=max(ends) if resolved else None,
            surprise=worst.surprise,
            members=tuple(members[:MEMBERS_SHOWN]),
            member_count=len(members),
            ended_count=len(ends),
            affected=tuple(sorted({m.anomaly.signal.entity for m in members})[:AFFECTED_SHOWN]),
            detector=worst.detector,
            close_reason="all members ended" if resolved else None,
            changes=found.changes,
            events=found.events,
        )


def _turn(anomaly: Anomaly) -> tuple[bool, float]:
    """Place within a step; what has none of its own stays in order."""
    limited = not anomaly.discovered or anomaly.owner_budget is not None
    return limited, -anomaly.surprise if limited else 0.0


def severity(surprise: float) -> str:
    """From the most unlikely member: a deviation with p below 10^-12 is critical, below 10^-8 an error."""
    return "critical" if surprise >= 12 else "error" if surprise >= 8 else "warning"


def title(worst: Anomaly, members: int) -> str:
    """One true sentence."""
    signal = worst.signal
    unit = "" if signal.unit in ("", "1") else f" {signal.unit}"
    more = f", and {members - 1} more signal{'s' if members > 2 else ''}" if members > 1 else ""
    return f"{signal.label()} of {signal.entity} was {worst.value:.4g}{unit}, expected {worst.expected:.4g}{unit}{more}"


def _incident_id(first: Anomaly) -> str:
    return f"inc-{first.id}"
