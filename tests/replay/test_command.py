"""``calmstream replay``: what a person gives, gets and is told."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.cli.person import CALMSTREAM, calmstream, environment
from tests.replay.runs import START, seconds_apart, values, written

HIGH = range(200, 212)


def deviating(path: Path) -> Path:
    return written(path, seconds_apart(10, values(300, HIGH)))


def test_a_replay_writes_what_is_asked_for_and_sums_up(tmp_path: Path) -> None:
    path = deviating(tmp_path / "checkout.csv")
    names = {"scores": "s.csv", "entity-scores": "e.csv", "incidents": "i.jsonl", "anomalies": "a.jsonl"}
    outputs = [part for option, name in names.items() for part in (f"--{option}", str(tmp_path / name))]
    done = calmstream({}, "replay", str(path), "--format", "csv", *outputs)
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "s.csv").open(newline="") as scores:
        rows = list(csv.DictReader(scores))
    header = (tmp_path / "s.csv").read_text().partition("\n")[0]
    assert header == "entity,signal,timestamp,value,expected,lower,upper,p,surprise,score,anomaly"
    assert [row["timestamp"] for row in rows] == [str(START + 10 * i) for i in range(300)]
    entity_scores = (tmp_path / "e.csv").read_text().splitlines()
    assert entity_scores[0] == "entity,timestamp,signals,surprise,score,p,anomaly"
    assert len(entity_scores) == 301
    transitions = [json.loads(line)["transition"] for line in (tmp_path / "i.jsonl").read_text().splitlines()]
    assert transitions[0] == "opened"
    assert transitions[-1] == "resolved"
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["transition"] == "opened"
    assert done.stdout.startswith("300 points in 300 windows of 1 signal, in ")
    assert "\n1 anomaly, 0 going on at the end\n1 incident, 0 open at the end\n" in done.stdout
    assert "value of checkout rose to 60.67 (expected 15.89) from 00:33:20Z" in done.stdout
    assert done.stdout.endswith("0 dropped\n")


def test_what_was_dropped_is_said_with_the_first_line_of_each_reason(tmp_path: Path) -> None:
    lines = [*seconds_apart(10, values(30)), "soon,1", "later,1", f"{START},5"]
    done = calmstream({}, "replay", str(written(tmp_path / "a.csv", lines)), "--format", "csv")
    assert done.returncode == 0
    assert "3 dropped:\n  2 bad_time, first a.csv line 32: time 'soon' is not a number of seconds" in done.stdout
    assert "  1 late\n" in done.stdout
    assert "sort by time, or raise time.allowed_lateness_seconds" in done.stdout


def test_columns_entity_window_and_configuration_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [f"2025-06-01 00:00:{i:02d},{i},1" for i in range(60)], "at,x,y")
    (tmp_path / "c.yaml").write_text("time: {allowed_lateness_seconds: 1, idle_sparse_seconds: 1}\n")
    columns = ["--time-column", "at", "--value-column", "x", "--value-column", "y", "--entity", "web"]
    rest = ["--window-seconds", "30", "--config", str(tmp_path / "c.yaml"), "--scores", str(tmp_path / "s.csv")]
    done = calmstream({}, "replay", str(path), "--format", "csv", *columns, *rest)
    assert done.returncode == 0
    with (tmp_path / "s.csv").open(newline="") as scores:
        found = [(row["entity"], row["signal"], row["timestamp"], row["value"]) for row in csv.DictReader(scores)]
    assert found == [
        ("web", "x", "2025-06-01 00:00:29", "14.5"),
        ("web", "y", "2025-06-01 00:00:29", "1.0"),
        ("web", "x", "2025-06-01 00:00:59", "44.5"),
        ("web", "y", "2025-06-01 00:00:59", "1.0"),
    ]


def unboxed(text: str) -> str:
    """Without the frame and the line breaks that the width of a terminal brings."""
    return " ".join(re.sub("[─-╿]", " ", text).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv", "--format", "csv"], "gone.csv cannot be read: No such file or directory"),
        (
            ["a.csv", "--format", "csv", "--value-column", "cpu"],
            "there is no column 'cpu'; the file has timestamp, value",
        ),
        (["a.csv", "--format", "xml"], "'xml' is not one of 'csv', 'ndjson', 'otlp-json'"),
        (["a.csv"], "say how the files are written: --format csv|ndjson|otlp-json"),
        ([], "name either files or a topic (--from-topic)"),
        (["a.csv", "--from-topic", "calm.points"], "name either files or a topic (--from-topic)"),
        (["a.csv", "--format", "csv", "--to", "2025-06-01"], "--from and --to choose a stretch of a topic"),
        (["a.csv", "--format", "ndjson", "--entity", "x"], "--entity is for CSV files"),
        (["a.csv", "--format", "ndjson"], "a.csv: no message in it has a time; is it of another format?"),
        (["a.csv", "--format", "csv", "--scores", "a.csv"], "--scores a.csv would overwrite a.csv"),
        (["a.csv", "--format", "csv", "--scores", "no/s.csv"], "there is no directory no"),
        (["a.csv", "--format", "csv", "--window-seconds", "0"], "time.window_seconds"),
        (["--from-topic", "other"], "replay reads calm.points, otlp_metrics, calm.signals"),
        (["--from-topic", "calm.points", "--from", "monday"], "'monday' is not a time; write 2026-01-31T14:00:00Z"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    for name in [name for name in os.environ if name.startswith("CALMSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["calmstream", "replay", *arguments])
    monkeypatch.chdir(tmp_path)
    before = deviating(tmp_path / "a.csv").read_text()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert message in unboxed(printed.err)
    assert printed.out == ""
    assert (tmp_path / "a.csv").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", seconds_apart(1, values(3000)))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [CALMSTREAM, "replay", path, "--format", "csv"],
        env=environment({"TERM": "xterm"}),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        assert process.wait(60) == 0
    os.close(ours)
    assert "3,000 points" in shown.decode()
    assert "100%" in shown.decode()


def _read(terminal: int) -> bytes:
    """What was shown; nothing when the other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_a_broker_that_does_not_answer_is_said() -> None:
    done = calmstream({}, "replay", "--from-topic", "calm.points", "--bootstrap", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (4, "")
    assert "no Kafka broker answers at 127.0.0.1:1" in done.stderr


def test_json_lines_that_are_all_refused_are_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(f'{{"ts": {START}, "name": "", "value": 1}}\n')
    done = calmstream({}, "replay", str(tmp_path / "a.ndjson"), "--format", "ndjson")
    assert done.returncode == 2
    assert "no point can be used: 1 bad_name (a.ndjson line 1: the metric name is empty" in done.stderr


def test_policies_can_be_tried_and_go_before_those_of_the_configuration(tmp_path: Path) -> None:
    path = deviating(tmp_path / "checkout.csv")
    form = "- name: {}\n  match: [name=value]\n  detection: {{close_windows: {}}}\n"
    (tmp_path / "c.yaml").write_text(f"policies:\n{form.format('here', 4)}{form.format('both', 5)}")
    (tmp_path / "p.yaml").write_text(form.format("both", 3) + form.format("tried", 3))
    rest = ["--config", str(tmp_path / "c.yaml"), "--anomalies", str(tmp_path / "a.jsonl")]
    command = ["replay", str(path), "--format", "csv", *rest]
    done = calmstream({}, *command, "--policy", str(tmp_path / "p.yaml"))
    assert (done.returncode, done.stderr) == (0, "")
    first = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    names = [part.partition("@")[0] for part in first["policy"]["version"].split("+")]
    assert names == ["tried", "here", "both", "default"]
    (tmp_path / "p.yaml").write_text("name: tried\nmatch: value\ndetection: {}\n")
    refused = calmstream({}, *command, "--policy", str(tmp_path / "p.yaml"))
    assert refused.returncode == 2
    assert "p.yaml:2: policy tried: match is 'value'; it must be a list" in refused.stderr
