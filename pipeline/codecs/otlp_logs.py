"""OTLP logs: what the OpenTelemetry collector writes to Kafka, protobuf or JSON, as columns of lines.

Guarantee: the same message gives the same lines and events, whatever was decoded before. A message that is empty or
cannot be parsed is refused; of any other only the records that cannot be used. A line's time is that of the record,
else when it was observed, else that of its message. Severity is the number, else the text, else what the line says.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.codecs import otlp_log_text as texts
from pipeline.codecs import severity
from pipeline.codecs.line_rows import LineRows
from pipeline.codecs.otlp_log_events import JSON, MARKS, PROTOBUF, LogEvents, LogRecord, RecordForm, exception_text
from pipeline.codecs.otlp_log_schema import read_logs
from pipeline.codecs.resource_table import ResourceTable
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import LineColumns, Message, record_time_us
from pipeline.records.lines import ERROR
from pipeline.records.signal import Attributes

_EXCEPTION_MARK = b"exception."
_NO_TRACE = bytes(16)
_MOST_NANOS = 2**63


class OtlpLogs:
    """Decodes ExportLogsServiceRequest messages; ``LineColumns.resource`` is a row of ``resources``."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._table = ResourceTable(limits, self._read_resource, lambda key: len(key[1]))

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
        """The lines and events of all messages."""
        self._table.begin_batch()
        rows = LineRows(self._limits.redaction)
        for number, message in enumerate(messages):
            try:
                self._add_message(rows, number, message)
            except BadPoint as error:
                rows.refuse(number, error)
        return rows.lines()

    def _read_resource(self, key: tuple[bool, bytes]) -> Attributes:
        is_json, raw = key
        read = texts.resource_of_json if is_json else texts.resource_of_protobuf
        return self._limits.redaction.attributes(read(raw, self._limits))

    def _add_message(self, rows: LineRows, number: int, message: Message) -> None:
        is_json, found = read_logs(message.value)
        value = message.value or b""
        received_us = max(record_time_us(message), 0)
        has_exceptions, marked = _EXCEPTION_MARK in value, any(mark in value for mark in MARKS)
        form = JSON if is_json else PROTOBUF
        events = LogEvents(rows, number, self._limits)
        for resource_logs in found:
            try:
                resource = self._table.number((is_json, bytes(resource_logs.resource)))
            except BadPoint as error:
                rows.refuse(number, error)
                continue
            place = _Place(rows, events, number, resource, received_us, marked, has_exceptions)
            for scope_logs in resource_logs.scope_logs or ():
                self._add_records(place, form, (scope_logs.log_records or ())[:])
        events.end(self.resources)

    def _add_records(self, place: "_Place", form: RecordForm, records: Sequence[Any]) -> None:
        try:
            found = _COLUMNS[form](records, place.received_us)
        except BadPoint as error:  # one of them
            if len(records) == 1:
                place.rows.refuse(place.message, error)
                return
            for record in records:
                self._add_records(place, form, [record])
            return
        if place.has_exceptions and not all(found.body):
            self._add_exceptions(place, form, records, found)
        if place.marked or any(found.name):
            found = self._without_events(place, form, records, found)
        place.rows.extend(place.message, place.resource, *found[:4])

    def _add_exceptions(self, place: "_Place", form: RecordForm, records: Sequence[Any], found: "_Columns") -> None:
        """Records with an exception and no body get a line."""
        for row, body in enumerate(found.body):
            if not body:
                try:
                    attributes = tuple(form.attributes(records[row].attributes).items())
                    found.body[row] = exception_text(dict(self._limits.redaction.attributes(attributes)))
                    found.severity[row] = found.severity[row] or ERROR
                except BadPoint as error:
                    place.rows.refuse(place.message, error)

    def _without_events(
        self, place: "_Place", form: RecordForm, records: Sequence[Any], found: "_Columns"
    ) -> "_Columns":
        """The lines among the records; the others are taken as events, or refused."""
        resource = self.resources[place.resource]
        kept = []
        for row, record in enumerate(records):
            try:
                view = LogRecord(
                    found.time_us[row],
                    found.severity[row],
                    found.body[row],
                    found.name[row],
                    form,
                    record,
                )
                if not place.events.take(view, place.resource, resource):
                    kept.append(row)
            except BadPoint as error:
                place.rows.refuse(place.message, error)
        return found if len(kept) == len(records) else found.of(kept)


class _Columns(NamedTuple):
    """Of some records; all lists have the shape (records,)."""

    time_us: list[int]
    severity: list[int]
    body: list[str]
    trace_id: list[bytes]
    name: list[str]

    def of(self, kept: list[int]) -> "_Columns":
        """Some of them."""
        return _Columns(
            [self.time_us[row] for row in kept],
            [self.severity[row] for row in kept],
            [self.body[row] for row in kept],
            [self.trace_id[row] for row in kept],
            [self.name[row] for row in kept],
        )


class _Place(NamedTuple):
    """Where records stand, and what is known of their message."""

    rows: LineRows
    events: LogEvents
    message: int
    resource: int
    received_us: int
    marked: bool
    has_exceptions: bool


def _columns_of_protobuf(records: Sequence[Any], received_us: int) -> _Columns:
    body = [texts.body_of_protobuf(record.body) for record in records]
    nanos = [record.time_unix_nano or record.observed_time_unix_nano for record in records]
    levels = [record.severity_number for record in records]
    if min(levels, default=1) <= 0 or max(levels, default=1) > severity.HIGHEST:
        levels = [
            severity.of_number(level) or severity.of_word(record.severity_text) or severity.in_line(line)
            for level, record, line in zip(levels, records, body, strict=True)
        ]
    traces = [record.trace_id for record in records]
    if set(map(len, traces)) != {16} or _NO_TRACE in traces:
        traces = list(map(_trace, traces))
    return _Columns(_times(nanos, received_us), levels, body, traces, [record.event_name for record in records])


def _columns_of_json(records: Sequence[Any], received_us: int) -> _Columns:
    body = [texts.body_of_json(record.body) for record in records]
    nanos = [_integer(record.time_unix_nano) or _integer(record.observed_time_unix_nano) for record in records]
    levels = [
        _level(record.severity_number) or severity.of_word(record.severity_text or "") or severity.in_line(line)
        for record, line in zip(records, body, strict=True)
    ]
    return _Columns(
        _times(nanos, received_us),
        levels,
        body,
        [_trace_of_hex(record.trace_id) for record in records],
        [record.event_name or "" for record in records],
    )


_COLUMNS = {PROTOBUF: _columns_of_protobuf, JSON: _columns_of_json}


def _times(nanos: list[int], received_us: int) -> list[int]:
    if not all(nanos):
        return [(time // 1000) if time else received_us for time in nanos]
    return [time // 1000 for time in nanos]


def _integer(value: str | int | None) -> int:
    """An integer of 64 bits as OTLP JSON has it: a text, or a number."""
    if not value:
        return 0
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number < _MOST_NANOS:
        raise BadPoint("bad_time", f"time_unix_nano is {value!r:.64}; give nanoseconds since 1970")
    return number


def _level(value: str | int | None) -> int:
    if isinstance(value, str):
        return severity.of_word(value)
    return severity.of_number(value or 0)


def _trace(raw: bytes) -> bytes:
    return raw if len(raw) == 16 and raw != _NO_TRACE else b""


def _trace_of_hex(text: str | None) -> bytes:
    if not text or len(text) != 32:
        return b""
    try:
        return _trace(bytes.fromhex(text))
    except ValueError:
        return b""
