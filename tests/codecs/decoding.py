"""Decodes messages of any format and shows the result as plain rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.codecs.registry import InputCodec, input_codec
from pipeline.codecs.series_table import Limits
from pipeline.records import PointColumns, Series
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


def refusals(columns: PointColumns) -> list[tuple[int, str, bool]]:
    return [(one.message, one.reason, one.whole) for one in columns.rejections]


def attributes(series: Series) -> dict[str, str]:
    return dict(series.attributes)


def fate(columns: PointColumns, rows: Sequence[Row], message: int) -> list[Any]:
    """All that became of one message."""
    points = [row._replace(message=0) for row in rows if row.message == message]
    return [points, sorted((r.reason, r.detail, r.whole) for r in columns.rejections if r.message == message)]
