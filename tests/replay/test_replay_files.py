"""Files through the chains: what is found, and that it depends on the points alone."""

import json
import random
from dataclasses import replace
from itertools import pairwise
from math import log10
from pathlib import Path

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.codecs.otlp_encode import metrics_request, resource_metrics
from pipeline.replay.message import ReplayError
from tests.replay.runs import CONFIG, START, replay_csv, replay_json, seconds_apart, values, window, written

HIGH = range(200, 212)


def deviating(path: Path, step: float = 10) -> Path:
    return written(path, seconds_apart(step, values(300, HIGH)))


def test_a_deviation_in_a_file_is_one_incident_that_opens_and_resolves(tmp_path: Path) -> None:
    results = replay_csv(deviating(tmp_path / "checkout.csv"))
    assert results.totals.counts["incident", "opened"] == 1
    assert results.totals.counts["incident", "resolved"] == 1
    opened = json.loads(results.incidents.splitlines()[0])
    assert opened["onset_time"] == "2025-06-01T00:33:20.000000Z"
    assert opened["affected"] == ["service:checkout"]
    assert results.totals.points == results.totals.windows == 300
    assert results.totals.of("drop") == {}


def test_every_row_has_its_score_where_the_interval_is_not_below_the_window(tmp_path: Path) -> None:
    path = deviating(tmp_path / "a.csv", step=300)
    rows = replay_csv(path).rows()
    given = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert [(row["timestamp"], float(row["value"])) for row in rows] == [(time, float(value)) for time, value in given]
    assert all(row["entity"] == "a" and row["signal"] == "value" for row in rows)


def test_cold_windows_are_scored_with_surprise_zero(tmp_path: Path) -> None:
    rows = replay_csv(deviating(tmp_path / "a.csv")).rows()
    assert [row["surprise"] for row in rows[:40]] == ["0.0"] * 40
    assert [row["p"] for row in rows[:40]] == ["1.0"] * 40
    assert any(float(row["surprise"]) > 0 for row in rows[40:60])


def test_p_and_score_follow_from_the_surprise_at_full_precision(tmp_path: Path) -> None:
    rows = replay_csv(deviating(tmp_path / "a.csv")).rows()
    for row in rows:
        surprise = float(row["surprise"])
        assert float(row["p"]) == 10.0**-surprise
        assert float(row["score"]) == surprise / (1 + surprise)
        assert float(row["lower"]) <= float(row["expected"]) <= float(row["upper"])
    marked = [i for i, row in enumerate(rows) if row["anomaly"] == "1"]
    assert marked[0] == HIGH.start
    assert set(HIGH) <= set(marked)


def test_the_first_rows_score_the_same_without_the_rest_of_the_file(tmp_path: Path) -> None:
    lines = seconds_apart(60, values(300, HIGH))
    whole = replay_csv(written(tmp_path / "a.csv", lines)).rows()
    part = replay_csv(written(tmp_path / "a.csv", lines[:205])).rows()
    assert whole[:205] == part


def test_the_same_file_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    path = deviating(tmp_path / "a.csv")
    assert replay_csv(path).texts() == replay_csv(path).texts()


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_how_many_messages_are_taken_at_once_changes_nothing(tmp_path: Path, batch: int) -> None:
    paths = [
        written(tmp_path / "a.csv", seconds_apart(10, values(300, HIGH))),
        written(tmp_path / "b.csv", seconds_apart(7.5, values(300, range(180, 190), phase=1))),
        written(tmp_path / "c.csv", seconds_apart(1, values(250, range(120, 160), phase=2))),
    ]
    expected = replay_csv(*paths)
    assert expected.totals.counts["incident", "opened"] > 0
    found = replay_csv(*paths, batch=batch)
    assert found.texts() == expected.texts()
    assert found.totals.counts == expected.totals.counts


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 60))
def test_rows_may_be_shuffled_within_the_lateness(tmp_path: Path, seed: int, batch: int) -> None:
    lines = seconds_apart(1, values(150, range(130, 145)))
    dice = random.Random(seed)
    behind = {line: i + dice.uniform(0, CONFIG.lateness_us / window(1)) for i, line in enumerate(lines)}
    ordered = replay_csv(written(tmp_path / "a.csv", lines), config=replace(CONFIG, window_us=window(2)))
    shuffled = written(tmp_path / "a.csv", sorted(lines, key=behind.__getitem__))
    found = replay_csv(shuffled, config=replace(CONFIG, window_us=window(2)), batch=batch)
    assert found.texts() == ordered.texts()
    assert found.totals.of("drop") == {}


def test_rows_that_come_after_their_window_are_counted_as_late(tmp_path: Path) -> None:
    lines = seconds_apart(10, values(60))
    results = replay_csv(written(tmp_path / "a.csv", [*lines[:10], *lines[12:40], *lines[10:12], *lines[40:]]))
    assert results.totals.of("drop") == {"late": 2}
    assert len(results.rows()) == 58


def test_several_rows_in_one_window_are_one_score_at_the_time_of_the_newest(tmp_path: Path) -> None:
    rows = replay_csv(written(tmp_path / "a.csv", [f"{START + i},{i}" for i in range(25)])).rows()
    assert [row["timestamp"] for row in rows] == [str(START + 9), str(START + 19), str(START + 24)]
    assert [float(row["value"]) for row in rows] == [4.5, 14.5, 22.0]


def test_a_shorter_window_gives_each_row_its_own_score(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [f"{START + i},{i}" for i in range(25)])
    assert len(replay_csv(path, config=replace(CONFIG, window_us=window(1))).rows()) == 25


# -- formats -----------------------------------------------------------------------------------------------------------


def without_entity(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name not in ("entity", "timestamp")} for row in rows]


def test_the_same_points_as_csv_and_as_ndjson_give_the_same_results(tmp_path: Path) -> None:
    points = [
        {"ts": START + 10 * i, "name": "value", "value": value, "attributes": {"service.name": "a"}}
        for i, value in enumerate(values(300, HIGH))
    ]
    lines = [json.dumps(point) for point in points]
    lines[50:52] = [json.dumps(points[50:52])]  # an array of points in a line
    lines.insert(20, "")
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    as_json, as_csv = replay_json(tmp_path / "a.ndjson", "ndjson"), replay_csv(deviating(tmp_path / "a.csv"))
    assert (as_json.incidents, as_json.anomalies) == (as_csv.incidents, as_csv.anomalies)
    assert without_entity(as_json.rows()) == without_entity(as_csv.rows())
    assert as_json.rows()[0]["entity"] == "service:a"
    assert as_json.rows()[0]["timestamp"] == "2025-06-01T00:00:00.000000Z"


def otlp_request(time: int, value: float) -> bytes:
    metric = metrics_pb2.Metric(name="value")
    metric.gauge.data_points.add(time_unix_nano=time * 10**9, as_double=value)
    return metrics_request(resource_metrics({"service.name": "a"}, [metric]))


def as_otlp_json(request: bytes, indent: int | None = None) -> str:
    return json_format.MessageToJson(metrics_pb2.MetricsData.FromString(request), indent=indent)


def test_the_same_points_as_csv_and_as_otlp_json_give_the_same_results(tmp_path: Path) -> None:
    lines = [as_otlp_json(otlp_request(START + 10 * i, value)) for i, value in enumerate(values(300, HIGH))]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    as_otlp, as_csv = replay_json(tmp_path / "a.jsonl", "otlp-json"), replay_csv(deviating(tmp_path / "a.csv"))
    assert (as_otlp.incidents, as_otlp.anomalies) == (as_csv.incidents, as_csv.anomalies)
    assert without_entity(as_otlp.rows()) == without_entity(as_csv.rows())


def test_a_file_that_is_one_indented_otlp_request_is_one_message(tmp_path: Path) -> None:
    requests = [otlp_request(START + 10 * i, value) for i, value in enumerate(values(30))]
    (tmp_path / "a.json").write_text(as_otlp_json(b"".join(requests), indent=2))
    assert replay_json(tmp_path / "a.json", "otlp-json").totals.points == 30


def test_lines_that_are_no_points_are_dropped_with_their_line_number(tmp_path: Path) -> None:
    good = [json.dumps({"ts": START + i, "name": "m", "value": i}) for i in range(30)]
    bad = ["{", json.dumps({"ts": 1.7e12, "name": "m", "value": 1}), json.dumps({"ts": START, "name": "m"})]
    (tmp_path / "a.ndjson").write_text("\n".join([bad[0], *good[:10], *bad[1:], *good[10:]]))
    totals = replay_json(tmp_path / "a.ndjson", "ndjson").totals
    assert totals.points == 30
    assert totals.of("drop") == {"undecodable": 2, "bad_time": 1}
    assert totals.examples["undecodable"].where == "a.ndjson line 1"
    assert totals.examples["bad_time"].where == "a.ndjson line 12"


# -- several signals, several files ------------------------------------------------------------------------------------


def wide(path: Path) -> Path:
    lines = [
        f"{START + 10 * i},{cpu!r},ignored,{memory!r}"
        for i, (cpu, memory) in enumerate(zip(values(300, HIGH), values(300), strict=True))
    ]
    return written(path, lines, header="timestamp,cpu,note,memory")


def test_each_value_column_of_a_wide_file_is_a_signal_of_its_entity(tmp_path: Path) -> None:
    results = replay_csv(wide(tmp_path / "x.csv"), columns=("cpu", "memory"), entity="host, 1")
    rows = results.rows()
    assert [(row["entity"], row["signal"]) for row in rows[:2]] == [("host, 1", "cpu"), ("host, 1", "memory")]
    assert len(rows) == 600
    assert {row["signal"] for row in rows if row["anomaly"] == "1"} == {"cpu"}


def test_the_scores_of_an_entity_are_the_bonferroni_bound_of_its_signals(tmp_path: Path) -> None:
    results = replay_csv(wide(tmp_path / "x.csv"), columns=("cpu", "memory"))
    rows = results.rows()
    entity_rows = results.entity_rows()
    assert len(entity_rows) == 300
    for row, *pair in zip(entity_rows, rows[::2], rows[1::2], strict=True):
        surprise = max(max(float(signal["surprise"]) for signal in pair) - log10(2), 0.0)
        assert (row["entity"], row["timestamp"], row["signals"]) == ("x", pair[0]["timestamp"], "2")
        assert (float(row["surprise"]), float(row["p"])) == (surprise, 10.0**-surprise)
        assert float(row["score"]) == surprise / (1 + surprise)
        assert row["anomaly"] == max(signal["anomaly"] for signal in pair)


def test_files_are_merged_by_time_and_written_in_the_order_of_time_entity_and_signal(tmp_path: Path) -> None:
    first = written(tmp_path / "b.csv", seconds_apart(10, values(300, HIGH)))
    second = written(tmp_path / "a.csv", seconds_apart(10, values(250, HIGH, phase=1)))
    results = replay_csv(first, second)
    keys = [(int(row["timestamp"]), row["entity"]) for row in results.rows()]
    assert len(keys) == 550
    assert all(before < after for before, after in pairwise(keys))
    assert results.totals.counts["incident", "opened"] == 1
    assert json.loads(results.incidents.splitlines()[-1])["affected"] == ["service:a", "service:b"]


def test_a_file_scores_the_same_alone_and_beside_others(tmp_path: Path) -> None:
    alone = deviating(tmp_path / "a.csv")
    other = written(tmp_path / "b.csv", seconds_apart(3, values(2000, phase=2)))
    together = [row for row in replay_csv(alone, other).rows() if row["entity"] == "a"]
    assert together == replay_csv(alone).rows()


def test_parts_of_one_signal_in_several_files_are_one_signal(tmp_path: Path) -> None:
    lines = seconds_apart(10, values(300, HIGH))
    parts = [written(tmp_path / "jan.csv", lines[:150]), written(tmp_path / "feb.csv", lines[150:])]
    whole = replay_csv(written(tmp_path / "x.csv", lines), entity="x")
    assert replay_csv(*reversed(parts), entity="x").texts() == whole.texts()


def test_files_of_the_same_name_are_not_taken_for_one_entity(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [deviating(tmp_path / "a.csv"), deviating(tmp_path / "other" / "a.csv")]
    with pytest.raises(ReplayError, match=r"would both be the entity 'a'; give --entity"):
        replay_csv(*paths)
