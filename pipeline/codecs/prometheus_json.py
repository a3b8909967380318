"""Prometheus samples as prometheus-kafka-adapter writes them to Kafka: JSON, one sample a message.

Guarantee: a message is used whole or refused whole, except that single samples of an array or NDJSON may be refused;
NaN (a stale marker too) and infinities are counted as ``not_finite``. A series is found by the bytes of its labels.

The adapter writes every bucket of a histogram as a message of its own, and ingest looks at one message at a time, so
histograms are not put together: ``_bucket`` series are left out and counted, ``_count`` and ``_sum`` are counters.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan
from typing import Any

import msgspec
import numpy as np

from pipeline.codecs.json_records import BAD_JSON, JsonRecords
from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.prometheus_names import series_of
from pipeline.codecs.series_lookup import NONE, LeftOut, SeriesLookup
from pipeline.codecs.series_table import BadPoint, Limits, SeriesTable
from pipeline.records import US, Message, PointColumns, Series


class _Sample(msgspec.Struct, gc=False):
    timestamp: str
    value: str | float
    labels: msgspec.Raw = msgspec.Raw(b"")
    name: str = ""


#: The name, and the labels as sent.
_Key = tuple[str, bytes]

_labels = msgspec.json.Decoder(dict[str, str])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Times are whole seconds, so a batch has few different ones.
_MOST_TIMES = 10_000


class PrometheusJson:
    """Decodes ``{"timestamp": RFC 3339, "value": text, "name", "labels": {"__name__": …}}``."""

    def __init__(self, limits: Limits) -> None:
        self.table = SeriesTable(limits)
        self._lookup: SeriesLookup[_Key] = SeriesLookup(self.table, _series)
        self._records = JsonRecords(_Sample, "a sample of prometheus-kafka-adapter")
        self._times: dict[str, int] = {}

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all samples."""
        self._lookup.begin_batch()
        rows = PointRows()
        samples, owner = self._records.read(messages, rows)
        keys = [(sample.name, bytes(sample.labels)) for sample in samples]
        series = np.array(self._lookup.numbers(keys, owner, rows), np.int32)
        times = self._read_times(samples, owner, series, rows)
        values = _values(samples, owner, series, rows)
        return rows.columns(owner, series, times, values)

    def _read_times(self, samples: list[_Sample], owner: Any, series: Any, rows: PointRows) -> Any:
        """Microseconds, (samples,); a bad time takes its row out of ``series``."""
        if len(self._times) > _MOST_TIMES:
            self._times.clear()
        found = list(map(self._times.get, [sample.timestamp for sample in samples]))
        if None in found:
            for row, known in enumerate(found):
                if known is None:
                    try:
                        found[row] = self._read_time(samples[row].timestamp)
                    except BadPoint as error:
                        found[row] = 0
                        series[row] = NONE
                        rows.refuse(int(owner[row]), error)
        return np.array(found, np.int64)

    def _read_time(self, text: str) -> int:
        known = self._times.get(text)
        if known is None:
            known = self._times[text] = _microseconds(text)
        return known


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.upper())
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH
    except (ValueError, OverflowError):
        raise BadPoint("bad_time", f"timestamp is {text!r:.64}; give an RFC 3339 time") from None
    return (since.days * 86_400 + since.seconds) * US + since.microseconds


def _values(samples: list[_Sample], owner: Any, series: Any, rows: PointRows) -> Any:
    texts = [sample.value for sample in samples]
    try:
        return np.array(list(map(float, texts)), np.float64)
    except ValueError:
        pass  # some text is no number: look at each
    values = np.zeros(len(texts))
    for row, text in enumerate(texts):
        try:
            values[row] = float(text)
        except ValueError:
            values[row], series[row] = nan, NONE
            detail = f"value is {text!r:.64}; give a number as text, or NaN, +Inf, -Inf"
            rows.refuse(int(owner[row]), BadPoint("bad_value", detail))
    return values


def _series(key: _Key) -> Series | LeftOut:
    name, raw = key
    try:
        labels = _labels.decode(raw) if raw not in (b"", b"null") else {}
    except BAD_JSON as error:
        raise BadPoint("bad_attributes", f"labels must be texts by name: {error}"[:300]) from None
    return series_of(labels.pop("__name__", "") or name, labels)
