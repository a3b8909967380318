"""Workloads of which something is unusual in a window: who is told of, and what of them."""

import random
from collections.abc import Mapping

import pytest

from pipeline.codecs import vitals_event
from pipeline.flow.unusual_workloads import MOST_ROWS, UnusualWorkloads
from pipeline.policies import DetectorPolicy
from pipeline.records import Entity, Kind, OnNode, Placement, Signal, Unusual
from pipeline.signals.identity import made_signal
from tests.scoring.story import Story

PODS = ("api-1", "api-2", "api-7f")


def of(number: int, name: str, unit: str, workload: str = "service:api", instance: str = "", **own: str) -> Signal:
    return Signal(number, name, unit, Kind.GAUGE, "prod", workload, instance, tuple(sorted(own.items())))


def made(name: str, unit: str, workload: str = "service:api", kind: Kind = Kind.GAUGE, **own: str) -> Signal:
    attributes = tuple(sorted((key.replace("_", "."), value) for key, value in own.items()))
    return made_signal(name, unit, kind, Entity("prod", workload, ""), attributes)


class Watched(Story):
    """A story of which ``rows`` are those of the newest window."""

    def __init__(self, usual: Mapping[Signal, float], seconds: int = 10) -> None:
        super().__init__(DetectorPolicy(), *usual, seconds=seconds)
        self.usual, self.dice = usual, random.Random(1)
        self.nodes: dict[str, str] = {}
        self.unusual = UnusualWorkloads(self.scorer, lambda scope, workload, instance: self.nodes.get(instance, ""))
        self.rows: dict[str, Unusual] = {}
        self.left_out = 0

    def pass_windows(self, number: int, **changed: float) -> "Watched":
        """``changed``: by how much of the usual the signals of these workloads or with these ids change."""
        for _ in range(number):
            values = {}
            for signal, level in self.usual.items():
                factor = changed.get(f"n{signal.id}", changed.get(signal.workload.partition(":")[2], 1.0))
                values[signal.id] = level * factor * (1.0 + self.dice.uniform(-0.02, 0.02))
            self.window(values)
            found, self.left_out = self.unusual.rows(self.end_us)
            self.rows = {row.workload: row for rows in found.values() for row in rows}
        return self


def pods() -> dict[Signal, float]:
    """Three pods that serve 10 requests a second in 0.3 s."""
    usual = {}
    for number, pod in enumerate(PODS, 1):
        usual[of(number, "http.server.duration.mean", "s", instance=pod)] = 0.3
        usual[of(10 + number, "http.server.duration.p95", "s", instance=pod)] = 0.5
        usual[of(20 + number, "http.server.duration.rate", "1/s", instance=pod)] = 10.0
    return usual


def test_where_nothing_is_unusual_nobody_is_told_of() -> None:
    story = Watched(pods()).pass_windows(100)
    told = [bool(story.pass_windows(1).rows) for _ in range(100)]
    assert sum(told) <= 1


def test_one_pod_against_its_siblings() -> None:
    story = Watched(pods()).pass_windows(100).pass_windows(1, n3=14.0, n13=14.0)
    (row,) = story.rows.values()
    assert row.workload == "service:api"
    assert row.requests == pytest.approx(300, rel=0.05)
    assert row.latency is not None
    assert row.latency.z > 4.0
    assert row.latency.excess == pytest.approx(100 * 0.3 * 13, rel=0.1)
    assert row.outlier is not None
    assert (row.outlier.instance, row.outlier.siblings, row.outlier.unusual) == ("api-7f", 2, 1)
    assert row.outlier.value == pytest.approx(14 * row.outlier.others, rel=0.1)
    assert len(vitals_event.pack(row)) <= 700


def test_where_all_pods_are_unusual_none_stands_out() -> None:
    story = Watched(pods()).pass_windows(100).pass_windows(1, api=5.0)
    assert story.rows["service:api"].outlier is None


def test_where_the_instances_in_trouble_run_is_told() -> None:
    story = Watched(pods()).pass_windows(150)
    story.pass_windows(3, n1=4.0, n11=4.0, n2=4.0, n12=4.0)
    assert story.rows["service:api"].placement is None  # nobody knows where
    story.nodes = {PODS[0]: "node:a", PODS[1]: "node:b", PODS[2]: "node:b"}
    story.pass_windows(1, n1=4.0, n11=4.0, n2=4.0, n12=4.0)
    found = story.rows["service:api"].placement
    assert found == Placement(2, 3, (OnNode("node:a", 1, 1), OnNode("node:b", 1, 2)))
    story.pass_windows(1, n1=4.0, n2=4.0, n3=4.0)
    assert story.rows["service:api"].placement is None  # all of them


def test_quantiles_and_other_metrics_of_the_same_requests_are_not_counted_twice() -> None:
    usual = {
        of(1, "http.server.duration.mean", "s"): 0.3,
        of(2, "http.server.duration.p95", "s"): 0.5,
        of(3, "http.server.duration.rate", "1/s"): 10.0,
        made("traces.operation.duration.mean", "s", operation="GET /", span_kind="server"): 0.3,
        made("traces.operation.duration.rate", "1/s", operation="GET /", span_kind="server"): 10.0,
        made("traces.operation.duration.mean", "s", operation="SELECT", span_kind="client"): 0.2,
        made("traces.operation.duration.rate", "1/s", operation="SELECT", span_kind="client"): 90.0,
    }
    rates = {f"n{signal.id}": 1.0 for signal in usual if signal.name.endswith(".rate")}
    story = Watched(usual).pass_windows(100).pass_windows(1, api=5.0, **rates)
    row = story.rows["service:api"]
    assert row.latency is not None
    assert row.latency.excess == pytest.approx(100 * 0.3 * 4, rel=0.1)
    assert row.requests == pytest.approx(100, rel=0.05)


def test_failures_are_a_share_of_the_requests() -> None:
    usual = {
        of(1, "http.requests", "{request}/s"): 20.0,
        of(2, "http.errors", "{error}/s"): 0.5,
        made("traces.operation.failed.share", "1", "service:web", operation="GET /", span_kind="server"): 0.02,
        made("traces.operation.duration.rate", "1/s", "service:web", operation="GET /", span_kind="server"): 5.0,
    }
    share, rate = (signal.id for signal in usual if signal.workload == "service:web")
    story = Watched(usual).pass_windows(100).pass_windows(1, n2=20.0, **{f"n{share}": 20.0, f"n{rate}": 1.0})
    api, web = story.rows["service:api"], story.rows["service:web"]
    assert api.errors is not None
    assert (api.errors.value, api.errors.usual) == pytest.approx((0.5, 0.025), rel=0.1)
    assert api.errors.excess == pytest.approx(95, rel=0.1)
    assert web.errors is not None
    assert web.errors.value == pytest.approx(0.4, rel=0.1)
    assert web.errors.excess == pytest.approx(50 * 0.38, rel=0.1)


def lines(template: str) -> Signal:
    return made("log.lines", "{line}/s", kind=Kind.DELTA, log_template=template, severity="error")


def test_a_log_template_that_was_never_there_stands_out() -> None:
    usual = {of(1, "http.errors", "{error}/s"): 1.0, lines("aa"): 4.0, lines("bb"): 1.0}
    story = Watched(usual).pass_windows(100)
    new = lines("cc")
    story.add(new)
    story.usual = {**usual, new: 20.0}
    row = story.pass_windows(1, n1=20.0).rows["service:api"]
    assert row.lines is not None
    assert row.lines.template == "cc"
    assert (row.lines.happened, row.lines.of) == pytest.approx((200, 250), rel=0.05)
    assert row.lines.usual_happened == 0.0
    assert row.lines.strength > 50
    assert row.lines.compared == 3


def test_more_lines_of_every_kind_alike_are_no_other_behaviour() -> None:
    usual = {of(1, "http.errors", "{error}/s"): 1.0, lines("aa"): 4.0, lines("bb"): 1.0}
    story = Watched(usual).pass_windows(100).pass_windows(1, api=10.0)
    assert story.rows["service:api"].lines is None


def test_what_takes_longer_by_itself_and_who_is_waited_for() -> None:
    usual = {
        made("traces.operation.self_time.p50", "s", operation="GET /", span_kind="server"): 0.05,
        made("traces.operation.self_time.rate", "1/s", operation="GET /", span_kind="server"): 10.0,
        made("traces.call.duration.mean", "s", call_kind="database", peer="database:pg"): 0.01,
        made("traces.call.duration.rate", "1/s", call_kind="database", peer="database:pg"): 30.0,
        made("traces.call.failed.share", "1", call_kind="database", peer="database:pg"): 0.02,
    }
    rates = {f"n{signal.id}": 1.0 for signal in usual if signal.name.endswith(".rate")}
    story = Watched(usual).pass_windows(100).pass_windows(1, api=30.0, **rates)
    row = story.rows["service:api"]
    assert row.pace is not None
    assert (row.pace.operation, row.pace.way) == ("GET /", False)
    assert (row.pace.median_ms, row.pace.usual_ms) == pytest.approx((1500, 50), rel=0.1)
    assert row.pace.strength > 5
    (called,) = row.called
    assert called.peer == "database:pg"
    assert called.requests == pytest.approx(300, rel=0.05)
    assert called.latency is not None
    assert called.latency.excess == pytest.approx(300 * 0.29, rel=0.1)
    assert called.errors is not None


def calls(name: str, peer: str) -> Signal:
    units = {"share": "1", "mean": "s"}
    return made(name, units.get(name.rpartition(".")[2], "1/s"), call_kind="call", peer=peer)


USUAL_CALLS = {
    of(1, "http.errors", "{error}/s"): 1.0,
    calls("traces.call.failed.share", "deployment:shop/cart"): 0.01,
    calls("traces.call.duration.rate", "deployment:shop/cart"): 10.0,
}
CALLS_IN_VAIN = {
    calls("traces.call.failed.share", "service:cart"): 1.0,
    calls("traces.call.duration.rate", "service:cart"): 10.0,
    calls("traces.call.duration.mean", "service:cart"): 5.0,
}


def with_calls_in_vain(story: Watched) -> Watched:
    story.usual = {signal: value for signal, value in USUAL_CALLS.items() if "call" not in signal.name} | CALLS_IN_VAIN
    return story


def test_calls_that_fail_under_a_name_that_was_never_called_before_say_that_somebody_is_down() -> None:
    story = Watched(USUAL_CALLS).pass_windows(100)
    for signal in CALLS_IN_VAIN:
        story.add(signal)
    (called,) = with_calls_in_vain(story).pass_windows(1, n1=30.0).rows["service:api"].called
    assert called.peer == "service:cart"
    assert called.errors is not None
    assert called.latency is not None
    assert (called.errors.value, called.errors.usual) == (pytest.approx(1.0, abs=0.2), 0.0)
    assert called.errors.excess == pytest.approx(100, rel=0.2)
    assert called.latency.excess == pytest.approx(500, rel=0.2)  # all of the wait was in vain
    assert called.latency.usual == 0.0


def test_so_do_calls_under_a_name_that_is_hardly_ever_called_and_then_in_vain() -> None:
    story = Watched(USUAL_CALLS).pass_windows(50)
    for signal in CALLS_IN_VAIN:
        story.add(signal)
    with_calls_in_vain(story).pass_windows(10)
    story.usual = dict(USUAL_CALLS)
    story.pass_windows(300)
    (called,) = with_calls_in_vain(story).pass_windows(1, n1=30.0).rows["service:api"].called
    assert called.errors is not None
    assert called.errors.excess == pytest.approx(100, rel=0.2)


def test_who_always_fails_is_as_usual() -> None:
    usual = {of(1, "http.errors", "{error}/s"): 1.0} | CALLS_IN_VAIN
    assert Watched(usual).pass_windows(150).pass_windows(1, n1=30.0).rows["service:api"].called == ()


def test_full_is_told_in_percent_of_a_limit_where_there_is_one() -> None:
    usual = {of(1, "system.cpu.utilization", "1"): 0.2, of(2, "queue.size", "", "service:web"): 20.0}
    story = Watched(usual).pass_windows(100).pass_windows(1, api=4.5, web=50.0)
    assert story.rows["service:api"].full_percent == pytest.approx(90, rel=0.05)
    assert story.rows["service:web"].saturation is not None
    assert story.rows["service:web"].full_percent is None


def test_a_little_out_of_the_ordinary_speaks_only_beside_something_anomalous() -> None:
    usual = {of(n, "latency", "s", f"service:s{n}"): 0.1 for n in range(1, 31)}
    story = Watched(usual).pass_windows(150)
    alone = set(story.pass_windows(1, s1=1.04).rows)
    story.pass_windows(20)
    beside = set(story.pass_windows(1, s1=1.04).pass_windows(2, s1=1.04, s2=50.0).rows)
    assert alone == set()
    assert "service:s2" in beside


def test_of_a_window_so_many_are_told_and_the_rest_is_counted() -> None:
    usual = {of(n, "latency", "s", f"service:s{n}"): 0.1 for n in range(1, MOST_ROWS + 31)}
    story = Watched(usual).pass_windows(60)
    story.pass_windows(1, **{f"s{n}": 40.0 for n in range(1, MOST_ROWS + 31)})
    assert len(story.rows) == MOST_ROWS
    assert story.left_out > 0


def test_after_a_restore_the_same_is_told() -> None:
    story = Watched(pods()).pass_windows(80)
    again = UnusualWorkloads(story.scorer, lambda *_: "")  # nothing of it is state
    story.pass_windows(1, n3=14.0, n13=14.0)
    assert again.rows(story.end_us)[0] == {"prod": list(story.rows.values())}
