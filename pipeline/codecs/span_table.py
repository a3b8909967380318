"""Resources and shapes of spans seen by a codec, numbered from 0, so that a span refers to them by small integers.

Guarantee: a number means the same until ``generation`` changes; neither table holds more than ``Limits.max_series``
for longer than one batch. Both are found by the bytes that a producer sent: the same in another order is another row.

Choice: scanners find a shape from its second sight on. Where names have ids in them, most shapes are never seen again,
and a dictionary takes them in at a fifth of what a table for kernels costs.
"""

from collections.abc import Callable, Sequence

from pipeline.codecs.byte_table import ByteTable, Slots
from pipeline.codecs.otlp_attributes import Pairs, check_size
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.codecs.span_attributes import shape_of
from pipeline.codecs.span_scan import KINDS
from pipeline.policies.redaction import SPAN_NAME
from pipeline.records import Resources, SpanKind, SpanShape

_MOST_KEPT_BYTES = 256 * 2**20  # of what they are found by, before everything is forgotten
_SPAN_KINDS = tuple(SpanKind)


class SpanTable:
    """``resources[i]`` are the attributes of resource i (none for one that cannot be used), ``shapes[i]`` is shape i.

    ``read_resource`` and ``read_attributes`` read what the codec's format has as bytes; they raise BadPoint.
    """

    def __init__(
        self,
        limits: Limits,
        read_resource: Callable[[bytes, Limits], Pairs],
        read_attributes: Callable[[Sequence[bytes], Limits], Pairs],
    ) -> None:
        self.limits = limits
        self.resources: Resources = []
        self.shapes: list[SpanShape] = []
        self.generation = 0
        self._read_resource, self._read_attributes = read_resource, read_attributes
        self._unusable: dict[int, BadPoint] = {}
        self._resource_of: dict[bytes, int] = {}
        self._shape_of: dict[tuple[int, tuple[bytes, ...]], int] = {}
        self._kept_bytes = 0
        self._resource_index, self._shape_index = ByteTable(), ByteTable()
        self._seen_again: set[int] = set()
        self._soon = False

    @property
    def resource_slots(self) -> Slots:
        """Where scanners find resources, by their bytes."""
        return self._resource_index.slots

    @property
    def shape_slots(self) -> Slots:
        """Where scanners find shapes, by resource, kind and parts."""
        return self._shape_index.slots

    def forget_if_full(self) -> None:
        """Start over when full, or when that was asked for. Call before a batch, never inside one."""
        full = self._soon or max(len(self.shapes), len(self.resources)) >= self.limits.max_series
        if full or self._kept_bytes > _MOST_KEPT_BYTES:
            self.forget()

    def forget_soon(self) -> None:
        """Start over before the next batch."""
        self._soon = True

    def forget(self) -> None:
        """Start over."""
        self._soon = False
        self.resources.clear()
        self.shapes.clear()
        self._unusable.clear()
        self._resource_of.clear()
        self._shape_of.clear()
        self._seen_again.clear()
        self._kept_bytes = 0
        self._resource_index.clear()
        self._shape_index.clear()
        self.generation += 1

    def shape(self, resource: bytes, kind: int, parts: Sequence[bytes]) -> int:
        """The number of a shape; ``kind`` is as in a shape's number (span_scan). Raises BadPoint, and then remembers
        the resource at most."""
        place = self._resource(resource)
        prefix = place * KINDS + kind
        key = prefix, tuple(parts)
        number = self._shape_of.get(key, -1)
        if number < 0:
            shape = self._shape(place, kind, parts)
            number = self._shape_of[key] = len(self.shapes)
            self._kept_bytes += sum(map(len, parts))
            self.shapes.append(shape)
        elif number not in self._seen_again:
            self._seen_again.add(number)
            self._shape_index.add(prefix, parts, number)
        return number

    def check_resource(self, raw: bytes) -> None:
        """Raises BadPoint for one that cannot be used, having read it once."""
        self._resource(raw)

    def _resource(self, raw: bytes) -> int:
        number = self._resource_of.get(raw, -1)
        if number < 0:
            number = self._resource_of[raw] = len(self.resources)
            self._kept_bytes += len(raw)
            try:
                found = tuple(sorted(self._read_resource(raw, self.limits).values()))
                self.resources.append(self.limits.redaction.attributes(found))
                self._resource_index.add(0, [raw], number)  # scanners never know one that cannot be used
            except BadPoint as error:
                self.resources.append(())
                self._unusable[number] = error
        if (unusable := self._unusable.get(number)) is not None:
            raise BadPoint(unusable.reason, unusable.detail)
        return number

    def _shape(self, resource: int, kind: int, parts: Sequence[bytes]) -> SpanShape:
        name, texts = "", {}
        if kind % 2:
            name = _text(parts[0])
            check_size(name, self.limits)
        if len(parts) > kind % 2:
            attributes = self._read_attributes(parts[kind % 2 :], self.limits)
            texts = dict(attributes.values())
        if redaction := self.limits.redaction:
            name = redaction.text(SPAN_NAME, name)
            texts = {attribute: redaction.text(attribute, text) for attribute, text in texts.items()}
        return shape_of(resource, _SPAN_KINDS[kind // 2], name, texts)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise BadPoint("bad_name", f"the name of a span must be UTF-8: {error}") from None
