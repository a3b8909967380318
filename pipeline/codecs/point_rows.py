"""What is found out about the points of a batch while it is read, and the columns in the end.

Guarantee: there is at most one rejection for each message and reason, ``whole`` exactly when no row of the message is
left; a value that is not finite is counted, never passed on.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs.series_table import BadPoint
from pipeline.records import PointColumns, Rejection


class PointRows:
    """Refusals and counts of a batch."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._refused: dict[tuple[int, str], str] = {}  # (message, reason) → detail of the first

    def refuse(self, message: int, error: BadPoint) -> None:
        """Something of a message, or the whole, cannot be used."""
        self._refused.setdefault((int(message), error.reason), error.detail)

    def columns(
        self,
        message: npt.NDArray[np.int32],
        series: npt.NDArray[np.int32],
        time_us: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
        start_us: npt.NDArray[np.int64] | None = None,
    ) -> PointColumns:
        """All arrays have the shape (rows,); a row whose series is negative was refused or counted before."""
        finite = np.isfinite(value)
        keep = finite & (series >= 0)
        if not keep.all():
            self.dropped["not_finite"] += int((~finite & (series >= 0)).sum())
            message, series, time_us, value = message[keep], series[keep], time_us[keep], value[keep]
            start_us = None if start_us is None else start_us[keep]
        if start_us is not None and not start_us.any():
            start_us = None
        columns = PointColumns(message, series, time_us, value, start_us)
        columns.rejections = self._rejections(message)
        columns.dropped = {reason: number for reason, number in self.dropped.items() if number}
        return columns

    def _rejections(self, message: Any) -> list[Rejection]:
        if not self._refused:
            return []
        alive = set(message.tolist())
        return [
            Rejection(number, reason, detail, whole=number not in alive)
            for (number, reason), detail in sorted(self._refused.items())
        ]
