"""Detectors: what is unusual, as arrays in and arrays out.

Row i of every array is signal i. A detector is three things: parameters (a frozen dataclass with defaults), state
(named arrays with a version) and functions (``empty``, ``step``, ``take``). numpy and scipy only: no names of signals,
no clock, no I/O.
"""

from detectors.level import LevelDetector
from detectors.protocol import RowDetector, Scores, State, StateVersionError

#: The row detectors that can be chosen by name.
CATALOGUE: dict[str, type[LevelDetector]] = {"level": LevelDetector}

__all__ = ["CATALOGUE", "LevelDetector", "RowDetector", "Scores", "State", "StateVersionError"]
