"""Orders of people for incidents, each once, at its event time.

Guarantee: what comes out depends on the log alone: each order (by incident and id) at the greater of its own
``effective_us`` and the event time when it was heard, those of one time in the order in which they were given (their
offsets on ``calm.control``). Memory is bounded: at most MOST_WAITING wait, and MOST_REMEMBERED are known by name; of
what is forgotten nothing older is believed again.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.policies.control import ORDER, SaidControl
from pipeline.policies.orders import Order
from pipeline.policies.said_forms import order_form, order_of

#: Orders that wait for their time, and orders that were heard, kept at once.
MOST_WAITING, MOST_REMEMBERED = 2_000, 4_000


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """An order that counts from ``at_us`` on; it stood at ``offset`` on ``calm.control``."""

    at_us: int
    offset: int
    order: Order


@dataclass(frozen=True, slots=True)
class Heard:
    """Of a said record: how many orders were heard before, and how many could not wait, for too many do."""

    repeated: int = 0
    refused: int = 0


class Ordered:
    """Hear in the order of the log, take what is due in event time."""

    def __init__(self) -> None:
        self._waiting: list[Due] = []
        #: Key of each order that was heard, by its offset; what has an offset up to ``_forgotten`` was heard before.
        self._heard: dict[str, int] = {}
        self._forgotten = -1

    def hear(self, control: SaidControl, now_us: int) -> Heard:
        """Take what is new; all else is passed over. ``now_us`` is how far event time is, where the record stands. An
        order that is taken away was heard already, or never counts."""
        repeated = refused = 0
        for said in control.said:
            if not said.key.startswith(ORDER) or not isinstance(said.what, Order):
                continue
            if said.key in self._heard or said.offset <= self._forgotten:
                repeated += 1
                continue
            self._heard[said.key] = said.offset
            if len(self._waiting) >= MOST_WAITING:
                refused += 1
            else:
                self._waiting.append(Due(max(said.what.effective_us, now_us), said.offset, said.what))
        self._waiting.sort(key=_turn)
        self._forget()
        return Heard(repeated, refused)

    def next_us(self) -> int | None:
        """The event time of the next order; None when none waits."""
        return self._waiting[0].at_us if self._waiting else None

    def due(self, until_us: int) -> list[Due]:
        """Take those whose time has come, in their order."""
        count = sum(due.at_us <= until_us for due in self._waiting)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def __len__(self) -> int:
        return len(self._waiting)

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        waiting = [[due.at_us, due.offset, order_form(due.order)] for due in self._waiting]
        return [self._forgotten, sorted(self._heard.items()), waiting]

    def load(self, dumped: list[Any]) -> None:
        """The inverse of ``dump``. Raises ValueError or TypeError."""
        self._forgotten, heard, waiting = dumped
        self._heard = {key: offset for key, offset in heard}
        self._waiting = [Due(at_us, offset, order_of(form)) for at_us, offset, form in waiting]

    def _forget(self) -> None:
        """Of very many the oldest are known by their offsets only."""
        if len(self._heard) <= MOST_REMEMBERED:
            return
        oldest = sorted(self._heard.items(), key=lambda item: item[1])[: len(self._heard) - MOST_REMEMBERED]
        for key, offset in oldest:
            del self._heard[key]
            self._forgotten = max(self._forgotten, offset)


def _turn(due: Due) -> tuple[int, int]:
    return due.at_us, due.offset
