"""Who a signal belongs with: rows to inherit a baseline from, the entity whose signals are judged together, and all
of its workload.

Guarantee: depends on the signals and the order in which they are added alone. *Siblings* are the same metric, with the
same attributes, of other instances of the same workload. *Strangers* are the same metric with the same unit, kind and
attributes of any workload in the same scope: people keep what is production apart from what is not, and what the one
is like says little of the other.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.layout import ALIGN, SLOW
from pipeline.records import Kind, Signal

#: The derived signal of an entity: how far all its signals together are from how they usually are.
ENTITY_SIGNAL = "calm.entity"
#: Signals that an entity needs before they are judged together.
LEAST_MEMBERS = 3
_NOT_SCORED = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA, Kind.SHARE)
#: Windows that a row must have seen to hand on its baseline; of these the newest rows of the newest do.
LEAST_WINDOWS = 100
_DONORS, _LOOKED_AT = 8, 256

_Rows = array  # of int64, the newest last


class Kin(NamedTuple):
    """Rows that were added before or are being added, the newest last, this one included."""

    siblings: "array[int]"
    strangers: "array[int]"


class Relatives:
    """Rows by family, by metric and by entity."""

    def __init__(self) -> None:
        self._siblings: dict[tuple[Any, ...], array[int]] = {}
        self._strangers: dict[tuple[Any, ...], array[int]] = {}
        self._entities: dict[tuple[str, str, str], array[int]] = {}
        self._workloads: dict[tuple[str, str], array[int]] = {}
        self._derived: dict[tuple[str, str, str], Signal] = {}

    def add(self, row: int, signal: Signal) -> Kin:
        """Make a signal known; the rows it may inherit from."""
        family, metric = _family(signal), _metric(signal)
        if (siblings := self._siblings.get(family)) is None:
            siblings = self._siblings[family] = array("q")
        if (strangers := self._strangers.get(metric)) is None:
            strangers = self._strangers[metric] = array("q")
        siblings.append(row)
        strangers.append(row)
        self._workloads.setdefault((signal.scope, signal.workload), array("q")).append(row)
        return Kin(siblings, strangers)

    def siblings(self, signal: Signal) -> Sequence[int]:
        """Rows of the same metric in the instances of its workload, its own included."""
        return self._siblings.get(_family(signal), ())

    def of_workload(self, scope: str, workload: str) -> Sequence[int]:
        """Rows of all signals of a workload and its instances, but for those that are derived of entities."""
        return self._workloads.get((scope, workload), ())

    def entity(self, row: int, signal: Signal) -> Sequence[int]:
        """Add a signal to its entity; all rows of it, or none where it is not one to be judged with others."""
        if _alone(signal):
            return ()
        rows = self._entities.setdefault(_entity(signal), array("q"))
        rows.append(row)
        return rows

    def derived(self, signal: Signal) -> Signal:
        """The derived signal of all signals of the entity of this one."""
        key = _entity(signal)
        known = self._derived.get(key)
        if known is None:
            digest = hashlib.blake2b("\0".join((ENTITY_SIGNAL, *key)).encode("utf-8", "surrogatepass"), digest_size=8)
            number = int.from_bytes(digest.digest(), "little")
            known = self._derived[key] = Signal(number, ENTITY_SIGNAL, "1", Kind.GAUGE, *key, ())
        return known

    def remove(self, signals: Mapping[int, Signal]) -> None:
        """Forget rows and what they were of."""
        _take_out(self._siblings, ((_family(signal), row) for row, signal in signals.items()))
        _take_out(self._strangers, ((_metric(signal), row) for row, signal in signals.items()))
        _take_out(self._workloads, (((signal.scope, signal.workload), row) for row, signal in signals.items()))
        of_entities = [(_entity(signal), row) for row, signal in signals.items() if not _alone(signal)]
        _take_out(self._entities, of_entities)
        for key, _ in of_entities:
            if key not in self._entities:
                self._derived.pop(key, None)


def _alone(signal: Signal) -> bool:
    """Is it none of those that are judged with the others of their entity? Alerts are judged with those of their type,
    and may be in another shard."""
    return signal.kind in _NOT_SCORED or bool(signal.alert_type)


def _family(signal: Signal) -> tuple[Any, ...]:
    return signal.scope, signal.workload, signal.name, signal.attributes


def _metric(signal: Signal) -> tuple[Any, ...]:
    return signal.scope, signal.name, signal.unit, signal.kind, signal.attributes


def _entity(signal: Signal) -> tuple[str, str, str]:
    return signal.scope, signal.workload, signal.instance


def _take_out(groups: MutableMapping[Any, Any], leaving: Iterable[tuple[Hashable, int]]) -> None:
    """Take rows out of the groups that they are in; a group without any goes."""
    gone: defaultdict[Hashable, set[int]] = defaultdict(set)
    for key, row in leaving:
        gone[key].add(row)
    for key, rows in gone.items():
        stay = [row for row in groups.get(key, ()) if row not in rows]
        if stay:
            groups[key] = array("q", stay)
        else:
            groups.pop(key, None)


class Donors:
    """Who has enough to hand on in a step; rows that are met in it have not. ``state`` is that of the detector, ``own``
    windows that rows have seen themselves, by row."""

    def __init__(self, state: Mapping[str, npt.NDArray[Any]], own: npt.NDArray[np.int64]) -> None:
        self._state, self._own = state, own
        self._known: dict[int, list[int]] = {}
        self.any = bool((state["seen"] >= LEAST_WINDOWS).any())  # of the whole shard: where not, nobody need be asked

    def siblings(self, rows: "array[int]") -> list[int]:
        """The one with the longest history, inherited or its own, first (of equals the newest), and the others."""
        seen = self._state["seen"]
        found = self._grown(rows, seen)
        return sorted(found, key=lambda row: -int(seen[row])) if len(found) > 1 else found

    def stranger(self, rows: "array[int]", value: float) -> int | None:
        """The one whose level is nearest to the row's first value; of equals the newest. What it has inherited is not
        its own to hand on."""
        found = self._grown(rows, self._own)
        core = self._state["core"]
        return min(found, key=lambda row: abs(float(core[row, SLOW]) - value)) if found else None

    def _grown(self, rows: "array[int]", seen: npt.NDArray[np.int64]) -> list[int]:
        """The newest of the newest, the newest first, that have seen enough and are fitted."""
        if len(rows) == 1:
            return []
        found = self._known.get(id(rows))
        if found is None:
            newest = np.array(rows[-_LOOKED_AT:])[::-1]
            newest = newest[seen[newest] >= LEAST_WINDOWS]
            found = self._known[id(rows)] = newest[self._state["core"][newest, ALIGN] == 0.0][:_DONORS].tolist()
        return found
