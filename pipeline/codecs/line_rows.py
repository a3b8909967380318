"""The lines of a batch while it is read.

Guarantee: a line is text that can be written as UTF-8, of at most 16 KiB; what was cut off is counted (``cut``), and
so are blank lines, which are left out. There is at most one rejection for each message and reason, ``whole`` exactly
when neither a line nor an event of the message is left.
"""

import numpy as np

from pipeline.codecs.point_rows import PointRows
from pipeline.policies.redaction import LOG_BODY, NOTHING, Redaction
from pipeline.records import Event, LineColumns

#: A line may have so many bytes; the rest is cut off.
MOST_BYTES = 16 * 1024


class LineRows(PointRows):
    """Rows as lists: fast to extend, made columns in the end. ``redaction`` is what is taken out of bodies."""

    def __init__(self, redaction: Redaction = NOTHING) -> None:
        super().__init__()
        self._redaction = redaction
        self._runs: list[tuple[int, int, int]] = []  # message, resource, number of lines
        self._time_us: list[int] = []
        self._severity: list[int] = []
        self._body: list[str] = []
        self._trace_id: list[bytes] = []
        self.events: list[tuple[int, int, Event]] = []

    def add(self, message: int, resource: int, time_us: int, severity: int, body: str, trace_id: bytes = b"") -> None:
        """One line."""
        self._runs.append((message, resource, 1))
        self._time_us.append(time_us)
        self._severity.append(severity)
        self._body.append(body)
        self._trace_id.append(trace_id)

    def extend(
        self,
        message: int,
        resource: int,
        time_us: list[int],
        severity: list[int],
        body: list[str],
        trace_id: list[bytes],
    ) -> None:
        """Lines of one message and resource; all lists have the shape (rows,)."""
        self._runs.append((message, resource, len(body)))
        self._time_us += time_us
        self._severity += severity
        self._body += body
        self._trace_id += trace_id

    def lines(self) -> LineColumns:
        """The columns of all that was added."""
        body = self._body
        if self._redaction:  # before anything is cut: half of what a rule matches would be left
            body = [self._redaction.text(LOG_BODY, line) for line in body]
        if max(map(len, body), default=0) * 4 > MOST_BYTES:
            body = [self._cut(line) if len(line) * 4 > MOST_BYTES else line for line in body]
        message, resource, lines = np.array(self._runs, np.int32).reshape(-1, 3).T
        columns = LineColumns(
            np.repeat(message, lines),
            np.repeat(resource, lines),
            np.array(self._time_us, np.int64),
            np.array(self._severity, np.uint8),
            body,
            self._trace_id,
            self.events,
        )
        columns = self._without_blank(columns)
        with_events = np.concatenate([columns.message, np.array([found[0] for found in self.events], np.int32)])
        columns.rejections = self._rejections(with_events)
        columns.dropped = {reason: number for reason, number in self.dropped.items() if number}
        return columns

    def _cut(self, line: str) -> str:
        encoded = line[:MOST_BYTES].encode()
        if len(line) <= MOST_BYTES and len(encoded) <= MOST_BYTES:
            return line
        self.dropped["cut"] += 1
        return encoded[:MOST_BYTES].decode(errors="ignore")

    def _without_blank(self, columns: LineColumns) -> LineColumns:
        if "" not in columns.body and not any(map(str.isspace, columns.body)):
            return columns
        blank = [row for row, line in enumerate(columns.body) if not line or line.isspace()]
        self.dropped["blank"] += len(blank)
        keep = np.ones(len(columns.body), np.bool_)
        keep[blank] = False
        kept = np.flatnonzero(keep).tolist()
        return LineColumns(
            columns.message[keep],
            columns.resource[keep],
            columns.time_us[keep],
            columns.severity[keep],
            [columns.body[row] for row in kept],
            [columns.trace_id[row] for row in kept],
            columns.events,
        )
