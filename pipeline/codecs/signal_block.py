"""Blocks of raw values on ``calm.signals``: records.SignalBlock ⇄ bytes.

Guarantee: decode(encode(block)) keeps every row, description and histogram.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns
from pipeline.records import HistogramPoint, Kind, Signal, SignalBlock

_KIND = "signals/1"


def encode(block: SignalBlock) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {}
    if block.rows:
        arrays = {
            "ids": block.ids,
            "signal": block.signal.astype(np.uint16) if block.ids.size <= 0xFFFF else block.signal,
            "time_us": block.time_us,
            "value": block.value,
            "offset": (block.offset - block.start).astype(np.uint32),
        }
        if block.start_us is not None:
            arrays["start_us"] = block.start_us
        if block.late is not None and block.late.size:
            arrays["late"] = block.late
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
    ]
    return columns.encode(head, arrays)


def decode(value: bytes) -> SignalBlock:
    """Raises columns.DamagedFrame when the bytes are not a block."""
    head, arrays = columns.decode(value)
    try:
        kind, source, start, end, progress_us, idle, described = head
        signals = tuple(signal_of(parts) for parts in described)
    except (TypeError, ValueError) as error:
        raise columns.DamagedFrame(f"not a block of {_KIND}: {error}") from error
    if kind != _KIND:
        raise columns.DamagedFrame(f"a block of {kind!r} where {_KIND!r} was expected")
    none = np.empty(0, np.int64)
    return SignalBlock(
        source=source,
        start=start,
        end=end,
        progress_us=progress_us,
        idle=idle,
        described=signals,
        ids=arrays.get("ids", none.astype(np.uint64)),
        signal=arrays.get("signal", none).astype(np.uint32),
        time_us=arrays.get("time_us", none),
        value=arrays.get("value", none.astype(np.float64)),
        offset=arrays.get("offset", none).astype(np.int64) + start,
        start_us=arrays.get("start_us"),
        late=arrays.get("late"),
        histograms=_unflatten(arrays) if "h_row" in arrays else {},
    )


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
    return Signal(id_, name, unit, Kind(kind), scope, workload, instance, tuple(zip(flat[::2], flat[1::2], strict=True)))


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
    found = {}
    for i, row in enumerate(arrays["h_row"].tolist()):
        part = slice(edges[i], edges[i + 1])
        counts = arrays["h_counts"][part]
        found[row] = HistogramPoint(
            float(arrays["value"][row]), float(arrays["h_sum"][i]), arrays["h_bounds"][part], counts
        )
    return found
