"""Blocks of spans on ``calm.spans``: records.SpanBlock ⇄ bytes.

Guarantee: decode(encode(block)) keeps every row, shape and entity; anything else raises columns.DamagedFrame. Entities
and shapes stand in the head; the end of a span travels as its length.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns
from pipeline.codecs.entities import Parts, describe, entity_of
from pipeline.records import Peer, SpanBlock, SpanKind, SpanShape

_KIND = "spans/1"
_MOST_32 = 0xFFFFFFFF

_DescribedShape = tuple[int, SpanKind, str, str, Peer]
_Head = tuple[str, str, int, int, int, bool, list[Parts], list[_DescribedShape]]


def encode(block: SpanBlock) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {}
    if block.rows:
        arrays = {
            "shape": block.shape.astype(np.uint16) if len(block.shapes) <= 0xFFFF else block.shape,
            "trace": block.trace,
            "span": block.span,
            "parent": block.parent,
            "start_us": block.start_us,
            "length_us": _small(block.end_us - block.start_us),
            "failed": block.failed,
            "offset": _small(block.offset - block.start),
        }
        if len(block.links):
            arrays["links"] = block.links
        if block.late is not None and block.late.size:
            arrays["late"] = block.late
    entities = [describe(entity) for entity in block.entities]
    shapes = [[one.resource, one.kind, one.operation, one.peer, one.peer_kind] for one in block.shapes]
    head = [_KIND, block.source, block.start, block.end, block.progress_us, block.idle, entities, shapes]
    return columns.encode(head, arrays)


def decode(value: bytes) -> SpanBlock:
    """Raises columns.DamagedFrame when the bytes are not a block."""
    head, arrays = columns.decode(value)
    if not isinstance(head, list) or head[:1] != [_KIND]:
        raise columns.DamagedFrame(f"not a block of {_KIND!r}")
    try:
        return _block(head, arrays)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
        raise columns.DamagedFrame(f"a block of {_KIND!r} is damaged: {error!r}") from error


def _block(head: list[Any], arrays: dict[str, npt.NDArray[Any]]) -> SpanBlock:
    _, source, start, end, progress_us, idle, entities, shapes = msgspec.convert(head, _Head)

    def column(name: str, dtype: npt.DTypeLike, *more: int) -> npt.NDArray[Any]:
        return arrays[name].astype(dtype, copy=False) if name in arrays else np.empty((0, *more), dtype)

    start_us, length_us = column("start_us", np.int64), column("length_us", np.int64)
    if start_us.shape != length_us.shape:
        raise ValueError(f"columns of shapes {start_us.shape} and {length_us.shape}")
    block = SpanBlock(
        source=source,
        start=start,
        end=end,
        progress_us=progress_us,
        idle=idle,
        entities=tuple(entity_of(parts) for parts in entities),
        shapes=tuple(SpanShape(*parts) for parts in shapes),
        shape=column("shape", np.uint32),
        trace=column("trace", np.uint64, 2),
        span=column("span", np.uint64),
        parent=column("parent", np.uint64),
        start_us=start_us,
        end_us=start_us + length_us,
        failed=column("failed", np.bool_),
        offset=column("offset", np.int64) + start,
        links=column("links", np.uint64, 4),
        late=column("late", np.uint32) if "late" in arrays else None,
    )
    _check(block)
    return block


def _check(block: SpanBlock) -> None:
    """Raises ValueError when the columns do not fit each other."""
    of_rows = (block.shape, block.span, block.parent, block.start_us, block.failed, block.offset)
    shapes = {column.shape for column in of_rows}
    if shapes != {(block.rows,)} or block.trace.shape != (block.rows, 2) or block.links.shape[1:] != (4,):
        raise ValueError(f"columns of shapes {sorted(shapes)}, traces {block.trace.shape}, links {block.links.shape}")
    late = block.late if block.late is not None else np.empty(0, np.uint32)
    resource = np.array([shape.resource for shape in block.shapes], np.int64)
    for name, index, size in (
        ("shape", block.shape, len(block.shapes)),
        ("entity", resource, len(block.entities)),
        ("linked row", block.links[:, 0], block.rows),
        ("late row", late, block.rows),
    ):
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < size:
            raise ValueError(f"{name} {int(index.max())} of {size}")


def _small(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """As 32 bits where they fit."""
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= _MOST_32:
        return values
    return values.astype(np.uint32)
