"""Blocks of scored windows on ``calm.scores``: records.ScoreBlock ⇄ bytes.

Guarantee: decode(encode(block)) is the same block; all rows of a block end at the same time.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.codecs import columns
from pipeline.records import ScoreBlock

_KIND = "scores/2"
_COLUMNS = (
    *("ids", "time_us", "count", "value", "expected", "lower", "upper", "surprise", "anomalous"),
    *("threshold", "verdict"),
)


#: Rows in one block at most, so that it is no larger than a record may be.
MOST_ROWS = 100_000


def parts(block: ScoreBlock) -> Iterator[ScoreBlock]:
    """A block as those that are written: several, where it has very many rows."""
    for first in range(0, max(block.ids.size, 1), MOST_ROWS):
        inside = slice(first, first + MOST_ROWS)
        yield replace(block, **{name: getattr(block, name)[inside] for name in _COLUMNS})


def encode(block: ScoreBlock) -> bytes:
    arrays = {name: getattr(block, name) for name in _COLUMNS}
    return columns.encode([_KIND, block.end_us, block.policies], arrays)


def decode(value: bytes) -> ScoreBlock:
    """Raises columns.DamagedFrame when the bytes are not a score block."""
    head, arrays = columns.decode(value)
    if not isinstance(head, list) or head[:1] != [_KIND]:
        raise columns.DamagedFrame(f"not a block of {_KIND!r}")
    if arrays.keys() != set(_COLUMNS) or len({array.shape for array in arrays.values()}) != 1 or len(head) != 3:
        raise columns.DamagedFrame(f"a block of {_KIND!r} with columns {list(arrays)} is damaged")
    return ScoreBlock(head[1], **arrays | {"anomalous": arrays["anomalous"].astype(np.bool_)}, policies=head[2])
