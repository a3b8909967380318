"""OTLP log records that are no lines: Kubernetes events, evaluations of feature flags, and other OpenTelemetry events.

Guarantee: the same message gives the same events, in the order of their records. Exceptions reported as events stay
lines. Evaluations of feature flags, of which there may be one for each request, become one event for each message,
resource, flag and variant, at the time of the first, with their number as the attribute ``count``; whoever wants to
know that a flag was changed compares the variants that an entity is served over time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.codecs import kubernetes_event
from pipeline.codecs.described import check_texts, content_id, flat, lenient, object_at, split, text_at, text_within
from pipeline.codecs.line_rows import MOST_BYTES, LineRows
from pipeline.codecs.otlp_log_text import attributes_of_json, attributes_of_protobuf, object_of_body
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Event
from pipeline.records.signal import Attributes

#: A message without any of these has no record that only its attributes show to be an event.
MARKS = (b"k8s.event.", b"k8s.resource.name", b"event.name")
FLAG_EVALUATION = "feature_flag.evaluation"

_FLAG_NAMES = (FLAG_EVALUATION, "feature_flag")
#: Older names of attributes of flags → what they are called now.
_FLAG_ATTRIBUTES = {
    "feature_flag.variant": "feature_flag.result.variant",
    "feature_flag.provider_name": "feature_flag.provider.name",
    "feature_flag.evaluation.reason": "feature_flag.result.reason",
}
_FLAG_PREFIX = b"feature_flag."
#: What tells flags and variants apart; the context of an evaluation (a user, say) does not.
_FLAG_KEPT = (
    "feature_flag.key",
    "feature_flag.result.variant",
    "feature_flag.result.value",
    "feature_flag.set.id",
    "feature_flag.provider.name",
    "feature_flag.version",
)


class RecordForm(NamedTuple):
    """How the attributes of a record are read: all of them, and as a key what tells flags and variants apart."""

    attributes: Callable[[Any], dict[str, str]]
    flag_key: Callable[[Any], Any]


class LogRecord(NamedTuple):
    """What of a record an event is made of. ``raw`` is the record as it came."""

    time_us: int
    severity: int
    body: str
    name: str
    form: RecordForm
    raw: Any


class LogEvents:
    """The events of one message."""

    def __init__(self, rows: LineRows, message: int, limits: Limits) -> None:
        self._rows, self._message, self._limits = rows, message, limits
        self._flag_of: dict[Any, Attributes] = {}  # by the attributes as they came
        self._flags: dict[tuple[int, Attributes], list[int]] = {}  # → first time, number

    def take(self, record: LogRecord, number: int, resource: Attributes) -> bool:
        """Was this record of resource ``number`` an event? Raises BadPoint where it is one that cannot be used."""
        if record.name in _FLAG_NAMES:
            self._count_flag(record, number)
            return True
        try:
            attributes = record.form.attributes(record.raw.attributes)
        except BadPoint:
            if record.name:
                raise
            return False  # a line does not need them
        name = record.name or attributes.get("event.name", "")
        if attributes.get("k8s.event.reason"):
            self._add(number, self._of_kubernetes(record, attributes, resource))
        elif attributes.get("k8s.resource.name") == "events" or attributes.get("event.domain") == "k8s":
            return self._take_object(record, number, resource)
        elif name in _FLAG_NAMES:
            self._count_flag(record, number)
        elif not name or name == "exception" or name.endswith(".exception"):
            return False
        else:
            self._add(number, self._named(name, record, attributes, resource))
        return True

    def end(self, resources: list[Attributes]) -> None:
        """After the last record: the flags that were evaluated."""
        for (number, attributes), (time_us, count) in self._flags.items():
            given = (*attributes, ("count", str(count)))
            entity = lenient(split(dict(resources[number])).entity, self._limits)
            id_ = _id(FLAG_EVALUATION, time_us, "", entity, given)
            self._add(number, Event(id_, time_us, FLAG_EVALUATION, entity, attributes=tuple(sorted(given))))

    def _add(self, number: int, event: Event) -> None:
        """Raises BadPoint."""
        check_texts(self._limits, id=event.id, type=event.type)
        self._rows.events.append((self._message, number, event))

    def _take_object(self, record: LogRecord, number: int, resource: Attributes) -> bool:
        """An object of Kubernetes as the collector watches it."""
        found = object_of_body(record.raw.body)
        watched = object_at(found, "object")
        if not kubernetes_event.is_event(watched or found):
            return False
        if watched and text_at(found, "type") == "DELETED":
            self._rows.dropped["event_deleted"] += 1
            return True
        event = kubernetes_event.event_of(watched or found, self._limits, record.time_us)
        of_cluster = {name: value for name, value in resource if name in ("k8s.cluster.name", "k8s.cluster.uid")}
        entity = lenient({**split(dict(resource)).entity, **of_cluster, **dict(event.entity)}, self._limits)
        self._add(
            number,
            Event(event.id, event.time_us, event.type, entity, event.severity, event.text, event.attributes),
        )
        return True

    def _of_kubernetes(self, record: LogRecord, attributes: dict[str, str], resource: Attributes) -> Event:
        """As the collector's ``k8s_events`` receiver writes them: what it is about stands in the resource."""
        given = {**dict(resource), **attributes}
        about = {
            "kind": given.get("k8s.object.kind", ""),
            "name": given.get("k8s.object.name", ""),
            "uid": given.get("k8s.object.uid", ""),
            "fieldPath": given.get("k8s.object.fieldpath") or given.get("k8s.container.name", ""),
        }
        named, others = split(given)
        if "{" in named.get("k8s.container.name", ""):  # older receivers write the path there
            del named["k8s.container.name"]
        entity = kubernetes_event.add_controller({**named, **kubernetes_event.object_attributes(about)})
        return Event(
            id=kubernetes_event.event_id(given, record.time_us, record.body),
            time_us=record.time_us,
            type=kubernetes_event.TYPE_PREFIX + given["k8s.event.reason"],
            entity=lenient(entity, self._limits),
            severity=record.severity,
            text=text_within(record.body, MOST_BYTES, self._limits),
            attributes=lenient(flat(others), self._limits),
        )

    def _named(self, name: str, record: LogRecord, found: dict[str, str], resource: Attributes) -> Event:
        named, others = split({**dict(resource), **found})
        others.pop("event.name", None)
        entity, attributes = lenient(named, self._limits), lenient(others, self._limits)
        text = text_within(record.body, MOST_BYTES, self._limits)
        id_ = _id(name, record.time_us, text, entity, attributes)
        return Event(id_, record.time_us, name, entity, record.severity, text, attributes)

    def _count_flag(self, record: LogRecord, number: int) -> None:
        raw = record.form.flag_key(record.raw.attributes)
        kept = self._flag_of.get(raw)
        if kept is None:
            found = record.form.attributes(raw)
            given = {_FLAG_ATTRIBUTES.get(name, name): value for name, value in found.items()}
            kept = lenient({name: given[name] for name in _FLAG_KEPT if name in given}, self._limits)
            self._flag_of[raw] = kept
        first = self._flags.setdefault((number, kept), [record.time_us, 0])
        first[0] = min(first[0], record.time_us)
        first[1] += 1


def _flag_key(attributes: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple([one for one in attributes if one[2:15] == _FLAG_PREFIX and one[15:23] != b"context."])


PROTOBUF = RecordForm(attributes_of_protobuf, _flag_key)
JSON = RecordForm(attributes_of_json, bytes)


def exception_text(attributes: Mapping[str, str]) -> str:
    """The line of a record that has an exception but no body."""
    kind, message = attributes.get("exception.type", ""), attributes.get("exception.message", "")
    return f"{kind}: {message}" if kind and message else kind or message


def _id(type_: str, time_us: int, text: str, entity: Attributes, attributes: Attributes) -> str:
    parts = [part for pairs in (entity, attributes) for pair in pairs for part in pair]
    return content_id(type_, str(time_us), text, *parts)
