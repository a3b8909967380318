"""The log of a process: lines for people, or one JSON object a line; never a flood.

Guarantee: one event is one line (with a traceback for people: the lines below it are indented), and no text from
outside can end a line, forge one or be obeyed by a terminal. What a library says again and again, as a client does
whose broker is gone, is written once in ten seconds, with how many more there were.
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from pipeline.records.escaping import plain

#: What a JSON line may have beside time, level, logger, message and exception; given to the loggers as ``extra``.
FIELDS = ("role", "topic", "partition", "offset", "reason", "code", "seconds", "peer", "more")
_STABLE = ("time", "level", "logger", "message")
_MESSAGE_CHARACTERS = 8000
_EXCEPTION_CHARACTERS = 32_000
#: Lines of one logger and template within so many seconds: our own say different things with one template.
_SECONDS = 10.0
_OUR_LINES = 20
_THEIR_LINES = 1
_MOST_TEMPLATES = 1000
_OURS = ("pipeline", "detectors")

Form = Literal["text", "json"]
_form: Form = "text"


def set_up(level: str, form: Form = "text", stream: TextIO | None = None) -> None:
    """Send what is logged to standard error, from ``level`` up; of libraries no less than warnings."""
    global _form
    _form = form
    handler = Handler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, Handler):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    # Never more than warnings of libraries: the Kafka client would write requests down, and credentials with them.
    root.setLevel(max(logging.WARNING, logging.getLogger(_OURS[0]).level))
    logging.captureWarnings(True)


def last_words(text: str) -> None:
    """A line from a process that ends at once, in the form of the others; waits for no lock that somebody may hold."""
    record = logging.LogRecord("pipeline", logging.CRITICAL, "", 0, text, None, None)
    formatter = JsonLines() if _form == "json" else TextLines()
    os.write(2, f"{formatter.format(record)}\n".encode())


def place(message: Any, **more: object) -> dict[str, object]:
    """``extra`` of a line about a record of Kafka: where it stands, and what else is known."""
    return {"topic": message.topic, "partition": message.partition, "offset": message.offset, **more}


class TextLines(logging.Formatter):
    """For people: local time, level, logger, message; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{self.formatTime(record)} {record.levelname} {record.name}"
        lines = [f"{at}: {plain(_message(record), _MESSAGE_CHARACTERS)}"]
        lines += (f"    {plain(line, _MESSAGE_CHARACTERS)}" for line in _exception(self, record).splitlines())
        return "\n".join(lines)


class JsonLines(logging.Formatter):
    """For machines: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, what is known of FIELDS, and
    ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = (at, record.levelname, record.name, _cut(_message(record), _MESSAGE_CHARACTERS))
        line: dict[str, Any] = dict(zip(_STABLE, values, strict=True))
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) not in (None, "")}
        if exception := _exception(self, record):
            line["exception"] = exception
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception as error:  # somebody else's template does not fit its arguments
        message = f"{record.msg!r} % {record.args!r}: {error}"
    more = getattr(record, "more", 0)
    return f"{message} … {more} more like it" if more else message


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    parts += [record.stack_info] if record.stack_info else []
    return _cut("\n".join(parts), _EXCEPTION_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters more)"


class Handler(logging.StreamHandler[Any]):
    """Writes each line at once, but for those that are too many of one kind."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream or sys.stderr)
        self._flood = Flood(clock)
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._flood.lets_through(record):
            super().emit(record)
        elif self._timer is None:
            self._timer = threading.Timer(_SECONDS, self._tell)
            self._timer.daemon = True
            self._timer.start()

    def _tell(self) -> None:
        """Some seconds after a line was held back: how many there were of each kind."""
        self.acquire()
        try:
            self._timer = None
            for record in self._flood.held_back():
                super().emit(record)
        finally:
            self.release()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tell()
        super().close()


@dataclass(slots=True)
class _Kind:
    """Lines of one logger and template since ``since``; ``held`` is the newest of those that were not written."""

    since: float
    written: int = 0
    more: int = 0
    held: logging.LogRecord | None = None


class Flood:
    """Decides which lines are written: of each logger and template (numbers in it do not matter) so many in a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def lets_through(self, record: logging.LogRecord) -> bool:
        """If it is not to be written, it is counted."""
        now = self._clock()
        template = str(record.msg)
        if template == "%s":
            template = _message(record)
        name = (record.name, record.levelno, re.sub(r"\d+", "0", template[:200]))
        kind = self._kinds.get(name)
        if kind is None or now - kind.since >= _SECONDS:
            if kind is not None:
                record.more = kind.more
            elif len(self._kinds) >= _MOST_TEMPLATES:
                self._kinds.pop(next(iter(self._kinds)))
            kind = self._kinds[name] = _Kind(now)
        ours = record.name.partition(".")[0] in _OURS
        if kind.written < (_OUR_LINES if ours else _THEIR_LINES):
            kind.written += 1
            return True
        kind.more += 1
        kind.held = record
        return False

    def held_back(self) -> Iterator[logging.LogRecord]:
        """Of each kind the newest line that was held back, with how many more there were; its time begins anew."""
        for name, kind in list(self._kinds.items()):
            if kind.held is not None:
                kind.held.more = kind.more - 1
                yield kind.held
                self._kinds[name] = _Kind(self._clock(), written=_OUR_LINES)
