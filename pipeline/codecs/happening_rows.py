"""The events or changes of a batch while it is read.

Guarantee: there is at most one rejection for each message and reason, ``whole`` exactly when nothing of the message is
left.
"""

from typing import Generic, TypeVar

import numpy as np

from pipeline.codecs.point_rows import PointRows
from pipeline.records import Rejection

T = TypeVar("T")


class HappeningRows(PointRows, Generic[T]):
    """``found``: the index of the message and what it held, in message order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, T]] = []

    def rejections(self) -> list[Rejection]:
        """Call at the end."""
        return self._rejections(np.array([number for number, _ in self.found], np.int32))

    def counts(self) -> dict[str, int]:
        """What was dropped, by reason."""
        return {reason: number for reason, number in self.dropped.items() if number}
