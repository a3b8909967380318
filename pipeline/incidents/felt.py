"""What the members of an incident say about who suffers: kept up as they join, so that a storm costs no more than that.

Guarantee: depends on the members as they are, not on how they came to be that; an anomaly that is told anew takes the
place of what it said before.
"""

import math
from collections.abc import Iterable, Iterator

from pipeline.incidents.losses import mean_off
from pipeline.incidents.roles import ERRORS, LATENCY, TRAFFIC, Part, Roles
from pipeline.records import Anomaly, Member

#: Of signals that tell which share fails: what is promised where no policy says so, in percent.
USUAL_SLO = 99.9


class Felt:
    """``burning``: burn rates by anomaly. ``hurting``: by workload the anomalies that hurt those who call it.
    ``business`` and ``users``: anomalies of signals with that role that are worse than expected."""

    def __init__(self, roles: Roles, members: Iterable[Member]) -> None:
        self._roles = roles
        self.burning: dict[str, float] = {}
        self.hurting: dict[str, dict[str, Anomaly]] = {}
        self.business: dict[str, Anomaly] = {}
        self.users: dict[str, Anomaly] = {}
        for member in members:
            self.take(member.anomaly)

    def take(self, anomaly: Anomaly) -> None:
        """A member, or what is known of it now."""
        part = self._roles.of(anomaly.signal)
        if (burn := burn_rate(anomaly, part)) is None:
            self.burning.pop(anomaly.id, None)
        else:
            self.burning[anomaly.id] = burn
        hurts = worse(anomaly, part)
        _put(self.business, anomaly, part.business and hurts)
        _put(self.users, anomaly, part.users and hurts)
        of_workload = self.hurting.setdefault(anomaly.signal.workload, {})
        _put(of_workload, anomaly, part.golden in (LATENCY, ERRORS) and hurts)
        if not of_workload:
            del self.hurting[anomaly.signal.workload]

    def failing(self) -> Iterator[str]:
        """Workloads that fail more of what they are asked than usual."""
        for workload, found in self.hurting.items():
            if any(self._roles.of(each.signal).golden == ERRORS for each in found.values()):
                yield workload


def worse(anomaly: Anomaly, part: Part) -> bool:
    """Is it worse than expected, for who lives by it? Less is, but of what it is worse to have more of; nothing at all
    is, in any case."""
    if anomaly.silent:
        return part.golden not in (LATENCY, ERRORS)
    more = anomaly.value > anomaly.expected
    if part.golden in (LATENCY, ERRORS):
        return more
    return (part.business or part.users or part.golden == TRAFFIC) and not more and anomaly.value < anomaly.expected


def burn_rate(anomaly: Anomaly, part: Part) -> float | None:
    """How many times faster than allowed it uses up its error budget, on the average since its onset; None where it is
    not about a budget."""
    share = failing_share(anomaly, part)
    return None if share is None else share / (1.0 - slo_of(anomaly) / 100.0)


def slo_of(anomaly: Anomaly) -> float:
    """What is promised, in percent."""
    return USUAL_SLO if anomaly.slo is None else anomaly.slo


def failing_share(anomaly: Anomaly, part: Part) -> float | None:
    """Which share fails, on the average since the onset, where the signal tells that: an error share, or whatever else
    a policy gives an ``slo`` and is a share by its unit."""
    if anomaly.silent or not part.share or (part.golden != ERRORS and anomaly.slo is None):
        return None
    scale = 0.01 if anomaly.signal.unit == "%" else 1.0
    share = (anomaly.expected + mean_off(anomaly)) * scale
    return min(max(share, 0.0), 1.0) if math.isfinite(share) and anomaly.value > anomaly.expected else None


def _put(where: dict[str, Anomaly], anomaly: Anomaly, belongs: bool) -> None:
    if belongs:
        where[anomaly.id] = anomaly
    else:
        where.pop(anomaly.id, None)
