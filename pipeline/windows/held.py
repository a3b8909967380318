"""What waits for its windows to close, within a bound: of what is more, the latest windows are let go.

Guarantee: of windows up to ``horizon_us`` everything that came is here, of later ones maybe not. Whoever can read again
what was let go loses nothing: when all windows up to the horizon are told, the next ones fit.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.records import NO_TIME

T = TypeVar("T")
Array = npt.NDArray[Any]


@dataclass(slots=True)
class _Window(Generic[T]):
    chunks: list[T] = field(default_factory=list)
    rows: int = 0
    size: int = 0


class Held(Generic[T]):
    """Chunks of rows by window end. ``most`` is the bound on the chunks' sizes together, in whatever they are counted;
    what comes for windows up to the horizon may pass it, for a window is told whole or not at all."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._windows: dict[int, _Window[T]] = {}
        self._rows = self._size = 0
        #: The last window end of which all is and will be here; None while that is so of every one.
        self.horizon_us: int | None = None
        #: Was nothing let go?
        self.whole = True

    def __len__(self) -> int:
        """Rows that are held."""
        return self._rows

    @property
    def size(self) -> int:
        """The sizes of all chunks together."""
        return self._size

    def near(self, ends: Array) -> Array | None:
        """Which rows of windows with these ends to put, (rows,) of bool; None for all. The others are let go."""
        if self.horizon_us is None or (near := ends <= self.horizon_us).all():
            return None
        self.whole = False
        return np.asarray(near)

    def put(self, end_us: int, chunk: T, rows: int, size: int) -> None:
        """Hold a chunk of so many rows and that size."""
        window = self._windows.setdefault(end_us, _Window())
        window.chunks.append(chunk)
        window.rows, window.size = window.rows + rows, window.size + size
        self._rows, self._size = self._rows + rows, self._size + size

    def bound(self, told_us: int = NO_TIME) -> list[T]:
        """When there is too much, let the latest windows go: what they held. What has half the bound is kept, and one
        window at least that ends after ``told_us``, so that it goes on."""
        if self._most is None or self._size <= self._most or self.horizon_us is not None:
            return []
        ends = sorted(self._windows)
        told = int(np.searchsorted(ends, told_us, "right"))
        if told == len(ends):
            return []
        until = np.cumsum([self._windows[end_us].size for end_us in ends])
        kept = max(int(np.searchsorted(until, self._most // 2, "right")), told + 1)
        self.horizon_us = ends[kept - 1]
        self.whole = self.whole and kept == len(ends)
        return [chunk for end_us in ends[kept:] for chunk in self.pop(end_us)]

    def is_done(self, told_us: int) -> bool:
        """Are all windows told of which everything is here, so that the next ones are wanted?"""
        return self.horizon_us is not None and told_us >= self.horizon_us

    def ends(self) -> list[int]:
        """Of the windows that hold something."""
        return list(self._windows)

    def at(self, end_us: int) -> list[T]:
        """What is held for a window."""
        window = self._windows.get(end_us)
        return window.chunks if window else []

    def pop(self, end_us: int) -> list[T]:
        """The same, and it is held no more."""
        window = self._windows.pop(end_us, None)
        if window is None:
            return []
        self._rows, self._size = self._rows - window.rows, self._size - window.size
        return window.chunks

    def chunks(self) -> list[T]:
        """Everything."""
        return [chunk for window in self._windows.values() for chunk in window.chunks]

    def unbind(self) -> None:
        """Take what comes for later windows too; nothing of them was let go."""
        self.horizon_us = None

    def clear(self) -> None:
        """Nothing is held, and nothing was let go."""
        self._windows, self._rows, self._size = {}, 0, 0
        self.horizon_us, self.whole = None, True
