"""How long a partition has been silent, as far as its reader can know.

Guarantee: only what the broker has told lately counts. Time in which it did not answer, in which this process stood
still, or in which something waited to be read, is nobody's silence.
"""

import time

#: A broker answers a look at a partition in a tenth of a second. One that has not for longer tells nothing of it.
_MOST_UNHEARD_SECONDS = 10.0


class Quiet:
    """The silence of one partition."""

    def __init__(self) -> None:
        self._since: float | None = None

    def heard(self) -> None:
        """Something came."""
        self._since = None

    def lasts(self, seconds: float, *, unread: bool, told_ms: int | None) -> bool:
        """Has nothing come for so many seconds? Ask often. ``unread``: something waits to be read. ``told_ms``: when
        the broker answered last, by the clock."""
        unheard = None if told_ms is None else time.time() - told_ms / 1000
        if unread or unheard is None or unheard > min(seconds / 2, _MOST_UNHEARD_SECONDS):
            self._since = None
            return False
        now = time.monotonic()
        if self._since is None:
            self._since = now
        return now - self._since >= seconds
