"""Decodes messages of any format and shows the result as plain rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.codecs.registry import (
    HAPPENING_CODECS,
    INPUT_CODECS,
    LINE_CODECS,
    SPAN_CODECS,
    InputCodec,
    input_codec,
)
from pipeline.codecs.series_table import Limits
from pipeline.records import DecodedEvents, PointColumns, Rejection, Series
from tests.codecs.otlp_sent import Sent

#: The time of every Kafka record, in milliseconds.
WRITTEN_MS = 1_767_225_660_000


class Row(NamedTuple):
    """A point, as text where that says it all."""

    message: int
    series: Series
    time_us: int
    value: float
    start_us: int


def sent(value: bytes | str | None) -> Sent:
    return Sent(value.encode() if isinstance(value, str) else value, timestamp=WRITTEN_MS)


def decoded(codec: InputCodec | str, *values: bytes | str | None) -> tuple[PointColumns, list[Row]]:
    """Columns, and the same as rows."""
    codec = input_codec(codec, Limits()) if isinstance(codec, str) else codec
    columns = codec.decode([sent(value) for value in values])
    starts = columns.start_us.tolist() if columns.start_us is not None else [0] * columns.series.size
    rows = zip(
        columns.message.tolist(),
        [codec.table.series[number] for number in columns.series.tolist()],
        columns.time_us.tolist(),
        columns.value.tolist(),
        starts,
        strict=True,
    )
    return columns, [Row(*row) for row in rows]


def taken(format_name: str, *values: bytes | str | None) -> tuple[int, list[Rejection]]:
    """How many points, lines, spans, events or changes there are in messages of any format, and what is refused."""
    messages = [sent(value) for value in values]
    for codecs in (INPUT_CODECS, LINE_CODECS, SPAN_CODECS):
        if format_name in codecs:
            columns = codecs[format_name](Limits()).decode(messages)
            return columns.message.size, columns.rejections
    found = HAPPENING_CODECS[format_name](Limits()).decode(messages)
    return len(found.events if isinstance(found, DecodedEvents) else found.changes), found.rejections


def refusals(columns: PointColumns) -> list[tuple[int, str, bool]]:
    return [(one.message, one.reason, one.whole) for one in columns.rejections]


def attributes(series: Series) -> dict[str, str]:
    return dict(series.attributes)


def fate(columns: PointColumns, rows: Sequence[Row], message: int) -> list[Any]:
    """All that became of one message."""
    points = [row._replace(message=0) for row in rows if row.message == message]
    return [points, sorted((r.reason, r.detail, r.whole) for r in columns.rejections if r.message == message)]
