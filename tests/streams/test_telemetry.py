"""Logs, traces, events, changes and points through one worker on a real broker: what comes out, whatever is killed."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.codecs import edge_event, signal_block, template_event
from pipeline.records import US, EdgeKind, Entity, Kind, Signal
from pipeline.signals.identity import derived, made_signal
from pipeline.streams.broker_process import BrokerProcess
from tests.chaos.fault_run import Result
from tests.kafka.server import KafkaServer
from tests.streams.every_input import (
    INFO,
    PARTITIONS,
    SECONDS,
    START,
    WINDOW_SECONDS,
    Line,
    Request,
    Sent,
    event,
    lines,
    logs,
    messages,
    points,
    requests,
    trace,
)
from tests.streams.telemetry_run import TelemetryRun

SHOP, CART = Entity("prod", "service:shop", ""), Entity("prod", "service:cart", "")
Windows = dict[int, float]


class Told:
    """What is on the topics after the story; windows by signal and second after START at which they end."""

    def __init__(self, run: TelemetryRun) -> None:
        self.run = run
        self.result: Result = run.result()
        self.scores: dict[int, Windows] = defaultdict(dict)
        for (signal, end_us), (_, value, *_rest) in self.result.windows.items():
            self.scores[signal][end_us // US - START] = value
        self.signals: dict[int, Signal] = {}
        for record in run.read("signals"):
            self.signals |= {signal.id: signal for signal in signal_block.decode(record.value).described}

    def windows(self, signal: Signal) -> Windows:
        """Of the story itself."""
        return {end: value for end, value in self.scores[signal.id].items() if end <= SECONDS}


@pytest.fixture(scope="module", params=[pytest.param("kafka", marks=pytest.mark.kafka), "embedded_broker"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The whole story, undisturbed."""
    broker: BrokerProcess = request.getfixturevalue(request.param)
    run = TelemetryRun(broker, "told.", tmp_path_factory.mktemp("told")).create()
    with run.worker() as worker:
        run.send(messages())
        run.wait_until_through(worker)
        yield Told(run)


def ends() -> list[int]:
    return list(range(WINDOW_SECONDS, SECONDS + 1, WINDOW_SECONDS))


def per_window(seconds: list[float]) -> Windows:
    found = Counter(int(second // WINDOW_SECONDS + 1) * WINDOW_SECONDS for second in seconds)
    return {end: float(found[end]) for end in ends()}


def rate(counts: Windows) -> Any:
    return pytest.approx({end: count / WINDOW_SECONDS for end, count in counts.items()}, rel=1e-4)


def operation(entity: Entity, what: str, name: str, kind: str, suffix: str) -> Signal:
    attributes = (("operation", name), ("span.kind", kind))
    share = what == "failed"
    made = made_signal(
        f"traces.operation.{what}", "1" if share else "s", Kind.SHARE if share else Kind.HISTOGRAM_DELTA, entity,
        attributes,
    )  # fmt: skip
    return derived(made, suffix, "1/s" if suffix == "rate" else made.unit)


def test_nothing_is_refused(told: Told) -> None:
    assert [(record.headers, record.value) for record in told.run.read("dead-letter")] == []


def test_templates_are_told_with_their_lines(told: Told) -> None:
    found = [template_event.decode(record) for record in told.run.read("log-templates") if record.value]
    newest = {(template.workload, template.text): template for template in found}
    assert set(newest) == {
        ("service:shop", "order <*> placed"),
        ("service:cart", "payment of <*> refused by <*>"),
    }
    bodies = {line.body for line in lines()}
    examples = newest["service:cart", "payment of <*> refused by <*>"].examples
    assert examples
    assert {line for _, line, _ in examples} <= bodies


def test_lines_are_counted_by_template_and_severity(told: Told) -> None:
    found = [template_event.decode(record) for record in told.run.read("log-templates") if record.value]
    for workload, severity in (("shop", "info"), ("cart", "error")):
        (template,) = {one.id for one in found if one.workload == f"service:{workload}"}
        entity = Entity("prod", f"service:{workload}", "")
        attributes = (("log.template", template), ("severity", severity))
        counts = per_window([line.second + 0.5 for line in lines() if line.service == workload])
        first = min(end for end, count in counts.items() if count)
        signal = made_signal("log.lines", "{line}/s", Kind.DELTA, entity, attributes)
        assert told.windows(signal) == rate({end: count for end, count in counts.items() if end >= first})


def test_operations_have_rates_durations_and_failures(told: Told) -> None:
    done = {
        ("GET /", "server", SHOP): [(one.start_us + one.page_us, one.page_us, one.failed) for one in requests()],
        ("GET", "client", SHOP): [(one.start_us + 5_000 + one.call_us, one.call_us, one.failed) for one in requests()],
        ("GET /cart", "server", CART): [
            (one.start_us + 10_000 + one.answer_us, one.answer_us, one.failed) for one in requests()
        ],
        ("SELECT carts", "client", CART): [
            (one.start_us + 15_000 + one.query_us, one.query_us, False) for one in requests()
        ],
    }
    for (name, kind, entity), spans in done.items():
        counts = per_window([end_us / US for end_us, _, _ in spans])
        failures = per_window([end_us / US for end_us, _, failed in spans if failed])
        assert told.windows(operation(entity, "duration", name, kind, "rate")) == rate(counts), name
        shares = {end: failures[end] / counts[end] for end in ends()}
        assert told.windows(operation(entity, "failed", name, kind, "share")) == pytest.approx(shares), name
        p95 = told.windows(operation(entity, "duration", name, kind, "p95"))
        for end in ends():
            took = sorted(us / US for end_us, us, _ in spans if end - WINDOW_SECONDS <= end_us / US < end)
            assert 0.9 * took[-2] <= p95[end] <= 1.1 * took[-1], (name, end)


def test_events_are_counted_by_type(told: Told) -> None:
    signal = made_signal("events", "{event}/s", Kind.COUNT, SHOP, (("event.type", "config.reload"),))
    assert told.windows(signal) == rate(per_window([second for second in range(SECONDS) if second % 10 == 3]))
    alerts = made_signal("events", "{event}/s", Kind.COUNT, CART, (("event.type", "alert.CartSlow"),))
    assert sum(told.windows(alerts).values()) * WINDOW_SECONDS == pytest.approx(1)


def test_the_service_graph_has_the_calls_that_were_made(told: Told) -> None:
    newest = {
        record.key: edge_event.decode(record) for record in told.run.read("topology") if record.key.startswith(b"edge|")
    }
    found = {news.edge.key for news in newest.values()}
    assert found == {
        ("prod", "service:shop", "service:cart", EdgeKind.CALL),
        ("prod", "service:cart", "database:sqlite/carts", EdgeKind.DATABASE),
    }


def test_the_incident_has_what_happened_before_it(told: Told) -> None:
    bodies = [json.loads(value) for _, value in sorted(told.result.incidents.items())]
    of_load = [
        body
        for body in bodies
        if any(m["signal"]["name"] == "load" and m["signal"]["workload"] == "service:cart" for m in body["members"])
    ]
    assert of_load
    for body in of_load:
        assert [(one["kind"], one["version"], one["workload"]) for one in body["changes"]] == [
            ("deployment", "2.1.0", "service:cart")
        ]
        types = {one["type"] for one in body["events"]}
        assert {"alert.CartSlow", "cache.flushed"} <= types


def test_what_comes_alone_is_counted_and_holds_nothing_back(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    """A line, a trace and an event, and then only points: silence tells that nothing more comes."""
    silent = {"TIME__IDLE_SPARSE_SECONDS": "0.5", "TIME__IDLE_EMPTY_SECONDS": "0.5"}
    silent["TIME__ALLOWED_LATENESS_SECONDS"] = "2"
    run = TelemetryRun(broker, topic_prefix, tmp_path, silent).create()
    one = Request(0, 12 * US, 100_000, 60_000, 40_000, 10_000, failed=False)
    alone = [("otlp_logs", logs(Line(12, "shop", INFO, "order 1 placed"))), ("events", event(12, "alone", "shop", ""))]
    alone += [("otlp_spans", value) for value in trace(one)]
    with run.worker() as worker:
        run.send(steady(12))
        run.send(Sent(12, topic, number, value) for number, (topic, value) in enumerate(alone))
        worker.wait_until(lambda: {source[0] for source, *_ in run.made()} == {"l", "s"}, "done with what came alone")
        run.send(steady(60))
        worker.wait_until(partial(run.is_at, worker, 50), "done with the points")
        assert 'reason="late_after_idle"' not in worker.exposition()
    told = Told(run)
    (template,) = {template_event.decode(record).id for record in run.read("log-templates")}
    attributes = (("log.template", template), ("severity", "info"))
    for signal in (
        made_signal("log.lines", "{line}/s", Kind.DELTA, SHOP, attributes),
        made_signal("events", "{event}/s", Kind.COUNT, SHOP, (("event.type", "alone"),)),
        operation(SHOP, "duration", "GET /", "server", "rate"),
        operation(CART, "duration", "SELECT carts", "client", "rate"),
    ):
        assert told.windows(signal)[15] == pytest.approx(1 / WINDOW_SECONDS, rel=1e-4), signal


def steady(second: int) -> Iterator[Sent]:
    """Points on every partition."""
    for partition in range(PARTITIONS):
        yield from (Sent(second, topic, partition, value) for topic, value in points(second))


def test_a_worker_that_is_killed_again_and_again_changes_nothing(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    still = TelemetryRun(kafka, f"{topic_prefix}still.", tmp_path).create()
    killed = TelemetryRun(kafka, f"{topic_prefix}killed.", tmp_path).create()
    with still.worker() as worker:
        still.send(messages())
        still.wait_until_through(worker)
        expected, made = still.result(), still.made()
    with killed.worker() as worker:
        feeder = threading.Thread(target=killed.send, args=(messages(), 12.0))
        feeder.start()
        for at in (20, 50, 85):
            worker.wait_until(partial(killed.is_at, worker, at), "in the middle")
            worker.kill()
            worker.start()
        feeder.join()
        killed.wait_until_through(worker)
        assert killed.made() == made
        found = killed.result()
    assert found.windows == expected.windows
    assert found.incidents == expected.incidents
