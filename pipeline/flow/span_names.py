"""Numbers for workloads, operations and what spans call, so that spans are columns of small integers.

Guarantee: numbers are only names: nothing that is written depends on which number came first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.flow.made_signals import OTHER
from pipeline.records import Entity, Peer, SpanBlock, SpanKind

#: What a span calls, by kind: how the workload is named that nobody sends spans of.
_CALLED = {Peer.SERVICE: "service", Peer.DATABASE: "database", Peer.QUEUE: "queue"}

_KINDS = tuple(kind.name.lower() for kind in SpanKind)


@dataclass
class _Numbers:
    """Values by number, and numbers by value."""

    values: list[Any] = field(default_factory=list)
    known: dict[Any, int] = field(default_factory=dict)

    def of(self, value: Any) -> int:
        number = self.known.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class SpanNames:
    """``of`` numbers the shapes of a block; ``workload``, ``operation`` and ``peer`` say what a number means."""

    def __init__(self) -> None:
        self._workloads, self._operations, self._peers = _Numbers(), _Numbers(), _Numbers()

    def of(self, block: SpanBlock) -> npt.NDArray[np.int64]:
        """(shapes, 5): workload, operation, kind, peer (−1 = none) and peer kind of each shape of the block."""
        workloads = [self._workloads.of((entity.scope, entity.workload)) for entity in block.entities]
        found = np.empty((len(block.shapes), 5), np.int64)
        for place, shape in enumerate(block.shapes):
            workload = workloads[shape.resource]
            operation = self._operations.of((workload, _KINDS[shape.kind], shape.operation))
            peer = self._peers.of(f"{_CALLED[shape.peer_kind]}:{shape.peer}") if shape.peer_kind else -1
            found[place] = workload, operation, shape.kind, peer, shape.peer_kind
        return found

    def workload(self, number: int) -> Entity:
        """A workload as an entity without an instance."""
        scope, workload = self._workloads.values[number]
        return Entity(scope, workload, "")

    def operation(self, number: int) -> tuple[Entity, str, str]:
        """The workload, kind (as text) and name of an operation."""
        workload, kind, name = self._operations.values[number]
        return self.workload(workload), kind, name

    def other(self, number: int) -> int:
        """The number of all operations together that have no name of their own beside this one."""
        workload, kind, _ = self._operations.values[number]
        return self._operations.of((workload, kind, OTHER))

    def other_peer(self, number: int) -> int:
        """The number of all of its kind that are called by a workload and have no name of their own beside this one."""
        return self._peers.of(f"{self.peer(number).partition(':')[0]}:{OTHER}")

    def shrink(self, columns: Mapping[str, Sequence[npt.NDArray[np.int64]]]) -> None:
        """Forget what no span has any more: ``columns`` are all arrays of numbers that are held (``workload``,
        ``operation``, ``peer``), and are given new numbers in place."""
        used = {name: np.unique(np.concatenate(arrays)) for name, arrays in columns.items()}
        operations = [self._operations.values[number] for number in used["operation"].tolist()]
        workloads = np.union1d(used["workload"], [workload for workload, _, _ in operations]).astype(np.int64)
        kept = [self._workloads.values[number] for number in workloads.tolist()]
        place = {number: at for at, number in enumerate(workloads.tolist())}
        peers = [self._peers.values[number] for number in used["peer"].tolist() if number >= 0]
        self._workloads, self._operations, self._peers = _Numbers(), _Numbers(), _Numbers()
        for value in kept:
            self._workloads.of(value)
        for workload, kind, name in operations:
            self._operations.of((place[workload], kind, name))
        for value in peers:
            self._peers.of(value)
        known = {**used, "workload": workloads, "peer": used["peer"][used["peer"] >= 0]}
        for name, arrays in columns.items():
            for array in arrays:
                array[:] = np.where(array < 0, -1, np.searchsorted(known[name], array))

    def peer(self, number: int) -> str:
        """What is called by name, as a workload is named."""
        found: str = self._peers.values[number]
        return found

    def __len__(self) -> int:
        return len(self._operations.values) + len(self._peers.values)
