"""Alerts that seldom come, put together by time; an incident only when they weigh enough, and background else.

Guarantee: what comes out depends on the anomalies of each step and on event time alone, not on their order within a
step nor on how steps without any are cut; the end of a cluster comes at its exact event time where ``next_deadline`` is
asked for. Nothing is lost in silence: a cluster ends as background with all its anomalies, or with how many more there
were than are kept.

A *cluster* is what one scope's surprising alerts are while there is never more than GAP_US between them, for MOST_US at
most. It is shown once its types weigh enough together (``weight``). What is not surprising belongs to it where its type
and its workload are known in it (``place``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.incidents.weight import BAR, Company, Saved, type_of
from pipeline.records import US, Anomaly

GAP_US, MOST_US = 900 * US, 4 * 3600 * US
#: Anomalies and types that a cluster keeps; more are counted, and change nothing any more.
MOST_ANOMALIES, MOST_TYPES = 2_000, 500

#: ``opened``: the cluster weighs enough, an incident of all its anomalies is to be opened. ``joined``: anomalies of a
#: cluster that is shown, new or with another transition. ``ended``: nothing joins it any more, and all have ended.
#: ``background``: the same of one that was never shown; its anomalies were held back for good.
What = Literal["opened", "joined", "ended", "background"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a cluster in a step, with the anomalies that this is about, each with why it is in it."""

    cluster: str
    scope: str
    what: What
    weight: float
    anomalies: tuple[tuple[Anomaly, str], ...] = ()
    more: int = 0  # anomalies that are not kept


@dataclass(slots=True)
class Cluster:
    """``since_us`` is its first onset, ``last_us`` when something surprising was last in it; ``going`` are the ids of
    the anomalies that go on."""

    id: str
    scope: str
    since_us: int
    last_us: int
    shown: bool = False
    full: bool = False  # too old for more to join
    more: int = 0
    surprises: dict[str, float] = field(default_factory=dict)
    workloads: set[str] = field(default_factory=set)
    going: set[str] = field(default_factory=set)
    anomalies: dict[str, tuple[Anomaly, str]] = field(default_factory=dict)

    def take(self, anomaly: Anomaly, why: str) -> None:
        """A new anomaly, or another transition of one that is known."""
        if anomaly.id in self.anomalies or len(self.anomalies) < MOST_ANOMALIES:
            self.anomalies[anomaly.id] = (anomaly, why)
        else:
            self.more += anomaly.transition == "opened"
        if anomaly.transition == "ended":
            self.going.discard(anomaly.id)
        elif anomaly.id in self.anomalies:
            self.going.add(anomaly.id)
        type_ = type_of(anomaly.signal)
        if type_ in self.surprises or len(self.surprises) < MOST_TYPES:
            self.surprises[type_] = max(self.surprises.get(type_, 0.0), anomaly.surprise)
            self.workloads.add(anomaly.signal.workload)
        self.last_us = max(self.last_us, anomaly.last_seen_us)

    def until_us(self) -> int | None:
        """When it ends if nothing more comes; None while an anomaly goes on."""
        if self.going:
            return None
        return self.last_us if self.full else self.last_us + GAP_US


class RareAlerts:
    """Clusters of all scopes of a shard; ``bar`` is what types must weigh together."""

    def __init__(
        self,
        clusters: Iterable[tuple[Sequence[Any], Sequence[tuple[Anomaly, str]]]] = (),
        company: Iterable[Saved] = (),
        bar: float = BAR,
    ) -> None:
        self.company = Company(company)
        self._bar = bar
        self._clusters: dict[str, Cluster] = {}
        self._current: dict[str, str] = {}  # scope → the cluster that may be joined
        self._of: dict[str, str] = {}  # id of an anomaly → its cluster
        for numbers, anomalies in clusters:
            self._restore(numbers, anomalies)

    def next_deadline(self) -> int | None:
        """Event time at which the next cluster ends if nothing happens."""
        return min((at for each in self._clusters.values() if (at := each.until_us()) is not None), default=None)

    def step(self, anomalies: Sequence[Anomaly], now_us: int) -> list[Verdict]:
        """Apply anomalies of alerts that were decided at ``now_us``, all of them at once; then what is due.

        A cluster that ended before (its deadline was not asked for) is over before these are looked at."""
        said = self._end(now_us - 1)
        touched: dict[str, list[tuple[Anomaly, str]]] = {}
        for anomaly in sorted(anomalies, key=lambda a: (a.onset_us, a.signal.id, a.revision)):
            found = self._apply(anomaly)
            if found is not None:
                why = self._clusters[found].anomalies.get(anomaly.id, (anomaly, ""))[1]
                touched.setdefault(found, []).append((anomaly, why))
        said += [each for key in sorted(touched) if (each := self._judge(key, touched[key], now_us)) is not None]
        return said + self._end(now_us)

    def weight(self, cluster: str, now_us: int) -> float:
        """What a cluster weighs now."""
        known = self._clusters[cluster]
        return self.company.weight(known.scope, known.surprises, now_us)

    def place(self, scope: str, type_: str, workload: str, at_us: int) -> str | None:
        """The cluster that an alert of this type and workload belongs to at that time, surprising or not."""
        cluster = self._joinable(scope, at_us)
        if cluster is None or type_ not in cluster.surprises or workload not in cluster.workloads:
            return None
        return cluster.id

    def knows(self, anomaly_id: str) -> bool:
        """Is the anomaly in a cluster that goes on?"""
        return anomaly_id in self._of

    def shown(self, cluster: str) -> bool:
        """Is this one of a cluster that goes on and is shown?"""
        return cluster in self._clusters and self._clusters[cluster].shown

    def _apply(self, anomaly: Anomaly) -> str | None:
        known = self._of.get(anomaly.id)
        if known is not None:
            self._clusters[known].take(anomaly, self._clusters[known].anomalies[anomaly.id][1])
            return known
        if anomaly.transition == "ended":
            return None
        scope = anomaly.signal.scope
        cluster, why = self._joinable(scope, anomaly.onset_us), ""
        if cluster is None:
            cluster = Cluster(f"rare-{anomaly.id}", scope, anomaly.onset_us, anomaly.last_seen_us)
            if (before := self._current.get(scope)) is not None:
                self._clusters[before].full = True
            self._clusters[cluster.id], self._current[scope] = cluster, cluster.id
            why = "first of alerts that seldom come"
        else:
            apart = max(anomaly.onset_us - cluster.last_us, 0) / US
            why = f"an alert that seldom comes, {apart:g} s after others that seldom come in this scope"
        cluster.take(anomaly, why)
        if anomaly.id in cluster.anomalies:
            self._of[anomaly.id] = cluster.id
        return cluster.id

    def _joinable(self, scope: str, at_us: int) -> Cluster | None:
        cluster = self._clusters.get(self._current.get(scope, ""))
        if cluster is None or cluster.full or at_us - cluster.since_us > MOST_US:
            return None
        return cluster if cluster.going or at_us <= cluster.last_us + GAP_US else None

    def _judge(self, key: str, news: list[tuple[Anomaly, str]], now_us: int) -> Verdict | None:
        cluster, weight = self._clusters[key], self.weight(key, now_us)
        if cluster.shown:
            return Verdict(key, cluster.scope, "joined", weight, tuple(news), cluster.more)
        if weight < self._bar:
            return None
        cluster.shown = True
        return Verdict(key, cluster.scope, "opened", weight, tuple(cluster.anomalies.values()), cluster.more)

    def _end(self, now_us: int) -> list[Verdict]:
        due = [
            (at, key) for key, each in self._clusters.items() if (at := each.until_us()) is not None and at <= now_us
        ]
        return [self._over(key, at) for at, key in sorted(due)]

    def _over(self, key: str, at_us: int) -> Verdict:
        weight, cluster = self.weight(key, at_us), self._clusters.pop(key)
        if self._current.get(cluster.scope) == key:
            del self._current[cluster.scope]
        for anomaly in cluster.anomalies:
            self._of.pop(anomaly, None)
        self.company.note(cluster.scope, cluster.surprises, at_us)
        self.company.forget(at_us)
        if cluster.shown:
            return Verdict(key, cluster.scope, "ended", weight, (), cluster.more)
        return Verdict(key, cluster.scope, "background", weight, tuple(cluster.anomalies.values()), cluster.more)

    def dump(self) -> list[tuple[list[Any], list[tuple[Anomaly, str]]]]:
        """Clusters for a checkpoint: plain values, and the anomalies with why they are in; ``company`` is saved
        apart."""
        return [
            (
                [
                    each.id,
                    each.scope,
                    each.since_us,
                    each.last_us,
                    each.shown,
                    each.full,
                    each.more,
                    sorted(each.surprises.items()),
                    sorted(each.workloads),
                    sorted(each.going),
                    self._current.get(each.scope) == each.id,
                ],
                list(each.anomalies.values()),
            )
            for _, each in sorted(self._clusters.items())
        ]

    def _restore(self, numbers: Sequence[Any], anomalies: Sequence[tuple[Anomaly, str]]) -> None:
        id_, scope, since_us, last_us, shown, full, more, surprises, workloads, going, current = numbers
        kept = {anomaly.id: (anomaly, why) for anomaly, why in anomalies}
        self._clusters[id_] = Cluster(
            id_, scope, since_us, last_us, shown, full, more, dict(surprises), set(workloads), set(going), kept
        )
        if current:
            self._current[scope] = id_
        self._of |= dict.fromkeys(kept, id_)
