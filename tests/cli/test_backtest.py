"""``calmstream backtest``: the same of files and of Kafka, what other policies change, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import Settings
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.reading import open_reader
from pipeline.streams.topic_table import OUTPUTS
from tests.cli.person import calmstream, invoke
from tests.replay.test_replay_stretch import PARTITIONS, environment, ingested, produce, sent, settings_of

CALMER = "name: calmer\nmatch: [host.name=h1]\ndetection: {hard_upper: 1000, min_absolute: 1.0e+9}\n"


def told(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    done = calmstream(env, "backtest", *arguments, "--warm-up", "0s", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def written(settings: Settings) -> set[str]:
    """The topics in which something stands, without the prefix."""
    planned = [settings.topic(row.name) for row in OUTPUTS] + [source.topic for source in settings.inputs]
    async with open_reader(settings, *planned) as reader:
        filled = [topic for topic in planned if any((await reader.ends(topic)).values())]
    return {topic.removeprefix(settings.topic_prefix) for topic in filled}


def files(directory: Path) -> list[str]:
    paths = [directory / f"{partition}.ndjson" for partition in range(PARTITIONS)]
    for partition, path in enumerate(paths):
        path.write_bytes(b"\n".join(message.value for message in sent() if message.partition == partition))
    return [*map(str, paths), "--format", "ndjson"]


@pytest.fixture
def calmer(tmp_path: Path) -> str:
    path = tmp_path / "calmer.yaml"
    path.write_text(CALMER)
    return str(path)


async def test_files_and_both_ways_through_kafka_give_the_same_and_nothing_is_written(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path, calmer: str
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    await produce(broker, f"{topic_prefix}signals", ingested(settings, sent()))
    from_files = told(env, *files(tmp_path), "--against", calmer)
    assert from_files["policy"]["incidents"] == 1
    assert from_files["policy"]["told"][0]["members"] == 2
    assert from_files["against"]["told"][0]["members"] == 1
    assert [change["what"] for change in from_files["changes"]] == ["changed"]
    assert told(env, "--from-topic", f"{topic_prefix}points", "--against", calmer) == from_files
    assert told(env, "--from", "1970-01-01", "--against", calmer)["policy"]["told"] == from_files["policy"]["told"]
    assert await written(settings) == {"points", "signals"}


async def test_what_is_in_force_is_tried_where_no_policy_is_given_and_what_is_told_before_the_stretch_is_not_counted(
    broker: BrokerProcess, topic_prefix: str, calmer: str
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    assert calmstream(env, "policy", "apply", calmer).returncode == 0
    points = ["--from-topic", f"{topic_prefix}points"]
    assert told(env, *points)["policy"]["told"][0]["members"] == 1
    late = calmstream(env, "backtest", *points, "--from", "2025-06-01T00:03:20Z", "--warm-up", "200s", "--json")
    found = json.loads(late.stdout)
    assert (found["policy"]["incidents"], found["policy"]["before_warm_up"]) == (0, 1)
    assert found["from"].startswith("2025-06-01T00:03:20")


def test_people_read_figures_incidents_and_what_would_change(tmp_path: Path, calmer: str) -> None:
    env = {"CALMSTREAM_TIME__WINDOW_SECONDS": "2", "CALMSTREAM_DETECTION__HARD_UPPER": "40"}
    arguments = [*files(tmp_path), "--policy", calmer, "--against", str(_loud(tmp_path)), "--warm-up", "1m"]
    done = calmstream(env, "backtest", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Told from 2025-06-01T00:01:02Z to " in done.stdout
    assert "loud.yaml against calmer.yaml: 0 incidents the same, 1 other" in done.stdout
    assert "with load of host:h1" in done.stdout


def _loud(directory: Path) -> Path:
    path = directory / "loud.yaml"
    path.write_text("name: loud\nmatch: []\ndetection: {open_windows: 1, of_windows: 1}\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name files, or a stretch of Kafka"),
        (["x.csv", "--from-topic", "points"], "name either files or a topic"),
        (["x.csv"], "say how the files are written"),
        (["x.csv", "--format", "csv", "--from", "2025-01-01"], "a file is replayed as a whole"),
        (["--from", "soon"], "'soon' is not a time"),
        (["--from", "2025-01-01", "--warm-up", "long"], "'long' is not a length of time"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: list[str], said: str) -> None:
    done = invoke({"COLUMNS": "200"}, "backtest", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_a_wrong_policy_is_said_with_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\nmatch: []\ndetection:\n  open_windows: 99\n")
    done = calmstream({}, "backtest", *files(tmp_path), "--policy", str(wrong))
    assert done.returncode == 2
    assert f"{wrong}:4: policy x: detection.open_windows is 99" in done.stderr
