"""When what goes wrong, and what else is done to the shop that harms nobody: drawn from a seed.

Guarantee: two faults of each kind in any order, each five to eight minutes long, with six to ten quiet minutes between
them; a traffic surge is no fault. The same seed gives the same schedule.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.shop_faults.town import BATCH, DATABASES, NODES, SERVICES, callers, workload

SURGE = "traffic surge"
KINDS = (
    "latency",
    "errors",
    "crash loop",
    "memory leak",
    "cpu hog",
    "bad deploy",
    "flag flip",
    "dependency down",
    "noisy neighbour",
    SURGE,
)
#: Faults that somebody brought about by a change.
CHANGED = {"bad deploy": "deployment", "flag flip": "flag"}
_LONG, _QUIET = (300.0, 480.0), (360.0, 600.0)
_INNOCENT = ("deployment", "deployment", "flag", "config", "scaling")
LEAST_INNOCENT = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """``place`` is a service, a database, a node or, of a surge, the frontend; ``pods`` are places of pods (None: all).
    Times are in seconds from the start of the story."""

    number: int
    kind: str
    place: str
    start: float
    end: float
    pods: tuple[int, ...] | None = None
    size: dict[str, float] = field(default_factory=dict)
    silent: bool = False

    @property
    def is_fault(self) -> bool:
        return self.kind != SURGE

    def causes(self) -> set[str]:
        """Workloads of which one is to be named first."""
        if self.kind == "noisy neighbour":
            return {workload(self.place), workload(BATCH)}
        return {workload(self.place)}

    def affected(self) -> set[str]:
        """Workloads at which it can be seen: where it is, and who calls them."""
        if self.kind == "noisy neighbour":
            hit = set(SERVICES)  # each service has a pod there, or calls one that has
        else:
            hit = {self.place, *callers(self.place)}
        return {workload(place) for place in hit} | self.causes()


@dataclass(frozen=True, slots=True)
class Innocent:
    """A change that harms nobody."""

    kind: str
    service: str
    at: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """``seconds`` is how long the whole story is."""

    faults: tuple[Fault, ...]
    innocent: tuple[Innocent, ...]
    warm_up: float
    seconds: float


def drawn(seed: int, *, warm_up: float = 5400.0, kinds: Sequence[str] = KINDS, of_each: int = 2) -> Schedule:
    """The schedule of a seed; of some kinds alone where only these are wanted."""
    dice = random.Random(f"{seed}/schedule")
    order = [kind for kind in kinds for _ in range(of_each)]
    dice.shuffle(order)
    found, at = [], warm_up
    for number, kind in enumerate(order, 1):
        start = at + dice.uniform(*_QUIET)
        at = start + dice.uniform(*_LONG)
        found.append(_fault(number, kind, start, at, dice))
    seconds = at + dice.uniform(*_QUIET)
    return Schedule(tuple(found), _innocent(seed, found, seconds), warm_up, seconds)


def _fault(number: int, kind: str, start: float, end: float, dice: random.Random) -> Fault:
    place = dice.choice(sorted(SERVICES))
    if kind == "noisy neighbour":
        place = dice.choice(NODES)
    elif kind == "dependency down":
        place = dice.choice([*sorted(DATABASES), "catalogue", "recommendation", "cart", "payment"])
    elif kind == SURGE:
        place = "frontend"
    pods = None
    if kind in ("latency", "errors", "crash loop", "memory leak", "cpu hog") and dice.random() < 0.5:
        pods = (dice.randrange(SERVICES[place].pods),)
    return Fault(number, kind, place, start, end, pods, _size(kind, dice), silent=dice.random() < 0.5)


def _size(kind: str, dice: random.Random) -> dict[str, float]:
    """How bad it is: from what people notice after a while to what nobody can miss."""
    slower, failing = {"delay": dice.uniform(0.1, 0.6)}, {"fails": dice.uniform(0.06, 0.4)}
    match kind:
        case "latency":
            return slower
        case "errors":
            return failing
        case "crash loop":
            return {"lives": dice.uniform(8.0, 30.0)}
        case "memory leak":
            return {"full_after": dice.uniform(120.0, 270.0)}
        case "cpu hog":
            return {"hog": dice.uniform(0.65, 0.92)}
        case "bad deploy" | "flag flip":
            share = {"share": dice.uniform(0.3, 1.0)} if kind == "flag flip" else {}
            return share | dice.choice((slower, failing, slower | failing))
        case "noisy neighbour":
            return {"pressure": dice.uniform(0.55, 0.85)}
        case "traffic surge":
            return {"factor": dice.uniform(1.4, 2.0)}
    return {}


def _innocent(seed: int, faults: Sequence[Fault], seconds: float) -> tuple[Innocent, ...]:
    """At any time, but for deployments and scaling of a service that is in trouble: they would mend or prolong it."""
    dice = random.Random(f"{seed}/innocent")
    found: list[Innocent] = []
    wanted = max(LEAST_INNOCENT, len(faults))
    for number in range(100 * wanted):
        if len(found) == wanted:
            break
        kind = _INNOCENT[number % len(_INNOCENT)]
        service, at = dice.choice(sorted(SERVICES)), dice.uniform(600.0, seconds - 300.0)
        near = [each for each in faults if each.start - 150.0 < at < each.end + 120.0]
        moves = kind in ("deployment", "scaling")
        if not (moves and any(each.place == service for each in near)):
            found.append(Innocent(kind, service, at))
    return tuple(sorted(found, key=lambda each: each.at))
