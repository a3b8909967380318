"""No record of ours is larger than a topic takes, whatever a message holds: more records, or a refusal."""

from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from pipeline.codecs import line_block, score_block, signal_block
from pipeline.codecs.otlp_encode import key_values
from pipeline.flow.inputs import ingest_chain
from pipeline.records import Output, ScoreBlock
from tests.codecs.otlp_sent import of_metric, with_point
from tests.fuzz.feeding import CONFIG, Sent
from tests.fuzz.seeds import SECONDS

#: Of a record; the topics take 16 MiB and what is around it.
MOST_BYTES = 16 * 2**20


def fed(format_: str, *values: bytes) -> Output:
    chain = ingest_chain(format_, "fuzzed/3", CONFIG)
    out = chain.apply([Sent(value, offset=17 + number) for number, value in enumerate(values)])
    out.add(chain.flush())
    assert all(len(record.value or b"") < MOST_BYTES for record in out.records)
    return out


def rows(out: Output, topic: str, codec: Any) -> list[Any]:
    return [codec.decode(record.value) for record in out.records if record.topic == topic]


def test_descriptions_that_are_many_times_their_message_come_before_its_rows() -> None:
    """One resource with large attributes, of which each signal has all."""
    pairs = {"service.name": "cart", **{f"key{number}": "v" * 1000 for number in range(40)}}
    message = ExportMetricsServiceRequest.FromString(of_metric(with_point("gauge", as_double=1.0)))
    resource = message.resource_metrics[0]
    resource.resource.attributes.extend(key_values(pairs))
    points = resource.scope_metrics[0].metrics[0].gauge.data_points
    for number in range(600):
        points.add(time_unix_nano=SECONDS * 10**9, as_double=1.0).attributes.extend(key_values({"route": str(number)}))
    value = message.SerializeToString()
    assert len(value) < 2**20
    blocks = rows(fed("otlp_metrics", value), "signals", signal_block)
    assert sum(len(block.described) for block in blocks) >= 600
    assert len(blocks) > CONFIG.signal_partitions
    told = {name for block in blocks for name in (each.id for each in block.described)}
    for block in blocks:
        if block.rows:
            assert (block.start, block.end) == (0, 18)
            assert set(block.ids.tolist()) <= told
        elif block.described:
            assert block.start == block.end, "it covers nothing, and brings nobody further"


def test_a_message_of_more_points_than_fit_is_refused_and_the_others_are_read() -> None:
    many = b"".join(b"m v=%d\n" % (number % 10) for number in range(300_000))
    good = b"load value=1 %d\n" % (SECONDS * 10**9)
    out = fed("influx_line", good, many, good)
    assert out.counts["drop", "too_large"] == 1
    (letter,) = (record for record in out.records if record.topic == "dead-letter")
    assert b"send fewer of them in a message" in dict(letter.headers)["calm_detail"]
    assert sum(block.rows for block in rows(out, "signals", signal_block)) == 2


@pytest.mark.parametrize("character", ["x", "\U0001f600"])
def test_long_lines_are_cut_into_blocks_that_fit(character: str) -> None:
    long = (character * 2000).encode()
    out = fed("plain_text", *[long] * 12_000)
    assert sum(len(block.body) for block in rows(out, "logs", line_block)) == 12_000


def test_a_window_of_very_many_signals_is_written_in_parts_that_are_the_same_together() -> None:
    size = 2 * score_block.MOST_ROWS + 5
    number = np.arange(size)
    columns = {name: number.astype(float) for name in ("value", "expected", "lower", "upper", "surprise")}
    block = ScoreBlock(
        10, number.astype(np.uint64), number, number.astype(np.uint32), **columns, anomalous=number > 3,
        threshold=number.astype(np.float32), verdict=np.zeros(size, np.uint8), policies="1",
    )  # fmt: skip
    parts = [score_block.decode(score_block.encode(part)) for part in score_block.parts(block)]
    assert [part.ids.size for part in parts] == [score_block.MOST_ROWS, score_block.MOST_ROWS, 5]
    for name in ("ids", "value", "anomalous"):
        assert np.concatenate([getattr(part, name) for part in parts]).tolist() == getattr(block, name).tolist()
