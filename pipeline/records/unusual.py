"""What a workload shows in a window in which something of it is unusual: its vitals, and what stands out in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Degree:
    """One role of a workload by its worst ``signal`` (a label): standard deviations from usual, and work beyond the
    usual over all signals of the role (request-seconds or failed requests; 0 for what is no work). ``value`` and
    ``usual`` are in seconds, as a share of requests (a number where more than 1), or as measured."""

    signal: str
    z: float
    excess: float
    value: float
    usual: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """An ``instance`` against its ``siblings`` others: its value, and the median of those that are as usual.
    ``unusual`` of all are not, itself included."""

    signal: str
    unit: str
    instance: str
    value: float
    others: float
    siblings: int
    unusual: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The log template that is furthest from its usual share of a workload's lines, of ``compared`` ones: how many
    lines of how many, and usually. ``strength`` is the logarithm of a likelihood ratio."""

    template: str
    happened: float
    of: float
    usual_happened: float
    usual_of: float
    strength: float
    compared: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How much longer a workload takes by itself, or on its ways to others, in all (``strength``), and the operation
    that is furthest from usual. ``way``: it is a call that waits for its answer."""

    operation: str
    way: bool
    strength: float
    times: int
    median_ms: float
    usual_ms: float


@dataclass(frozen=True, slots=True)
class Called:
    """What a workload sees of another one that it calls."""

    peer: str
    requests: float
    latency: Degree | None = None
    errors: Degree | None = None


@dataclass(frozen=True, slots=True)
class OnNode:
    """``of`` instances of a workload run on a ``node`` (an entity); ``unusual`` of them are slower or fail more."""

    node: str
    unusual: int
    of: int


@dataclass(frozen=True, slots=True)
class Placement:
    """``unusual`` of ``instances`` of a workload are slower or fail more than usual. ``nodes`` are those of them."""

    unusual: int
    instances: int
    nodes: tuple[OnNode, ...]


@dataclass(frozen=True, slots=True)
class Unusual:
    """A workload in the window that ends at ``end_us``; of what nothing is known, or nothing stands out, is None.
    ``full_percent`` is the value of ``saturation`` in percent of its limit, where it has one."""

    workload: str
    end_us: int
    window_us: int
    requests: float | None = None
    latency: Degree | None = None
    errors: Degree | None = None
    saturation: Degree | None = None
    outlier: Outlier | None = None
    lines: Lines | None = None
    pace: Pace | None = None
    called: tuple[Called, ...] = ()
    full_percent: float | None = None
    placement: Placement | None = None
