"""The story of a schedule: shoppers come and go, faults begin and end, and everybody tells of it.

Guarantee: the same schedule and seed give the same messages, to the byte, in order of the time at which they are sent;
changes come with the batch in which they happened.
"""

import math
import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.shop_faults import changes
from tests.benchmarks.shop_faults.clock import Clock, Steps
from tests.benchmarks.shop_faults.faults import Faults
from tests.benchmarks.shop_faults.schedule import SURGE, Fault, Innocent, Schedule
from tests.benchmarks.shop_faults.shop import Shop
from tests.benchmarks.shop_faults.telling import BATCH_SECONDS, Sent, Telling
from tests.benchmarks.shop_faults.town import SERVICES

#: Event time at which every story starts: a Monday, 06:40 UTC.
START = 1_790_577_600.0
VISITS_PER_SECOND = 8.0
_VISITS = (
    ("GET", "/products/{product}", 0.25),
    ("POST", "/carts/{shopper}/items", 0.2),
    ("POST", "/carts/{shopper}/checkout", 0.35),
    ("GET", "/", 0.2),
)
_DAY, _SWING = 86_400.0, 0.3
_RAMP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Felt:
    """What shoppers had of some time: visits a second, the 50th and 95th percentile of seconds, share of failures."""

    visits: float
    p50: float
    p95: float
    failed: float


class Story:
    """``batches`` tells it, once; then ``felt`` knows how shoppers fared."""

    def __init__(self, schedule: Schedule, seed: int, visits_per_second: float = VISITS_PER_SECOND) -> None:
        self.schedule = schedule
        self._clock = Clock(START)
        self._dice = random.Random(f"{seed}/shoppers")
        self._rate, self._mood = visits_per_second, 0.0
        self.shop = Shop(self._clock, seed)
        self._told: list[Sent] = []
        self._faults = Faults(self.shop, self._told.append)
        self._telling = Telling(self.shop, seed)
        self._ended: list[float] = []
        self._seen: list[tuple[float, bool]] = []
        self._versions: dict[str, int] = {}

    def batches(self) -> Iterator[tuple[float, list[Sent]]]:
        """The end of each batch of the collector, and what is sent then."""
        clock = self._clock
        for fault in self.schedule.faults:
            clock.at(START + fault.start, self._faults.begin, fault)
            clock.at(START + fault.end, self._faults.end, fault)
        for innocent in self.schedule.innocent:
            clock.at(START + innocent.at, self._innocent, innocent)
        clock.at(clock.now, self._next_visit)
        clock.at(clock.now, self._next_mood)
        while clock.now < START + self.schedule.seconds:
            clock.run(clock.now + BATCH_SECONDS)
            self._faults.leak(BATCH_SECONDS)
            told = sorted(self._told, key=lambda sent: sent.at)
            self._told.clear()
            yield clock.now, [*told, *self._telling.messages()]

    def felt(self, start: float, end: float) -> Felt:
        """Between two times, in seconds from the start of the story."""
        found = self._seen[bisect_left(self._ended, START + start) : bisect_left(self._ended, START + end)]
        seconds = sorted(each for each, _ in found) or [0.0]
        failed = sum(failed for _, failed in found) / max(len(found), 1)
        p50, p95 = (seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.95))
        return Felt(len(found) / (end - start), p50, p95, failed)

    # -- shoppers ------------------------------------------------------------------------------------------------------

    def _next_mood(self) -> None:
        """How many come varies by chance, over minutes."""
        self._mood = 0.9 * self._mood + self._dice.gauss(0.0, 0.025)
        self._clock.at(self._clock.now + 20.0, self._next_mood)

    def _visits_now(self) -> float:
        since = self._clock.now - START
        rate = self._rate * (1.0 - _SWING * math.cos(2 * math.pi * (self._clock.now % _DAY) / _DAY))
        for fault in self.schedule.faults:
            if fault.kind == SURGE and fault.start < since < fault.end + _RAMP_SECONDS:
                up = min(1.0, (since - fault.start) / _RAMP_SECONDS)
                down = min(1.0, max(0.0, since - fault.end) / _RAMP_SECONDS)
                rate *= 1.0 + (fault.size["factor"] - 1.0) * (up - down)
        return rate * math.exp(self._mood)

    def _next_visit(self) -> None:
        self._clock.start(self._visit())
        self._clock.at(self._clock.now + self._dice.expovariate(self._visits_now()), self._next_visit)

    def _visit(self) -> Steps:
        dice, began = self._dice, self._clock.now
        method, route, _ = dice.choices(_VISITS, [share for *_, share in _VISITS])[0]
        given = {"product": 1 + dice.randrange(24), "shopper": 1 + dice.randrange(50)}
        values = {name: value for name, value in given.items() if name in route}
        answer = self.shop.visit(method, route, **values)
        self._clock.at(began + 10.0, answer.give, ("TimeoutError", None))
        status, _ = yield answer
        self._ended.append(self._clock.now)
        self._seen.append((self._clock.now - began, isinstance(status, str) or status >= 500))

    # -- changes that harm nobody --------------------------------------------------------------------------------------

    def _innocent(self, change: Innocent) -> None:
        shop, service, now = self.shop, change.service, self._clock.now
        match change.kind:
            case "deployment":
                self._faults.deploy(service)
            case "flag":
                self._told.append(changes.flag(service, f"new-banner-{int(change.at)}", "on", "off", now))
            case "config":
                self._told.append(changes.other("config", service, f"r{int(change.at)}", "", now))
            case "scaling":
                before = shop.wanted[service]
                pods = before + 1 if before == SERVICES[service].pods else before - 1
                self._told.append(changes.other("scaling", service, str(pods), str(before), now))
                shop.scale(service, pods)


def where(fault: Fault) -> str:
    """For people."""
    return fault.place if fault.pods is None else f"{fault.place} (pod {fault.pods[0]})"
