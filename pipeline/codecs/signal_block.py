"""Blocks of raw values on ``calm.signals``: records.SignalBlock ⇄ bytes.

Guarantee: decode(encode(block)) keeps every row, description and histogram.
"""

from collections.abc import Sequence
from functools import lru_cache
from sys import intern
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns, entities
from pipeline.records import HistogramPoint, Kind, Signal, SignalBlock
from pipeline.records.signal import Attributes

_KIND = "signals/2"

_Described = tuple[int, str, str, Kind, str, str, str, list[str]]
_Head = tuple[str, str, int, int, int, bool, list[_Described], list[entities.Parts]]


def encode(block: SignalBlock) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {}
    if block.rows:
        arrays = {
            "ids": block.ids,
            "signal": block.signal.astype(np.uint16) if block.ids.size <= 0xFFFF else block.signal,
            "time_us": block.time_us,
            "value": block.value,
            "offset": _small(block.offset - block.start),
        }
        if block.start_us is not None:
            arrays["start_us"] = block.start_us
        if block.late is not None and block.late.size:
            arrays["late"] = block.late
            if block.late_us is not None:
                arrays["late_us"] = block.late_us
        if block.histograms:
            arrays |= _flatten(block.histograms)
    head = [
        _KIND,
        block.source,
        block.start,
        block.end,
        block.progress_us,
        block.idle,
        [describe(signal) for signal in block.described],
        [entities.describe(entity) for entity in block.entities],
    ]
    return columns.encode(head, arrays)


def decode(value: bytes) -> SignalBlock:
    """Raises columns.DamagedFrame when the bytes are not a block."""
    head, arrays = columns.decode(value)
    if not isinstance(head, list) or head[:1] != [_KIND]:
        raise columns.DamagedFrame(f"not a block of {_KIND!r}")
    try:
        return _block(head, arrays)
    except (KeyError, IndexError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise columns.DamagedFrame(f"a block of {_KIND!r} is damaged: {error!r}") from error


def _block(head: list[Any], arrays: dict[str, npt.NDArray[Any]]) -> SignalBlock:
    _, source, start, end, progress_us, idle, described, known = msgspec.convert(head, _Head)

    def column(name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return arrays[name].astype(dtype, copy=False) if name in arrays else np.empty(0, dtype)

    block = SignalBlock(
        source=source,
        start=start,
        end=end,
        progress_us=progress_us,
        idle=idle,
        described=tuple(signal_of(parts) for parts in described),
        ids=column("ids", np.uint64),
        signal=column("signal", np.uint32),
        time_us=column("time_us", np.int64),
        value=column("value", np.float64),
        offset=column("offset", np.int64) + start,
        start_us=column("start_us", np.int64) if "start_us" in arrays else None,
        late=column("late", np.uint32) if "late" in arrays else None,
        histograms=_unflatten(arrays) if "h_row" in arrays else {},
        entities=tuple(entities.entity_of(parts) for parts in known),
        late_us=column("late_us", np.int64) if "late_us" in arrays else None,
    )
    _check(block)
    return block


def _check(block: SignalBlock) -> None:
    """Raises ValueError when the columns do not fit each other."""
    start_us = block.offset if block.start_us is None else block.start_us
    shapes = {column.shape for column in (block.signal, block.time_us, block.value, block.offset, start_us)}
    if shapes != {(block.rows,)}:
        raise ValueError(f"columns of shapes {sorted(shapes)}")
    late = block.late if block.late is not None else np.empty(0, np.uint32)
    if block.late_us is not None and block.late_us.shape != late.shape:
        raise ValueError(f"late_us of shape {block.late_us.shape} for {late.size} late rows")
    for name, index, size in (("signal", block.signal, block.ids.size), ("late", late, block.rows)):
        if index.size and int(index.max()) >= size:
            raise ValueError(f"{name} {int(index.max())} of {size}")


def _small(offsets: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """As 32 bits where they fit: only the first block of a source whose log begins far from 0 is wider."""
    return offsets if offsets.size and int(offsets.max()) > 0xFFFFFFFF else offsets.astype(np.uint32)


def describe(signal: Signal) -> list[Any]:
    """A signal as a plain list, as blocks and checkpoints keep it."""
    return [
        signal.id,
        signal.name,
        signal.unit,
        signal.kind.value,
        signal.scope,
        signal.workload,
        signal.instance,
        [part for pair in signal.attributes for part in pair],
    ]


def signal_of(parts: Sequence[Any]) -> Signal:
    """The inverse of ``describe``; raises ValueError or TypeError on anything else."""
    id_, name, unit, kind, scope, workload, instance, flat = parts
    who = intern(scope), intern(workload), intern(instance)
    return Signal(id_, intern(name), intern(unit), Kind(kind), *who, _attributes(tuple(flat)))


@lru_cache(maxsize=16_384)
def _attributes(flat: tuple[str, ...]) -> Attributes:
    """Pairs of what stands one after the other; a million signals have few attributes that differ, and share them."""
    return tuple(_pair(intern(name), value) for name, value in zip(flat[::2], flat[1::2], strict=True))


@lru_cache(maxsize=16_384)
def _pair(name: str, value: str) -> tuple[str, str]:
    return name, value


def encode_signals(signals: Sequence[Signal]) -> bytes:
    return msgspec.msgpack.encode([describe(signal) for signal in signals])


def decode_signals(value: bytes) -> list[Signal]:
    return [signal_of(parts) for parts in msgspec.msgpack.decode(value)]


def _flatten(histograms: dict[int, HistogramPoint]) -> dict[str, npt.NDArray[Any]]:
    points = list(histograms.values())
    return {
        "h_row": np.fromiter(histograms, np.uint32, len(points)),
        "h_sum": np.array([point.sum for point in points]),
        "h_size": np.array([point.bounds.size for point in points], np.uint32),
        "h_bounds": np.concatenate([point.bounds for point in points]),
        "h_counts": np.concatenate([point.counts for point in points]),
    }


def _unflatten(arrays: dict[str, npt.NDArray[Any]]) -> dict[int, HistogramPoint]:
    edges = np.concatenate([[0], np.cumsum(arrays["h_size"])]).astype(int)
    if not arrays["h_bounds"].shape == arrays["h_counts"].shape == (edges[-1],) or (np.diff(edges) < 1).any():
        raise ValueError(f"histograms need {edges[-1]} bounds and counts, not {arrays['h_bounds'].shape}")
    found = {}
    for i, row in enumerate(arrays["h_row"].tolist()):
        part = slice(edges[i], edges[i + 1])
        counts = arrays["h_counts"][part]
        found[row] = HistogramPoint(
            float(arrays["value"][row]), float(arrays["h_sum"][i]), arrays["h_bounds"][part], counts
        )
    return found
