"""The signals of one workload in one window: what they say of it together.

Guarantee: follows from the scores of the window, what is known of the signals before it, and nothing else; a signal of
which nothing usual is known is left out. What is not beyond the middle of the upper half of its band is no more than
usual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum, isfinite, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.causes.behaviour import LEAST_CALLS, contrast
from pipeline.causes.vitals import z_of_surprise
from pipeline.flow.signal_facts import Says, SignalFacts
from pipeline.records import US, Called, Degree, Lines, Outlier, Pace, Signal, Unusual
from pipeline.scoring.episodes import Window

Array = npt.NDArray[Any]

#: Characters of a text in a row.
MOST_TEXT = 80
#: Peers of which a row tells.
_MOST_PEERS = 2
#: The surprise from which a signal is three standard deviations from usual.
SPEAKS = 2.5687
#: Units of what has a limit, and percent of it that one is.
_PERCENT = {"%": 1.0, "1": 100.0}
_OF_LIMIT, _MOST_PERCENT = ("utiliz", "utilis", "percent", "ratio"), 200.0
#: Windows of lines that count as the reference; from how many on there is one; when a template is new.
_REFERENCE, _LEAST_REFERENCE = 100.0, 20.0
_NEW_US, _NEW_SHARE = 900 * US, 0.25
#: The share of failed calls from which somebody who is hardly ever called under that name, and then in vain, is taken
#: to be down: who does not answer says nothing of himself, and is known by an address alone. Such calls surprise so
#: much. Hardly ever: in so many of the windows since the first.
_DOWN, _DOWN_SURPRISE, _SELDOM = 0.5, 6.0, 0.1
#: Of ln(time): see causes.self_time. How far single times lie from each other is not known here.
_BAND_Z, _LEAST_DRIFT, _SPREAD, _MEDIAN, _LEAST_MS = 2.576, 0.3, 0.5, 1.57, 0.3
_LEAST_SHIFT, _MOST_SHIFT, _LEAST_Z, _MOST_Z, _MOST_FACETS = -3.0, 6.0, -2.0, 6.0, 4

#: What is looked at only where it is more than usual.
_IF_MORE = np.zeros(len(Says), np.bool_)
_IF_MORE[[Says.QUANTILE, Says.FULL, Says.CALL_QUANTILE]] = True
_IF_KNOWN = _IF_MORE.copy()
_IF_KNOWN[[Says.MEAN, Says.SHARE, Says.FAILED, Says.OWN, Says.CALL_MEAN, Says.CALL_SHARE]] = True


def cut(text: str, most: int = MOST_TEXT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Columns:
    """Signals of some workloads that say something in a window, by place: plain lists, for few are looked at."""

    row: list[int]
    says: list[int]
    pair: list[int]
    family: list[int]
    way: list[bool]
    served: list[bool]
    value: list[float]
    expected: list[float]
    upper: list[float]
    surprise: list[float]
    more: list[bool]  # more than expected, by so much that it matters
    beyond: list[bool]
    met_us: list[int]
    length_us: list[int]
    signals: Sequence[Signal]  # by row of the table


def columns(
    facts: SignalFacts,
    groups: Mapping[str, Mapping[str, Array]],
    window: Window,
    row: Array,
    at: Array,
    signals: Sequence[Signal],
) -> tuple[Columns, Array]:
    """Of rows of the table, ``at`` these places of the window; and which of them say something."""
    says = facts.says[row]
    value, expected, upper, surprise = window.value[at], window.expected[at], window.upper[at], window.surprise[at]
    age = window.start_us[at] - groups["given"]["met_us"][row]
    new = (age <= _NEW_US) & (age <= _NEW_SHARE * age.max(initial=0))
    seldom = groups["counts"]["seen"][row] * groups["given"]["window_us"][row] <= _SELDOM * age
    down = (says == Says.CALL_SHARE) & (value >= _DOWN) & (new | seldom & (expected >= _DOWN))
    pair = facts.pair[row]
    down |= (says == Says.CALL_MEAN) & np.isin(pair, pair[down])  # and whoever waited for him did so in vain
    expected, upper = np.where(down, 0.0, expected), np.where(down, 0.0, upper)
    surprise = np.where(down, np.maximum(surprise, _DOWN_SURPRISE), surprise)
    known = np.isfinite(expected)
    more = known & (value > expected) & (window.deviates[at] | down)
    keep = (says != Says.OTHER) & (more | ~_IF_MORE[says]) & (known | ~_IF_KNOWN[says])
    row, more, says, surprise = row[keep], more[keep], says[keep], surprise[keep]
    scale = facts.scale[row]
    value, expected, upper = value[keep] * scale, expected[keep] * scale, upper[keep] * scale
    beyond = value > expected + 0.5 * np.nan_to_num(upper - expected, posinf=0.0)
    arrays = [row, says, facts.pair[row], facts.family[row], facts.way[row], ~facts.outgoing[row]]
    arrays += [value, expected, upper, surprise, more, beyond]
    arrays += [groups["given"]["met_us"][row], groups["given"]["window_us"][row]]
    lists: list[Any] = [*(each.tolist() for each in arrays), signals]
    return Columns(*lists), keep


class View:
    """``places`` of ``columns`` that are of one workload."""

    def __init__(self, found: Columns, places: Sequence[int]) -> None:
        self._c = found
        by: dict[int, list[int]] = {}
        for place in places:
            by.setdefault(found.says[place], []).append(place)
        self._by = by
        self._rates = {
            found.pair[place]: self._times(place) for says in (Says.RATE, Says.CALL_RATE) for place in self._of(says)
        }

    def told(self, workload: str, end_us: int, window_us: int, outlier: Outlier | None) -> Unusual:
        """All that the signals say."""
        requests = self._requests()
        full = self._worst(self._of(Says.FULL))
        return Unusual(
            workload,
            end_us,
            window_us,
            None if requests is None else _short(requests),
            self._latency(requests),
            self._errors(requests),
            None if full is None else self._degree(full, 0.0),
            outlier,
            self._lines(end_us),
            self._pace(),
            self._called(),
            None if full is None else self._percent(full),
        )

    def _of(self, *says: Says) -> list[int]:
        if len(says) == 1:
            return self._by.get(says[0], [])
        return [place for each in says for place in self._by.get(each, ())]

    def _signal(self, place: int) -> Signal:
        return self._c.signals[self._c.row[place]]

    def _attribute(self, place: int, name: str) -> str:
        return next((value for known, value in self._signal(place).attributes if known == name), "")

    def _times(self, place: int) -> float:
        """What came in the window, of what is counted a second."""
        return self._c.value[place] * self._c.length_us[place] / US

    def _preferred(self, places: list[int]) -> list[int]:
        """Of what others wait for; of the rest where there is none."""
        return [place for place in places if self._c.served[place]] or places

    def _families(self, places: list[int]) -> list[list[int]]:
        if len(places) < 2:
            return [places] if places else []
        found: dict[int, list[int]] = {}
        for place in places:
            found.setdefault(self._c.family[place], []).append(place)
        return list(found.values())

    # -- vitals ----------------------------------------------------------------------------------------------------

    def _requests(self) -> float | None:
        """How many there were: of all metrics that count some the one that counts most."""
        families = self._families(self._preferred(self._of(Says.RATE)))
        return max((sum(self._times(place) for place in own) for own in families), default=None)

    def _latency(self, requests: float | None) -> Degree | None:
        known = [place for place in self._of(Says.MEAN, Says.QUANTILE) if self._c.expected[place] > 0.0]
        worst = self._of_families(self._preferred(known), requests, self._lost_time)
        return None if worst is None else worst[1]

    def _lost_time(self, places: list[int], requests: float | None) -> float:
        """Request-seconds beyond the usual; of one request where it is not known how many there were."""
        places = [place for place in places if self._c.says[place] == Says.MEAN] or places
        counted = [place for place in places if self._c.pair[place] in self._rates]
        if counted:
            return fsum(self._excess(place) * self._rates[self._c.pair[place]] for place in counted)
        mean = fsum(self._excess(place) for place in places) / len(places)
        return mean * (1.0 if requests is None else requests)

    def _excess(self, place: int) -> float:
        more = self._c.value[place] - self._c.expected[place]
        return more if self._c.beyond[place] else min(more, 0.0)

    def _errors(self, requests: float | None) -> Degree | None:
        found = self._preferred(self._of(Says.SHARE, Says.FAILED))
        worst = self._of_families(found, requests, self._lost_requests)
        if worst is None or self._c.says[worst[0]] == Says.SHARE:
            return None if worst is None else worst[1]
        return self._as_share(*worst, requests)

    def _lost_requests(self, places: list[int], requests: float | None) -> float:
        """Failed requests beyond the usual."""
        each = (requests if requests is not None else float(len(places))) / len(places)
        found = []
        for place in places:
            is_share = self._c.says[place] == Says.SHARE
            times = self._rates.get(self._c.pair[place], each) if is_share else self._c.length_us[place] / US
            found.append(self._excess(place) * times)
        return fsum(found)

    def _as_share(self, worst: int, degree: Degree, requests: float | None) -> Degree | None:
        """Failures a second as a share of requests, or where these are not known as how many there were."""
        own = [place for place in self._of(Says.FAILED) if self._c.family[place] == self._c.family[worst]]
        value = fsum(self._times(place) for place in own)
        usual = max(fsum(self._c.expected[place] * self._c.length_us[place] / US for place in own), 0.0)
        if requests is not None and requests >= value > 0.0:
            value, usual = value / requests, usual / requests
        elif value <= 1.0:
            return None  # less than one failure, of nobody knows how many
        return replace(degree, value=_short(value), usual=_short(usual))

    def _of_families(
        self, places: list[int], requests: float | None, lost: Callable[[list[int], float | None], float]
    ) -> tuple[int, Degree] | None:
        """Metrics may measure the same requests: the one by which most is lost counts, of equals the worst. Its worst
        signal, and how bad it is; None where nothing is more than usual."""
        best: tuple[float, float, int] | None = None
        found = None
        for own in self._families(places):
            worst = self._worst(own)
            if worst is None:
                continue
            excess = lost(own, requests)
            key = (max(excess, 0.0), self._c.surprise[worst], -self._signal(worst).id)
            if best is None or key > best:
                best, found = key, (worst, excess)
        return None if found is None else (found[0], self._degree(*found))

    def _worst(self, places: list[int]) -> int | None:
        more = [place for place in places if self._c.more[place]]
        return min(more, key=lambda place: (-self._c.surprise[place], self._signal(place).id), default=None)

    def _degree(self, place: int, excess: float) -> Degree:
        z = round(z_of_surprise(self._c.surprise[place]), 2)
        value, usual = _short(self._c.value[place]), _short(self._c.expected[place])
        return Degree(cut(self._signal(place).label()), z, _short(excess), value, usual)

    def _percent(self, place: int) -> float | None:
        signal = self._signal(place)
        of_limit = signal.unit == "%" or any(word in signal.name.lower() for word in _OF_LIMIT)
        percent = self._c.value[place] * _PERCENT.get(signal.unit, 0.0)
        return _short(percent) if of_limit and 0.0 < percent <= _MOST_PERCENT else None

    # -- what stands out -------------------------------------------------------------------------------------------

    def _lines(self, end_us: int) -> Lines | None:
        """Shares of log templates against the usual ones. A template that came long after the others is new."""
        places = self._of(Says.LINES)
        if not places:
            return None
        ages = [end_us - self._c.met_us[place] + self._c.length_us[place] for place in places]
        reference = min(max(ages) / self._c.length_us[places[0]], _REFERENCE)
        happened = np.array([max(self._times(place), 0.0) for place in places])
        usual = np.array([self._usual_lines(place, age, max(ages)) for place, age in zip(places, ages, strict=True)])
        usual *= reference
        of, usual_of = float(happened.sum()), float(usual.sum())
        if reference < _LEAST_REFERENCE or usual_of < LEAST_CALLS or of <= 0.0:
            return None
        strength = contrast(happened, np.full(happened.size, of), usual, np.full(happened.size, usual_of)).tolist()
        at = min(range(len(places)), key=lambda each: (-strength[each], self._signal(places[each]).id))
        if strength[at] <= 0.0:
            return None
        numbers = (float(happened[at]), of, float(usual[at]), usual_of, strength[at])
        happened_, of_, usual_, usual_of_, strength_ = (_short(each) for each in numbers)
        name = cut(self._attribute(places[at], "log.template"))
        return Lines(name, happened_, of_, usual_, usual_of_, strength_, len(places))

    def _usual_lines(self, place: int, age: int, oldest: int) -> float:
        """Lines of a template in a usual window."""
        expected = self._c.expected[place]
        is_new = age <= _NEW_US and age <= _NEW_SHARE * oldest
        return 0.0 if is_new or not expected > 0.0 else expected * self._c.length_us[place] / US

    def _pace(self) -> Pace | None:
        """How much longer operations take by themselves than usual; the ways to others are facets of their own."""
        places = [place for place in self._of(Says.OWN) if self._c.expected[place] > 0.0]
        if not places:
            return None
        rates = {self._c.pair[place]: self._times(place) for place in self._of(Says.OWN_RATE)}
        times = [max(rates.get(self._c.pair[place], 1.0), 1.0) for place in places]
        z = [self._slower(place, count) for place, count in zip(places, times, strict=True)]
        facets = self._facets(places, z, times)
        strength = fsum(facets) / len(facets) * sqrt(min(len(facets), _MOST_FACETS))
        if strength <= 0.0:
            return None
        at = max(range(len(places)), key=lambda each: (z[each] * sqrt(times[each]), self._signal(places[each]).id))
        place = places[at]
        return Pace(
            cut(self._attribute(place, "operation")),
            self._c.way[place],
            _short(strength),
            int(times[at]),
            _short(self._c.value[place] * 1e3),
            _short(self._c.expected[place] * 1e3),
        )

    def _slower(self, place: int, times: float) -> float:
        """As ``self_time.shift``, by the median of the window and the band."""
        value, usual, upper = self._c.value[place], self._c.expected[place], self._c.upper[place]
        band = log(max(upper, usual) / usual) / _BAND_Z if isfinite(upper) else 0.0
        moved = log(max(value, 0.0) * 1e3 + _LEAST_MS) - log(usual * 1e3 + _LEAST_MS)
        spread = sqrt(max(band, _LEAST_DRIFT) ** 2 + _MEDIAN * _SPREAD**2 / times)
        return min(max(moved, _LEAST_SHIFT), _MOST_SHIFT) / spread

    def _facets(self, places: list[int], z: list[float], times: list[float]) -> list[float]:
        """Its own steps together, and each way by itself."""
        found, total, weights = [], 0.0, 0.0
        for place, each, count in zip(places, z, times, strict=True):
            kept, weight = min(max(each, _LEAST_Z), _MOST_Z), sqrt(count)
            if self._c.way[place]:
                found.append(kept)
            else:
                total, weights = total + kept * weight, weights + weight
        return [*found, total / weights] if weights else found

    def _called(self) -> tuple[Called, ...]:
        """Whom it waits for longer than usual, or who fails it more often."""
        pairs: dict[int, tuple[float, str]] = {}
        for place in self._of(Says.CALL_MEAN, Says.CALL_QUANTILE, Says.CALL_SHARE):
            if self._c.more[place] and self._c.surprise[place] >= SPEAKS:
                before = pairs.get(self._c.pair[place], (0.0, ""))[0]
                worst = max(self._c.surprise[place], before)
                pairs[self._c.pair[place]] = worst, self._attribute(place, "peer")
        order = sorted(pairs, key=lambda pair: (-pairs[pair][0], pairs[pair][1]))[:_MOST_PEERS]
        return tuple(self._call(cut(pairs[pair][1], 2 * MOST_TEXT), pair) for pair in order)

    def _call(self, peer: str, pair: int) -> Called:
        requests = self._rates.get(pair, 1.0)
        said: list[Degree | None] = []
        for by, *more in ((Says.CALL_MEAN, Says.CALL_QUANTILE), (Says.CALL_SHARE,)):
            own = [place for place in self._of(by, *more) if self._c.pair[place] == pair]
            worst = self._worst(own)
            counted = [place for place in own if self._c.says[place] == by]
            if worst is None or not counted or (by is Says.CALL_MEAN and self._c.expected[worst] < 0.0):
                said.append(None)
            else:
                said.append(self._degree(worst, self._excess(counted[0]) * requests))
        return Called(peer, _short(requests), *said)


def _short(number: float) -> float:
    """Six digits are more than anybody reads; what is not finite is 0."""
    return float(f"{number:.6g}") if isfinite(number) else 0.0
