"""Of the state of a score shard that of the signals which belong to one partition of more than there were.

Guarantee: every number of a signal that stays is as it was, whatever row it has; signals of a workload stay together,
and with them entities, siblings and limits. What is learnt of all signals of a shard together (the fleet's calibration,
the threshold of the alert budget) goes whole into every part.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns, signal_block
from pipeline.flow import correction_state
from pipeline.records import LaterBlocks, Signal, Snapshot
from pipeline.scoring.catalogue import VACANT
from pipeline.scoring.table import PART_ROWS
from pipeline.signals.identity import partition_of, workload_partition

Array = npt.NDArray[Any]
_Rows = Mapping[int, int]  # row before → row now


def ids_of(snapshot: Snapshot) -> Array:
    """The ids of all signals in a state."""
    return np.array([signal.id for signal in _signals(snapshot)], np.uint64)


def part_of(snapshot: Snapshot, partition: int, partitions: int, *, moved: int | None) -> Snapshot:
    """The part for ``partition``; a new one (``moved``: the end of the log that it does not have) numbers what it
    writes from 0 and has read nothing of its log. Raises ValueError where the state has a part that is not known."""
    signals = _signals(snapshot)
    stays = [
        row for row, signal in enumerate(signals) if signal != VACANT and partition_of(signal, partitions) == partition
    ]
    rows = {row: place for place, row in enumerate(stays)}
    makers: dict[str, Callable[[], bytes]] = {}
    for name, arrays in _table(snapshot, stays):
        makers[name] = partial(columns.encode, name, arrays)
    makers["pools"] = partial(_pools, snapshot.blocks["pools"], rows)
    for number in range(-(-len(stays) // PART_ROWS)):
        inside = stays[number * PART_ROWS : (number + 1) * PART_ROWS]
        makers[f"signals/{number}"] = partial(signal_block.encode_signals, [signals[row] for row in inside])
    known = [each for each in _packed(snapshot, "workloads") if workload_partition(*each[:2], partitions) == partition]
    makers["workloads"] = partial(msgspec.msgpack.encode, known)
    if "distributions" in snapshot.names:
        seen = [[rows[row], *rest] for row, *rest in _packed(snapshot, "distributions") if row in rows]
        makers["distributions"] = partial(msgspec.msgpack.encode, seen)
    if "corrections" in snapshot.names:
        makers["corrections"] = partial(correction_state.of_rows, snapshot.blocks["corrections"], rows)
    unknown = {name.split("/")[0] for name in snapshot.names} - {"fast", "slow", "pools", "signals", "workloads"}
    if unknown - {"distributions", "corrections"}:
        raise ValueError(f"a state of {snapshot.version} has parts that nobody divides: {', '.join(sorted(unknown))}")
    offset, head = _head(snapshot.head, moved)
    return Snapshot(snapshot.version, offset, head, LaterBlocks(makers), tuple(makers), full=True)


def _head(head: bytes, moved: int | None) -> tuple[int, bytes]:
    offset, progress, closed_us, sent, read, *rest = msgspec.msgpack.decode(head)
    if moved is not None:
        offset, read, sent = offset - moved, read - moved, [0] * len(sent)
    return offset, msgspec.msgpack.encode([offset, progress, closed_us, sent, read, *rest])


def _signals(snapshot: Snapshot) -> list[Signal]:
    parts = sorted((name for name in snapshot.names if name.startswith("signals/")), key=_number)
    return [signal for name in parts for signal in signal_block.decode_signals(snapshot.blocks[name])]


def _table(snapshot: Snapshot, stays: list[int]) -> list[tuple[str, dict[str, Array]]]:
    """The table's parts, of these rows."""
    rows, found = np.array(stays, np.int64), []
    for speed in ("fast", "slow"):
        parts = sorted((name for name in snapshot.names if name.startswith(f"{speed}/")), key=_number)
        read = [columns.decode(snapshot.blocks[name])[1] for name in parts]
        whole = {key: np.concatenate([arrays[key] for arrays in read])[rows] for key in (read[0] if read else ())}
        for number in range(-(-rows.size // PART_ROWS)):
            inside = slice(number * PART_ROWS, (number + 1) * PART_ROWS)
            found.append((f"{speed}/{number}", {key: array[inside] for key, array in whole.items()}))
    return [each for each in found if each[1]]


def _pools(block: bytes, rows: _Rows) -> bytes:
    head, arrays = columns.decode(block)
    derived, sizes, members = (arrays[name] for name in ("entity_rows", "entities.sizes", "entities.rows"))
    stays = np.array([row in rows for row in derived.tolist()], np.bool_)
    of_member, of_entry = np.repeat(stays, sizes), np.repeat(stays, sizes**2)
    now = {
        "entity_rows": _renumbered(derived[stays], rows),
        "entities.sizes": sizes[stays],
        "entities.rows": _renumbered(members[of_member], rows),
        "entities.inverse": arrays["entities.inverse"][of_entry],
        "entities.numbers": arrays["entities.numbers"][stays],
    }
    return columns.encode(head, {**arrays, **now})


def _renumbered(before: Array, rows: _Rows) -> Array:
    return np.array([rows[row] for row in before.tolist()], np.int64)


def _packed(snapshot: Snapshot, name: str) -> list[Any]:
    found: list[Any] = msgspec.msgpack.decode(snapshot.blocks[name])
    return found


def _number(name: str) -> int:
    return int(name.partition("/")[2])
