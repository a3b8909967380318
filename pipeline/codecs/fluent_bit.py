"""Fluent Bit's Kafka output: JSON records with ``@timestamp``, a line, and what the ``kubernetes`` filter added.

Guarantee: a message is used whole or refused whole; what a record becomes depends on it alone. The line is ``log``,
``message``, ``msg`` or ``MESSAGE`` (of the journal), else all members that say nothing about the time and the pod, as
JSON. A line that is JSON itself, as structured loggers write it, is opened. Severity is that of ``level`` or
``severity``, else what the line says. A record without a time has that of its message.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from pipeline.codecs import json_line, severity
from pipeline.codecs.described import flat, lenient, object_at, text_at, text_of
from pipeline.codecs.json_records import JsonRecords
from pipeline.codecs.kubernetes_event import add_controller
from pipeline.codecs.line_rows import LineRows
from pipeline.codecs.moments import moment_us
from pipeline.codecs.resource_table import ResourceTable
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import LineColumns, Message, record_time_us
from pipeline.records.signal import Attributes

_NOTHING = msgspec.Raw(b"")


class _Record(json_line.Fields, gc=False):
    stamp: Any = msgspec.field(name="@timestamp", default=None)
    date: Any = None
    kubernetes: msgspec.Raw = _NOTHING
    journal_message: Any = msgspec.field(name="MESSAGE", default=None)
    journal_priority: Any = msgspec.field(name="PRIORITY", default=None)
    journal_host: Any = msgspec.field(name="_HOSTNAME", default=None)
    journal_unit: Any = msgspec.field(name="_SYSTEMD_UNIT", default=None)
    identifier: Any = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    host: Any = None
    hostname: Any = None
    service: Any = None
    service_name: Any = msgspec.field(name="service.name", default=None)
    container_id: Any = None
    container_name: Any = None
    trace_id: Any = None


#: What says who wrote: the ``kubernetes`` object as it came, and members beside it.
_Key = tuple[bytes, str, str, str, str]

#: Members that are no part of a line.
_ASIDE = ("@timestamp", "date", "kubernetes", "stream", "time", "_p", "logtag")
_POD = {
    "pod_name": "k8s.pod.name",
    "pod_id": "k8s.pod.uid",
    "pod_ip": "k8s.pod.ip",
    "namespace_name": "k8s.namespace.name",
    "container_name": "k8s.container.name",
    "host": "k8s.node.name",
    "docker_id": "container.id",
}
#: Labels and annotations of pods, the strongest first.
_LABELS = (
    ("app.kubernetes.io/name", "service.name"),
    ("k8s-app", "service.name"),
    ("app", "service.name"),
    ("app.kubernetes.io/part-of", "service.namespace"),
    ("app.kubernetes.io/version", "service.version"),
    ("batch.kubernetes.io/job-name", "k8s.job.name"),
    ("job-name", "k8s.job.name"),
)
_ANNOTATION_PREFIX = "resource.opentelemetry.io/"
_IMAGE = re.compile(r"(?P<name>[^@]+?)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]+))?")


class FluentBit:
    """Decodes one record in each message, an array of them, or NDJSON."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records = JsonRecords(_Record, "a record of Fluent Bit")
        self._table: ResourceTable[_Key] = ResourceTable(limits, self._read_resource, lambda key: sum(map(len, key)))

    @property
    def resources(self) -> list[Attributes]:
        return self._table.resources

    @property
    def generation(self) -> int:
        return self._table.generation

    def forget_soon(self) -> None:
        """Forget the resources that are known, before the next batch."""
        self._table.forget_soon()

    def decode(self, messages: Sequence[Message]) -> LineColumns:
        """The lines of all messages."""
        self._table.begin_batch()
        rows = LineRows(self._limits.redaction)
        records, owner = self._records.read(messages, rows)
        held = np.bincount(owner, minlength=len(messages)).tolist()
        for record, number in zip(records, owner.tolist(), strict=True):
            try:
                self._add(rows, number, messages[number], record, alone=held[number] == 1)
            except BadPoint as error:
                rows.refuse(number, error)
        return rows.lines()

    def _add(self, rows: LineRows, number: int, message: Message, record: _Record, *, alone: bool) -> None:
        time_us = _time_us(record, message)
        resource = self._table.number(_key(record))
        body, level = _line(record, message if alone else None)
        rows.add(number, resource, time_us, level, body, _trace_id(record.trace_id))

    def _read_resource(self, key: _Key) -> Attributes:
        kubernetes, host, service, container_id, container_name = key
        found = _of_pod(kubernetes) if kubernetes else {}
        beside = {
            "host.name": host,
            "service.name": service,
            "container.id": container_id,
            "container.name": container_name.lstrip("/"),
        }
        return lenient(found | {name: value for name, value in flat(beside).items() if name not in found}, self._limits)


def _time_us(record: _Record, message: Message) -> int:
    stamp = record.date if record.stamp is None else record.stamp
    return record_time_us(message) if stamp is None else moment_us(stamp, "@timestamp")


def _line(record: _Record, whole: Message | None) -> json_line.Line:
    """``whole`` is the message where the record stands alone in it."""
    level = record.severity_number()
    if not level and record.journal_priority is not None:
        level = severity.of_level(record.journal_priority)
    text = record.log or record.text() or record.journal_message
    if not isinstance(text, str):
        text = text_of(text) if text else _others(whole) if whole else ""
    return json_line.read(text.strip(), level)


def _others(message: Message) -> str:
    """A record without a line that stands alone in its message: its members."""
    try:
        found = msgspec.json.decode(message.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    return text_of({name: value for name, value in found.items() if name not in _ASIDE})


def _key(record: _Record) -> _Key:
    host = record.host or record.hostname or record.journal_host
    service = record.service_name or record.service or record.identifier or record.journal_unit
    if isinstance(service, dict):
        service = service.get("name")
    if isinstance(host, dict):
        host = host.get("name")
    beside = (host, service, record.container_id, record.container_name)
    texts = [value if isinstance(value, str) else "" for value in beside]
    return (bytes(record.kubernetes), *texts)  # type: ignore[return-value]


def _of_pod(raw: bytes) -> dict[str, str]:
    """OpenTelemetry's attributes of what the ``kubernetes`` filter added."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadPoint("bad_attributes", f"kubernetes is not JSON: {error}"[:300]) from None
    named = {attribute: text_at(found, member) for member, attribute in _POD.items()}
    named |= _of_image(text_at(found, "container_image"))
    labels, annotations = object_at(found, "labels"), object_at(found, "annotations")
    for name, value in annotations.items():
        if name.startswith(_ANNOTATION_PREFIX):
            named[name.removeprefix(_ANNOTATION_PREFIX)] = text_of(value)
    for label, attribute in _LABELS:
        if not named.get(attribute):
            named[attribute] = text_at(labels, label)
    return add_controller(flat(named | _controller(named.get("k8s.pod.name", ""), labels)))


def _controller(pod: str, labels: Mapping[str, Any]) -> dict[str, str]:
    """The controller that a pod's labels tell for sure."""
    owner, _, _ = pod.rpartition("-")
    template = text_at(labels, "pod-template-hash")
    if template and owner.endswith(f"-{template}"):
        return {"k8s.replicaset.name": owner}
    if "statefulset.kubernetes.io/pod-name" in labels and owner:
        return {"k8s.statefulset.name": owner}
    if "pod-template-generation" in labels and owner:
        return {"k8s.daemonset.name": owner}
    return {}


def _of_image(image: str) -> dict[str, str]:
    parts = _IMAGE.fullmatch(image)
    if parts is None:
        return {}
    return flat({"container.image.name": parts["name"], "container.image.tags": parts["tag"]})


def _trace_id(value: Any) -> bytes:
    if isinstance(value, str) and len(value) == 32:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass  # it is no id of OpenTelemetry's
    return b""
