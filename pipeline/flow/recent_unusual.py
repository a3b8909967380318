"""What workloads showed of late that was unusual, for incidents to ask.

Guarantee: what is kept depends on the rows and the order of their window ends alone. Memory is bounded: MOST_EACH rows
of a workload, of MOST_WORKLOADS workloads, MOST_ROWS in all, for REMEMBERED_US; the oldest goes first, and what goes
before its time is counted.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from pipeline.codecs import vitals_event
from pipeline.records import US, Unusual

REMEMBERED_US = 3600 * US
MOST_EACH, MOST_WORKLOADS, MOST_ROWS = 60, 2_000, 20_000

_Key = tuple[str, str]
#: Window end, its length, the row.
_Row = tuple[int, int, bytes]
#: Scope, workload, rows.
Saved = tuple[str, str, list[_Row]]


class RecentUnusual:
    """Rows by scope and workload."""

    def __init__(self, saved: Iterable[Saved] = ()) -> None:
        self._rows: dict[_Key, deque[_Row]] = {}  # the workload with the newest row comes last
        self._number = 0
        for scope, workload, rows in saved:
            self._rows[scope, workload] = deque((end, length, row) for end, length, row in rows)
            self._number += len(rows)

    def __len__(self) -> int:
        return self._number

    def add(self, scope: str, rows: Iterable[Unusual]) -> int:
        """Rows of a window, which come in the order of their ends; how many older ones had to go."""
        gone = 0
        for row in rows:
            key = (scope, row.workload)
            known = self._rows.pop(key, None) or deque()
            self._rows[key] = known
            known.append((row.end_us, row.window_us, vitals_event.pack(row)))
            self._number += 1
            while len(known) > MOST_EACH:
                gone += self._drop(key)
            while len(self._rows) > MOST_WORKLOADS or self._number > MOST_ROWS:
                gone += self._drop(next(iter(self._rows)))
        return gone

    def _drop(self, key: _Key) -> int:
        rows = self._rows[key]
        rows.popleft()
        self._number -= 1
        if not rows:
            del self._rows[key]
        return 1

    def of(self, scope: str, workload: str, since_us: int, most: int, windows: int = 2) -> Iterator[Unusual]:
        """Rows of a workload from so many ``windows`` before ``since_us`` on, the oldest first, at most so many."""
        for end_us, window_us, row in self._rows.get((scope, workload), ()):
            if most and end_us >= since_us - windows * window_us:
                most -= 1
                yield vitals_event.unpack(row)

    def knows(self, scope: str, workload: str) -> bool:
        """Was anything unusual there of late?"""
        return (scope, workload) in self._rows

    def forget(self, now_us: int) -> None:
        """What is older than anybody will ask for."""
        for key in list(self._rows):
            while key in self._rows and self._rows[key][0][0] < now_us - REMEMBERED_US:
                self._drop(key)

    def dump(self, owns: Callable[[str], bool] = lambda _: True) -> list[Saved]:
        """For a checkpoint: workloads in the order in which they go."""
        return [(*key, list(rows)) for key, rows in self._rows.items() if owns(key[0])]
