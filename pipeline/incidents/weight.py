"""What the members of an incident weigh together: how surprising each type of them is, less what is used to come with
the others.

Guarantee: a weight depends on the surprises and on what came together before alone, never on the order in which they
are told. A type that always came with one that is counted already adds next to nothing, one that never did its whole
surprise. What came together a week ago counts half. Memory is bounded: of what came together most seldom goes first.

Surprises are −log10 of probabilities, so a sum of them is that of things that have nothing to do with each other. Rules
that look at the same thing (a login that fails is told by three of them) have: of types that came together before, the
second one's surprise is that given the first, (times both + p)/(times the first + 1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log10

from pipeline.records import US, Signal

#: What one type can weigh at most, and what an incident must: never one type alone.
MOST_SURPRISE, BAR = 4.0, 5.0
HALF_LIFE_US = 7 * 86_400 * US
#: Types of an incident whose company is remembered, the most surprising; pairs that are remembered of a scope.
MOST_TYPES, MOST_PAIRS = 40, 20_000
_FORGOTTEN = 1 / 16

#: Scope, one type or two, how often, at.
Saved = tuple[str, tuple[str, ...], float, int]


def type_of(signal: Signal) -> str:
    """What counts as one type: that of alerts, whatever they are about, and of other signals the metric."""
    return signal.alert_type or signal.name


@dataclass(frozen=True, slots=True)
class _Times:
    number: float
    at_us: int

    def faded(self, now_us: int) -> float:
        return self.number * float(0.5 ** (max(now_us - self.at_us, 0) / HALF_LIFE_US))


class Company:
    """By scope, how often types were members of an incident (or of what did not become one), alone and in pairs."""

    def __init__(self, saved: Iterable[Saved] = ()) -> None:
        self._scopes: dict[str, dict[tuple[str, ...], _Times]] = {}
        for scope, types, number, at_us in saved:
            self._scopes.setdefault(scope, {})[tuple(types)] = _Times(number, at_us)

    def note(self, scope: str, surprises: Mapping[str, float], at_us: int) -> None:
        """These types came together, and that is over."""
        known = self._scopes.setdefault(scope, {})
        types = sorted(_strongest_first(surprises)[:MOST_TYPES])
        pairs = [(one, other) for place, one in enumerate(types) for other in types[place + 1 :]]
        for key in (*((one,) for one in types), *pairs):
            known[key] = _Times(self._times(scope, key, at_us) + 1.0, at_us)
        if len(known) > MOST_PAIRS:
            self._cut(known, at_us)
        if not known:
            del self._scopes[scope]

    def forget(self, now_us: int) -> None:
        """Let go of what came together long ago, and of scopes of which nothing is left."""
        for scope, known in list(self._scopes.items()):
            kept = {key: times for key, times in known.items() if times.faded(now_us) >= _FORGOTTEN}
            if kept:
                self._scopes[scope] = kept
            else:
                del self._scopes[scope]

    def weight(self, scope: str, surprises: Mapping[str, float], now_us: int) -> float:
        """What types with these greatest surprises weigh together."""
        total = 0.0
        counted: list[str] = []
        for one in _strongest_first(surprises):
            total += self._adds(scope, one, surprises[one], counted, now_us)
            if len(counted) < MOST_TYPES:
                counted.append(one)
        return total

    def _adds(self, scope: str, one: str, surprise: float, counted: list[str], now_us: int) -> float:
        found = min(surprise, MOST_SURPRISE)
        for other in counted:
            both = self._times(scope, (min(one, other), max(one, other)), now_us)
            if both > 0.0:
                share = (both + 10.0**-surprise) / (self._times(scope, (other,), now_us) + 1.0)
                found = min(found, max(-log10(share), 0.0))
        return found

    def _times(self, scope: str, key: tuple[str, ...], now_us: int) -> float:
        times = self._scopes.get(scope, {}).get(key)
        return times.faded(now_us) if times is not None else 0.0

    def _cut(self, known: dict[tuple[str, ...], _Times], now_us: int) -> None:
        """Keep half of the pairs, those that came most often; single types stay as long as they are in one."""
        pairs = sorted((key for key in known if len(key) == 2), key=lambda key: (-known[key].faded(now_us), key))
        kept: set[tuple[str, ...]] = set(pairs[: MOST_PAIRS // 2])
        kept.update([(one,) for key in pairs[: MOST_PAIRS // 2] for one in key])
        for key in known.keys() - kept:
            del known[key]

    def dump(self) -> list[Saved]:
        """For a checkpoint, in a fixed order."""
        return [
            (scope, key, times.number, times.at_us)
            for scope, known in sorted(self._scopes.items())
            for key, times in sorted(known.items())
        ]


def _strongest_first(surprises: Mapping[str, float]) -> list[str]:
    return sorted(surprises, key=lambda one: (-surprises[one], one))
