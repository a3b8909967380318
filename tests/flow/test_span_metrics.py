"""Spans and the collector's metrics of the same spans: each operation counts once."""

import numpy as np

from pipeline.codecs import score_block
from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from pipeline.flow.signal_writer import SignalWriter
from pipeline.records import US, Entity, HistogramPoint, Kind, Output, Series, Signal
from pipeline.signals.identity import derived, made_signal, signal_of
from tests.flow.line import Passed

START = 1_700_000_000 * US
HOUR = 3600
CONFIG = FlowConfig(
    sources=("otlp/0", "spans/0"),
    signal_partitions=1,
    anomaly_partitions=1,
    window_us=US,
    lateness_us=0,
    ttl_us=HOUR * US,
    instance_ttl_us=HOUR * US,
)
CART, SHOP = Entity("default", "service:cart", ""), Entity("default", "service:shop", "")
ATTRIBUTES = (("operation", "GET /cart"), ("span.kind", "server"))
OURS, OTHERS, SELF = (
    made_signal(name, "s", Kind.HISTOGRAM_DELTA, entity, ATTRIBUTES)
    for name, entity in (
        ("traces.operation.duration", CART),
        ("traces.operation.duration", SHOP),
        ("traces.operation.self_time", CART),
    )
)
THEIRS = signal_of(
    Series(
        "traces.span.metrics.duration",
        "ms",
        Kind.HISTOGRAM_DELTA,
        (("service.name", "cart"), ("span.kind", "SPAN_KIND_SERVER"), ("span.name", "GET /cart")),
    ),
    (),
)
TEN = HistogramPoint(10.0, 5.0, np.array([1.0, np.inf]), np.array([10.0, 0.0]))


class Both:
    """What the collector and then the join stage write, second by second."""

    def __init__(self) -> None:
        self.chain = ScoreChain(0, CONFIG)
        self.writers = [SignalWriter(source, 1) for source in CONFIG.sources]
        self.out = Output()
        self.offset = 0

    def second(self, number: int, theirs: bool) -> None:
        at = START + number * US
        for writer, signals in zip(self.writers, ((THEIRS,) if theirs else (), (OURS, OTHERS, SELF)), strict=True):
            for signal in signals:
                writer.add(signal, at + US - 1, TEN, at)
            for record in writer.close(at + US):
                self.out.add(self.chain.apply([Passed(self.offset, 0, None, record.value, ())]))
                self.offset += 1

    def scored(self, signal: Signal) -> list[int]:
        """The seconds in which the signal's rate was told."""
        wanted = derived(signal, "rate", "1/s").id
        blocks = [score_block.decode(record.value or b"") for record in self.out.records if record.topic == "scores"]
        return [(block.end_us - START) // US - 1 for block in blocks if (block.ids == wanted).any()]


def test_an_operation_that_the_collector_measures_is_not_counted_twice() -> None:
    both = Both()
    for number in range(10):
        both.second(number, theirs=number >= 4)
    assert both.scored(OURS) == [0, 1, 2, 3]
    assert both.scored(THEIRS) == [4, 5, 6, 7, 8, 9]
    assert both.scored(OTHERS) == both.scored(SELF) == list(range(10))
    assert both.out.counts["drop", "measured_elsewhere"] == 6


def test_it_stays_so_after_a_restore() -> None:
    both = Both()
    for number in range(6):
        both.second(number, theirs=number >= 2)
    both.chain.flush()
    snapshot = both.chain.snapshot(full=True).keep()
    both.chain = ScoreChain(0, CONFIG)
    both.chain.restore(snapshot)
    for number in range(6, 10):
        both.second(number, theirs=True)
    assert both.scored(OURS) == [0, 1]
    assert both.scored(THEIRS) == list(range(2, 10))


def test_when_the_collector_measures_no_more_ours_count_again() -> None:
    both = Both()
    for number in [*range(4), *range(2 * HOUR, 2 * HOUR + 3), *range(3 * HOUR, 3 * HOUR + 200)]:
        both.second(number, theirs=number < 4)
    assert both.scored(OURS)[-1] == 3 * HOUR + 199
    assert THEIRS not in both.chain.scorer.catalogue.signals
