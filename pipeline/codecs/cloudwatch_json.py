"""CloudWatch Metric Streams in JSON: one record for each metric and minute, one a line.

Guarantee: a message is used whole or refused whole, except that single records may be refused for their time, names or
dimensions. What counts becomes a delta over its minute, what measures becomes gauges (see ``cloudwatch_names``).

``timestamp`` is when the minute begins; points stand at its end, as in the OpenTelemetry format of the same stream.
"""

from collections.abc import Sequence

import msgspec

from pipeline.codecs.cloudwatch_names import Metric, metric_of, unit_of
from pipeline.codecs.cloudwatch_rows import CloudwatchRows, KnownMetrics
from pipeline.codecs.json_records import BAD_JSON, JsonRecords
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import US, Message, PointColumns

#: Metric Streams aggregates over a minute.
PERIOD_US = 60 * US
#: Milliseconds since 1970 lie between these; seconds and microseconds do not.
_LEAST_MS, _MOST_MS = 1e10, 1e14


class _Record(msgspec.Struct, gc=False):
    namespace: str
    metric_name: str
    timestamp: float
    value: dict[str, float | None]
    unit: str = "None"
    account_id: str = ""
    region: str = ""
    dimensions: msgspec.Raw = msgspec.Raw(b"")


#: Namespace, metric, unit, account, region, and dimensions as sent.
_Key = tuple[str, str, str, str, str, bytes]

_dimensions = msgspec.json.Decoder(dict[str, str])


class CloudwatchJson:
    """Decodes Metric Streams' ``json`` output format."""

    def __init__(self, limits: Limits) -> None:
        self._metrics: KnownMetrics[_Key] = KnownMetrics(limits, _read_metric)
        self._records = JsonRecords(_Record, "a record of CloudWatch Metric Streams")
        self.table = self._metrics.table

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all statistics that are taken."""
        found = self._metrics.begin_batch()
        records, owner = self._records.read(messages, found.rows)
        for record, message in zip(records, owner.tolist(), strict=True):
            try:
                self._add(record, message, found)
            except BadPoint as error:
                found.rows.refuse(message, error)
        return found.columns()

    def _add(self, record: _Record, message: int, found: CloudwatchRows) -> None:
        if not _LEAST_MS <= record.timestamp <= _MOST_MS:
            raise BadPoint("bad_time", f"timestamp is {record.timestamp!r:.64}; give milliseconds since 1970")
        known = self._metrics.find(
            (
                record.namespace,
                record.metric_name,
                record.unit,
                record.account_id,
                record.region,
                bytes(record.dimensions),
            )
        )
        value = record.value
        total, count = value.pop("sum", None), value.pop("count", None)
        start_us = round(record.timestamp) * 1000
        found.add(known, message, start_us, start_us + PERIOD_US, total, count, value.items())


def _read_metric(key: _Key) -> Metric:
    namespace, name, unit, account, region, raw = key
    if not name:
        raise BadPoint("bad_name", "metric_name is empty; CloudWatch gives each metric one")
    try:
        dimensions = _dimensions.decode(raw) if raw not in (b"", b"null") else {}
    except BAD_JSON as error:
        raise BadPoint("bad_attributes", f"dimensions must be texts by name: {error}"[:300]) from None
    return metric_of(namespace, name, unit_of(unit), dimensions, account, region)
