"""Event time of a simulation: what is due happens in order, and code waits for it as if it took that long.

Guarantee: what is due at one time happens in the order in which it was asked for, so a run depends on its dice alone.
"""

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any

#: A piece of code that waits: for so many seconds, or for an answer, which it is then given.
Steps = Generator["float | Answer", Any, Any]


class Answer:
    """Something that is known later; what comes after the first is passed over."""

    __slots__ = ("_clock", "_waiting", "known", "value")

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._waiting: list[Steps] = []
        self.known = False
        self.value: Any = None

    def give(self, value: Any) -> None:
        """Now it is known."""
        if self.known:
            return
        self.known, self.value = True, value
        for steps in self._waiting:
            self._clock.at(self._clock.now, self._clock.go_on, steps, value)

    def wait(self, steps: Steps) -> None:
        """Go on with these steps once it is known."""
        self._waiting.append(steps)


class Clock:
    """``now`` is in seconds since the epoch."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._asked = 0

    def at(self, when: float, act: Callable[..., None], *given: Any) -> None:
        """Do this then, and not before now."""
        self._asked += 1
        heappush(self._due, (max(when, self.now), self._asked, act, given))

    def start(self, steps: Steps) -> None:
        """Begin with these steps at once."""
        self.go_on(steps, None)

    def go_on(self, steps: Steps, value: Any) -> None:
        """Give the steps what they waited for, up to where they wait again."""
        try:
            wanted = steps.send(value)
            while isinstance(wanted, Answer) and wanted.known:
                wanted = steps.send(wanted.value)
        except StopIteration:
            return
        if isinstance(wanted, Answer):
            wanted.wait(steps)
        else:
            self.at(self.now + wanted, self.go_on, steps, None)

    def run(self, until: float) -> None:
        """Let everything happen that is due before then."""
        due = self._due
        while due and due[0][0] < until:
            self.now, _, act, given = heappop(due)
            act(*given)
        self.now = until
