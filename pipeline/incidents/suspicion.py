"""How likely a change has to do with an incident, and why: by time, by place, and by whether it breaks its neighbours.

Guarantee: a pure function of what is given. A change long before the onset, or after it, is hardly suspected; nor is
one of a workload that is as usual and whose neighbours are.

The score is the product of three parts from 0 to 1. Time: one when it took effect at the onset, half for each quarter
of an hour before. Place: one where it starts, less for later candidates, then for who is affected, then for who is a
call away from them. Fit: one where the workload was calm before and unusual after; less where only neighbours are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.records import US, Change

#: So much later than it took effect, or earlier than that, is at the same time: windows have a length, and who tells of
#: a change tells when it is done.
SAME_TIME_US = 60 * US
_HALF_US = 900 * US
_AFTER, _LONG_AFTER, _PLANNED = 0.5, 0.05, 0.2
_CANDIDATE_LESS, _AFFECTED, _NEIGHBOUR, _ELSEWHERE = 0.5, 0.3, 0.25, 0.05
_BREAKS, _BREAKS_OTHERS, _NOBODY, _BEFORE = 1.0, 0.7, 0.2, 0.1


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of an incident: ``onset_us``, since when each workload is unusual (by the name that people give
    it), the names where it may start, the likeliest first, and whom each calls or is called by."""

    onset_us: int
    since_us: Mapping[str, int]
    likely: Sequence[str]
    around: Mapping[str, frozenset[str]]


def suspicion(change: Change, name: str, scene: Scene) -> tuple[float, str]:
    """Score 0 … 1, and why, of a change of the workload with this name."""
    parts = (_time(change, scene), _place(name, scene), _fit(change, name, scene))
    score = parts[0][0] * parts[1][0] * parts[2][0]
    return round(score, 3), "; ".join(why for _, why in parts)


def _time(change: Change, scene: Scene) -> tuple[float, str]:
    before_us = scene.onset_us - change.effective_us
    likely = 0.5 ** (max(before_us, 0) / _HALF_US)
    said = f"{span(before_us)} before the onset" if before_us >= 0 else f"{span(-before_us)} after the onset"
    if before_us < 0:
        likely = _AFTER if -before_us <= SAME_TIME_US else _LONG_AFTER
    if change.phase == "planned":
        return likely * _PLANNED, f"only planned, for {said}"
    return likely, said


def _place(name: str, scene: Scene) -> tuple[float, str]:
    if name in scene.likely:
        place = list(scene.likely).index(name)
        said = "where it may start" if place else "where it most likely starts"
        return 1.0 / (1.0 + _CANDIDATE_LESS * place), said
    if name in scene.since_us:
        return _AFFECTED, "of an affected workload"
    beside = sorted(other for other in (*scene.likely, *scene.since_us) if other in scene.around.get(name, ()))
    if beside:
        return _NEIGHBOUR, f"a call away from {beside[0]}"
    return _ELSEWHERE, "elsewhere in the scope"


def _fit(change: Change, name: str, scene: Scene) -> tuple[float, str]:
    at_us = change.effective_us - SAME_TIME_US
    own = scene.since_us.get(name)
    if own is not None and own < at_us:
        return _BEFORE, f"{name} was unusual before it already"
    others = sorted((scene.since_us[other], other) for other in scene.around.get(name, ()) if other in scene.since_us)
    if any(since < at_us for since, _ in others) and own is None:
        return _BEFORE, f"{others[0][1]} was unusual before it already"
    if own is not None:
        return _BREAKS, f"{name} was as usual before it and is unusual since"
    if others:
        return _BREAKS_OTHERS, f"{others[0][1]}, a call away, was as usual before it and is unusual since"
    if name in scene.likely:
        return _BREAKS_OTHERS, f"{name} is unusual"
    return _NOBODY, f"neither {name} nor who is a call away is unusual"


def span(us: int) -> str:
    """A length of time in the unit that people would use."""
    seconds = us / US
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
