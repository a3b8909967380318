"""Resources seen by a codec, numbered from 0, found by what their producer wrote.

Guarantee: a number means the same attributes until ``generation`` changes. The table never holds more than
``Limits.max_series`` resources or 64 MiB of keys for longer than one batch; then everything is forgotten at once.
What a key becomes depends on the key alone.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records.signal import Attributes

K = TypeVar("K", bound=Hashable)

_MOST_KEPT_BYTES = 64 * 2**20


class ResourceTable(Generic[K]):
    """``read`` turns a key into sorted attributes, or raises BadPoint; ``size`` is how much memory a key takes."""

    def __init__(self, limits: Limits, read: Callable[[K], Attributes], size: Callable[[K], int]) -> None:
        self.resources: list[Attributes] = []
        self.generation = 0
        self._limits, self._read, self._size = limits, read, size
        self._index: dict[K, int] = {}
        self._refused: dict[K, BadPoint] = {}
        self._kept = 0
        self._soon = False

    def forget_soon(self) -> None:
        """Forget everything before the next batch."""
        self._soon = True

    def begin_batch(self) -> None:
        """Call before each batch."""
        self._refused.clear()
        if self._soon or len(self._index) >= self._limits.max_series or self._kept > _MOST_KEPT_BYTES:
            self._soon = False
            self.resources = []
            self._index.clear()
            self._kept = 0
            self.generation += 1

    def number(self, key: K) -> int:
        """Raises BadPoint at each call when the attributes cannot be used, having read them once."""
        number = self._index.get(key)
        return self._add(key) if number is None else number

    def _add(self, key: K) -> int:
        known = self._refused.get(key)
        if known is not None:
            raise BadPoint(known.reason, known.detail)
        try:
            attributes = self._read(key)
            check_limits(attributes, self._limits)
        except BadPoint as error:
            self._refused[key] = error
            raise
        self._kept += self._size(key)
        number = self._index[key] = len(self.resources)
        self.resources.append(attributes)
        return number


def check_limits(attributes: Attributes, limits: Limits) -> None:
    """Raises BadPoint for too many attributes, or too long ones."""
    if len(attributes) > limits.max_attributes:
        raise BadPoint(
            "too_many_attributes", f"{len(attributes)} attributes; at most {limits.max_attributes} are taken"
        )
    most = limits.max_attribute_bytes
    for pair in attributes:
        for text in pair:
            if len(text) * 4 > most and len(text.encode("utf-8", "surrogatepass")) > most:
                raise BadPoint("huge_attribute", f"{text[:32]!r}… is too long; at most {most} bytes are taken")
