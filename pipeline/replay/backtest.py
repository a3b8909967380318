"""What a set of policies would have told of a stretch, and what another one would have changed of it, incident by
incident.

Guarantee: pure sums over what was told. Incidents of the two are the same one where they have the same id; of the rest
those that have a signal in common and go on at the same time are, those with most in common first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pipeline.records import US, iso
from pipeline.replay.driver import Sinks, Totals
from pipeline.replay.tales import Extent, Tale, Tales, Unusual, Withheld

_DAY_US = 86_400 * US
_WEEK_DAYS = 7.0
_FOREVER_US = 2**62


class Told:
    """What one set of policies tells: the sinks of its replay, and what they come to once it is over. ``budget``: how
    many anomalies a signal may have in a week when nothing is wrong."""

    def __init__(self, name: str, budget: float | None) -> None:
        self.name = name
        self.budget = budget
        self._tales, self._withheld, self._unusual = Tales(), Withheld(), Unusual()
        self.extent = Extent()
        self.sinks = Sinks((self.extent,), (self._tales, self._withheld, self._unusual))
        self.totals = Totals()

    def incidents(self, from_us: int) -> list[Tale]:
        """Those that were told from then on, in the order in which they were."""
        return sorted((tale for tale in self._tales.found.values() if tale.told_us >= from_us), key=_order)

    def before(self, from_us: int) -> int:
        """How many incidents were told before then."""
        return sum(tale.told_us < from_us for tale in self._tales.found.values())

    def summary(self, from_us: int, until_us: int) -> dict[str, Any]:
        """In numbers, of what was told from ``from_us`` on, up to the end of the stretch at ``until_us``. Delays are
        seconds from the onset; ``chance_anomalies`` is what the base policy's budget allows where nothing is wrong."""
        incidents = self.incidents(from_us)
        delays = [tale.delay_us / US for tale in incidents]
        days = max(until_us - from_us, 0) / _DAY_US
        anomalies = self._unusual.since(from_us)
        return {
            "policies": self.name,
            "incidents": len(incidents),
            "incidents_per_day": round(len(incidents) / days, 3) if days else None,
            "open_at_end": sum(tale.ended_us is None for tale in incidents),
            "median_delay_seconds": median(delays) if delays else None,
            "anomalies": anomalies,
            "chance_anomalies": self._by_chance(days),
            "anomalies_per_incident": round(anomalies / len(incidents), 2) if incidents else None,
            "held_back": dict(sorted(self._withheld.since(from_us).items())),
            "by_severity": _counted(tale.severity for tale in incidents),
        }

    def _by_chance(self, days: float) -> float | None:
        return None if self.budget is None else round(self.budget * self.totals.signals * days / _WEEK_DAYS, 2)


@dataclass(frozen=True, slots=True)
class Pair:
    """An incident of the first (``a``), of the second (``b``), or of both with what is different: in words, as
    ``severity warning → error``."""

    a: Tale | None
    b: Tale | None
    differences: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """``only_a``, ``only_b``, ``changed`` or ``same``."""
        if self.a is None or self.b is None:
            return "only_b" if self.a is None else "only_a"
        return "changed" if self.differences else "same"

    @property
    def first(self) -> Tale:
        """The one that there is, of the first where there are both."""
        found = self.a or self.b
        assert found is not None
        return found


def compare(a: Sequence[Tale], b: Sequence[Tale]) -> list[Pair]:
    """Each incident of both, once; in the order of the onsets."""
    rest = {tale.id: tale for tale in b}
    matches = {tale.id: rest.pop(tale.id) for tale in a if tale.id in rest}
    alone = [tale for tale in a if tale.id not in matches]
    near = [(_in_common(one, other), one, other) for one in alone for other in rest.values() if _meet(one, other)]
    for _, one, other in sorted(near, key=lambda found: (-found[0], _order(found[1]), _order(found[2]))):
        if one.id not in matches and other.id in rest:
            matches[one.id] = rest.pop(other.id)
    pairs = [Pair(tale, matches.get(tale.id), _differences(tale, matches.get(tale.id))) for tale in a]
    pairs += [Pair(None, tale) for tale in rest.values()]
    return sorted(pairs, key=lambda pair: _order(pair.first))


def _meet(one: Tale, other: Tale) -> bool:
    together = one.onset_us <= _end_us(other) and other.onset_us <= _end_us(one)
    return one.scope == other.scope and together and bool(one.signals.keys() & other.signals.keys())


def _in_common(one: Tale, other: Tale) -> float:
    """Jaccard's share of their signals."""
    return len(one.signals.keys() & other.signals.keys()) / len(one.signals.keys() | other.signals.keys())


def _end_us(tale: Tale) -> int:
    return _FOREVER_US if tale.ended_us is None else tale.ended_us


def _differences(a: Tale, b: Tale | None) -> tuple[str, ...]:
    if b is None:
        return ()
    values = (
        ("onset", _clock(a.onset_us), _clock(b.onset_us)),
        ("told", _clock(a.told_us), _clock(b.told_us)),
        ("end", _end(a), _end(b)),
        ("severity", a.severity, b.severity),
        ("first cause", a.cause or "none", b.cause or "none"),
    )
    found = [f"{name} {before} → {after}" for name, before, after in values if before != after]
    if gone := sorted(a.signals[one] for one in a.signals.keys() - b.signals.keys()):
        found.append(f"without {_some(gone)}")
    if come := sorted(b.signals[one] for one in b.signals.keys() - a.signals.keys()):
        found.append(f"with {_some(come)}")
    return tuple(found)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _end(tale: Tale) -> str:
    return "open" if tale.ended_us is None else _clock(tale.ended_us)


def _clock(time_us: int) -> str:
    """To the second: what is different is whole windows."""
    return f"{iso(time_us)[:19]}Z"


def _order(tale: Tale) -> tuple[int, str]:
    return tale.onset_us, tale.id


def _counted(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Report:
    """A backtest: what each tells, and pair by pair what is different (nothing where only one was tried)."""

    told: Sequence[Told]
    from_us: int
    until_us: int
    pairs: Sequence[Pair] = field(default_factory=tuple)

    @classmethod
    def of(cls, told: Sequence[Told], from_us: int, until_us: int) -> "Report":
        """Compare the first two."""
        both = [one.incidents(from_us) for one in told]
        return cls(told, from_us, until_us, compare(*both) if len(both) == 2 else ())

    def form(self) -> Mapping[str, Any]:
        """As JSON has it."""
        tried = [
            one.summary(self.from_us, self.until_us)
            | {
                "before_warm_up": one.before(self.from_us),
                "told": [_form(tale) for tale in one.incidents(self.from_us)],
            }
            for one in self.told
        ]
        stretch = {"from": iso(self.from_us), "until": iso(self.until_us)}
        changes = [
            {
                "what": pair.what,
                "a": None if pair.a is None else pair.a.id,
                "b": None if pair.b is None else pair.b.id,
                "differences": list(pair.differences),
            }
            for pair in self.pairs
        ]
        return stretch | dict(zip(("policy", "against"), tried, strict=False)) | {"changes": changes}


def _form(tale: Tale) -> dict[str, Any]:
    return {
        "id": tale.id,
        "scope": tale.scope,
        "title": tale.title,
        "severity": tale.severity,
        "state": tale.state,
        "onset_time": iso(tale.onset_us),
        "told_time": iso(tale.told_us),
        "end_time": None if tale.ended_us is None else iso(tale.ended_us),
        "delay_seconds": tale.delay_us / US,
        "members": tale.members,
        "transitions": tale.transitions,
        "first_cause": tale.cause or None,
        "signals": sorted(tale.signals.values()),
    }
