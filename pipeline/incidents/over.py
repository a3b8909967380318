"""Incidents that are over and may come back, and anomalies that go on though somebody has closed their incident.

Guarantee: memory is bounded: of each at most so many are kept, and none longer than it is asked for; the oldest goes
first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.incidents.open_incident import Open
from pipeline.records import US, Anomaly

#: Kept at once for a shard, how long people may reopen one, and members that each is kept with.
MOST_OVER, REMEMBERED_US, MOST_MEMBERS = 1_000, 24 * 3600 * US, 50
#: Anomalies that are passed over at once.
MOST_SETTLED = 10_000


@dataclass(slots=True)
class Over:
    """An incident that was told to be resolved at ``at_us``; ``may_return``: by itself, when a signal of it is
    unlikely again."""

    incident: Open
    at_us: int
    may_return: bool


class Past:
    """What is over. ``reopen_us``: how long after its end an incident comes back by itself."""

    def __init__(self, reopen_us: int, over: Iterable[Over] = (), settled: Iterable[str] = ()) -> None:
        self._reopen_us = reopen_us
        self._over: dict[str, Over] = {each.incident.id: each for each in over}
        self._settled: dict[str, None] = dict.fromkeys(settled)

    def add(self, incident: Open, at_us: int, *, may_return: bool) -> None:
        """It is over now."""
        worst = sorted(incident.members.values(), key=lambda m: (-m.anomaly.surprise, m.anomaly.id))[:MOST_MEMBERS]
        incident.leave(frozenset(incident.members) - {member.anomaly.id for member in worst})
        self._over[incident.id] = Over(incident, at_us, may_return)
        while len(self._over) > MOST_OVER:
            del self._over[min(self._over, key=lambda key: (self._over[key].at_us, key))]

    def take(self, key: str) -> Open | None:
        """Somebody opens it again."""
        over = self._over.pop(key, None)
        return None if over is None else over.incident

    def of_signal(self, anomaly: Anomaly, now_us: int) -> Open | None:
        """The newest that comes back with this anomaly; it is taken."""
        signal = anomaly.signal
        found = [
            each
            for each in self._over.values()
            if each.may_return
            and each.incident.scope == signal.scope
            and signal.id in each.incident.signals
            and now_us <= each.at_us + self._reopen_us
        ]
        if not found:
            return None
        return self.take(max(found, key=lambda each: (each.at_us, each.incident.id)).incident.id)

    def having(self, anomaly_id: str, now_us: int) -> Open | None:
        """What may still come back and has this member; None as well where not all members are known."""
        for each in self:
            if anomaly_id in each.incident.members and now_us <= each.at_us + self._reopen_us:
                return each.incident if len(each.incident.members) < MOST_MEMBERS else None
        return None

    def settle(self, anomaly_ids: Iterable[str]) -> None:
        """These go on, and are nothing to tell any more."""
        self._settled |= dict.fromkeys(anomaly_ids)
        while len(self._settled) > MOST_SETTLED:
            del self._settled[next(iter(self._settled))]

    def is_settled(self, anomaly: Anomaly) -> bool:
        """Is it one of those? With its end it is none any more."""
        if anomaly.id not in self._settled:
            return False
        if anomaly.end_us is not None:
            del self._settled[anomaly.id]
        return True

    def forget(self, now_us: int) -> None:
        """What nobody can ask for any more."""
        for key in [key for key, each in self._over.items() if each.at_us + REMEMBERED_US < now_us]:
            del self._over[key]

    def settled(self) -> list[str]:
        return list(self._settled)

    def __iter__(self) -> Iterator[Over]:
        """In a fixed order."""
        yield from (self._over[key] for key in sorted(self._over))

    def __len__(self) -> int:
        return len(self._over)
