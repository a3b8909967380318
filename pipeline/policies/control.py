"""What was said about incidents on ``calm.control``, as it goes from there to those who act on it.

Guarantee: values only. A ``Said`` knows its key there and its offset, which is what tells newer from older.
"""

from dataclasses import dataclass

from pipeline.policies.maintenance import Maintenance
from pipeline.policies.orders import Order
from pipeline.policies.silence import Silence

#: What keys on ``calm.control`` start with.
SILENCE, MAINTENANCE, ORDER = "silence/", "maintenance/", "order/"
PREFIXES = (SILENCE, MAINTENANCE, ORDER)

What = Silence | Maintenance | Order


@dataclass(frozen=True, slots=True)
class Said:
    """A record of ``calm.control``: ``key`` is ``silence/<id>``, ``maintenance/<id>`` or ``order/<incident>/<id>``.
    Without ``what`` this was taken away."""

    offset: int
    key: str
    what: What | None


@dataclass(frozen=True, slots=True)
class SaidControl:
    """Some of what was said, all below the offset ``end``, in the order of the offsets.

    ``complete``: of the silences and windows whose keys are in ``first`` <= key < ``last`` (empty: no bound) these are
    all that there are, so one that is not named is gone. Else they are only what is new.
    """

    end: int
    said: tuple[Said, ...]
    complete: bool = False
    first: str = ""
    last: str = ""

    def covers(self, key: str) -> bool:
        """Would the key be named here, if there were such a one?"""
        return self.complete and self.first <= key and (not self.last or key < self.last)
