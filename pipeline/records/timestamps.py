"""Event time as whole microseconds since the Unix epoch, so that window arithmetic is exact."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

#: Microseconds in a second.
US = 1_000_000
#: No event time known yet: below every real time, and safe to subtract a day from.
NO_TIME = -(2**62)


def to_us(seconds: float) -> int:
    """Seconds since the epoch → microseconds, to the nearest."""
    return round(seconds * US)


def iso(time_us: int) -> str:
    """Microseconds since the epoch → RFC 3339 in UTC, always with six decimals so that texts sort by time."""
    whole, rest = divmod(time_us, US)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:06d}Z"


def window_end(time_us: npt.NDArray[np.int64], length_us: Any) -> npt.NDArray[np.int64]:
    """End (exclusive) of the tumbling window that holds each time; windows are aligned to the epoch."""
    ends: npt.NDArray[np.int64] = (time_us // length_us + 1) * length_us
    return ends
