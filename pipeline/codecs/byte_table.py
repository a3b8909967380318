"""Numbers for byte strings, found from numba kernels: the memory of the fast scanners.

Guarantee: two different keys never have one number: what has the same hash is compared byte by byte. A key is a small
integer and one or more stretches of bytes, in order. Open addressing over numpy arrays; nothing is ever taken out, the
whole table is emptied.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.codecs.wire import fixed64

_PRIME, _BASIS = (
    np.uint64(0x100000001B3),
    np.uint64(0xCBF29CE484222325),
)  # of the hash FNV-1a, here eight bytes at a time
_LENGTH_BYTES = 4


#: Columns of an entry: its hash, prefix, value, and where its key begins and ends among the kept bytes.
_HASH, _PREFIX, _VALUE, _AT, _END = range(5)


class Slots(NamedTuple):
    """The arrays of a table, as kernels take them. Few, for numba counts references to each at every call."""

    slots: Any  # the number of an entry + 1, or 0
    entries: Any  # (entries, 5)
    kept: Any  # each stretch of each key: four bytes of length, then its bytes


class ByteTable:
    """Empty at first; ``slots`` is what kernels search in (see ``find``), another object after ``add``."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._size = self._bytes = 0
        self.slots = Slots(np.zeros(16, np.int32), np.zeros((8, 5), np.int64), np.zeros(256, np.uint8))

    def __len__(self) -> int:
        return self._size

    @property
    def kept_bytes(self) -> int:
        """How much memory the arrays take."""
        return sum(array.nbytes for array in self.slots)

    def add(self, prefix: int, parts: Sequence[bytes], value: int) -> None:
        """Remember a key that is not known yet."""
        self.add_all([(prefix, *parts)], [value])

    def add_all(self, keys: Sequence[tuple[Any, ...]], values: Sequence[int]) -> None:
        """Remember keys, (prefix, part, part, …) each, that are distinct and not known yet."""
        if not keys:
            return
        parts = [part for key in keys for part in key[1:]]
        data, starts, ends = _joined(parts)
        size = data.size + _LENGTH_BYTES * len(parts)
        self._make_room(len(keys), size)
        counts = np.array([len(key) - 1 for key in keys], np.int64)
        prefixes = np.array([key[0] for key in keys], np.int64)
        _add(self.slots, self._size, self._bytes, prefixes, data, starts, ends, counts, np.array(values, np.int64))
        self._size += len(keys)
        self._bytes += size

    def _make_room(self, keys: int, size: int) -> None:
        slots, entries, kept = self.slots
        if self._size + keys > len(entries):
            more = max(len(entries), keys)
            entries = np.concatenate([entries, np.zeros((more, entries.shape[1]), np.int64)])
        if self._bytes + size > kept.size:
            kept = np.concatenate([kept, np.zeros(max(kept.size, size), np.uint8)])
        if 2 * (self._size + keys) > slots.size:
            slots = np.zeros(1 << (4 * (self._size + keys) - 1).bit_length(), np.int32)
            _spread(slots, entries, self._size)
        self.slots = Slots(slots, entries, kept)


def _joined(parts: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(parts) else ends
    return np.frombuffer(b"".join(parts), np.uint8), starts, ends


@njit(cache=True, error_model="numpy")
def find(table: Any, prefix: int, data: Any, starts: Any, ends: Any, parts: int) -> int:
    """The number of the key ``prefix`` with ``parts`` stretches of ``data``, −1 where it is not known."""
    entry = _entry(table, prefix, data, starts, ends, parts)
    return table.entries[entry, _VALUE] if entry >= 0 else -1


@njit(cache=True, error_model="numpy")
def find_after(table: Any, entry: int, prefix: int, data: Any, starts: Any, ends: Any, parts: int) -> tuple[int, int]:
    """``find``, and the entry of the key. Looks first behind ``entry``, where the key stands if it came before in the
    same order, as what producers send does: in large tables most of the time goes to waiting for memory."""
    guess = entry + 1
    if (
        guess < len(table.entries)
        and table.entries[guess, _HASH] != 0  # there is one
        and table.entries[guess, _PREFIX] == prefix
        and _same(table.kept, table.entries[guess, _AT], table.entries[guess, _END], data, starts, ends, parts)
    ):
        return table.entries[guess, _VALUE], guess
    entry = _entry(table, prefix, data, starts, ends, parts)
    return (table.entries[entry, _VALUE] if entry >= 0 else -1), entry


@njit(cache=True, error_model="numpy")
def _entry(table: Any, prefix: int, data: Any, starts: Any, ends: Any, parts: int) -> int:
    hashed = _hash(prefix, data, starts, ends, parts)
    last = table.slots.size - 1
    at = hashed & last
    while table.slots[at] > 0:
        entry = table.slots[at] - 1
        if (
            table.entries[entry, _HASH] == hashed
            and table.entries[entry, _PREFIX] == prefix
            and _same(table.kept, table.entries[entry, _AT], table.entries[entry, _END], data, starts, ends, parts)
        ):
            return entry
        at = (at + 1) & last
    return -1


@njit(cache=True, error_model="numpy")
def _hash(prefix: int, data: Any, starts: Any, ends: Any, parts: int) -> Any:
    hashed = (_BASIS ^ np.uint64(prefix)) * _PRIME
    for part in range(parts):
        begin, end = starts[part], ends[part]
        hashed = (hashed ^ np.uint64(end - begin)) * _PRIME
        words = (end - begin) // 8
        for word in range(words):
            hashed = (hashed ^ fixed64(data, begin + 8 * word)) * _PRIME
            hashed ^= hashed >> np.uint64(32)
        for i in range(begin + 8 * words, end):
            hashed = (hashed ^ np.uint64(data[i])) * _PRIME
    return np.int64(hashed ^ (hashed >> np.uint64(29)))


@njit(cache=True, error_model="numpy")
def _same(kept: Any, at: int, stop: int, data: Any, starts: Any, ends: Any, parts: int) -> bool:
    for part in range(parts):
        begin, size = starts[part], ends[part] - starts[part]
        if at + _LENGTH_BYTES + size > stop:
            return False
        known: Any = 0
        for i in range(_LENGTH_BYTES):
            known |= np.int64(kept[np.uint64(at + i)]) << (8 * i)
        if known != size:
            return False
        at += _LENGTH_BYTES
        words = size // 8
        for word in range(words):
            if fixed64(kept, at + 8 * word) != fixed64(data, begin + 8 * word):
                return False
        for i in range(8 * words, size):
            if kept[np.uint64(at + i)] != data[np.uint64(begin + i)]:
                return False
        at += size
    return at == stop


@njit(cache=True, error_model="numpy")
def _add(
    table: Any, entry: int, at: int, prefixes: Any, data: Any, starts: Any, ends: Any, counts: Any, values: Any
) -> None:
    first = 0
    for key in range(prefixes.size):
        begin, stop = starts[first : first + counts[key]], ends[first : first + counts[key]]
        first += counts[key]
        table.entries[entry, _AT] = at
        for part in range(begin.size):
            size = stop[part] - begin[part]
            for i in range(_LENGTH_BYTES):
                table.kept[at + i] = (size >> (8 * i)) & 0xFF
            at += _LENGTH_BYTES
            table.kept[at : at + size] = data[begin[part] : stop[part]]
            at += size
        table.entries[entry, _END] = at
        table.entries[entry, _HASH] = hashed = _hash(prefixes[key], data, begin, stop, begin.size)
        table.entries[entry, _PREFIX], table.entries[entry, _VALUE] = prefixes[key], values[key]
        _put(table.slots, hashed, entry)
        entry += 1


@njit(cache=True, error_model="numpy")
def _put(slots: Any, hashed: int, entry: int) -> None:
    last = slots.size - 1
    at = hashed & last
    while slots[at] > 0:
        at = (at + 1) & last
    slots[at] = entry + 1


@njit(cache=True, error_model="numpy")
def _spread(slots: Any, entries: Any, size: int) -> None:
    for entry in range(size):
        _put(slots, entries[entry, _HASH], entry)
