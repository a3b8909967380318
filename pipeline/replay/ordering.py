"""Lines held back until everything that stands before them is known.

Guarantee: lines are written sorted by their whole key, the same for every order in which they came, as long as
nothing comes later than what ``release`` was told to be complete.
"""

from bisect import bisect_left
from typing import Any, TextIO


class OrderedLines:
    """Keys are tuples that start with an event time in microseconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._held: list[tuple[tuple[Any, ...], str]] = []

    def add(self, key: tuple[Any, ...], line: str) -> None:
        """Hold a line (with its line end)."""
        self._held.append((key, line))

    def release(self, until_us: int) -> None:
        """Write every line up to and including this time: none of them will come any more."""
        self._held.sort()
        end = bisect_left(self._held, ((until_us + 1,),))
        self._out.writelines(line for _, line in self._held[:end])
        del self._held[:end]
