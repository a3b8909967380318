"""``calmstream inputs``: what a producer learns of what was sent, on Kafka and from files."""

import json
import re
import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.cli.conftest import Watched
from tests.cli.person import calmstream, invoke


def test_check_reports_what_was_accepted_and_rejected(watched: Watched) -> None:
    done = calmstream(watched.settings, "inputs", "check")
    assert done.returncode == 1, done.stderr
    assert "183 messages: 180 accepted whole, 3 rejected in part or whole" in done.stdout
    assert "501 points accepted, of 7 signals" in done.stdout
    accepted, rejected = done.stdout.split("\nRejected")
    assert "service:shop/checkout  pod-1     queue.depth{queue=orders}" in accepted
    rows = {row.split()[0]: row for row in rejected.splitlines()[2:]}
    assert set(rows) == {"bad_kind", "far_past", "undecodable"}
    assert f"{watched.prefix}points/0 offset 1  kind is 'thermometer'; use gauge, counter or delta" in rows["bad_kind"]


def test_check_looks_at_the_newest_messages_only(watched: Watched) -> None:
    done = watched.run("inputs", "check", "--last", "5", "--topic", f"{watched.prefix}points")
    assert done.returncode == 0, done.stderr
    assert "5 messages: 5 accepted whole, 0 rejected" in done.stdout


def test_check_refuses_a_topic_that_is_no_input(watched: Watched) -> None:
    done = watched.run("inputs", "check", "--topic", "other")
    assert done.returncode == 2
    assert "other is not an input topic" in done.stderr


def test_tail_tells_each_rejection_and_what_was_accepted(watched: Watched) -> None:
    assert f"{watched.prefix}points/0 offset 1  rejected  bad_kind: kind is 'thermometer'" in watched.out["tail"]
    accepted = re.findall(r"  accepted  (\d+) points?: \S", watched.out["tail"])
    assert sum(map(int, accepted)) == 501


def point(**changed: object) -> dict[str, object]:
    return {"ts": time.time(), "name": "a", "value": 1, "attributes": {"service.name": "shop"}} | changed


def test_a_file_is_one_message_per_line(tmp_path: Path) -> None:
    path = tmp_path / "points.ndjson"
    path.write_text(f"{json.dumps(point())}\n\n{json.dumps([point(), point(name='b')])}\n{{}}\n")
    done = invoke({}, "inputs", "check", str(path))
    assert done.returncode == 1, done.stderr
    assert "3 messages: 2 accepted whole, 1 rejected" in done.stdout
    assert f"{path}/0 offset 2" in done.stdout


def test_a_file_that_is_a_single_json_value_is_one_message() -> None:
    done = invoke({}, "inputs", "check", "-", sent=json.dumps([point(), point(name="b")], indent=2).encode())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 message: 1 accepted whole, 0 rejected" in done.stdout
    assert "2 points accepted, of 2 signals" in done.stdout


def test_ndjson_may_be_checked_as_one_message() -> None:
    sent = f"{json.dumps(point())}\n{json.dumps(point(name='b'))}".encode()
    done = invoke({}, "inputs", "check", "-", "--whole", sent=sent)
    assert "1 message: 1 accepted whole" in done.stdout


def test_times_in_a_file_are_judged_as_if_it_were_sent_now() -> None:
    done = invoke({}, "inputs", "check", "-", sent=json.dumps(point(ts=time.time() + 3600)).encode())
    assert done.returncode == 1
    assert "far_future" in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_otlp_is_recognised(as_json: bool) -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="cpu")
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=0.5)
    sent = request.SerializeToString()
    if as_json:
        nano = str(time.time_ns())
        gauge = {"dataPoints": [{"timeUnixNano": nano, "asDouble": 0.5}]}
        metrics = {"metrics": [{"name": "cpu", "gauge": gauge}]}
        sent = json.dumps({"resourceMetrics": [{"scopeMetrics": [metrics]}]}).encode()
    done = invoke({}, "inputs", "check", "-", sent=sent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- as otlp_metrics" in done.stdout
    assert "1 point accepted, of 1 signal" in done.stdout


def test_a_file_that_is_not_there_is_said_in_one_line() -> None:
    done = invoke({}, "inputs", "check", "/no/such/file")
    assert done.returncode == 2
    assert "/no/such/file cannot be read: No such file or directory" in " ".join(done.stderr.split())
