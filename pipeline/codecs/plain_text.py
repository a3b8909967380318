"""Plain text: a log line in each message, or several, one below the other.

Guarantee: every message with text gives at least one line; what a message gives depends on it alone. Bytes that are no
UTF-8 are replaced. A time at the beginning (RFC 3339, log4j, syslog, klog, web servers, seconds since 1970) is the
line's and is taken off, else the line has the time of its message; a level near the beginning is its severity. A line
that is a JSON object gives its message and level.

Lines below one another are one where they belong together: a line that begins with white space goes on with the one
above it; and where the message begins with a time, so does every line without one (a stack trace, say).

Who wrote it, the first that is there: headers of the Kafka record with OpenTelemetry's resource attributes
(``service.name``, ``host.name`` …); host and program of a syslog line; the record's key, as ``service.name``, if it
reads like a name (not a number, not an id). A header ``traceparent`` gives the trace.
"""

import re
from collections.abc import Sequence

from pipeline.codecs import json_line, leading_time
from pipeline.codecs.described import lenient, names_entity
from pipeline.codecs.line_rows import MOST_BYTES, LineRows
from pipeline.codecs.resource_table import ResourceTable
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import LineColumns, Message, record_time_us
from pipeline.records.signal import Attributes

_NAME = re.compile(r"[A-Za-z][\w.-]{0,62}(?:/[A-Za-z][\w.-]{0,62})?")
#: An id, not a name: long hexadecimal numbers and UUIDs.
_ID = re.compile(r"[0-9a-fA-F-]{16,}|.*\d{6,}.*")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

#: Attributes in the headers, key, and what the line says: host, program.
_Key = tuple[tuple[tuple[str, bytes], ...], bytes, str, str]


class PlainText:
    """Decodes lines of text."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._table: ResourceTable[_Key] = ResourceTable(limits, self._read_resource, _size)

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
        for number, message in enumerate(messages):
            try:
                self._add_message(rows, number, message)
            except BadPoint as error:
                rows.refuse(number, error)
        return rows.lines()

    def _add_message(self, rows: LineRows, number: int, message: Message) -> None:
        if not message.value or message.value.isspace():
            raise BadPoint("empty", "the message has no value; send a line of text")
        text = message.value.decode(errors="replace").strip("\r\n\0")
        received_us = record_time_us(message)
        attributes = tuple([(name, value) for name, value in message.headers if names_entity(name) and value])
        trace_id = _trace_id(message)
        for leading in _lines(text, received_us):
            body, level = json_line.read(leading.rest.strip(), leading.severity)
            key = (attributes, message.key or b"", leading.host, leading.program)
            time_us = received_us if leading.time_us is None else leading.time_us
            rows.add(number, self._table.number(key), time_us, level, body, trace_id)

    def _read_resource(self, key: _Key) -> Attributes:
        headers, name, host, program = key
        found = {header: value.decode(errors="replace") for header, value in headers}
        if host:
            found.setdefault("host.name", host)
        if not found.get("service.name"):
            service = program or _service(name)
            if service:
                found["service.name"] = service
        return lenient(found, self._limits)


def _lines(text: str, received_us: int) -> list[leading_time.Leading]:
    """The lines of a message, each with what goes on below it."""
    first, *others = text.split("\n")
    found = [leading_time.read(first, received_us)]
    timed = found[0].time_us is not None
    for line in others:
        line = line.rstrip("\r")
        if not line or line.isspace():
            continue
        leading = None if line[0].isspace() else leading_time.read(line, received_us)
        if leading is None or (timed and leading.time_us is None):
            last = found[-1]
            if len(last.rest) <= MOST_BYTES:  # more is cut off anyway
                found[-1] = last._replace(rest=f"{last.rest}\n{line}")
        else:
            found.append(leading)
    return found


def _service(key: bytes) -> str:
    """The key of a Kafka record if it reads like the name of a service."""
    text = key.decode(errors="replace") if len(key) <= 128 else ""
    return text if _NAME.fullmatch(text) and not _ID.fullmatch(text) else ""


def _trace_id(message: Message) -> bytes:
    for name, value in message.headers:
        if name == "traceparent" and (found := _TRACEPARENT.fullmatch(value or b"")):
            return bytes.fromhex(found[1].decode())
    return b""


def _size(key: _Key) -> int:
    headers, name, host, program = key
    return len(name) + len(host) + len(program) + sum(len(name) + len(value) for name, value in headers)
