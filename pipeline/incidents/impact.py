"""Who suffers from an incident: users, at the workloads that nobody calls, and the business; and how bad that makes it.

Guarantee: depends on the incident, the calls and the roles of signals alone. ``felt`` is what signals of the incident
show; what is only likely (a workload that users reach and that depends on one that fails; a business signal of another
incident of the scope at the same time) is told apart and makes nothing more severe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.incidents.felt import Felt, failing_share, slo_of
from pipeline.incidents.losses import amount_of, lost_of, made, mean_off
from pipeline.incidents.open_incident import Open
from pipeline.incidents.roles import ERRORS, NO_ROLES, TRAFFIC, Roles
from pipeline.incidents.severity import Facts, Standing, judge
from pipeline.records import Anomaly, Impacted, Lost, Signal

USERS, BUSINESS = "users", "business"
#: Entries of an event; workloads looked at above those that fail, and calls between.
MOST_SHOWN, MOST_LOOKED, MOST_CALLS = 20, 1_000, 10


class Callers(Protocol):
    """Who calls a workload, in one scope."""

    def callers(self, scope: str, workload: str) -> Sequence[str] | None:
        """Workloads that call it, sorted; None where nothing is known of it."""
        ...


class NoCallers:
    """Nothing is known of calls."""

    def callers(self, scope: str, workload: str) -> Sequence[str] | None:
        return None


@dataclass(frozen=True, slots=True)
class Suffering:
    """What an event says: who suffers, those who feel it first, the fastest burn rate (None where none burns), and what
    signals are."""

    impacted: tuple[Impacted, ...] = ()
    burn_rate: float | None = None
    roles: Roles = NO_ROLES


NOBODY_SUFFERS = Suffering()


class Impact:
    """Of the incidents of a shard."""

    def __init__(self, roles: Roles | None = None, callers: Callers | None = None) -> None:
        self.roles: Roles = NO_ROLES if roles is None else roles
        self._callers: Callers = NoCallers() if callers is None else callers

    def weigh(self, incident: Open) -> None:
        """Bring its severity up to date."""
        if incident.worst is not None:
            incident.standing = incident.standing.worse(self._standing(incident, self._felt(incident)))

    def is_business(self, signal: Signal) -> bool:
        """Does the business live by it?"""
        return self.roles.of(signal).business

    def of(self, incident: Open, others: Iterable[Open], now_us: int, join_us: int) -> Suffering:
        """Who suffers from it, as far as is known now. ``others`` are incidents at the same time, whose business
        signals count as likely ones if they began no longer than ``join_us`` before it did."""
        felt = self._felt(incident)
        found = [*self._users(incident, felt, now_us), *self._business(felt, now_us)]
        found += self._likely_users(incident, felt)
        found += [each for other in others for each in self._likely_business(incident, other, now_us, join_us)]
        return Suffering(tuple(found[:MOST_SHOWN]), max(felt.burning.values(), default=None), self.roles)

    def _felt(self, incident: Open) -> Felt:
        if incident.felt is None:
            incident.felt = Felt(self.roles, incident.members.values())
        return incident.felt

    # -- how bad -----------------------------------------------------------------------------------------------------

    def _standing(self, incident: Open, felt: Felt) -> Standing:
        assert incident.worst is not None
        burn, burn_words = self._burn(incident, felt)
        return judge(
            Facts(
                surprise=incident.worst.surprise,
                workloads=len(incident.workloads),
                burn=burn,
                burn_words=burn_words,
                users=tuple(self._felt_by_users(incident, felt)),
                business=tuple(dict.fromkeys(each.signal.label() for each in _worst_first(felt.business.values()))),
                missing=max((_missing(each) for each in felt.business.values()), default=0.0),
            )
        )

    def _burn(self, incident: Open, felt: Felt) -> tuple[float, str]:
        if not felt.burning:
            return 0.0, ""
        burn, key = max((burn, key) for key, burn in felt.burning.items())
        anomaly = incident.members[key].anomaly
        share = failing_share(anomaly, self.roles.of(anomaly.signal)) or 0.0
        who = f"{anomaly.signal.label()} of {anomaly.signal.entity}"
        return burn, f"{who} is at {100 * share:.3g} %, {burn:.3g} times what {slo_of(anomaly):g} % leave to fail"

    # -- users -------------------------------------------------------------------------------------------------------

    def _felt_by_users(self, incident: Open, felt: Felt) -> list[str]:
        """Workloads at which users feel it, by name."""
        entries = {name for name in felt.hurting if self._callers.callers(incident.scope, name) == []}
        return sorted(entries | {each.signal.workload for each in felt.users.values()})

    def _users(self, incident: Open, felt: Felt, now_us: int) -> Iterable[Impacted]:
        told = {each.signal.workload: each for each in reversed(_worst_first(felt.users.values()))}
        for entity in self._felt_by_users(incident, felt)[:MOST_SHOWN]:
            hurting = _worst_first(felt.hurting.get(entity, {}).values())
            anomaly = told.get(entity) or hurting[0]
            lost = next((lost for each in hurting if (lost := self._failed(incident, each, now_us)) is not None), None)
            why = "what users get of it" if entity in told else "nobody else calls it, so those who do are users"
            yield Impacted(entity, anomaly.signal.label(), USERS, True, why, lost)

    def _failed(self, incident: Open, anomaly: Anomaly, now_us: int) -> Lost | None:
        """Requests that failed: counted, or a share of a load that is known."""
        part = self.roles.of(anomaly.signal)
        if part.golden != ERRORS:
            return None
        if not part.share:
            return lost_of(anomaly, now_us)
        load = self._load(incident, anomaly)
        if load is None or anomaly.excess is None:
            return None
        scale = 0.01 if anomaly.signal.unit == "%" else 1.0
        return made(anomaly, anomaly.excess * scale * load, "failed requests", now_us)

    def _load(self, incident: Open, anomaly: Anomaly) -> float | None:
        """Requests a second of what a share is of, where a member tells them."""
        signal = anomaly.signal
        for member in incident.members.values():
            other = member.anomaly.signal
            same = (other.workload, other.instance, other.attributes)
            if same != (signal.workload, signal.instance, signal.attributes) or member.anomaly.silent:
                continue
            told = amount_of(other)
            if told is not None and (self.roles.of(other).golden == TRAFFIC or other.name.endswith(".rate")):
                return member.anomaly.value / told[1]
        return None

    def _likely_users(self, incident: Open, felt: Felt) -> list[Impacted]:
        """Workloads that nobody calls, that are no members, and that depend on one that fails."""
        way: dict[str, str] = {name: name for name in sorted(felt.failing())}
        front, found = list(way), []
        for _ in range(MOST_CALLS):
            following = []
            for name in front:
                callers = self._callers.callers(incident.scope, name)
                if callers == [] and name not in incident.workloads:
                    why = f"it depends on {way[name]}, which fails, and nobody else calls it"
                    found.append(Impacted(name, "", USERS, False, why))
                for caller in callers or ():
                    if caller not in way and len(way) < MOST_LOOKED:
                        way[caller] = way[name]
                        following.append(caller)
            front = following
        return sorted(found, key=lambda each: each.entity)

    # -- business ----------------------------------------------------------------------------------------------------

    def _business(self, felt: Felt, now_us: int) -> Iterable[Impacted]:
        for each in _worst_first(felt.business.values()):
            why = "the business lives by it, and it is worse than expected"
            yield Impacted(each.signal.workload, each.signal.label(), BUSINESS, True, why, lost_of(each, now_us))

    def _likely_business(self, incident: Open, other: Open, now_us: int, join_us: int) -> Iterable[Impacted]:
        if other.id == incident.id or other.scope != incident.scope:
            return
        for each in _worst_first(self._felt(other).business.values()):
            meanwhile = each.end_us is None or each.end_us > incident.onset_us
            if meanwhile and each.onset_us >= incident.onset_us - join_us:
                why = f"worse than expected at the same time in this scope, in incident {other.id}"
                entity, label = each.signal.workload, each.signal.label()
                yield Impacted(entity, label, BUSINESS, False, why, lost_of(each, now_us))


def _missing(anomaly: Anomaly) -> float:
    """Which share of what was expected did not come."""
    if anomaly.silent:
        return 1.0
    off = mean_off(anomaly)
    return min(max(-off / anomaly.expected, 0.0), 1.0) if anomaly.expected > 0 and off == off else 0.0


def _worst_first(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    return sorted(anomalies, key=lambda each: (-each.surprise, each.signal.id, each.id))
