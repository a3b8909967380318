"""Detectors: what is unusual, as arrays in and arrays out.

Row i of every array is signal i. A detector is three things: parameters (a frozen dataclass with defaults), state
(named arrays with a version) and functions (``empty``, ``step``, ``take``). *Row detectors* judge a signal by its own
history; *pools* (budget, calibration, discovery, together) look across signals, and say across which. numpy, scipy and
numba only: no names of signals, no clock, no I/O.

``ComposedDetector`` is the one that people get. Its parts, one file each: soft_range, season, forecast (what is
expected), deviations, drift, novelty, shift (how odd a window is), tails (how unlikely that is). The others stand
alone.
"""

from detectors.composed import PARTS as ROW_PARTS
from detectors.composed import ComposedDetector, RowOptions, TotalsPrior
from detectors.counts import CountsDetector
from detectors.heirs import inherit
from detectors.level import LevelDetector
from detectors.protocol import RowDetector, Scores, State, StateVersionError
from detectors.rarity import RarityDetector
from detectors.ratio import RatioDetector
from detectors.silence import SilenceDetector

#: What judges a signal by default, each turned off by name: parts of a row, silence, the entity's signals together, how
#: rare alerts of a type are, and how large it is what callers feel.
PARTS = (*ROW_PARTS, "silence", "together", "rarity", "felt")

#: The row detectors that can be chosen by name.
CATALOGUE: dict[
    str,
    type[ComposedDetector] | type[LevelDetector] | type[CountsDetector] | type[RatioDetector] | type[RarityDetector],
] = {
    "composed": ComposedDetector,
    "level": LevelDetector,
    "counts": CountsDetector,
    "ratio": RatioDetector,
    "rarity": RarityDetector,
}

__all__ = [
    "CATALOGUE",
    "PARTS",
    "ROW_PARTS",
    "ComposedDetector",
    "CountsDetector",
    "LevelDetector",
    "RarityDetector",
    "RatioDetector",
    "RowDetector",
    "RowOptions",
    "Scores",
    "SilenceDetector",
    "State",
    "StateVersionError",
    "TotalsPrior",
    "inherit",
]
