"""Log templates on ``calm.log-templates``: one JSON record for each template of a workload, compacted.

Key: ``<scope>|<workload>|<id>``. Guarantee: decode(encode(template)) is the template.
"""

import msgspec

from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint
from pipeline.records import LogTemplate, Message, iso

_json = msgspec.json.Encoder()


class BadTemplate(ValueError):
    """A record on ``calm.log-templates`` that Calmstream did not write."""


class _Example(msgspec.Struct):
    time: str
    line: str
    trace_id: str


class _Body(msgspec.Struct):
    id: str
    scope: str
    workload: str
    text: str
    first_time: str
    alias_of: str
    examples: list[_Example]


def encode(template: LogTemplate) -> tuple[bytes, bytes]:
    """Key and value."""
    examples = [_Example(iso(time_us), line, trace) for time_us, line, trace in template.examples]
    body = _Body(
        template.id,
        template.scope,
        template.workload,
        template.text,
        iso(template.first_us),
        template.alias_of,
        examples,
    )
    key = "|".join((template.scope, template.workload, template.id))
    return key.encode("utf-8", "replace"), _json.encode(body)


def decode(message: Message) -> LogTemplate:
    """Raises BadTemplate."""
    try:
        body = msgspec.json.decode(message.value or b"", type=_Body)
        examples = tuple((moment_us(each.time), each.line, each.trace_id) for each in body.examples)
        first_us = moment_us(body.first_time)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadPoint) as error:
        raise BadTemplate(f"not a log template: {error}") from None
    return LogTemplate(body.id, body.scope, body.workload, body.text, first_us, body.alias_of, examples)
