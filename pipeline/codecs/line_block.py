"""Blocks of log lines on ``calm.logs``: records.LineBlock ⇄ bytes.

Guarantee: decode(encode(block)) keeps every row; anything else raises columns.DamagedFrame. Entities stand in the head;
bodies are one buffer of UTF-8 and where each ends; trace ids take room only where there are any.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns, entities
from pipeline.records import LineBlock

_KIND = "logs/1"
_TRACE_BYTES = 16
_MOST_SEVERITY = 24

_Head = tuple[str, str, int, int, int, bool, list[entities.Parts]]


def encode(block: LineBlock) -> bytes:
    """Raises ValueError for a trace id that does not have 16 bytes, or none."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    if block.rows:
        bodies = [line.encode("utf-8", "surrogatepass") for line in block.body]
        arrays = {
            "entity": block.entity.astype(np.uint16) if len(block.entities) <= 0xFFFF else block.entity,
            "time_us": block.time_us,
            "severity": block.severity,
            "offset": _small(block.offset - block.start),
            "size": _small(np.fromiter(map(len, bodies), np.int64, len(bodies))),
            "body": np.frombuffer(b"".join(bodies), np.uint8),
        } | _traces(block.trace_id)
        if block.late is not None and block.late.size:
            arrays["late"] = block.late
    described = [entities.describe(entity) for entity in block.entities]
    head = [_KIND, block.source, block.start, block.end, block.progress_us, block.idle, described]
    return columns.encode(head, arrays)


def decode(value: bytes) -> LineBlock:
    """Raises columns.DamagedFrame when the bytes are not a block."""
    head, arrays = columns.decode(value)
    if not isinstance(head, list) or head[:1] != [_KIND]:
        raise columns.DamagedFrame(f"not a block of {_KIND!r}")
    try:
        return _block(head, arrays)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
        raise columns.DamagedFrame(f"a block of {_KIND!r} is damaged: {error!r}") from error


def _block(head: list[Any], arrays: dict[str, npt.NDArray[Any]]) -> LineBlock:
    _, source, start, end, progress_us, idle, described = msgspec.convert(head, _Head)

    def column(name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return arrays[name].astype(dtype, copy=False) if name in arrays else np.empty(0, dtype)

    body = _bodies(column("size", np.int64), column("body", np.uint8))
    block = LineBlock(
        source=source,
        start=start,
        end=end,
        progress_us=progress_us,
        idle=idle,
        entities=tuple(entities.entity_of(parts) for parts in described),
        entity=column("entity", np.uint32),
        time_us=column("time_us", np.int64),
        severity=column("severity", np.uint8),
        offset=column("offset", np.int64) + start,
        body=body,
        trace_id=_trace_ids(len(body), column("traced", np.uint32), column("trace", np.uint8)),
        late=column("late", np.uint32) if "late" in arrays else None,
    )
    _check(block)
    return block


def _bodies(size: npt.NDArray[np.int64], body: npt.NDArray[np.uint8]) -> list[str]:
    if size.ndim != 1 or body.ndim != 1 or (size < 0).any() or int(size.sum()) != body.size:
        raise ValueError(f"lines of {int(size.sum())} bytes in {body.size}")
    ends = np.cumsum(size)
    data = body.tobytes()
    if data.isascii():  # one text for all of them, in which places are the same
        text = data.decode("ascii")
        return [text[at:end] for at, end in zip((ends - size).tolist(), ends.tolist(), strict=True)]
    return [
        data[at:end].decode("utf-8", "surrogatepass")
        for at, end in zip((ends - size).tolist(), ends.tolist(), strict=True)
    ]


def _traces(trace_id: list[bytes]) -> dict[str, npt.NDArray[Any]]:
    traced = [row for row, trace in enumerate(trace_id) if trace]
    if not traced:
        return {}
    joined = b"".join(trace_id)
    if set(map(len, trace_id)) - {0, _TRACE_BYTES}:
        raise ValueError(f"a trace id has {_TRACE_BYTES} bytes, or none")
    return {
        "traced": np.array(traced, np.uint32),
        "trace": np.frombuffer(joined, np.uint8).reshape(-1, _TRACE_BYTES),
    }


def _trace_ids(rows: int, traced: npt.NDArray[np.uint32], trace: npt.NDArray[np.uint8]) -> list[bytes]:
    found = [b""] * rows
    if traced.size:
        if traced.ndim != 1 or trace.shape != (traced.size, _TRACE_BYTES):
            raise ValueError(f"{traced.size} trace ids of shape {trace.shape}")
        data = trace.tobytes()
        for place, row in enumerate(traced.tolist()):
            found[row] = data[place * _TRACE_BYTES : (place + 1) * _TRACE_BYTES]
    return found


def _check(block: LineBlock) -> None:
    """Raises ValueError when the columns do not fit each other."""
    shapes = {column.shape for column in (block.entity, block.time_us, block.severity, block.offset)}
    if shapes != {(block.rows,)}:
        raise ValueError(f"columns of shapes {sorted(shapes)} for {block.rows} lines")
    late = block.late if block.late is not None else np.empty(0, np.uint32)
    for name, index, size in (
        ("entity", block.entity, len(block.entities)),
        ("late", late, block.rows),
        ("severity", block.severity, _MOST_SEVERITY + 1),
    ):
        if index.size and int(index.max()) >= size:
            raise ValueError(f"{name} {int(index.max())} of {size}")


def _small(numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """As 32 bits where they fit."""
    return numbers if numbers.size and int(numbers.max()) > 0xFFFFFFFF else numbers.astype(np.uint32)
