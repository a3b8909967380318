"""Pods: a processor of their own with a queue, slots for requests, memory, and processes that end and begin again.

Guarantee: who was being answered by a process that ends is told so; nothing is told of what such a process did since.
"""

import random
from collections import deque
from dataclasses import dataclass

from tests.benchmarks.shop_faults.clock import Answer, Clock
from tests.benchmarks.shop_faults.meters import Meters
from tests.benchmarks.shop_faults.town import MEMORY_LIMIT, Service
from tests.benchmarks.shop_faults.trouble import Trouble

RESET = "ServerDisconnectedError"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
#: Above this share of its memory a process mostly collects garbage.
_TIGHT = 0.85


@dataclass(slots=True)
class Node:
    """``pressure`` is the share of its processors that a neighbour takes from everybody else."""

    name: str
    pressure: float = 0.0


class Process:
    """One life of a container."""

    def __init__(self, pod: "Pod", version: str, clock: Clock, dice: random.Random) -> None:
        self.pod, self.version, self.alive = pod, version, True
        self.began = clock.now
        self.meters = Meters(clock.now)
        self.spans: list[bytes] = []
        self.lines: list[bytes] = []
        self.busy_seconds = 0.0  # of its processor, by what it was asked to do
        self.base = MEMORY_LIMIT * dice.uniform(0.34, 0.42)
        self.leaked = 0.0
        self._free_at = clock.now
        self._clock = clock
        self._slots, self._waiting = pod.service.slots, deque[Answer]()
        self.answering: dict[Answer, None] = {}  # in the order in which they came

    @property
    def memory_share(self) -> float:
        """Of its limit, without what comes and goes."""
        return min(1.0, (self.base + self.leaked) / MEMORY_LIMIT)

    def speed(self) -> float:
        """How fast its processor is for its work, 1 when nothing is wrong."""
        hog = 1.0
        for trouble in self.pod.troubles:
            if trouble.hog and trouble.is_of(self.pod.place, self.version):
                hog -= trouble.hog
        tight = max(0.0, self.memory_share - _TIGHT) / (1.0 - _TIGHT)
        return max(0.05, hog) * (1.0 - self.pod.node.pressure) * (1.0 - 0.8 * tight)

    def burst(self, seconds: float) -> float:
        """Work of the processor, after what waits there already; how long that takes from now on."""
        began = max(self._clock.now, self._free_at)
        self._free_at = began + seconds / self.speed()
        self.busy_seconds += seconds
        return self._free_at - self._clock.now

    def enter(self) -> Answer | None:
        """A slot for a request, now or later; None where too many wait."""
        answer = Answer(self._clock)
        if self._slots > 0:
            self._slots -= 1
            answer.give(True)
        elif len(self._waiting) >= self.pod.service.backlog:
            return None
        else:
            self._waiting.append(answer)
        return answer

    def leave(self) -> None:
        """Give the slot to who waits longest."""
        if self._waiting:
            self._waiting.popleft().give(True)
        else:
            self._slots += 1

    def end(self) -> None:
        """It is gone from now on."""
        self.alive = False
        answering, self.answering = self.answering, {}
        for answer in answering:
            answer.give((RESET, None))


@dataclass
class Pod:
    """``place`` is its number in the service, which stays when another pod takes it; ``number`` counts all pods. It is
    ``open`` as long as calls are sent to it; without a process they are refused."""

    name: str
    service: Service
    place: int
    node: Node
    troubles: list[Trouble]
    number: int
    process: Process | None = None
    open: bool = False
    restarts: int = 0
    backoff: float = 10.0
    phase: int = 0
    spent: float = 0.0  # seconds of its processor that were told of
    sent_bytes: float = 0.0
    gone: bool = False


def hash_of(dice: random.Random, letters: int) -> str:
    """As Kubernetes makes the ends of names."""
    return "".join(dice.choice(_ALPHABET) for _ in range(letters))
