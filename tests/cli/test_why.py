"""``calmstream why`` after a run with an incident, an anomaly suppressed for each reason, a calm and a new signal."""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.flow.window_reasons import SHORT
from pipeline.records import US, iso
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import calmstream, invoke
from tests.worker_process import WorkerProcess

SECONDS = 90
#: What callers of s-shop feel.
MEASURED = "http.server.request.duration.p95"
POLICIES: list[dict[str, Any]] = [
    {"name": "limits", "match": ["name=~load|depth"], "detection": {"hard_upper": 30}},
    {"name": "pay", "match": ["owner=pay"], "detection": {"alert_budget": 1, "hard_upper": 30}},
    {
        "name": "careful",
        "match": ["name=doubtful"],
        "detection": {"hard_upper": 30, "false_discovery_rate": 0.1, "min_history_windows": 60},
    },
    {"name": "often", "match": ["name=rare"], "detection": {"hard_upper": 30, "open_windows": 3, "of_windows": 5}},
]


@dataclass(frozen=True)
class Explained:
    """Settings of the run, and when its data begins (seconds)."""

    settings: Mapping[str, str]
    begin: int

    def say(self, which: str, at: float | None = None, *more: str) -> str:
        """What is printed, on one line."""
        options = [] if at is None else ["--at", str(self.begin + at)]
        done = invoke(self.settings, "why", which, *options, *more)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def data(self, which: str, at: float | None = None) -> Any:
        return json.loads(self.say(which, at, "--json"))

    def time(self, second: float) -> str:
        return iso(round((self.begin + second) * US))


@pytest.fixture(scope="module")
def explained(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Explained:
    prefix = f"t{uuid.uuid4().hex[:12]}."
    settings = {
        "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "CALMSTREAM_BROKER__IDEMPOTENCE": "if-available",
        "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "6",
        "CALMSTREAM_TOPIC_PREFIX": prefix,
        "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{prefix}points", "format": "json_points"}]),
        "CALMSTREAM_TOPICS__PARTITIONS": "1",
        "CALMSTREAM_TIME__WINDOW_SECONDS": "1",
        "CALMSTREAM_TIME__ALLOWED_LATENESS_SECONDS": "1",
        "CALMSTREAM_DETECTION__MIN_ABSOLUTE": "1e9",
        "CALMSTREAM_DETECTION__MIN_ABSOLUTE_BY_UNIT": '{"1": 1e9}',
        "CALMSTREAM_POLICIES": json.dumps(POLICIES),
    }
    assert calmstream(settings, "topics", "create").returncode == 0
    begin = int(time.time()) - 300
    with WorkerProcess(settings, directory=tmp_path_factory.mktemp("worker")) as worker:
        asyncio.run(_send(embedded_broker.bootstrap, f"{prefix}points", begin))
        worker.wait_until(lambda: _decided(worker.metrics()), "done with the incidents and what starts none")
    return Explained(settings, begin)


def _decided(metrics: Mapping[str, float]) -> bool:
    wanted = {
        'calmstream_incidents_total{transition="resolved"}': 2.0,
        'calmstream_notices_total{reason="owner_budget",role="correlate"}': 1.0,
        'calmstream_notices_total{reason="false_discovery",role="correlate"}': 1.0,
        'calmstream_notices_total{reason="not_felt",role="correlate"}': 1.0,
        "calmstream_windows_closed_total": 7.0 * (SECONDS - 3),
    }
    return all(metrics.get(name, 0.0) >= least for name, least in wanted.items())


async def _send(bootstrap: str, topic: str, begin: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for second in range(SECONDS):
            await producer.send(topic, json.dumps(_points(begin, second)).encode())
        await producer.flush()


def _points(begin: int, second: int) -> list[dict[str, Any]]:
    calm, at = 10 + math.sin(second * 1.7), begin + second + 0.5
    values = {
        "load": ("production", {}, 40.0 if 50 <= second < 58 else calm),
        "owned": ("staging", {"owner": "pay"}, 40.0 if 50 <= second < 54 or 75 <= second < 79 else calm),
        "doubtful": ("testing", {}, 40.0 if 20 <= second < 23 else calm),
        "steady": ("production", {}, calm),
        "rare": ("quiet", {}, 40.0 if 60 <= second < 62 else calm),
        "depth": ("shop", {"service.name": "s-shop"}, 40.0 if 70 <= second < 74 else calm),
        MEASURED: ("shop", {"service.name": "s-shop"}, 0.1 + calm / 1000),
    }
    if second >= 80:
        values["fresh"] = ("production", {}, 1.0)
    return [
        {
            "ts": at,
            "name": name,
            "value": value,
            "unit": "s" if name == MEASURED else "",
            "attributes": {"service.name": f"s-{name}", "deployment.environment.name": scope} | attributes,
        }
        for name, (scope, attributes, value) in values.items()
    ]


def rule(report: Any, name: str) -> Any:
    (found,) = [each for each in report["rules"] if each["name"] == name]
    return found


def test_an_anomaly_that_opened_says_what_was_expected_what_decided_and_its_incident(explained: Explained) -> None:
    said = explained.say("load", 50.5)
    assert said.startswith("load of service:s-load\n")
    assert f"from {explained.time(50)[:19]}Z to {explained.time(51)[:19]}Z had 1 point." in said
    assert "Its value was 40. Expected was " in said
    assert "times as much." in said
    assert "outside the range that it must keep: not above 30 (hard_upper of policy limits@" in said
    assert "An anomaly opened with this window." in said
    assert "it started incident inc-" in said
    assert "outside the range that it must keep" in said
    assert "anomaly_ended" not in said
    found = explained.data("load", 50.5)
    assert (found["verdict"], found["window"]["value"]) == ("anomaly_opened", 40.0)
    assert found["window"]["start_time"] == explained.time(50)
    assert rule(found, "hard_range")["passed"]
    assert rule(found, "history") | {"words": ""} == {
        "name": "history",
        "passed": True,
        "words": "",
        "seen": 50,
        "needed": 40,
    }
    whats = [each["what"] for each in found["afterwards"]]
    assert whats == ["anomaly_opened", "in_incident", "anomaly_ended"]
    assert found["afterwards"][1]["incident"].startswith("inc-")


def test_windows_after_the_first_are_part_of_the_same_anomaly(explained: Explained) -> None:
    first, later = explained.data("load", 50.5), explained.data("load", 54.5)
    assert later["verdict"] == "in_anomaly"
    assert later["afterwards"] == first["afterwards"]


def test_one_above_the_owners_budget_says_how_much_of_it_was_spent(explained: Explained) -> None:
    assert "it started incident inc-" in explained.say("owned", 50.5)
    said = explained.say("owned", 75.5)
    assert "suppressed (owner_budget): it started no incident, for its owner pay may start 1 incident a week" in said
    assert "of which 1 were spent; one more would be 2" in said
    assert "it started incident" not in said
    found = explained.data("owned", 75.5)
    assert (found["verdict"], found["afterwards"][1]["what"]) == ("anomaly_opened", "suppressed")


def test_one_that_is_taken_for_a_false_one_says_by_which_filter(explained: Explained) -> None:
    found = explained.data("doubtful", 20.5)
    assert found["verdict"] == "anomaly_opened"
    words = found["afterwards"][1]["words"]
    assert words.startswith("suppressed (false_discovery): it started no incident, for among all signals of its step")
    assert words.endswith("of those that start incidents at most a share of 0.1 may be false)")


def test_one_that_callers_do_not_feel_says_whose_and_what_would_have_started_one(explained: Explained) -> None:
    found = explained.data("depth", 70.5)
    assert found["verdict"] == "anomaly_opened"
    assert [each["what"] for each in found["afterwards"]] == ["anomaly_opened", "suppressed", "anomaly_ended"]
    words = found["afterwards"][1]["words"]
    assert words.startswith("suppressed (not_felt): it started no incident, for callers of service:s-shop feel nothing")
    assert "had requests of service:s-shop taken 20% (and 5 ms) longer, or 1% more of them failed" in words
    key = found["afterwards"][1]["anomaly"]
    assert f"Suppressed (not_felt): {words[len('suppressed (not_felt): ') :]}." in explained.say(f"inc-{key}")


def test_a_window_below_the_threshold_says_how_far_below(explained: Explained) -> None:
    found = explained.data("steady", 70.5)
    assert (found["verdict"], found["afterwards"]) == ("below_threshold", [])
    threshold = rule(found, "threshold")
    assert 0 <= threshold["surprise"] < threshold["threshold"] < 20
    assert threshold["kind"] == "alert_budget"
    assert "learned from the fleet for alert_budget 0.5 a week of policy default@" in threshold["words"]
    assert "It was no anomaly, for it was not surprising enough." in explained.say("steady", 70.5)


def test_a_new_signal_says_how_many_windows_it_has_seen_and_needs(explained: Explained) -> None:
    found = explained.data("fresh", 82.5)
    assert found["verdict"] == "still_learning"
    assert (rule(found, "history")["seen"], rule(found, "history")["needed"]) == (2, 40)
    assert "it had seen 2 windows of the 40 that are needed before any is judged." in explained.say("fresh", 82.5)
    assert "it is cold (" in explained.say("fresh")


def test_too_few_unlikely_windows_say_how_many_there_were(explained: Explained) -> None:
    found = explained.data("rare", 61.5)
    assert (found["verdict"], found["afterwards"]) == ("n_of_m", [])
    counted = rule(found, "n_of_m")
    assert (counted["unlikely"], counted["open_windows"], counted["of_windows"]) == (2, 3, 5)
    assert counted["passed"] is False
    assert "Unlikely were 2 of its last 5 windows; an anomaly opens with 3 of 5." in explained.say("rare", 61.5)


def test_without_a_time_the_newest_window_is_told_and_how_the_signal_is_now(explained: Explained) -> None:
    found = explained.data("steady")
    assert found["window"]["end_time"] >= explained.time(SECONDS - 3)
    assert found["said"][-1].endswith("it is warm.")


def test_times_are_rfc_3339_seconds_or_ago(explained: Explained) -> None:
    asked = explained.time(70.5)
    for text in (asked, asked.replace("Z", "+00:00")):
        found = json.loads(invoke(explained.settings, "why", "steady", "--at", text, "--json").stdout)
        assert (found["asked_time"], found["window"]["start_time"]) == (asked, explained.time(70))
    before = time.time()
    found = json.loads(invoke(explained.settings, "why", "steady", "--at", "-15m", "--json").stdout)
    assert before - 900 <= datetime.fromisoformat(found["asked_time"]).timestamp() <= time.time() - 900


def test_a_time_without_a_window_says_what_there_is(explained: Explained) -> None:
    assert "No window of it ended after " in explained.say("steady", SECONDS + 100)
    assert "is kept any more; the oldest that is found ended at " in explained.say("steady", -100)


def test_an_incident_tells_its_life_and_its_members(explained: Explained) -> None:
    key = explained.data("load", 50.5)["afterwards"][1]["incident"]
    found = explained.data(key)
    assert [each["what"] for each in found["life"]] == ["opened", "resolved"]
    assert found["life"][0]["words"] == "load of service:s-load joined (first member)"
    assert found["life"][1]["words"].startswith("all members ended (1), the last one at ")
    (member,) = found["members"]
    assert "40, expected " in member["words"]
    assert "was needed; policy limits@" in member["words"]
    said = explained.say(key)
    for each in (*found["life"], member):
        assert each["words"] in said


def test_show_and_why_say_the_same_of_every_window(explained: Explained) -> None:
    shown = invoke(explained.settings, "signal", "show", "rare", "--last", "40").stdout
    lines = {line.split()[0]: line for line in shown.split("Last windows")[1].splitlines()[2:]}
    for second in (55.5, 60.5, 61.5, 70.5):
        found = explained.data("rare", second)
        line = lines[f"{found['window']['end_time'][:19]}Z"]
        assert line.rstrip().endswith(SHORT[found["verdict"]] or f"{found['window']['threshold']:.4g}")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no.such"], 1, "No signal has the name or id no.such"),
        (["inc-0"], 1, "No incident has the id inc-0; calmstream incidents lists them."),
        (["steady", "--at", "soon"], 2, "'soon' is not a time"),
        (["inc-0", "--at", "-15m"], 2, "--at is for a signal"),
    ],
    ids=str,
)
def test_what_cannot_be_told_is_said(explained: Explained, arguments: list[str], code: int, said: str) -> None:
    done = invoke(explained.settings, "why", *arguments)
    assert done.returncode == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
