"""A log line that is a JSON object, as structured loggers write them: its message, level and time.

Guarantee: a text that is no such object stays the line that it is.
"""

from typing import Any, NamedTuple

import msgspec

from pipeline.codecs import severity

_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Fields(msgspec.Struct, gc=False):
    """Members that loggers use; any of them may be anything."""

    message: Any = None
    msg: Any = None
    log: Any = None
    event: Any = None
    level: Any = None
    severity: Any = None
    lvl: Any = None
    levelname: Any = None
    log_level: Any = msgspec.field(name="log.level", default=None)
    short_level: Any = msgspec.field(name="@l", default=None)
    template: Any = msgspec.field(name="@mt", default=None)
    rendered: Any = msgspec.field(name="@m", default=None)

    def text(self) -> str:
        """The message; empty where there is none."""
        for value in (self.message, self.msg, self.log, self.event, self.rendered, self.template):
            if value and isinstance(value, str):
                return value
        return ""

    def severity_number(self) -> int:
        """The level, 0 where there is none."""
        for value in (self.level, self.severity, self.lvl, self.levelname, self.log_level, self.short_level):
            if value is not None and (number := severity.of_level(value)):
                return number
        return 0


class Line(NamedTuple):
    """What is left of a line once its JSON is read."""

    body: str
    severity: int


_fields = msgspec.json.Decoder(Fields)


def read(text: str, known: int = 0) -> Line:
    """The body and severity of a line, whether it is JSON or not; 0 where no level stands in it.

    known: its severity, where something else has told it.
    """
    body, level = text, known
    if text[:1] == "{" and text[-1:] == "}":
        try:
            found = _fields.decode(text)
        except _BAD_JSON:
            pass  # it is a line that looks like JSON
        else:
            body = found.text() or text
            level = known or found.severity_number()
    return Line(body, level or severity.in_line(body))
