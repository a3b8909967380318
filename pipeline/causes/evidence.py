"""What speaks for a workload being the cause, in words and numbers, for people.

Guarantee: every sentence is true of the numbers given, and the strongest comes first.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Protocol

from pipeline.causes.vitals import Role, Sign

#: Work of which less is explained elsewhere than this is said to be none of it.
_NOTHING = 0.005
_SAID_Z = 3.0
_MOST_NAMES = 3


class Known(Protocol):
    """What the sentences are made from; see residual.Finding."""

    @property
    def requests(self) -> float: ...
    @property
    def work(self) -> Mapping[Role, float]: ...
    @property
    def left(self) -> Mapping[Role, float]: ...
    @property
    def worst(self) -> Mapping[Role, Sign]: ...
    @property
    def by_role(self) -> Mapping[Role, float]: ...
    @property
    def new(self) -> tuple[str, ...]: ...


def sentences(known: Known) -> tuple[str, ...]:
    """Of each role that is out of the ordinary or takes part in the ranking, and of calls never made before."""
    roles = sorted(known.worst, key=lambda role: (-known.by_role.get(role, 0.0), -known.worst[role].z, role))
    found = [_of_role(known, role) for role in roles if _worth_saying(known, role)]
    if known.new:
        found.append(f"began to call {_names(known.new)} about when the trouble began")
    return tuple(found)


def _worth_saying(known: Known, role: Role) -> bool:
    return known.worst[role].z >= _SAID_Z or known.by_role.get(role, 0.0) > 0.0


def _of_role(known: Known, role: Role) -> str:
    sign = known.worst[role]
    if role is Role.SATURATION:
        return f"{sign.signal} {sign.value:.3g}, usually {sign.usual:.3g}"
    told = _latency(sign) if role is Role.LATENCY else _errors(sign)
    requests = "" if not isfinite(known.requests) else f" on {known.requests:,.0f} requests"
    return f"{told}{requests}; {_explained(known.work[role], known.left[role])}"


def _latency(sign: Sign) -> str:
    if sign.usual <= 0.0:  # it is called in vain
        return f"no answer in {duration(sign.value)}"
    return f"latency {sign.value / sign.usual:.3g} times its usual {duration(sign.usual)}"


def _errors(sign: Sign) -> str:
    if sign.value > 1.0:  # a count: of how many is not known
        return f"{sign.value:,.0f} errors in a window, usually {sign.usual:.3g}"
    return f"{_percent(sign.value)} of requests failed, usually {_percent(sign.usual)}"


def _explained(work: float, left: float) -> str:
    if work <= 0.0:
        return "no more work than usual in all"
    share = left / work
    if share >= 1.0 - _NOTHING:
        return "none of it is explained by what it calls"
    if share <= _NOTHING:
        return "all of it is explained by what it calls"
    return f"{_percent(share)} of it is not explained by what it calls"


def _percent(share: float) -> str:
    if 0.0 < share < 0.0001:
        return "less than 0.01 %"
    return f"{100.0 * share:.0f} %" if share >= 0.1 else f"{100.0 * share:.2g} %"


def duration(seconds: float) -> str:
    """A length of time in the unit that people would use."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"
