"""Blocks of scored windows on ``calm.scores``: records.ScoreBlock ⇄ bytes.

Guarantee: decode(encode(block)) is the same block; all rows of a block end at the same time.
"""

import numpy as np

from pipeline.codecs import columns
from pipeline.records import ScoreBlock

_KIND = "scores/1"
_COLUMNS = ("ids", "time_us", "count", "value", "expected", "lower", "upper", "surprise", "anomalous")


def encode(block: ScoreBlock) -> bytes:
    arrays = {name: getattr(block, name) for name in _COLUMNS}
    return columns.encode([_KIND, block.end_us], arrays)


def decode(value: bytes) -> ScoreBlock:
    """Raises columns.DamagedFrame when the bytes are not a score block."""
    head, arrays = columns.decode(value)
    if not isinstance(head, list) or head[:1] != [_KIND]:
        raise columns.DamagedFrame(f"not a block of {_KIND!r}")
    if arrays.keys() != set(_COLUMNS) or len({array.shape for array in arrays.values()}) != 1 or len(head) != 2:
        raise columns.DamagedFrame(f"a block of {_KIND!r} with columns {list(arrays)} is damaged")
    return ScoreBlock(head[1], **(arrays | {"anomalous": arrays["anomalous"].astype(np.bool_)}))
