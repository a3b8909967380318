"""Incidents that are over, by kind, for as long as the past may say something of a new one.

A *kind* is a scope and the place that an incident began at: a workload, which is the same over rollouts, and the name
of a signal. What begins at another signal of the same workload, at a place that a kind has had, is of that kind: which
of two signals is unlikely first is chance.

Guarantee: memory is bounded: of a kind the newest MOST_OF_KIND and the last MOST_TOLD that people were told of, of a
shard MOST_KINDS kinds and MOST_IN_ALL incidents (the kind that came least lately goes first), none for longer than
KEPT_US of event time after its end. What is answered depends on event time alone, not on when ``forget`` is called.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from pipeline.incidents.lengths import in_words
from pipeline.incidents.open_incident import Open, Place
from pipeline.records import US, Rarity, Similar

KEPT_US = 60 * 86_400 * US
MOST_KINDS, MOST_IN_ALL, MOST_OF_KIND, MOST_TOLD = 2_000, 10_000, 20, 3
#: Of an incident so many places are kept, those with the least hashes: of two such samples the share that both have
#: tells the share of all.
MOST_PLACES = 32
#: Similar incidents that are told.
MOST_SIMILAR = 3
#: The shares that PagerDuty calls rare and frequent; below ENOUGH times nothing is frequent.
RARE, FREQUENT, ENOUGH = 0.05, 0.2, 3
#: How it is told that nobody closed it, and how people close what need not be told.
ENDED = "all members ended"
DISMISSED = frozenset({"false_alarm", "expected", "new_normal"})
_REAL = frozenset({"fixed", "duplicate", "other"})


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An incident that is over. ``lasted_us``: from when it was seen first to when its end was. ``told``: people heard
    of it. ``close_reason``: the reason of whoever resolved it, empty where it was over by itself."""

    id: str
    onset_us: int
    resolved_us: int
    lasted_us: int
    severity: str
    places: tuple[int, ...]
    place_count: int
    told: bool
    acknowledged: bool = False
    close_reason: str = ""
    cause: str = ""

    @property
    def dismissed(self) -> bool:
        """Did people say that it need not be told?"""
        return self.close_reason in DISMISSED

    @property
    def acted_on(self) -> bool:
        """Did people take it for real?"""
        return not self.dismissed and (self.acknowledged or self.close_reason in _REAL)

    @property
    def sampled(self) -> bool:
        """Are there more places than are kept?"""
        return self.place_count > len(self.places)


@dataclass(slots=True)
class _Kind:
    """By onset. ``places``: all that any of them had; ``oldest_us``: when the first of them was over."""

    occurrences: list[Occurrence] = field(default_factory=list)
    places: set[int] = field(default_factory=set)
    oldest_us: int = 0

    def put(self, found: Occurrence) -> None:
        """A new one, or what became of one that came back."""
        kept = [each for each in self.occurrences if each.id != found.id]
        self.occurrences = sorted([*kept, found], key=lambda each: (each.onset_us, each.id))
        if len(self.occurrences) > MOST_OF_KIND:
            told = [each for each in self.occurrences if each.told][-MOST_TOLD:]
            self.occurrences.remove(next(each for each in self.occurrences if each not in told))
        self.places = {place for each in self.occurrences for place in each.places}
        self.oldest_us = min(each.resolved_us for each in self.occurrences)

    def since(self, since_us: int) -> list[Occurrence]:
        if self.oldest_us >= since_us:
            return self.occurrences
        return [each for each in self.occurrences if each.resolved_us >= since_us]

    def newest_us(self) -> int:
        return max((each.resolved_us for each in self.occurrences), default=0)


class History:
    """Incidents of all scopes of a shard that are over."""

    def __init__(self, dumped: Iterable[Any] = ()) -> None:
        self._scopes: dict[str, dict[Place, _Kind]] = {}
        for scope, workload, name, occurrences in dumped:
            for id_, onset, resolved, lasted, severity, places, *rest in occurrences:
                found = Occurrence(id_, onset, resolved, lasted, severity, tuple(places), *rest)
                self._kind(scope, (workload, name)).put(found)

    def kind_of(self, scope: str, began_at: Place, now_us: int) -> Place:
        """The place that names the kind of an incident which begins there."""
        kinds = self._scopes.get(scope, {})
        if began_at in kinds:
            return began_at
        place, since_us = hashed(began_at), now_us - KEPT_US
        near = [
            (kind.newest_us(), key)
            for key, kind in kinds.items()
            if key[0] == began_at[0] and any(place in each.places for each in kind.since(since_us))
        ]
        return max(near)[1] if near else began_at

    def past(self, scope: str, kind: Place, now_us: int, but: str = "") -> list[Occurrence]:
        """Those of a kind, by onset. ``but``: the incident that asks, which may have been over before."""
        found = self._scopes.get(scope, {}).get(kind)
        return [] if found is None else [each for each in found.since(now_us - KEPT_US) if each.id != but]

    def remember(self, scope: str, kind: Place, found: Occurrence) -> None:
        self._kind(scope, kind).put(found)
        while self._too_many():
            known = [
                (each.newest_us(), name, key) for name, kinds in self._scopes.items() for key, each in kinds.items()
            ]
            self._drop(*min(known)[1:])

    def withdraw(self, scope: str, id_: str) -> None:
        """It turned out not to have been one."""
        for key, kind in list(self._scopes.get(scope, {}).items()):
            rest = [each for each in kind.occurrences if each.id != id_]
            if len(rest) < len(kind.occurrences):
                self._drop(scope, key)
                for each in rest:
                    self._kind(scope, key).put(each)

    def rarity(self, scope: str, kind: Place, now_us: int, but: str = "", every_us: int | None = None) -> Rarity:
        """How usual an incident is: those of its kind, of all."""
        kinds, since_us = self._scopes.get(scope, {}), now_us - KEPT_US
        before = self.past(scope, kind, now_us, but)
        others = sum(len(each.since(since_us)) for key, each in kinds.items() if key != kind)
        of_kind, of_all = len(before), len(before) + others
        return Rarity(_word(of_kind, of_all), of_kind, of_all, every_us, _why(before, of_all, every_us))

    def similar(self, incident: Open, now_us: int) -> tuple[Similar, ...]:
        """Those that people were told of, the most similar first, of these the newest."""
        places, since_us = sample(incident.places), now_us - KEPT_US
        found = [
            Similar(
                each.id, each.onset_us, each.resolved_us, each.severity, each.close_reason or ENDED, each.cause,
                round(similarity(places, each.places), 3),
            )
            for kind in self._scopes.get(incident.scope, {}).values()
            if not kind.places.isdisjoint(places)
            for each in kind.since(since_us)
            if each.told and each.id != incident.id and not set(places).isdisjoint(each.places)
        ]  # fmt: skip
        return tuple(sorted(found, key=lambda each: (-each.similarity, -each.onset_us, each.id))[:MOST_SIMILAR])

    def forget(self, now_us: int) -> None:
        """What is too old to be asked for."""
        since_us = now_us - KEPT_US
        old = [
            (s, key, one) for s, kinds in self._scopes.items() for key, one in kinds.items() if one.oldest_us < since_us
        ]
        for scope, key, kind in old:
            self._drop(scope, key)
            for each in kind.since(since_us):
                self._kind(scope, key).put(each)

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        return [
            [
                scope,
                *key,
                [
                    [
                        each.id, each.onset_us, each.resolved_us, each.lasted_us, each.severity, each.places,
                        each.place_count, each.told, each.acknowledged, each.close_reason, each.cause,
                    ]
                    for each in kind.occurrences
                ],
            ]
            for scope, kinds in sorted(self._scopes.items())
            for key, kind in sorted(kinds.items())
        ]  # fmt: skip

    def __len__(self) -> int:
        """How many kinds are known."""
        return sum(len(kinds) for kinds in self._scopes.values())

    def _kind(self, scope: str, key: Place) -> _Kind:
        return self._scopes.setdefault(scope, {}).setdefault(key, _Kind())

    def _drop(self, scope: str, key: Place) -> None:
        del self._scopes[scope][key]
        if not self._scopes[scope]:
            del self._scopes[scope]

    def _too_many(self) -> bool:
        return len(self) > MOST_KINDS or sum(len(kind.occurrences) for kind in self._kinds()) > MOST_IN_ALL

    def _kinds(self) -> Iterator[_Kind]:
        return (kind for kinds in self._scopes.values() for kind in kinds.values())


@lru_cache(maxsize=10_000)
def hashed(place: Place) -> int:
    """The same in every process; 32 bits are enough for the few places that are compared."""
    return int.from_bytes(blake2b("\0".join(place).encode("utf-8", "replace"), digest_size=4).digest())


def sample(places: Iterable[Place]) -> tuple[int, ...]:
    """What is kept of the places of an incident."""
    return tuple(sorted({hashed(place) for place in places})[:MOST_PLACES])


def merged(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The sample of the places of both."""
    return tuple(sorted({*one} | {*other})[:MOST_PLACES])


def similarity(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Of the places of two incidents the share that both had (Jaccard's), estimated where only a sample is kept."""
    both, either = {*one} & {*other}, sorted({*one} | {*other})
    if max(len(one), len(other)) >= MOST_PLACES:
        either = either[:MOST_PLACES]
        both &= {*either}
    return len(both) / len(either) if either else 0.0


def _word(of_kind: int, of_all: int) -> str:
    if not of_kind:
        return "first"
    if of_kind <= RARE * of_all:
        return "rare"
    return "frequent" if of_kind >= max(ENOUGH, FREQUENT * of_all) else "occasional"


def _why(before: list[Occurrence], of_all: int, every_us: int | None) -> str:
    """The same for people."""
    days = KEPT_US // (86_400 * US)
    if not before:
        return f"nothing of the kind is remembered ({days} days at most)"
    held = sum(not each.told for each in before)
    words = f"the kind came {_times(len(before))} before, which is {len(before) / of_all:.0%} of what is remembered"
    words += f"; {held} of these were not told" if held else ""
    return words + (f"; it comes every {in_words(every_us)}" if every_us else "")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
