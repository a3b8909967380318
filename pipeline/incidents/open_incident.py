"""An incident that is not over: its members, what people said to it, and what was told of it last.

Guarantee: everything but the fields of the constructor is worked out from the members, so an incident that was saved
goes on as the one that was not.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from pipeline.incidents import alike
from pipeline.incidents.course import Course
from pipeline.incidents.felt import Felt
from pipeline.incidents.severity import SEVERITIES as SEVERITIES
from pipeline.incidents.severity import UNJUDGED, Standing
from pipeline.records import NO_TIME, Anomaly, Member

#: Before and beyond every event time.
FAR_US = 2**62
#: The least part by which the places that an incident has must grow to be news.
_NEWS_SHARE = 0.25

#: A workload and the name of a signal: what tells more than one more instance of the same.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What the newest transition said: how bad, and of how many places."""

    severity: str = ""
    places: int = 0


@dataclass(slots=True)
class Open:
    """Members by anomaly id, in the order they joined. ``shown``: people know of it; else it is held back.
    ``acknowledged_by`` and ``kept_open`` are what people ordered; ``came_from`` is the incident it was split from;
    ``unknown`` are workloads that the service graph did not know when they joined; ``cluster`` are the alerts that
    seldom come (``rarity``) that it is of, as long as more of them may join; ``course``: what it has been through;
    ``standing`` is the worst that it was found to be (``impact``), ``felt`` what is kept up for that once it is asked.
    """

    id: str
    scope: str
    detected_us: int
    revision: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    shown: bool = False
    acknowledged_by: str | None = None
    kept_open: bool = False
    came_from: str | None = None
    told: Told = Told()
    cluster: str | None = None
    unknown: set[str] = field(default_factory=set)
    course: Course = field(default_factory=Course)
    standing: Standing = UNJUDGED
    felt: Felt | None = field(init=False, default=None)
    onset_us: int = field(init=False, default=FAR_US)
    newest_onset_us: int = field(init=False, default=-FAR_US)
    workloads: Counter[str] = field(init=False, default_factory=Counter)
    signals: Counter[int] = field(init=False, default_factory=Counter)
    active: Counter[str] = field(init=False, default_factory=Counter)  # members that go on, by workload
    going_on: int = field(init=False, default=0)
    worst: Anomaly | None = field(init=False, default=None)
    said: alike.Sayings = field(init=False, default_factory=dict)
    _places: Counter[Place] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        if self.course.seen_us == NO_TIME:
            self.course.seen_us = self.detected_us
        members, self.members = self.members, {}
        for member in members.values():
            self.join(member)

    def join(self, member: Member) -> None:
        """Add a member, or replace what is known of it."""
        anomaly, signal = member.anomaly, member.anomaly.signal
        known = self.members.get(anomaly.id)
        self.members[anomaly.id] = member
        if self.felt is not None:
            self.felt.take(anomaly)
        change = (anomaly.end_us is None) - (known is not None and known.anomaly.end_us is None)
        self.going_on, self.active[signal.workload] = self.going_on + change, self.active[signal.workload] + change
        self.onset_us = min(self.onset_us, anomaly.onset_us)
        self.newest_onset_us = max(self.newest_onset_us, anomaly.onset_us)
        if known is None:
            self.workloads[signal.workload] += 1
            self.signals[signal.id] += 1
            self._places[place_of(anomaly)] += 1
            alike.note(self.said, anomaly)
        elif alike.text_of(known.anomaly) != alike.text_of(anomaly):
            self.said = alike.sayings(each.anomaly for each in self.members.values())
        if known is not None and self.worst is not None and self.worst.id == anomaly.id:
            self.worst = min((each.anomaly for each in self.members.values()), key=worst_first)
        elif self.worst is None or worst_first(anomaly) < worst_first(self.worst):
            self.worst = anomaly

    def leave(self, anomaly_ids: frozenset[str]) -> list[Member]:
        """Take members out; all else is worked out anew."""
        gone = [member for key, member in self.members.items() if key in anomaly_ids]
        rest = {key: member for key, member in self.members.items() if key not in anomaly_ids}
        self.onset_us, self.newest_onset_us, self.going_on, self.worst = FAR_US, -FAR_US, 0, None
        for counted in (self.workloads, self.signals, self.active, self._places):
            counted.clear()
        self.members, self.said = rest, {}
        self.felt, self.standing = None, UNJUDGED
        self.__post_init__()
        self.unknown &= self.workloads.keys()
        return gone

    def ended_us(self) -> int | None:
        """When the last member ended (its decision), None while one goes on."""
        if self.going_on or not self.members:
            return None
        return max(member.anomaly.step_us for member in self.members.values())

    @property
    def severity(self) -> str:
        return self.standing.severity

    def is_news(self) -> bool:
        """Is there more to say than was told: is it worse, or in more places by so much that it matters?"""
        return self.severity != self.told.severity or wider(len(self._places), self.told.places)

    @property
    def places(self) -> Collection[Place]:
        """Where something of it was unlikely."""
        return self._places.keys()

    def flaps(self, now_us: int) -> bool:
        """Does it come and go?"""
        ended_us = self.ended_us()
        return self.course.flapping.at(now_us if ended_us is None else ended_us)

    def tell(self) -> None:
        """It is told now, as it is."""
        self.revision += 1
        self.told = Told(self.severity, len(self._places))


def since_us(members: Iterable[Member]) -> dict[str, int]:
    """Since when each of their workloads is unusual."""
    found: dict[str, int] = {}
    for member in members:
        workload, onset_us = member.anomaly.signal.workload, member.anomaly.onset_us
        found[workload] = min(onset_us, found.get(workload, onset_us))
    return found


def place_of(anomaly: Anomaly) -> Place:
    return anomaly.signal.workload, anomaly.signal.name


def wider(places: int, before: int) -> bool:
    """Are these so many more places that it matters?"""
    return places >= before + max(1, int(_NEWS_SHARE * before))


def worst_first(anomaly: Anomaly) -> tuple[float, int, str]:
    return -anomaly.surprise, anomaly.signal.id, anomaly.id
