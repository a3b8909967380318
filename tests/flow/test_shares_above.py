"""The share of a histogram above the threshold of its policy, through the chains: whose it is, what it is, and what
happens when the policy changes while points come in."""

from dataclasses import replace

import numpy as np
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA as DELTA
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from pipeline.codecs import policy_event, score_block
from pipeline.codecs.otlp_encode import metrics_request, resource_metrics
from pipeline.codecs.registry import input_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.policies import Change, Control, DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import US, Produced, Signal
from tests.flow.line import CONFIG as USUAL
from tests.flow.line import START, Line
from tests.flow.restoring import tell_with_restores
from tests.flow.test_restoring import said

DURATION = "http.server.request.duration"
BOUNDS = (0.1, 0.5, 1.0)


def above(threshold: float | None, name: str = "slow", **more: float) -> Policy:
    return Policy(name, (Matcher("name", "=", DURATION),), {"above": threshold, **more})


CONFIG: FlowConfig = replace(USUAL, sources=("otlp/0",), policies=(above(0.5),))
HALF, WHOLE = (10, 10, 10, 10), (0, 0, 0, 20)  # values by bucket


def histogram(name: str, counts: tuple[int, ...], at: float, unit: str = "s") -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.histogram.aggregation_temporality = DELTA
    metric.histogram.data_points.add(
        start_time_unix_nano=round((at - 1) * 1e9),
        time_unix_nano=round(at * 1e9),
        count=sum(counts),
        sum=0.3 * sum(counts),
        explicit_bounds=BOUNDS,
        bucket_counts=counts,
    )
    return metric


def exponential(at: float) -> Metric:
    """Two values in (0.25, 0.5], six in (0.5, 1]."""
    metric = Metric(name=DURATION, unit="s")
    metric.exponential_histogram.aggregation_temporality = DELTA
    point = metric.exponential_histogram.data_points.add(
        start_time_unix_nano=round((at - 1) * 1e9), time_unix_nano=round(at * 1e9), count=8, sum=4.0, scale=0
    )
    point.positive.offset = -2
    point.positive.bucket_counts.extend([2, 6])
    return metric


class Requests(Line):
    """``tell`` sends metrics, a message each second."""

    def __init__(self, config: FlowConfig = CONFIG) -> None:
        super().__init__(config)
        self._readers["otlp"] = IngestChain("otlp/0", input_codec("otlp_metrics", config.limits), config)
        self._changes: list[Change] = []
        self._second = 0

    @property
    def now(self) -> float:
        return START + self._second + 0.5

    def tell(self, *metrics: Metric) -> None:
        value = metrics_request(resource_metrics({"service.name": "shop"}, metrics))
        self._second += 1
        self._pass(Produced("otlp", value), (START + self._second) * 1000)

    def requests(self, seconds: int, counts: tuple[int, ...] = HALF) -> None:
        for _ in range(seconds):
            self.tell(histogram(DURATION, counts, self.now), histogram("other", counts, self.now))

    def change(self, name: str, policy: Policy | None) -> None:
        self._changes.append(Change(len(self._changes), name, policy))
        value, headers = policy_event.encode_control(Control(len(self._changes), (self._changes[-1],)))
        self._pass(Produced("signals", value, headers=headers), 0)

    def signal(self, name: str = f"{DURATION}.above") -> Signal:
        (found,) = (signal for signal in self.score.scorer.catalogue if signal.name == name)
        return found

    def values(self) -> dict[int, float]:
        """Of the share, by second."""
        id_, found = self.signal().id, {}
        for record in self.written["scores"]:
            block = score_block.decode(record.value or b"")
            if (at := np.flatnonzero(block.ids == id_)).size:
                found[block.end_us // US - START - 1] = float(block.value[at[0]])
        return found

    def names(self) -> set[str]:
        return {signal.name for signal in self.score.scorer.catalogue}

    def anomalies(self, *words: bytes) -> list[bytes]:
        said = [record.value or b"" for record in self.written["anomalies"]]
        return [value for value in said if all(word in value for word in (f"{DURATION}.above".encode(), *words))]


def test_a_threshold_makes_the_share_above_it_a_signal_of_its_own() -> None:
    line = Requests()
    line.requests(4)
    line.requests(1, WHOLE)
    line.requests(1)
    assert line.values() == {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 4: 1.0}
    base, share = line.signal(DURATION), line.signal()
    assert (share.unit, share.workload, share.attributes) == ("1", base.workload, base.attributes)
    assert {"other.p95", f"{DURATION}.p95"} < line.names()
    assert "other.above" not in line.names()


def test_without_a_threshold_there_is_none() -> None:
    line = Requests(replace(CONFIG, policies=()))
    line.requests(5)
    assert not [name for name in line.names() if name.endswith(".above")]


def test_an_exponential_histogram_has_one_and_a_summary_has_none() -> None:
    summary = Metric(name="other", unit="s")
    policies = (above(0.75), Policy("all", (), {"above": 1.0}, priority=-1))
    line = Requests(replace(CONFIG, policies=policies))
    for number in range(3):
        del summary.summary.data_points[:]
        times = {"start_time_unix_nano": round((line.now - 1) * 1e9), "time_unix_nano": round(line.now * 1e9)}
        point = summary.summary.data_points.add(count=4 * number, sum=2.0 * number, **times)
        point.quantile_values.add(quantile=0.5, value=0.5)
        line.tell(exponential(line.now), summary)
    assert line.values() == {0: 3 / 8, 1: 3 / 8}
    assert "other.mean" in line.names()
    assert "other.above" not in line.names()


def test_a_metric_with_an_older_name_is_compared_in_the_unit_of_today() -> None:
    line = Requests(replace(CONFIG, policies=(above(0.0005),)))
    for _ in range(3):
        line.tell(histogram("http.server.duration", HALF, line.now, "ms"))  # bounds in ms
    assert line.values() == {0: 0.5, 1: 0.5}


def test_a_window_without_values_has_no_share() -> None:
    line = Requests()
    line.requests(2)
    line.requests(2, (0, 0, 0, 0))
    line.requests(2)
    assert line.values().keys() == {0, 1, 4}


def test_a_live_policy_counts_from_the_next_window_on_and_what_was_learned_is_forgotten() -> None:
    line = Requests(replace(CONFIG, policies=()))
    line.requests(10)
    line.change("slow", above(0.5))
    line.requests(50)
    (row,) = (row for row, each in enumerate(line.score.scorer.catalogue.signals) if each == line.signal())
    seen = line.score.scorer.table.groups["detector"]["seen"]
    before = int(seen[row])
    line.change("slow", above(1.0))
    line.requests(10)
    values = line.values()
    assert values == {second: 0.5 if second < 59 else 0.25 for second in range(9, 69)}
    assert (before, int(seen[row])) == (50, 10)
    assert line.anomalies() == []


def test_a_threshold_that_is_taken_away_ends_the_signal_and_is_no_silence() -> None:
    policy = DetectorPolicy(alert_budget=20.0)
    line = Requests(replace(CONFIG, policies=(), policy=policy))
    line.change("slow", above(0.5))
    line.requests(200)
    assert max(line.values()) == 198
    line.change("slow", None)
    line.requests(300)
    assert max(line.values()) == 198
    assert line.anomalies() == []


def test_an_anomaly_of_a_share_ends_when_the_threshold_changes() -> None:
    line = Requests(replace(CONFIG, policies=(above(0.5), Policy("most", (), {"hard_upper": 0.9}))))
    line.requests(60)
    line.requests(5, WHOLE)
    assert len(line.anomalies(b'"transition":"opened"')) == 1
    line.change("slow", above(1.0))
    line.requests(2, HALF)
    assert len(line.anomalies(b'"transition":"ended"', b"its threshold was changed")) == 1


# Whatever is restored meanwhile

SECONDS = 240
RESTORED: FlowConfig = replace(CONFIG, policy=DetectorPolicy(alert_budget=500.0))
CHANGES = {60: above(1.0), 90: None, 120: above(0.1, alert_budget=900.0), 150: above(0.3), 200: above(0.3)}


def feed(line: Requests, second: int) -> None:
    dice = np.random.default_rng(second)
    if second in CHANGES:
        line.change("slow", CHANGES[second])
    counts = tuple(int(count) for count in dice.poisson((20, 10, 5, 2 + 40 * (second % 50 > 45))))
    line.tell(histogram(DURATION, counts, line.now), histogram("other", counts, line.now))


@pytest.fixture(scope="module")
def undisturbed() -> Requests:
    line = Requests(RESTORED)
    for second in range(SECONDS):
        feed(line, second)
    return line


@pytest.mark.parametrize("every", [1, 7])
def test_whenever_it_is_restored_the_shares_are_the_same(undisturbed: Requests, every: int) -> None:
    assert undisturbed.anomalies(b"its threshold was changed")
    line = Requests(RESTORED)
    tell_with_restores(line, RESTORED, lambda second: feed(line, second), SECONDS, every, 30)
    assert said(line) == said(undisturbed)
