"""Who a signal belongs with: siblings to inherit a baseline from, and the entity whose signals are judged together.

Guarantee: depends on the signals and the order in which they are added alone. Siblings are the same metric, with the
same attributes, of other instances of the same workload.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.records import Kind, Signal

#: The derived signal of an entity: how far all its signals together are from how they usually are.
ENTITY_SIGNAL = "calm.entity"
#: Signals that an entity needs before they are judged together.
LEAST_MEMBERS = 3
_NOT_SCORED = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA)
_SIBLINGS = 8  # of the newest instances, that are looked at

_Family = tuple[str, str, str, tuple[tuple[str, str], ...]]


class Relatives:
    """Rows by family and by entity."""

    def __init__(self) -> None:
        self._families: dict[_Family, list[int]] = {}
        self._entities: dict[tuple[str, str, str], list[int]] = {}

    def add(self, row: int, signal: Signal) -> list[int]:
        """Make a signal known; the rows of its newest siblings, the newest last."""
        family = self._families.setdefault((signal.scope, signal.workload, signal.name, signal.attributes), [])
        siblings = family[-_SIBLINGS:]
        family.append(row)
        return siblings

    def entity(self, row: int, signal: Signal) -> Sequence[int]:
        """Add a signal to its entity; all rows of it, or none where it is not one to be judged with others."""
        if signal.kind in _NOT_SCORED:
            return ()
        rows = self._entities.setdefault((signal.scope, signal.workload, signal.instance), [])
        rows.append(row)
        return rows


def donor(siblings: Sequence[int], seen: npt.NDArray[np.int64], least: int) -> int | None:
    """The sibling with the longest history, of those that have at least ``least`` windows; the newest of equals."""
    known = [row for row in reversed(siblings) if seen[row] >= least]
    return max(known, key=lambda row: int(seen[row]), default=None)
