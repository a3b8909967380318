"""Whether it is time for a codec to forget the series (resources, shapes) that it knows, because most are of no use.

Guarantee: it depends on event time and on what was used alone. A codec forgets everything at once, and what comes again
is worked out again; so what is known is never more than twice what was used in STRETCH_US and what is new since.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import NO_TIME, US

#: Of event time, in which what is of use comes at least once: a job that runs once a day does.
STRETCH_US = 2 * 86_400 * US


class Unused:
    """Of things with numbers from 0: which were used in the stretch of event time that runs."""

    def __init__(self) -> None:
        self._used = np.zeros(0, np.bool_)
        self._stretch = NO_TIME

    def use(self, numbers: npt.NDArray[Any]) -> None:
        """Rows of these were used just now."""
        if not numbers.size:
            return
        if (size := int(numbers.max()) + 1) > self._used.size:
            self._used = np.append(self._used, np.zeros(2 * size - self._used.size, np.bool_))
        self._used[numbers] = True

    def are_most(self, known: int, now_us: int) -> bool:
        """Asked before each batch: has a stretch ended, and was most of what is known not used in it?"""
        stretch = now_us // STRETCH_US
        if stretch == self._stretch or now_us == NO_TIME:
            return False
        began, self._stretch = self._stretch, stretch
        unused = known - int(self._used[:known].sum())
        self._used[:] = False
        return began != NO_TIME and 2 * unused > known

    def begin_anew(self) -> None:
        """Numbers mean other things from now on."""
        self._used = np.zeros(0, np.bool_)
