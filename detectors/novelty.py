"""Shape novelty: how far the last stretch is from every stretch remembered.

Guarantee: bounded memory (SHAPES a scale, the oldest goes first), and one comparison with them per block; phases of
blocks differ between rows, so that work is spread evenly over windows. Shapes are the means of 4 blocks of 4, 12 and
24 windows, in places of the soft range, kept as 16-bit numbers.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors.protocol import Floats

SCALES = 3
BLOCK = (4, 12, 24)  # windows in a block, by scale
BLOCKS = 4
SHAPES = 32
#: Columns of ``blocks`` for one scale: the newest BLOCKS means, sum, windows in it, blocks so far, shapes known,
#: oldest.
SUM, WINDOWS, SO_FAR, KNOWN, OLDEST = range(BLOCKS, BLOCKS + 5)
WIDTH = BLOCKS + 5
_NEW = 0.1  # mean distance beyond which a shape is remembered
_STEP = 1.0 / 2048.0  # resolution of remembered shapes
_PHASE, _KEYS = 7919, 1_000_003


@njit(cache=True, error_model="numpy")
def phases_of(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Windows by which the blocks of rows with these keys are ahead."""
    return (keys % np.uint64(_KEYS) * np.uint64(_PHASE) % np.uint64(24)).astype(np.uint8)


@njit(cache=True, error_model="numpy")
def novelty(blocks: Floats, shapes: npt.NDArray[np.int16], scale: int, place: float, tick: int) -> float:
    """Add a window to one scale; at the end of a block the mean distance to the nearest shape, else −1.

    ``blocks`` (WIDTH,) and ``shapes`` (SHAPES·BLOCKS,) are those of the scale; ``tick`` counts windows.
    """
    blocks[SUM] += place
    blocks[WINDOWS] += 1.0
    if tick % BLOCK[scale] != 0:
        return -1.0
    for j in range(BLOCKS - 1):
        blocks[j] = blocks[j + 1]
    blocks[BLOCKS - 1] = blocks[SUM] / blocks[WINDOWS]
    blocks[SUM] = blocks[WINDOWS] = 0.0
    blocks[SO_FAR] = min(blocks[SO_FAR] + 1.0, 100.0)
    if blocks[SO_FAR] <= BLOCKS:
        return -1.0
    known = int(blocks[KNOWN])
    nearest = _nearest(blocks, shapes, known)
    if known == 0 or nearest > _NEW:
        _remember(blocks, shapes, known)
    return nearest if known > 0 else -1.0


@njit(cache=True, error_model="numpy")
def _nearest(blocks: Floats, shapes: npt.NDArray[np.int16], known: int) -> float:
    least = 1e9
    for k in range(known):
        distance = 0.0
        for j in range(BLOCKS):
            distance += abs(shapes[k * BLOCKS + j] * _STEP - blocks[j])
        least = min(least, distance)
    return least / BLOCKS


@njit(cache=True, error_model="numpy")
def _remember(blocks: Floats, shapes: npt.NDArray[np.int16], known: int) -> None:
    at = known
    if known < SHAPES:
        blocks[KNOWN] = known + 1.0
    else:
        at = int(blocks[OLDEST])
        blocks[OLDEST] = (at + 1.0) % SHAPES
    for j in range(BLOCKS):
        shapes[at * BLOCKS + j] = np.int16(np.rint(blocks[j] / _STEP))
