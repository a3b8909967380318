"""What one destination is to be told next: pure, a timeline of what came, what was tried and what time it is.

Guarantee: transitions of an incident are told in the order of their revisions, each once it is acknowledged never
again. A place in a partition is passed only when all before it was told, refused for good, or is in a summary that was
acknowledged. What is held back longer than ``summary_after_seconds``, or is more than the rate allows, is told as one
summary and the newest state of each incident that goes on or that the destination takes for open.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.sinks.protocol import GOES_ON, Incident, Kept, Summary, goes_on

_MOST_TITLES = 20
#: Fewer that are late are told one by one, where none is left out.
_FEW = 5
#: Of what ended longer ago nothing need be remembered: it does not come back.
_REMEMBERED_SECONDS = 86_400.0
_FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.5, 300.0
#: A key of the state that is no incident's.
POSITION = "@position"


@dataclass(frozen=True, slots=True)
class Rules:
    """rate_per_minute and burst: messages. most_waiting: transitions held in memory; others stay on Kafka."""

    rate_per_minute: float = 60.0
    burst: int = 30
    summary_after_seconds: float = 900.0
    most_waiting: int = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transition that waits. ``at``: of its record, seconds since 1970."""

    partition: int
    offset: int
    at: float
    incident: Incident


@dataclass(slots=True)
class _Partition:
    """floor: lowest offset of a summary that is not acknowledged. told_to: below it a summary told of everything."""

    next: int
    told_to: int = 0
    floor: int | None = None
    top: int = 0
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    saved: int = -1


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell this transition; ``kept`` is what is remembered of its incident."""

    waiting: Waiting
    kept: Kept


@dataclass(frozen=True, slots=True)
class Renew:
    """Say again that these go on."""

    kept: tuple[Kept, ...]


Work = Tell | Summary | Renew
#: Partition, key (without the name of the sink) and value; None takes it away.
Saved = tuple[int, str, dict[str, Any] | None]


class Deliveries:
    """Those of one destination in one worker."""

    def __init__(self, rules: Rules, *, renew_seconds: float | None = None, seed: int = 0) -> None:
        self._rules = rules
        self._renew_seconds = renew_seconds
        self._dice = random.Random(seed)
        self._partitions: dict[int, _Partition] = {}
        self._waiting: dict[tuple[int, int], Waiting] = {}
        self._held: Counter[str] = Counter()
        self._titles: dict[str, str] = {}
        self._since = 0.0
        self._tokens, self._filled_at = float(rules.burst), 0.0
        self._failures, self._not_before = 0, 0.0
        self._renewed_at = 0.0

    # -- partitions ------------------------------------------------------------------------------------------------

    def assign(self, partition: int, state: Mapping[str, dict[str, Any]]) -> int:
        """Take a partition with what was saved of it; returns the offset to read from."""
        kept = dict(state)
        position = kept.pop(POSITION, {})
        start = int(position.get("next", 0))
        self._partitions[partition] = _Partition(start, int(position.get("told_to", 0)), kept=kept, saved=start)
        return start

    def revoke(self) -> None:
        """All partitions go."""
        self._partitions.clear()
        self._waiting.clear()
        self._forget_summary()

    def take(self, partition: int, offset: int, at: float, incident: Incident | None) -> None:
        """A record of a partition; without an incident where it is not for this destination."""
        place = self._partitions[partition]
        if offset < place.next:
            return
        place.next = offset + 1
        if incident is None or int(place.kept.get(incident["id"], {}).get("revision", 0)) >= incident["revision"]:
            return
        self._waiting[partition, offset] = Waiting(partition, offset, at, incident)

    def knows(self, partition: int, incident: str) -> bool:
        """Was the destination told of it, or will it be?"""
        kept = partition in self._partitions and incident in self._partitions[partition].kept
        return kept or any(each.incident["id"] == incident for each in self._waiting.values())

    def has(self, partition: int) -> bool:
        """Is the partition ours?"""
        return partition in self._partitions

    def reads_from(self, partition: int) -> int:
        """The offset of the next record of a partition."""
        return self._partitions[partition].next

    @property
    def room(self) -> int:
        """How many more transitions may come."""
        return max(self._rules.most_waiting - len(self._waiting), 0)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float | None:
        """When the oldest that waits was written."""
        ages = [each.at for each in self._waiting.values()]
        if self._held:
            ages.append(self._since)
        return min(ages, default=None)

    # -- what is next ----------------------------------------------------------------------------------------------

    def next(self, now: float, *, behind: bool = False) -> Work | None:
        """What to do now; ``behind``: more waits on Kafka already."""
        self._refill(now)
        if now < self._not_before:
            return None
        renewal = self._renewal(now)
        if renewal is not None:
            return renewal
        self._collapse_told()
        if self._must_summarise(now):
            self._collapse()
        if self._held:
            if behind and self.room:
                return None  # all of it belongs into the one summary
            return self._summary(now) if self._tokens >= 1 else None
        if not self._waiting or self._tokens < 1:
            return None
        waiting = self._first()
        return Tell(waiting, self._partitions[waiting.partition].kept.get(waiting.incident["id"], {}))

    def _first(self) -> Waiting:
        """The oldest of those that are first in their partition, which came in the order of their offsets."""
        firsts: dict[int, Waiting] = {}
        for each in self._waiting.values():
            firsts.setdefault(each.partition, each)
        return min(firsts.values(), key=lambda each: (each.at, each.partition))

    def _must_summarise(self, now: float) -> bool:
        fresh = [each for each in self._waiting.values() if not self._is_told_of(each)]
        late = any(now - each.at > self._rules.summary_after_seconds for each in fresh)
        if self._tokens < 1 and len(fresh) > self._rules.burst:
            return True
        changed = {each.incident["id"] for each in fresh}
        over = any(not self._matters(each) for each in _newest(fresh).values())
        return bool(self._held) or (late and (len(fresh) > _FEW or len(changed) < len(fresh) or over))

    def _is_told_of(self, waiting: Waiting) -> bool:
        return waiting.offset < self._partitions[waiting.partition].told_to

    def _matters(self, waiting: Waiting) -> bool:
        """Is its state to be told, when it is the newest of its incident?"""
        kept = self._partitions[waiting.partition].kept.get(waiting.incident["id"], {})
        return goes_on(waiting.incident) or kept.get("state") in GOES_ON

    def _collapse(self) -> None:
        """Everything that waits is counted into the summary; of each incident the newest state stays."""
        fresh = [each for each in self._waiting.values() if not self._is_told_of(each)]
        for each in fresh:
            place = self._partitions[each.partition]
            if each.offset < place.top:
                continue  # it is in the summary already
            place.floor = each.offset if place.floor is None else place.floor
            place.top = each.offset + 1
            self._since = min(self._since, each.at) if self._held else each.at
            self._held[each.incident["transition"]] += 1
            self._titles[each.incident["id"]] = f"{each.incident['title']} ({each.incident['state']})"
        self._keep_newest(self._waiting.values())

    def _collapse_told(self) -> None:
        """After a restart: what a summary told of is read again, and only its newest states are still to be told."""
        told = [each for each in self._waiting.values() if self._is_told_of(each)]
        if told:
            self._keep_newest(told)

    def _keep_newest(self, among: Collection[Waiting]) -> None:
        among = list(among)
        newest = _newest(among)
        for each in among:
            if newest[each.incident["id"]] is not each or not self._matters(each):
                self._waiting.pop((each.partition, each.offset), None)

    def _summary(self, now: float) -> Summary:
        partition, floor = min(
            (each, place.floor) for each, place in self._partitions.items() if place.floor is not None
        )
        titles = list(self._titles.values())
        shown = titles[:_MOST_TITLES]
        if more := len(titles) - len(shown):
            shown.append(f"and {more} more")
        return Summary(f"{partition}-{floor}", dict(self._held), shown, self._since, now)

    def _renewal(self, now: float) -> Renew | None:
        if self._renew_seconds is None or now - self._renewed_at < self._renew_seconds:
            return None
        kept = [kept for place in self._partitions.values() for kept in place.kept.values()]
        return Renew(tuple(each for each in kept if each.get("state") in GOES_ON)) if kept else None

    def _refill(self, now: float) -> None:
        if self._filled_at:
            gained = (now - self._filled_at) * self._rules.rate_per_minute / 60
            self._tokens = min(self._tokens + max(gained, 0.0), float(self._rules.burst))
        self._filled_at = now

    # -- what came of it -------------------------------------------------------------------------------------------

    def sent(self, work: Work) -> None:
        """A message goes out; the rate counts it whatever comes of it. Renewals are free."""
        if not isinstance(work, Renew):
            self._tokens -= 1

    def delivered(self, work: Work, kept: Kept, now: float, *, whole: bool = True) -> list[Saved]:
        """Acknowledged; ``whole``: nothing more is to be said of this transition. Returns what to save."""
        self._failures, self._not_before = 0, 0.0
        if isinstance(work, Renew):
            self._renewed_at = now
            return []
        if isinstance(work, Summary):
            return self._summarised()
        waiting, place = work.waiting, self._partitions[work.waiting.partition]
        known = dict(kept)
        if whole:
            known |= {"revision": waiting.incident["revision"], "state": waiting.incident["state"], "at": waiting.at}
            self._waiting.pop((waiting.partition, waiting.offset), None)
        elif "state" not in known and "state" in work.kept:
            known |= {name: work.kept[name] for name in ("state", "at")}
        place.kept[waiting.incident["id"]] = known
        return [(waiting.partition, waiting.incident["id"], known), *self._position(waiting.partition)]

    def passed(self, work: Tell) -> list[Saved]:
        """Refused for good: it does not wait any more."""
        self._failures, self._not_before = 0, 0.0
        self._waiting.pop((work.waiting.partition, work.waiting.offset), None)
        return self._position(work.waiting.partition)

    def drop_summary(self) -> list[Saved]:
        """The summary was refused for good: its newest states are told all the same."""
        return self._summarised()

    def failed(self, now: float, after_seconds: float | None = None) -> float:
        """Try again later; returns in how many seconds."""
        self._failures += 1
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 20), _MOST_PAUSE_SECONDS)
        pause *= self._dice.uniform(0.5, 1.0)
        if after_seconds is not None:
            pause = max(pause, after_seconds)
        self._not_before = now + pause
        return pause

    def _summarised(self) -> list[Saved]:
        saved: list[Saved] = []
        for partition, place in self._partitions.items():
            if place.floor is not None:
                place.told_to, place.floor = max(place.told_to, place.top), None
                saved += self._position(partition)
        self._forget_summary()
        return saved

    def _forget_summary(self) -> None:
        self._held.clear()
        self._titles.clear()

    def positions(self) -> list[Saved]:
        """Places that have moved since they were saved."""
        moved = [each for each, place in self._partitions.items() if self._low(each) != place.saved]
        return [saved for each in moved for saved in self._position(each)]

    def forgotten(self, now: float) -> list[Saved]:
        """Incidents that ended long ago: their keys may go."""
        gone: list[Saved] = []
        for partition, place in self._partitions.items():
            old = [
                name
                for name, kept in place.kept.items()
                if kept.get("state") not in GOES_ON and now - kept.get("at", now) > _REMEMBERED_SECONDS
            ]
            for name in old:
                del place.kept[name]
                gone.append((partition, name, None))
        return gone

    def _low(self, partition: int) -> int:
        """All below is done."""
        place = self._partitions[partition]
        lows = [offset for each, offset in self._waiting if each == partition]
        if place.floor is not None:
            lows.append(place.floor)
        return min(lows, default=place.next)

    def _position(self, partition: int) -> list[Saved]:
        place = self._partitions[partition]
        place.saved = self._low(partition)
        return [(partition, POSITION, {"next": place.saved, "told_to": place.told_to})]


def _newest(among: Collection[Waiting]) -> dict[str, Waiting]:
    """Of each incident."""
    found: dict[str, Waiting] = {}
    for each in among:
        before = found.get(each.incident["id"])
        if before is None or before.incident["revision"] < each.incident["revision"]:
            found[each.incident["id"]] = each
    return found
