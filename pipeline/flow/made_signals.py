"""Signals that a stage counts itself, window by window: what was counted, zeros for what is quiet, and an end to names.

Guarantee: what is written depends on what was put and when alone. A signal that was put once has a value in every
window until it was quiet for QUIET_WINDOWS: a count of nothing is 0, and not a gap. Of each owner (a workload) at most
so many names are told apart; those that come after are called OTHER until one of the known was not seen for long.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.codecs import signal_block
from pipeline.flow.signal_writer import SignalWriter
from pipeline.records import Entity, HistogramPoint, Kind, Produced, Signal

#: Windows for which a signal of which nothing comes is told to be 0, and a name is remembered.
QUIET_WINDOWS = 60
#: What names beyond the limit are called.
OTHER = "(other)"

_NOTHING = HistogramPoint(0.0, 0.0, np.array([np.inf]), np.zeros(1))
_DISTRIBUTIONS = (Kind.HISTOGRAM_DELTA, Kind.SHARE)


@dataclass(slots=True)
class _Known:
    signal: Signal
    put_us: int  # end of the newest window with a value that was put


class MadeSignals:
    """``source`` is our name as a source of ``calm.signals``; ``shard`` keeps apart values of one signal that several
    shards put, by the time within the window."""

    def __init__(self, source: str, shard: int, partitions: int, window_us: int) -> None:
        self._writer = SignalWriter(source, partitions)
        self._shard = shard
        self._window_us = window_us
        self._known: dict[int, _Known] = {}

    def put(self, signal: Signal, value: float | HistogramPoint, end_us: int) -> None:
        """The value of a signal in the window that ends then."""
        known = self._known.setdefault(signal.id, _Known(signal, end_us))
        known.put_us = end_us
        self._write(signal, value, end_us)

    def know(self, entity: Entity) -> None:
        """Tell of an entity with the next window."""
        self._writer.know(entity)

    def close(self, end_us: int) -> list[Produced]:
        """All of a window is put: zeros for the quiet ones, and the records to write."""
        oldest = end_us - QUIET_WINDOWS * self._window_us
        for number in [number for number, known in self._known.items() if known.put_us < oldest]:
            del self._known[number]
            self._writer.forget([number])
        for known in sorted(self._known.values(), key=lambda each: each.signal.id):
            if known.put_us < end_us:
                self._write(known.signal, _NOTHING if known.signal.kind in _DISTRIBUTIONS else 0.0, end_us)
        return self._writer.close(end_us)

    def tell(self, progress_us: int, *, idle: bool) -> list[Produced]:
        """How far event time is, where that is news."""
        return self._writer.tell(progress_us, idle=idle)

    def any(self) -> bool:
        """Is there a signal that may have to be told to be 0?"""
        return bool(self._known)

    def _write(self, signal: Signal, value: float | HistogramPoint, end_us: int) -> None:
        self._writer.add(signal, end_us - 1 - self._shard, value, end_us - self._window_us)

    def keep(self, wanted: Callable[[Signal], bool]) -> None:
        """Forget the other signals, and tell no zeros of them."""
        self._known = {number: known for number, known in self._known.items() if wanted(known.signal)}

    @property
    def number(self) -> int:
        """That of the next message."""
        return self._writer.number

    def go_on_from(self, number: int) -> None:
        """The next message has this number."""
        self._writer.number = number

    def dump(self) -> list[Any]:
        known = sorted(self._known.values(), key=lambda each: each.signal.id)
        signals = signal_block.encode_signals([each.signal for each in known])
        return [self._writer.number, signals, [each.put_us for each in known]]

    def load(self, dumped: list[Any]) -> None:
        self._writer.number, signals, put_us = dumped
        decoded = signal_block.decode_signals(signals)
        self._known = {signal.id: _Known(signal, put) for signal, put in zip(decoded, put_us, strict=True)}


class BoundedNames:
    """Names that owners use, at most ``most`` each."""

    def __init__(self, most: int, window_us: int) -> None:
        self._most = most
        self._remembered_us = QUIET_WINDOWS * window_us
        self._seen: dict[tuple[str, ...], dict[str, tuple[int, int]]] = {}  # name → window end when taken, newest one

    def admit(self, owner: tuple[str, ...], names: Iterable[str], end_us: int, *, take: bool = True) -> dict[str, str]:
        """What the names that an owner used in a window are called; new ones are taken in the order of the alphabet.
        Without ``take`` the window is one of before: none is taken, and what was taken later is not known yet."""
        seen = self._seen.setdefault(owner, {})
        if take:
            for name in [name for name, (_, last_us) in seen.items() if last_us < end_us - self._remembered_us]:
                del seen[name]
        called = {}
        for name in sorted(set(names), key=lambda name: (name not in seen, name)):
            if take and (name in seen or len(seen) < self._most):
                seen[name] = (seen[name][0] if name in seen else end_us), end_us
            called[name] = name if name in seen and seen[name][0] <= end_us else OTHER
        return called

    def dump(self) -> list[Any]:
        found = [(owner, sorted(seen.items())) for owner, seen in sorted(self._seen.items()) if seen]
        return [[list(owner), [[name, *times] for name, times in seen]] for owner, seen in found]

    def load(self, dumped: list[Any]) -> None:
        self._seen = {tuple(owner): {name: (first, last) for name, first, last in seen} for owner, seen in dumped}
