"""The simulated shop tells what the demo's services would, and both ways of reading it find the same incidents."""

import random
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from pipeline.codecs.otlp_span_encode import resource_spans, traces_request
from pipeline.codecs.otlp_span_encode import span as official_span
from pipeline.records import SpanKind
from tests.benchmarks.shop_faults import by_chains, by_worker, spans
from tests.benchmarks.shop_faults.judge import Transition
from tests.benchmarks.shop_faults.schedule import KINDS, LEAST_INNOCENT, SURGE, Fault, Schedule, drawn
from tests.benchmarks.shop_faults.story import START, Story
from tests.benchmarks.shop_faults.telling import Sent


def one(kind: str, place: str, size: dict[str, float], **more: Any) -> Schedule:
    """A schedule of one fault, four minutes after the start."""
    return Schedule((Fault(1, kind, place, 240.0, 480.0, size=size, **more),), (), 120.0, 600.0)


def told(story: Story) -> list[Sent]:
    return [sent for _, batch in story.batches() for sent in batch]


def test_a_schedule_has_two_faults_of_each_kind_apart_from_each_other_and_changes_that_harm_nobody() -> None:
    for seed in range(20):
        schedule = drawn(seed)
        assert sorted(fault.kind for fault in schedule.faults) == sorted([*KINDS, *KINDS])
        for before, after in zip(schedule.faults, schedule.faults[1:], strict=False):
            assert 360.0 <= after.start - before.end <= 600.0
        assert all(300.0 <= fault.end - fault.start <= 480.0 for fault in schedule.faults)
        assert len(schedule.innocent) >= LEAST_INNOCENT
    assert drawn(3) == drawn(3) != drawn(4)


def test_spans_written_by_hand_are_those_of_the_official_encoding() -> None:
    dice = random.Random(5)
    trace, own, parent = dice.randbytes(16), dice.randbytes(8), dice.randbytes(8)
    attributes: dict[str, str | int] = {
        "http.request.method": "GET",
        "http.response.status_code": 502,
        "error.type": "502",
    }
    expected = official_span(
        "GET /products",
        trace,
        own,
        1_790_577_600_250_000,
        1_790_577_600_500_000,
        parent=parent,
        kind=SpanKind.CLIENT,
        attributes={**attributes},
        status=2,
    )
    who = {"service.name": "cart"}
    told = tuple(attributes.items())
    made = spans.span(trace, own, parent, "GET /products", spans.CLIENT, START + 0.25, START + 0.5, told, (), True)
    written = spans.request([(spans.resource(who), b"shop", [made])])
    assert written == traces_request(resource_spans(who, [expected], "shop"))


def test_messages_are_what_the_official_encoding_reads() -> None:
    found: dict[str, Any] = {"otlp_spans": TracesData, "otlp_logs": LogsData, "otlp_metrics": MetricsData}
    sent = told(Story(Schedule((), (), 0.0, 30.0), 1))
    seen: dict[str, set[str]] = {topic: set() for topic in found}
    for each in sent:
        read = found[each.topic].FromString(each.value)
        assert read.SerializeToString() == each.value
        for resource in getattr(read, next(iter(read.DESCRIPTOR.fields_by_name))):
            names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            assert names["deployment.environment.name"] == "demo"
            seen[each.topic].add(names.get("service.name", ""))
    services = {"frontend", "catalogue", "recommendation", "cart", "orders", "payment"}
    assert services <= seen["otlp_spans"]
    assert services <= seen["otlp_metrics"]
    assert services - {"frontend", "catalogue"} <= seen["otlp_logs"]


def test_the_same_seed_tells_the_same_to_the_byte() -> None:
    schedule = one("crash loop", "cart", {"lives": 10.0})
    assert told(Story(schedule, 2)) == told(Story(schedule, 2)) != told(Story(schedule, 3))


FELT: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("latency", "catalogue", {"delay": 0.5}),
    ("errors", "frontend", {"fails": 0.3}),
    ("crash loop", "cart", {"lives": 9.0}),
    ("memory leak", "orders", {"full_after": 60.0}),
    ("cpu hog", "frontend", {"hog": 0.9}),
    ("bad deploy", "payment", {"delay": 0.6, "fails": 0.3}),
    ("flag flip", "cart", {"share": 1.0, "delay": 0.5}),
    ("dependency down", "catalogue-db", {}),
    ("noisy neighbour", "node-1", {"pressure": 0.85}),
)


@pytest.mark.parametrize(("kind", "place", "size"), FELT, ids=[kind for kind, *_ in FELT])
def test_shoppers_feel_a_fault_and_not_what_comes_after_it(kind: str, place: str, size: dict[str, float]) -> None:
    story = Story(one(kind, place, size), 4, 4.0)
    told(story)
    before, during, after = story.felt(30.0, 230.0), story.felt(240.0, 480.0), story.felt(520.0, 600.0)
    assert during.p95 > 1.2 * before.p95 or during.failed > before.failed + 0.03
    assert after.p95 < 1.25 * before.p95
    assert after.failed < 0.03


def test_a_surge_brings_more_shoppers_who_fare_as_ever() -> None:
    story = Story(one(SURGE, "frontend", {"factor": 2.0}), 4, 4.0)
    told(story)
    before, during = story.felt(30.0, 230.0), story.felt(300.0, 480.0)
    assert during.visits > 1.7 * before.visits
    assert during.p95 < 1.3 * before.p95


def newest(transitions: list[Transition]) -> dict[str, list[Any]]:
    """By incident: what was told of it, in order, and by whom it is thought to have begun."""
    found: dict[str, list[Any]] = {}
    for each in sorted(transitions, key=lambda one: (one.incident, one.body["revision"])):
        causes = [cause["entity"] for cause in each.body["root_cause_candidates"]]
        found.setdefault(each.incident, []).append((each.what, each.decided, each.body["member_count"], causes))
    return found


@pytest.mark.timeout(900)
def test_a_worker_and_the_chains_alone_find_the_same_incidents() -> None:
    fault = Fault(1, "bad deploy", "payment", 900.0, 1080.0, size={"delay": 0.6, "fails": 0.4})
    schedule = Schedule((fault,), (), 600.0, 1200.0)
    alone = newest(by_chains.run(Story(schedule, 6, 4.0)))
    assert any(what == "opened" for history in alone.values() for what, *_ in history)
    assert newest(by_worker.run(Story(schedule, 6, 4.0))) == alone
