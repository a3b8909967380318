"""Judges incidents by the faults that there were: which belong to one, which are false, what they name.

Guarantee: a pure function of the schedule and of the transitions; all times are seconds since the epoch.

An *episode* is an incident from its opening, or reopening, up to its end. It belongs to a fault where its onset is at
most one window before the fault and at most ``GRACE_SECONDS`` after it, and it has a member of what the fault can be
seen at. The first episode of a fault is the one that is judged; more incidents of it are false unless they were merged
into one of its own. A surge is no fault: an episode that begins in it is false, unless the surge was more than the shop
could take.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from tests.benchmarks.shop_faults.schedule import CHANGED, Fault

GRACE_SECONDS = 60.0
LEAST = {"precision": 0.9, "recall": 0.9, "top_1": 0.8, "change": 0.8}


@dataclass(frozen=True, slots=True)
class Transition:
    """``decided`` is event time; ``body`` is the event's data."""

    decided: float
    body: Mapping[str, Any]

    @property
    def incident(self) -> str:
        return str(self.body["id"])

    @property
    def what(self) -> str:
        return str(self.body["transition"])

    def workloads(self) -> set[str]:
        """Everybody in it: of many members only the first are written out."""
        members = {str(member["signal"]["workload"]) for member in self.body["members"]}
        return members | {str(entity).partition(" ")[0] for entity in self.body["affected"]}


@dataclass(slots=True)
class Episode:
    """An incident from an opening on."""

    onset: float
    transitions: list[Transition] = field(default_factory=list)

    @property
    def incident(self) -> str:
        return self.transitions[0].incident

    @property
    def opened(self) -> float:
        return self.transitions[0].decided

    @property
    def workloads(self) -> set[str]:
        return {name for transition in self.transitions for name in transition.workloads()}

    def last(self, before: float) -> Transition:
        """As it was told last before then, or first of all."""
        return next((each for each in reversed(self.transitions) if each.decided < before), self.transitions[0])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one fault. What does not apply is None."""

    fault: Fault
    episode: Episode | None
    delay: float | None = None
    top_1: bool | None = None
    change: bool | None = None
    named: str | None = None
    changes: tuple[str, ...] = ()
    false: tuple[Episode, ...] = ()  # of a surge, and more of the same fault


@dataclass(frozen=True, slots=True)
class Judgement:
    """``false`` are all episodes that belong to no fault, or to one that has another incident."""

    verdicts: tuple[Verdict, ...]
    true: int
    false: tuple[Episode, ...]

    def figures(self) -> dict[str, float | None]:
        """Of all faults; None where there was nothing to judge."""
        of_faults = [each for each in self.verdicts if each.fault.is_fault]
        changed = [each for each in of_faults if each.fault.kind in CHANGED]
        found = [each for each in of_faults if each.episode]
        delays = [each.delay for each in found if each.delay is not None]
        return {
            "precision": _share(self.true, self.true + len(self.false)),
            "recall": _share(len(found), len(of_faults)),
            "top_1": _share(sum(each.top_1 is True for each in of_faults), len(of_faults)),
            "change": _share(sum(each.change is True for each in changed), len(changed)),
            "median_delay_seconds": median(delays) if delays else None,
        }

    def is_good(self) -> bool:
        """Is every figure, of which there is one, as high as it must be?"""
        figures = self.figures()
        return all((seen := figures[name]) is None or seen >= least for name, least in LEAST.items())


def judge(
    faults: Sequence[Fault],
    transitions: Sequence[Transition],
    start: float,
    *,
    window: float = 10.0,
    lateness: float = 5.0,
    saturated: frozenset[int] = frozenset(),
    warm_up: float = 0.0,
) -> Judgement:
    """``start`` is when the story began, and for so many seconds nothing is judged; ``saturated`` are the numbers of
    surges that were too much for the shop."""
    left = [each for each in episodes(transitions) if each.opened >= start + warm_up]
    merged = {each.incident: str(each.body["merged_into"]) for each in transitions if each.what == "merged"}
    verdicts: list[Verdict] = []
    false: list[Episode] = []
    true = 0
    for fault in sorted(faults, key=lambda each: each.start):
        begin, end = start + fault.start, start + fault.end
        near = [each for each in left if begin - window <= each.onset <= end + GRACE_SECONDS]
        left = [each for each in left if each not in near]
        if not fault.is_fault:
            wrong = () if fault.number in saturated else tuple(near)
            true += len(near) - len(wrong)
            false += wrong
            verdicts.append(Verdict(fault, None, false=wrong))
            continue
        own = [each for each in near if each.workloads & fault.affected()]
        one = [each for each in near if own and _leads_to(each, merged) == _leads_to(own[0], merged)]
        more = tuple(each for each in near if each not in one)
        true, false = true + bool(own), [*false, *more]
        verdicts.append(_verdict(fault, own[0] if own else None, one, begin, end, lateness, more))
    return Judgement(tuple(verdicts), true, (*false, *left))


def _leads_to(episode: Episode, merged: Mapping[str, str]) -> str:
    """The incident in which it goes on, through all that it was merged into."""
    found = episode.incident
    for _ in merged:
        found = merged.get(found, found)
    return found


def episodes(transitions: Sequence[Transition]) -> list[Episode]:
    """In the order of their openings. One that is held back first begins when it is told."""
    found: list[Episode] = []
    open_: dict[str, Episode] = {}
    ended: dict[str, float] = {}
    for each in sorted(transitions, key=lambda one: (one.decided, one.incident, one.body["revision"])):
        if each.what in ("opened", "reopened", "split") and each.incident not in open_:
            open_[each.incident] = Episode(_onset(each, ended.get(each.incident, 0.0)))
            found.append(open_[each.incident])
        if episode := open_.get(each.incident):
            episode.transitions.append(each)
            if each.what in ("resolved", "merged"):
                del open_[each.incident]
                ended[each.incident] = each.decided
    return found


def _onset(opening: Transition, after: float) -> float:
    """The earliest of a member since it ended before."""
    told = [_seconds(member["onset_time"]) for member in opening.body["members"]]
    since = [onset for onset in told if onset > after]
    if after:
        return min(since, default=opening.decided)
    return min([*told, _seconds(opening.body["onset_time"])])


def _verdict(
    fault: Fault,
    episode: Episode | None,
    one: Sequence[Episode],
    begin: float,
    end: float,
    lateness: float,
    more: tuple[Episode, ...],
) -> Verdict:
    """``one``: the episodes that are one incident in the end, ``episode`` among them."""
    by_change = fault.kind in CHANGED
    if episode is None:
        return Verdict(fault, None, top_1=False, change=False if by_change else None, false=more)
    last = max((each.last(end) for each in one), key=lambda told: (told.what != "merged", told.decided))
    named = [str(each["entity"]) for each in last.body["root_cause_candidates"]]
    changes = tuple(told_of(each) for each in last.body["changes"])
    first = next(iter(last.body["changes"]), None)
    return Verdict(
        fault,
        episode,
        delay=episode.opened + lateness - begin,
        top_1=bool(named) and named[0] in fault.causes(),
        change=did_it(fault, first, begin) if by_change else None,
        named=named[0] if named else None,
        changes=changes,
        false=more,
    )


def did_it(fault: Fault, change: Mapping[str, Any] | None, begin: float) -> bool:
    """Is this the change that brought the fault about, by whoever told of it?"""
    if change is None or str(change["workload"]).rpartition("/")[2].rpartition(":")[2] != fault.place:
        return False
    return change["kind"] == CHANGED[fault.kind] and begin - 10.0 <= _seconds(change["ts"]) <= begin + 120.0


def told_of(change: Mapping[str, Any]) -> str:
    """A change in a few words."""
    source = " (seen)" if change.get("source") == "telemetry" else ""
    return f"{change['kind']} {change['workload']} {change.get('version', '')}{source} {change['ts'][11:19]}"


def _seconds(text: Any) -> float:
    return float(text) if isinstance(text, int | float) else datetime.fromisoformat(str(text)).timestamp()


def _share(number: int, of: int) -> float | None:
    return number / of if of else None
