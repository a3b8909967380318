"""Trouble that is usual and passes: whether the past of an incident's kind says that nobody need be told of it now.

Three habits: *transient*, it went by itself within a few minutes each time (PagerDuty's auto-pause); *frequent*, it
comes often and nobody does anything about it (Dynatrace tells such a one only when it gets worse); *periodic*, it comes
at regular times, as jobs do.

Only incidents of its kind that it does not go beyond count: it has as good as all its places in common with each.

Guarantee: what is held back is told as soon as it is worse than those of them that people were told of: more severe, at
a place that none of those had, in more places by as much as is news, or once it lasted longer than its pause, which is
known from the start, is never prolonged, and is at most LONGEST_US. What people took for real the last time that they
said anything about its kind is never held back, nor what holds alerts of others, nor what people know of already. It
depends on the incident and its past alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.incidents.course import Pause
from pipeline.incidents.history import Occurrence, hashed
from pipeline.incidents.lengths import in_words
from pipeline.incidents.open_incident import SEVERITIES, Open, wider
from pipeline.records import US

_MINUTE_US, _DAY_US = 60 * US, 86_400 * US
#: A pause is at least as long as PagerDuty's shortest, one of a transient at most as long as its longest.
SHORTEST_US, LONGEST_TRANSIENT_US, LONGEST_US = 2 * _MINUTE_US, 15 * _MINUTE_US, 12 * 3600 * US
#: Transient: so many, none longer than this. The next of n that are alike is the longest with probability 1/(n + 1), so
#: half as long again is waited for.
TRANSIENTS, TRANSIENT_US, _TRANSIENT_TIMES = 3, 5 * _MINUTE_US, 1.5
#: Frequent: so many within a day, or on so many of the last seven days, or so many that people called expected.
IN_A_DAY, ON_DAYS, EXPECTED = 5, 4, 2
#: What is frequent or periodic is told when it lasts so many times as long as the longest.
_TIMES = 2
#: Periodic: of so many at least, looked at so many, no more often than this.
REGULAR, _LOOKED_AT, SHORTEST_PERIOD_US = 4, 8, 10 * _MINUTE_US
#: How far a gap may be off: a share of the period, and windows. One time in between may be left out.
_OFF, _OFF_WINDOWS, _MOST_LEFT_OUT = 0.1, 2, 1


@dataclass(frozen=True, slots=True)
class Habits:
    """``on``: is anything held back at all? ``window_us``: the length of a window; ``soon_us``: what comes again within
    that did not go by itself."""

    on: bool = True
    window_us: int = 10 * US
    soon_us: int = 900 * US

    def pause(self, incident: Open, past: Sequence[Occurrence], now_us: int) -> Pause | None:
        """Until when it is held back and why; None where it is to be told now. ``past``: of its kind, by onset."""
        if not self.on or not past or _is_real(past):
            return None
        alike = _alike(incident, past)
        if is_worse(incident, alike):
            return None
        found = self._periodic(incident, alike) or _frequent(incident, alike) or self._transient(incident, alike, past)
        if found is None:
            return None
        found = min(found, incident.course.pause or found, key=lambda each: each.until_us)
        return found if now_us < found.until_us else None

    def every_us(self, onsets: Sequence[int]) -> int | None:
        """The period of what begins at these times, where they are regular."""
        newest = sorted(onsets)[-_LOOKED_AT:]
        if len(newest) < REGULAR:
            return None
        gaps = [later - earlier for earlier, later in pairwise(newest)]
        period_us = round(median(gaps))
        fits = period_us >= SHORTEST_PERIOD_US and all(self._fits(gap, period_us) for gap in gaps)
        return period_us if fits else None

    def _fits(self, gap_us: int, period_us: int) -> bool:
        off_us = max(_OFF * period_us, _OFF_WINDOWS * self.window_us)
        return any(abs(gap_us - times * period_us) <= off_us for times in range(1, _MOST_LEFT_OUT + 2))

    def _periodic(self, incident: Open, alike: Sequence[Occurrence]) -> Pause | None:
        period_us = self.every_us([each.onset_us for each in alike])
        if period_us is None or not self._fits(incident.onset_us - alike[-1].onset_us, period_us):
            return None
        why = f"it comes every {in_words(period_us)}, {len(alike)} times so far, and came when it was expected"
        return _until_worse(incident, alike, "periodic", why)

    def _transient(self, incident: Open, alike: Sequence[Occurrence], past: Sequence[Occurrence]) -> Pause | None:
        """Its kind was over by itself soon, but not just now: else it comes and goes."""
        by_itself = [each for each in past if not each.close_reason]
        number = sum(not each.close_reason for each in alike)
        if number < TRANSIENTS or any(each.acknowledged for each in past) or incident.severity == SEVERITIES[-1]:
            return None
        longest_us = max(each.lasted_us for each in by_itself)
        if longest_us > TRANSIENT_US or incident.course.seen_us <= past[-1].resolved_us + self.soon_us:
            return None
        length_us = min(max(round(_TRANSIENT_TIMES * longest_us), SHORTEST_US), LONGEST_TRANSIENT_US)
        why = f"it came {number} times before and was over by itself within {in_words(longest_us)} each time"
        return Pause("transient", incident.course.seen_us + length_us, why)


def is_worse(incident: Open, alike: Sequence[Occurrence]) -> bool:
    """Is there more to it than there was to what people were told of?"""
    told = [each for each in alike if each.told]
    if not told or any(member.anomaly.signal.alert_type for member in incident.members.values()):
        return True
    if _rank(incident.severity) > max(_rank(each.severity) for each in told):
        return True
    if wider(len(incident.places), max(each.place_count for each in told)):
        return True
    return any(not any(_has(each, hashed(place)) for each in told) for place in incident.places)


def _has(each: Occurrence, place: int) -> bool:
    """Had it this place? Of those of which only a sample is kept what cannot be told counts as had."""
    return place in each.places or (each.sampled and place > each.places[-1])


def _alike(incident: Open, past: Sequence[Occurrence]) -> list[Occurrence]:
    """Those beyond which the incident does not go: with its places they had as good as the same."""
    places = [hashed(place) for place in incident.places]
    near = [each for each in past if not wider(len(places), each.place_count)]
    missing = [sum(not _has(each, place) for place in places) for each in near]
    return [
        each for each, more in zip(near, missing, strict=True) if not wider(each.place_count + more, each.place_count)
    ]


def _is_real(past: Sequence[Occurrence]) -> bool:
    """What people said last about the kind: is it real?"""
    return next((each.acted_on for each in reversed(past) if each.acted_on or each.dismissed), False)


def _frequent(incident: Open, alike: Sequence[Occurrence]) -> Pause | None:
    expected = sum(each.close_reason in ("expected", "new_normal") for each in alike)
    if expected >= EXPECTED:
        return _until_worse(incident, alike, "frequent", f"people resolved it as expected {expected} times")
    ages = [(incident.course.seen_us - each.onset_us) // _DAY_US for each in alike]
    if (today := ages.count(0)) >= IN_A_DAY:
        return _until_worse(incident, alike, "frequent", f"it came {today} times within a day, and {_nobody(alike)}")
    if (days := len({age for age in ages if age < 7})) >= ON_DAYS:
        return _until_worse(incident, alike, "frequent", f"it came on {days} of the last 7 days, and {_nobody(alike)}")
    return None


def _nobody(alike: Sequence[Occurrence]) -> str:
    dismissed = any(each.dismissed for each in alike)
    return "people resolved it as nothing to act on" if dismissed else "nobody acted on it"


def _until_worse(incident: Open, alike: Sequence[Occurrence], reason: str, why: str) -> Pause:
    longest_us = max(each.lasted_us for each in alike if each.told)
    length_us = min(max(_TIMES * longest_us, SHORTEST_US), LONGEST_US)
    return Pause(reason, incident.course.seen_us + length_us, why)


def _rank(severity: str) -> int:
    """What is not known is the worst."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
