"""Where a shard stands in its log: progress of the sources that write to it, windows closed, and from where to read
again after a restart.

Guarantee: rows of a source are taken once, whatever was sent again; what is held for a window that is not closed yet
is read again after a restore, for a checkpoint has the progress as it was before the oldest block that still waits.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.records import NO_TIME, Output, window_end
from pipeline.windows.progress import Progress

Array = npt.NDArray[Any]
_NOTHING: Mapping[str, Array] = {}


class Numbered(Protocol):
    """What a source wrote, and how far it says that it is."""

    @property
    def source(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def progress_us(self) -> int: ...
    @property
    def idle(self) -> bool: ...


class Block(Numbered, Protocol):
    """What all blocks have that one role writes for the next."""

    @property
    def offset(self) -> npt.NDArray[np.int64]: ...
    @property
    def late(self) -> npt.NDArray[np.uint32] | None: ...


class Intake:
    """``closed_us``: windows that end at or before it are closed; beyond the watermark right after a restore.

    With ``rest_us``, the length of a window, the window of the newest event time is complete as soon as all sources say
    that nothing comes for now: who reads what we write does not wait for us then, and what we tell later is too late.
    """

    def __init__(
        self, sources: Iterable[str], lateness_us: int, punctual: Iterable[str] = (), rest_us: int = 0
    ) -> None:
        self._progress = Progress(sources, lateness_us, punctual)
        self._rest_us = rest_us
        self.closed_us = NO_TIME
        self._offset = 0
        self._before: tuple[int, list[Any]] = (0, self._progress.dump())
        self._waiting: deque[tuple[int, int, list[Any]]] = deque()  # (window end held, offset, progress before)

    @property
    def watermark_us(self) -> int:
        return self._progress.watermark_us

    @property
    def idle(self) -> bool:
        """Have all sources said that nothing comes for now?"""
        return self._progress.idle

    def begins(self, offset: int) -> None:
        """The message at this offset of our log is looked at now."""
        self._before = offset, self._progress.dump()
        self._offset = offset + 1

    def told_us(self) -> dict[str, int]:
        """The greatest event time that each source told of, by name."""
        return self._progress.told_us()

    def ends(self, time_us: Array) -> Array:
        """Ends of the windows of ``rest_us`` in which rows count: what comes for the newest window that is complete
        counts in the next one."""
        ends = window_end(time_us, self._rest_us)
        passed = (ends <= self.watermark_us) & (ends > self.watermark_us - self._rest_us)
        return np.where(passed, self._end_of(self.watermark_us), ends)

    def _end_of(self, time_us: int) -> int:
        return (time_us // self._rest_us + 1) * self._rest_us

    def accepts(self, block: Numbered, out: Output) -> bool:
        """False, and counted, when a block would leave a gap."""
        if self._progress.accepts(block.source, block.start):
            return True
        out.count("notice", "gap")
        return False

    def is_first(self, what: Numbered, out: Output) -> bool:
        """False, and counted, when what has one number was taken before."""
        applied = self._progress.applied(what.source)
        if applied is None or what.start >= applied:
            return True
        out.count("notice", "sent_again")
        return False

    def fresh(self, block: Block, ends: Array, out: Output, refused: Mapping[str, Array] = _NOTHING) -> Array:
        """Which rows of a block are to be held, (rows,) of bool; the others are counted. ``ends`` are the ends of their
        windows, ``refused`` marks, by reason, rows that cannot be used whenever they come."""
        take = np.ones(ends.size, np.bool_)
        for reason, wrong in self._unusable(block, ends, refused):
            out.count("notice" if reason == "sent_again" else "drop", reason, int((wrong & take).sum()))
            take &= ~wrong
        take &= ends > max(self.closed_us, self.watermark_us)
        return take

    def _unusable(self, block: Block, ends: Array, refused: Mapping[str, Array]) -> list[tuple[str, Array]]:
        found = []
        applied = self._progress.applied(block.source)
        if applied is not None and block.start < applied:
            found.append(("sent_again", block.offset < applied))
        if block.late is not None:
            late = np.zeros(ends.size, np.bool_)
            late[block.late] = True
            found.append(("late", late))
        found += refused.items()
        found.append(("late_after_idle", ends <= self.watermark_us))
        return found

    def is_new(self, block: Block) -> Array:
        """Which rows of a block were not applied before, (rows,) of bool."""
        applied = self._progress.applied(block.source)
        return np.ones(block.offset.size, np.bool_) if applied is None else block.offset >= applied

    def is_behind(self, source: str) -> bool:
        """Was a source idle, so that windows were closed without it?"""
        return self._progress.is_behind(source)

    def took(self, block: Numbered, held_us: int) -> None:
        """A block is taken in; ``held_us`` is the greatest window end of its rows that wait (NO_TIME: none)."""
        self._progress.advance(block.source, block.end, block.progress_us, idle=block.idle)
        if self._rest_us and self.idle and (reached_us := self._progress.reached_us) > NO_TIME:
            self._progress.complete(self._end_of(reached_us))
        latest = self._waiting[-1][0] if self._waiting else self.closed_us
        if held_us > latest:  # else nothing waits longer than what came before
            self._waiting.append((held_us, *self._before))

    def closed(self, until_us: int) -> None:
        """All windows that end at or before this time are closed."""
        self.closed_us = max(self.closed_us, until_us)
        while self._waiting and self._waiting[0][0] <= self.closed_us:
            self._waiting.popleft()

    def heard(self) -> dict[str, int]:
        """Numbers of each source below this are applied, where that is known."""
        return self._progress.heard()

    def lost_history(self) -> None:
        """The log was cut off below our place."""
        self._progress.lost_history()

    def place(self) -> tuple[int, list[Any]]:
        """From which offset to read again, and the progress of the sources there."""
        if self._waiting:
            _, offset, progress = self._waiting[0]
            return offset, progress
        return self._offset, self._progress.dump()

    def rewind(self) -> int:
        """Go back to the place from which to read again; which offset it is."""
        offset, progress = self.place()
        self._waiting.clear()
        self.restore(offset, progress, self.closed_us)
        return offset

    def move(self, by: int) -> None:
        """The log was given other offsets; nothing waits yet."""
        self._offset += by

    def restore(self, offset: int, progress: list[Any], closed_us: int) -> None:
        self._offset, self.closed_us = offset, closed_us
        self._progress.load(progress)
