"""Telegraf's JSON: ``{"fields", "name", "tags", "timestamp"}``, one metric or a batch ``{"metrics": […]}``.

Guarantee: a message is used whole or refused whole, except that single metrics may be refused for their time, name or
tags; fields that are texts are no points and are counted as ``text_field``.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from pipeline.codecs.json_records import BAD_JSON, JsonRecords
from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.codecs.telegraf_names import Measurement, measurement_of
from pipeline.codecs.telegraf_series import TelegrafSeries
from pipeline.records import US, Message, PointColumns

#: Seconds since 1970 stay below this; milliseconds do not.
_MOST_SECONDS = 1e11


class _Metric(msgspec.Struct, gc=False):
    fields: dict[str, float | bool | str | None]
    name: str
    timestamp: float
    tags: msgspec.Raw = msgspec.Raw(b"")


class _Sent(msgspec.Struct, gc=False):
    """A batch, or a metric."""

    metrics: list[_Metric] | None = None
    fields: dict[str, float | bool | str | None] | None = None
    name: str = ""
    timestamp: float | None = None
    tags: msgspec.Raw = msgspec.Raw(b"")


#: The name of a measurement, and its tags as sent.
_Text = tuple[str, bytes]

_tags = msgspec.json.Decoder(dict[str, str | None])


class TelegrafJson:
    """Decodes the ``json`` format with ``json_timestamp_units = "1s"``, which is the default."""

    def __init__(self, limits: Limits) -> None:
        self._series: TelegrafSeries[_Text] = TelegrafSeries(limits, _measurement)
        self._records = JsonRecords(_Sent, "a metric of Telegraf's JSON format")
        self.table = self._series.table

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all numbers and booleans (true is 1)."""
        self._series.begin_batch()
        rows = PointRows()
        sent, owner = self._records.read(messages, rows)
        numbers: list[int] = []
        values: list[float] = []
        times: list[float] = []  # of each metric
        of: list[int] = []  # the message of each metric
        sizes: list[int] = []  # fields of each metric
        for record, message in zip(sent, owner.tolist(), strict=True):
            for metric in _metrics(record, message, rows):
                before = len(values)
                self._add(metric, message, rows, numbers, values)
                times.append(metric.timestamp)
                of.append(message)
                sizes.append(len(values) - before)
        time_us = np.rint(np.array(times, np.float64) * US).astype(np.int64)
        return rows.columns(
            np.repeat(np.array(of, np.int32), sizes),
            np.array(numbers, np.int32),
            np.repeat(time_us, sizes),
            np.array(values, np.float64),
        )

    def _add(self, metric: _Metric, message: int, rows: PointRows, numbers: list[int], values: list[float]) -> None:
        text = (metric.name, bytes(metric.tags))
        try:
            if not abs(metric.timestamp) < _MOST_SECONDS:
                raise _bad_time(metric.timestamp)
            measurement = self._series.measurement(text)
        except BadPoint as error:
            rows.refuse(message, error)
            metric.timestamp = 0.0
            return
        find = measurement.numbers.get
        for name, value in metric.fields.items():
            if value.__class__ is str or value is None:
                rows.dropped["text_field"] += 1
                continue
            number = find(name)
            numbers.append(self._series.add(text, measurement, name, message, rows) if number is None else number)
            values.append(value)  # type: ignore[arg-type]


def _metrics(sent: _Sent, message: int, rows: PointRows) -> Iterator[_Metric]:
    if sent.metrics is not None:
        return iter(sent.metrics)
    if sent.fields is not None and sent.timestamp is not None:
        return iter((_Metric(sent.fields, sent.name, sent.timestamp, sent.tags),))
    detail = "a metric of Telegraf's JSON format has fields, name, tags and timestamp; a batch has metrics"
    rows.refuse(message, BadPoint("undecodable", detail))
    return iter(())


def _bad_time(timestamp: float) -> BadPoint:
    return BadPoint("bad_time", f'timestamp is {timestamp!r:.64}; leave json_timestamp_units at "1s" (seconds)')


def _measurement(text: _Text) -> Measurement:
    name, raw = text
    try:
        tags = _tags.decode(raw) if raw not in (b"", b"null") else {}
    except BAD_JSON as error:
        raise BadPoint("bad_attributes", f"tags must be texts by name: {error}"[:300]) from None
    return measurement_of(name, {tag: value for tag, value in tags.items() if value})
