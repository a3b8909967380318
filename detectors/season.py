"""The season: what a row usually is at this hour of the day and of the week.

Guarantee: an hour is learned when it is over, by at most a quarter of what was new in it (a twentieth where the hour
was anomalous), so one bad hour stays one bad hour next week; a bin never visited borrows from the same hour of other
days, and one visited rarely is drawn towards them. Hours are UTC; when local clocks change, the profile is read an
hour early or late from the moment on when that has explained the data better for some hours.
"""

from numba import njit

from detectors.layout import CLOCK, EARLY, OFFSET, ONTIME, TARDY, VISIT_COUNT, VISIT_HOUR, VISIT_SUM
from detectors.protocol import Floats

HOURS, DAY = 168, 24
_SECONDS = 3600.0
_WEEK_RATE, _DAY_RATE = 0.25, 0.1
_DAY_WEIGHT = 0.5  # visits that the hour of the day is worth beside those of the hour of the week
_CLOCK_HOURS = 6.0  # memory of the three ways to read the clock
_CLOCK_GAIN = 0.6  # another reading must err this much less
#: Weeks after which an hour is known well enough to say that the clock has changed.
CLOCK_FROM = 2

#: Hints: what of the season is used.
AUTO, NONE, DAILY, WEEKLY = range(4)


@njit(cache=True, error_model="numpy")
def hour_of(now: float) -> tuple[int, float]:
    """Hour of the week of the window that ends at ``now``, and the place in it, 0 … 1."""
    hours = (now - 1e-3) / _SECONDS
    whole = int(hours // 1.0)
    return whole % HOURS, hours - whole


@njit(cache=True, error_model="numpy")
def usual(
    week: Floats, visits: Floats, day: Floats, day_visits: Floats, hour: int, place: float, hint: int, fallback: float
) -> float:
    """The profile at this place of this hour, between the middles of hours in a straight line."""
    here = _bin(week, visits, day, day_visits, hour % HOURS, hint, fallback)
    beside = hour + HOURS + (-1 if place < 0.5 else 1)
    other = _bin(week, visits, day, day_visits, beside % HOURS, hint, here)
    weight = abs(place - 0.5)
    return (1.0 - weight) * here + weight * other


@njit(cache=True, error_model="numpy")
def _bin(week: Floats, visits: Floats, day: Floats, day_visits: Floats, hour: int, hint: int, fallback: float) -> float:
    if hint == NONE:
        return fallback
    of_day = hour % DAY
    weekly = float(visits[hour]) if hint != DAILY else 0.0
    daily = _DAY_WEIGHT if day_visits[of_day] > 0 and hint != WEEKLY else 0.0
    if weekly + daily == 0.0:
        return fallback
    return (weekly * week[hour] + daily * day[of_day]) / (weekly + daily)


@njit(cache=True, error_model="numpy")
def visit(core: Floats, week: Floats, visits: Floats, day: Floats, day_visits: Floats, hour: int, pace: float) -> bool:
    """Enter an hour: learn the one that is over, if it is another; says whether the profile changed."""
    before = int(core[VISIT_HOUR]) - 1
    if before == hour:
        return False
    changed = core[VISIT_COUNT] > 0
    if changed:
        mean = core[VISIT_SUM] / core[VISIT_COUNT]
        rate = 1.0 if visits[before] == 0 else max(1.0 / (visits[before] + 1.0), _WEEK_RATE) * pace
        week[before] += rate * (mean - week[before])
        visits[before] = min(visits[before] + 1, 255)
        of_day = before % DAY
        rate = 1.0 if day_visits[of_day] == 0 else max(1.0 / (day_visits[of_day] + 1.0), _DAY_RATE) * pace
        day[of_day] += rate * (mean - day[of_day])
        day_visits[of_day] = min(day_visits[of_day] + 1, 255)
    core[VISIT_SUM] = core[VISIT_COUNT] = 0.0
    core[VISIT_HOUR] = hour + 1
    return changed


@njit(cache=True, error_model="numpy")
def present(core: Floats, x: float) -> None:
    """Count a window of the present hour."""
    core[VISIT_SUM] += x - core[OFFSET]
    core[VISIT_COUNT] += 1.0


@njit(cache=True, error_model="numpy")
def so_far(core: Floats, expected: float, seconds: float) -> float:
    """The season's expectation, drawn towards what the present hour has been so far."""
    if core[VISIT_COUNT] == 0.0:
        return expected
    share = min(core[VISIT_COUNT] * seconds / _SECONDS, 0.9)
    return (1.0 - share) * expected + share * (core[VISIT_SUM] / core[VISIT_COUNT] + core[OFFSET])


@njit(cache=True, error_model="numpy")
def read_clock(core: Floats, early: float, ontime: float, tardy: float, seconds: float) -> None:
    """Learn how well each way to read the clock explains the data (absolute deviations), and change to a better one."""
    rate = min(seconds / (_CLOCK_HOURS * _SECONDS), 1.0)
    core[EARLY] += rate * (early - core[EARLY])
    core[ONTIME] += rate * (ontime - core[ONTIME])
    core[TARDY] += rate * (tardy - core[TARDY])
    least = _CLOCK_GAIN * core[ONTIME]
    turn = 0.0
    if core[EARLY] < min(least, core[TARDY]):
        turn = -1.0
    elif core[TARDY] < least:
        turn = 1.0
    if turn != 0.0 and abs(core[CLOCK] + turn) <= 1.0:
        core[CLOCK] += turn
        core[EARLY] = core[ONTIME] = core[TARDY] = min(core[EARLY], core[TARDY])
