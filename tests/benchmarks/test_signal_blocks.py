"""What the benchmarks feed to the score role is a log as ingest would have written it."""

from collections import Counter

import numpy as np

from pipeline.codecs import score_block, signal_block
from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from tests.benchmarks import fleet
from tests.benchmarks.signal_blocks import Blocks, Record
from tests.detectors import synthetic

SOURCES = ("points/0", "points/1", "points/2")
SIGNALS, PARTITIONS, WINDOWS = 700, 2, 4


def logs() -> tuple[list[list[bytes]], synthetic.Floats]:
    """The blocks of each partition, and the values in them, (signals, windows)."""
    values = synthetic.sample("mixed", SIGNALS, WINDOWS)
    blocks = Blocks(SIGNALS, PARTITIONS, SOURCES)
    found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for window in range(WINDOWS):
        for partition, block in blocks.window(fleet.START_US + window * fleet.WINDOW_US, values[:, window]):
            found[partition].append(block)
    for partition, block in blocks.close(fleet.START_US + WINDOWS * fleet.WINDOW_US):
        found[partition].append(block)
    return found, values


def test_every_window_of_every_signal_is_scored_once_with_its_value_and_nothing_is_dropped() -> None:
    found, values = logs()
    scored: dict[tuple[int, int], float] = {}
    for partition, blocks in enumerate(found):
        config = FlowConfig(SOURCES, PARTITIONS, 1, window_us=fleet.WINDOW_US, lateness_us=0)
        output = ScoreChain(partition, config).apply([Record(i, block) for i, block in enumerate(blocks)])
        assert {what for what, _ in output.counts} <= {"windows", "anomaly"}
        for record in output.records:
            if record.topic == "scores":
                block = score_block.decode(record.value or b"")
                window = (block.end_us - fleet.START_US) // fleet.WINDOW_US - 1
                for signal, value in zip(block.ids.tolist(), block.value.tolist(), strict=True):
                    assert scored.setdefault((signal, window), value) is value
    given = {
        (fleet.signal(number).id, window): values[number, window]
        for number in range(SIGNALS)
        for window in range(WINDOWS)
    }
    derived = set(scored) - set(given)
    assert {place: value for place, value in scored.items() if place not in derived} == given
    instances = SIGNALS // fleet.METRICS_PER_INSTANCE
    assert Counter(window for _, window in derived) == dict.fromkeys(range(WINDOWS), instances)
    assert len({signal for signal, _ in derived}) == instances


def test_a_source_goes_on_where_it_stopped_and_its_event_time_never_goes_back() -> None:
    found, _ = logs()
    for blocks in found:
        place = dict.fromkeys(SOURCES, (0, 0))
        for block in map(signal_block.decode, blocks):
            offset, progress = place[block.source]
            assert block.start == offset
            assert block.progress_us >= progress
            assert (np.diff(block.time_us) >= 0).all()
            place[block.source] = (block.end, block.progress_us)
