"""Events on ``calm.events``: CloudEvents, our own JSON form, Alertmanager's webhook, Kubernetes Event objects.

Guarantee: the same message gives the same events; an event sent twice has one id. What cannot be used is refused, one
event of several alone. A form is told by its members, whether it comes in a CloudEvent or by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.codecs import alertmanager_webhook, cloud_events, kubernetes_event, own_forms, severity
from pipeline.codecs.described import check_texts, flat, lenient, object_at, objects_at, split, text_at, text_within
from pipeline.codecs.happening_rows import HappeningRows
from pipeline.codecs.line_rows import MOST_BYTES
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import DecodedEvents, Event, Message, record_time_us

_TEXTS = ("text", "message", "summary", "description")


class Events:
    """Decodes the messages of ``calm.events``; remembers nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def decode(self, messages: Sequence[Message]) -> DecodedEvents:
        """The events of all messages."""
        rows: HappeningRows[Event] = HappeningRows()
        for number, message in enumerate(messages):
            try:
                for sent in cloud_events.read(message):
                    for found in _opened(sent):
                        self._add(rows, number, found, max(record_time_us(message), 0))
            except BadPoint as error:
                rows.refuse(number, error)
        return DecodedEvents(rows.found, rows.rejections(), rows.counts())

    def _add(self, rows: HappeningRows[Event], number: int, found: "_Found", received_us: int) -> None:
        if found.deleted:  # Kubernetes forgets its events after an hour
            rows.dropped["event_deleted"] += 1
            return
        try:
            event = self._event_of(found, received_us)
            check_texts(self._limits, id=event.id, type=event.type)
            rows.found.append((number, event))
        except BadPoint as error:
            rows.refuse(number, error)

    def _event_of(self, found: "_Found", received_us: int) -> Event:
        if found.group is not None:
            return alertmanager_webhook.event_of(found.data, found.group, self._limits, received_us)
        if kubernetes_event.is_event(found.data):
            return kubernetes_event.event_of(found.data, self._limits, received_us)
        if found.envelope is not None:
            return _of_cloud_event(found.envelope, found.data, self._limits, received_us)
        return own_forms.event_of(found.data, self._limits)


class _Found(NamedTuple):
    """One event. ``group`` is that of an alert, None for anything else."""

    data: dict[str, Any]
    envelope: cloud_events.Envelope | None = None
    group: str | None = None
    deleted: bool = False


def _opened(sent: cloud_events.Sent) -> list[_Found]:
    """What is in an object: the alerts of a notification, the items of a list, what a watch saw."""
    if not isinstance(sent.data, dict):
        return [_Found({"text": sent.data}, sent.envelope)]
    data = sent.data
    if alertmanager_webhook.is_webhook(data):
        group = text_at(data, "groupKey")
        return [_Found(alert, sent.envelope, group) for alert in objects_at(data, "alerts")]
    if text_at(data, "kind") in ("List", "EventList") and "items" in data:
        return [_Found(item) for item in objects_at(data, "items")]
    if kubernetes_event.is_event(watched := object_at(data, "object")):
        return [_Found(watched, deleted=text_at(data, "type") == "DELETED")]
    return [_Found(data, sent.envelope)]


def _of_cloud_event(
    envelope: cloud_events.Envelope, found: Mapping[str, Any], limits: Limits, received_us: int
) -> Event:
    """Any CloudEvent: its data may say whose it is and how bad, as our own form does, or only by attributes' names."""
    if not envelope.type or not envelope.id:
        raise BadPoint("bad_event", "a CloudEvent must have the attributes id, source and type")
    others = {name: value for name, value in found.items() if name not in ("entity", "attributes", "severity", *_TEXTS)}
    given = flat(others) | flat(object_at(found, "attributes"))
    named, attributes = split(given)
    attributes |= flat(
        {
            "cloudevents.event_id": envelope.id,
            "cloudevents.event_source": envelope.source,
            "cloudevents.event_subject": envelope.subject,
        }
    )
    return Event(
        id=f"{envelope.source.rstrip('/')}/{envelope.id}",
        time_us=moment_us(envelope.time, "time") if envelope.time else received_us,
        type=envelope.type,
        entity=lenient(named | flat(object_at(found, "entity")), limits),
        severity=_severity(found.get("severity")),
        text=text_within(next((text for name in _TEXTS if (text := text_at(found, name))), ""), MOST_BYTES, limits),
        attributes=lenient(attributes, limits),
    )


def _severity(given: Any) -> int:
    """OpenTelemetry's number, or a word."""
    if isinstance(given, int) and not isinstance(given, bool):
        return severity.of_number(given)
    return severity.of_word(given) if isinstance(given, str) else 0
