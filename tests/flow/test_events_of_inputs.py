"""Events of an input partition: what is counted stands in the block that covers its message."""

from pipeline.codecs import signal_block
from pipeline.flow.config import FlowConfig
from pipeline.flow.event_rows import EventRows
from pipeline.records import Entity, Event

CONFIG = FlowConfig(sources=("otlp_logs/0",), signal_partitions=1, anomaly_partitions=1)


def test_an_event_waits_for_the_block_that_covers_its_message() -> None:
    rows = EventRows("otlp_logs/0", CONFIG)
    for offset in (3, 8):
        rows.add(Event(str(offset), 1_000, "k8s.BackOff", ()), Entity("prod", "service:cart", ""), offset)
    found = []
    for start, end in ((0, 5), (5, 9), (9, 12)):
        (record,) = rows.blocks(start, end, 2_000, idle=False)
        found.append(signal_block.decode(record.value or b"").offset.tolist())
    assert found == [[3], [8], []]
