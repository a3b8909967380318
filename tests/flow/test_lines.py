"""Log lines from blocks to counts, templates and first sights: the chain of logs, fed by hand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.codecs import happening_event, line_block, signal_block, template_event
from pipeline.flow.config import FlowConfig
from pipeline.flow.join_lines import LineJoinChain
from pipeline.records import US, Entity, Event, LineBlock, LogTemplate, Produced

START = 1_700_000_000 * US
CONFIG = FlowConfig(
    sources=(),
    signal_partitions=1,
    anomaly_partitions=1,
    window_us=10 * US,
    lateness_us=0,
    line_sources=("otlp_logs/0",),
)
CART = Entity("prod", "service:cart", "c1", "1.2.0")
ERROR, INFO = 17, 9


@dataclass(frozen=True)
class Passed:
    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 0
    key: bytes | None = None


@dataclass(frozen=True)
class Line:
    """A line at so many milliseconds after START."""

    at_ms: int
    body: str
    severity: int = INFO
    trace: bytes = b""
    entity: Entity = CART


def block(lines: list[Line], number: int, progress_ms: int) -> bytes:
    entities = list(dict.fromkeys(line.entity for line in lines))
    return line_block.encode(
        LineBlock(
            source="otlp_logs/0",
            start=number,
            end=number + 1,
            progress_us=START + progress_ms * 1000,
            idle=False,
            entities=tuple(entities),
            entity=np.array([entities.index(line.entity) for line in lines], np.uint32),
            time_us=np.array([START + line.at_ms * 1000 for line in lines], np.int64),
            severity=np.array([line.severity for line in lines], np.uint8),
            offset=np.full(len(lines), number, np.int64),
            body=[line.body for line in lines],
            trace_id=[line.trace for line in lines],
        )
    )


class Join:
    """A join chain that is fed blocks; ``written`` by topic."""

    def __init__(self) -> None:
        self.chain = LineJoinChain(0, CONFIG)
        self.written: dict[str, list[Produced]] = defaultdict(list)
        self.log: list[bytes] = []

    def feed(self, lines: list[Line], progress_ms: int) -> "Join":
        self.log.append(block(lines, len(self.log), progress_ms))
        self.again(len(self.log) - 1)
        return self

    def again(self, offset: int) -> None:
        for output in (self.chain.apply([Passed(offset, self.log[offset])]), self.chain.flush()):
            for record in output.records:
                self.written[record.topic].append(record)

    def counts(self) -> dict[tuple[str, str], list[tuple[float, float]]]:
        """By template and severity: end of the window in seconds after START, and lines."""
        signals, found = {}, defaultdict(list)
        for record in self.written["signals"]:
            decoded = signal_block.decode(record.value or b"")
            signals |= {signal.id: signal for signal in decoded.described}
            rows = zip(decoded.signal.tolist(), decoded.time_us.tolist(), decoded.value.tolist(), strict=True)
            for number, time_us, value in rows:
                attributes = dict(signals[int(decoded.ids[number])].attributes)
                key = attributes["log.template"], attributes["severity"]
                found[key].append(((time_us + 1 - START) / US, value))
        return dict(found)

    def templates(self) -> dict[str, LogTemplate]:
        records = [template_event.decode(Passed(0, one.value)) for one in self.written["log-templates"] if one.value]
        return {template.text: template for template in records}

    def events(self) -> list[Event]:
        arrivals = [
            happening_event.decode(Passed(0, one.value, one.headers)).happening for one in self.written["anomalies"]
        ]
        assert all(isinstance(each, Event) for each in arrivals)
        return arrivals  # type: ignore[return-value]


def told(second: int, *, cut: int = 1) -> list[Line]:
    """A second of a service: two lines of one kind, one of another; and an error now and then."""
    at = second * 1000
    lines = [
        Line(at, f"cart {second} opened"),
        Line(at + 1, f"cart {second + 7} opened"),
        Line(at + 2, f"took {second} ms"),
    ]
    return lines + [Line(at + 3, "no connection to 10.0.0.1", ERROR, bytes(range(16)))] * (second % 7 == 3)


def test_lines_are_counted_by_template_and_severity_in_their_window() -> None:
    join = Join()
    for second in range(25):
        join.feed(told(second), second * 1000 + 500)
    join.feed([], 60_000)
    opened, refused = (join.templates()[text].id for text in ("cart <*> opened", "no connection to <*>"))
    counts = join.counts()
    assert counts[opened, "info"][:4] == [(10.0, 20.0), (20.0, 20.0), (30.0, 10.0), (40.0, 0.0)]
    assert counts[refused, "error"][:3] == [(10.0, 1.0), (20.0, 2.0), (30.0, 1.0)]


def test_the_first_sight_of_a_template_is_an_event_with_the_age_of_its_workload() -> None:
    join = Join().feed(told(0), 500).feed([*told(40), Line(40_500, "panic: out of cheese", ERROR)], 41_000)
    join.feed([], 60_000)
    events = {event.text: event for event in join.events()}
    assert set(events) == {"cart <*> opened", "took <*>", "panic: out of cheese"}
    new = events["panic: out of cheese"]
    assert (new.type, new.severity, new.time_us) == ("log.template.new", ERROR, START + 40_500_000)
    attributes = dict(new.attributes)
    assert attributes["workload.age_seconds"] == "40"
    assert attributes["service.version"] == "1.2.0"
    assert dict(new.entity)["calm.workload"] == "service:cart"


def test_examples_are_original_lines_with_their_traces() -> None:
    join = Join()
    for second in range(10):
        join.feed(told(second), second * 1000 + 500)
    join.feed([], 60_000)
    (example,) = join.templates()["no connection to <*>"].examples
    assert example == (START + 3_003_000, "no connection to 10.0.0.1", bytes(range(16)).hex())


def test_the_order_in_which_blocks_come_within_a_window_does_not_matter() -> None:
    lines = [line for second in range(9) for line in told(second)]
    join = Join().feed(lines, 9_000).feed([], 60_000)
    other = Join().feed(lines[1::2], 9_000).feed(lines[::2], 9_000).feed([], 60_000)
    assert join.counts() == other.counts()
    assert [event.id for event in join.events()] == [event.id for event in other.events()]


def test_a_chain_restored_at_any_time_goes_on_as_if_nothing_had_been() -> None:
    whole = Join()
    for second in range(45):
        whole.feed(told(second), second * 1000 + 500)
    whole.feed([], 120_000)
    for cut in (3, 14, 30):
        join = Join()
        for second in range(cut):
            join.feed(told(second), second * 1000 + 500)
        snapshot = join.chain.snapshot(full=True).keep()
        join.chain = LineJoinChain(0, CONFIG)
        join.chain.restore(snapshot)
        for offset in range(snapshot.offset, cut):
            join.again(offset)
        for second in range(cut, 45):
            join.feed(told(second), second * 1000 + 500)
        join.feed([], 120_000)
        assert join.counts() == whole.counts()
        assert join.templates() == whole.templates()
        assert [event.id for event in join.events()] == [event.id for event in whole.events()]
