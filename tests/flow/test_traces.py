"""Spans from messages to signals, edges and incidents' evidence: the chains of traces in a line."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline.codecs import edge_event, signal_block, span_block
from pipeline.flow import join_spans
from pipeline.flow.config import FlowConfig
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.records import US, EdgeKind, Entity, Kind, Peer, Produced, SpanBlock, SpanKind, SpanShape

START = 1_700_000_000 * US
CONFIG = FlowConfig(
    sources=(),
    signal_partitions=1,
    anomaly_partitions=1,
    window_us=10 * US,
    lateness_us=0,
    span_sources=("otlp_spans/0",),
    trace_wait_us=10 * US,
)
SHOP, CART = Entity("prod", "service:shop", "s1"), Entity("prod", "service:cart", "c1")
SHAPES = (
    SpanShape(0, SpanKind.SERVER, "GET /", ""),
    SpanShape(0, SpanKind.CLIENT, "GET", ""),
    SpanShape(1, SpanKind.SERVER, "GET /cart", ""),
    SpanShape(1, SpanKind.CLIENT, "SELECT carts", "sqlite/carts", Peer.DATABASE),
)
PAGE, CALL, ANSWER, QUERY = range(4)


@dataclass(frozen=True)
class Passed:
    offset: int
    value: bytes | None
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class Told:
    """A span: its shape, trace, own and parent's number, start and length in milliseconds after START."""

    shape: int
    trace: int
    span: int
    parent: int
    start_ms: int
    length_ms: int
    failed: bool = False


def request(trace: int, start_ms: int, *, failed: bool = False) -> list[Told]:
    """A page of 100 ms: 60 ms of it are a call of the cart, which takes 50 ms and asks its database for 20 ms."""
    return [
        Told(PAGE, trace, 1, 0, start_ms, 100, failed),
        Told(CALL, trace, 2, 1, start_ms + 10, 60, failed),
        Told(ANSWER, trace, 3, 2, start_ms + 15, 50, failed),
        Told(QUERY, trace, 4, 3, start_ms + 20, 20),
    ]


class Join:
    """A join chain that is fed blocks; ``written`` by topic."""

    def __init__(self, config: FlowConfig = CONFIG) -> None:
        self.chain = SpanJoinChain(0, config)
        self.written: dict[str, list[Produced]] = defaultdict(list)
        self.log: list[bytes] = []

    def feed(self, spans: list[Told], progress_ms: int) -> None:
        self.log.append(block(spans, len(self.log), progress_ms))
        self.again(len(self.log) - 1)

    def again(self, offset: int) -> None:
        self._keep(self.chain.apply([Passed(offset, self.log[offset])]).records)
        self._keep(self.chain.flush().records)

    def _keep(self, records: list[Produced]) -> None:
        for record in records:
            self.written[record.topic].append(record)

    def values(self, name: str, attribute: str) -> dict[str, list[tuple[float, float]]]:
        """By an attribute of a signal: the window's end in seconds after START, and count (or sum, of shares)."""
        signals, found = {}, defaultdict(list)
        for record in self.written["signals"]:
            decoded = signal_block.decode(record.value or b"")
            signals |= {signal.id: signal for signal in decoded.described}
            for row, number in enumerate(decoded.signal.tolist()):
                signal = signals[int(decoded.ids[number])]
                if signal.name == name:
                    end = (int(decoded.time_us[row]) + 1 - START) / US
                    point = decoded.histograms[row]
                    of = point.sum if signal.kind is Kind.SHARE else point.count
                    found[dict(signal.attributes)[attribute]].append((end, of))
        return dict(found)

    def edges(self) -> dict[tuple[str, str, EdgeKind], int]:
        news = [edge_event.decode(Passed(0, record.value)) for record in self.written["topology"] if record.value]
        return {(one.edge.client, one.edge.server, one.edge.kind): one.edge.calls for one in news}


def block(spans: list[Told], number: int, progress_ms: int) -> bytes:
    start_us = np.array([START + span.start_ms * 1000 for span in spans], np.int64)
    return span_block.encode(
        SpanBlock(
            source="otlp_spans/0",
            start=number,
            end=number + 1,
            progress_us=START + progress_ms * 1000,
            idle=False,
            entities=(SHOP, CART),
            shapes=SHAPES,
            shape=np.array([span.shape for span in spans], np.uint32),
            trace=np.array([[7, span.trace] for span in spans], np.uint64).reshape(-1, 2),
            span=np.array([span.span for span in spans], np.uint64),
            parent=np.array([span.parent for span in spans], np.uint64),
            start_us=start_us,
            end_us=start_us + np.array([span.length_ms * 1000 for span in spans], np.int64),
            failed=np.array([span.failed for span in spans], np.bool_),
            offset=np.full(len(spans), number, np.int64),
            links=np.empty((0, 4), np.uint64),
        )
    )


def story(join: Join, order: int = 1) -> Join:
    """Three requests in the first ten seconds, one of which fails, one in the next; then nothing."""
    first = [*request(1, 1_000), *request(2, 2_000, failed=True), *request(3, 3_000)]
    join.feed(first[::order], 9_000)
    join.feed(request(4, 12_000)[::order], 19_000)
    join.feed([], 60_000)
    return join


def test_operations_are_counted_in_the_window_in_which_their_spans_ended() -> None:
    found = story(Join()).values("traces.operation.duration", "operation")
    assert found["GET /"][:3] == [(10.0, 3.0), (20.0, 1.0), (30.0, 0.0)]
    assert found["GET /cart"][:2] == found["SELECT carts"][:2] == [(10.0, 3.0), (20.0, 1.0)]


def test_failures_are_a_share_of_what_was_done() -> None:
    found = story(Join()).values("traces.operation.failed", "operation")
    assert found["GET /cart"][:2] == [(10.0, 1.0), (20.0, 0.0)]
    assert found["SELECT carts"][:2] == [(10.0, 0.0), (20.0, 0.0)]


def test_calls_and_self_times_are_told_when_their_traces_are_whole() -> None:
    join = story(Join())
    assert join.values("traces.call.duration", "peer")["service:cart"][:2] == [(20.0, 3.0), (30.0, 1.0)]
    assert join.values("traces.operation.self_time", "operation")["GET /"][:2] == [(20.0, 3.0), (30.0, 1.0)]


def test_edges_are_calls_between_workloads_and_of_what_has_no_spans() -> None:
    assert story(Join()).edges() == {
        ("service:shop", "service:cart", EdgeKind.CALL): 3,
        ("service:cart", "database:sqlite/carts", EdgeKind.DATABASE): 3,
    }


def test_neither_the_order_of_spans_nor_repeats_matter() -> None:
    join, other = story(Join()), Join()
    first = [*request(1, 1_000), *request(2, 2_000, failed=True), *request(3, 3_000)]
    other.feed([*first[5:], *first[:7]], 9_000)
    other.feed([*request(4, 12_000)[::-1], *request(4, 12_000)], 19_000)
    other.feed([], 60_000)
    assert [record.value for record in join.written["signals"]] == [record.value for record in other.written["signals"]]
    assert join.edges() == other.edges()


def test_a_chain_restored_at_any_time_writes_what_one_that_never_stopped_does() -> None:
    whole = story(Join())
    for cut in (1, 2):
        join = Join()
        join.feed([*request(1, 1_000), *request(2, 2_000, failed=True), *request(3, 3_000)], 9_000)
        if cut == 2:
            join.feed(request(4, 12_000), 19_000)
        snapshot = join.chain.snapshot(full=True).keep()
        join.chain = SpanJoinChain(0, CONFIG)
        join.chain.restore(snapshot)
        before = len(join.written["signals"])
        for offset in range(snapshot.offset, cut):
            join.again(offset)
        if cut == 1:
            join.feed(request(4, 12_000), 19_000)
        join.feed([], 60_000)
        told = [signal_block.decode(record.value or b"") for record in join.written["signals"]]
        numbers = [one.start for one in told if one.rows]
        assert sorted(set(numbers)) == list(range(len(set(numbers))))
        expected = [
            record.value for record in whole.written["signals"] if signal_block.decode(record.value or b"").rows
        ]
        found = {one.start: one for one in told if one.rows}
        for value in expected:
            one = signal_block.decode(value or b"")
            ours = found[one.start]
            assert (ours.ids.tolist(), ours.value.tolist(), ours.time_us.tolist()) == (
                one.ids.tolist(),
                one.value.tolist(),
                one.time_us.tolist(),
            )
        assert before <= len(told)
        assert join.edges() == whole.edges()


def test_operations_beyond_the_limit_are_counted_together() -> None:
    config = replace(CONFIG, limits=replace(CONFIG.limits, max_operations=1))
    join = Join(config)
    join.feed([*request(1, 1_000), Told(PAGE, 9, 1, 0, 1_500, 10), Told(QUERY, 9, 2, 0, 1_500, 10)], 30_000)
    found = join.values("traces.operation.duration", "operation")
    assert found["GET /"][0] == (10.0, 2.0)
    assert set(found) == {"GET /", "GET", "GET /cart", "SELECT carts"}


def test_peers_beyond_the_limit_are_called_together() -> None:
    config = replace(CONFIG, limits=replace(CONFIG.limits, max_operations=2))
    shapes = tuple(
        SpanShape(1, SpanKind.CLIENT, f"get {number}", f"redis/{number}", Peer.DATABASE) for number in range(5)
    )
    join = Join(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "SHAPES", shapes)
        join.feed([Told(number, number, 1, 0, 1_000, 10) for number in range(5)], 9_000)
    join.feed([], 60_000)
    found = join.values("traces.call.duration", "peer")
    assert {peer: told[0] for peer, told in found.items()} == {
        "database:redis/0": (20.0, 1.0),
        "database:redis/1": (20.0, 1.0),
        "database:(other)": (20.0, 3.0),
    }


def test_names_that_no_span_has_any_more_are_forgotten_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = story(Join())
    monkeypatch.setattr(join_spans, "_MOST_NAMES", 0)
    join = story(Join())
    assert [record.value for record in join.written["signals"]] == [record.value for record in whole.written["signals"]]
    assert join.edges() == whole.edges()
    assert len(join.chain._names) == 0
