"""``calmstream evaluate``: what a person gives, gets and is told."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.person import calmstream, invoke
from tests.evaluation.made import labelled_file, machine_file, nab_folder, noise

HIGH = [(300, 309)]
KEYS = [
    *("suite", "files", "profiles", "vus_pr", "event_precision", "event_recall", "median_delay_windows"),
    "false_alarms_per_signal_week",
]


def folder(path: Path) -> Path:
    return nab_folder(path, {"real/a.csv": (noise(400, HIGH), HIGH), "real/b.csv": (noise(300, seed=9), [])})


def test_json_is_one_object_with_every_key(tmp_path: Path) -> None:
    done = invoke({}, "evaluate", "--suite", "nab", str(folder(tmp_path)), "--json", "--jobs", "1")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert list(figures)[: len(KEYS)] == KEYS
    assert (figures["suite"], figures["files"]) == ("nab", 2)
    assert figures["profiles"]["standard"].keys() == {"best", "shipped", "stderr"}


def test_people_get_a_table_with_a_line_a_file_and_totals(tmp_path: Path) -> None:
    done = invoke({}, "evaluate", "--suite", "nab", str(folder(tmp_path)), "--jobs", "1", "--variants")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["file", "windows", "signals", "events"]
    assert lines[1].split()[:4] == ["real/a.csv", "400", "1", "1"]
    assert lines[2].split()[:4] == ["real/b.csv", "300", "1", "0"]
    assert lines[4].startswith("event recall 1.000 of 1, event precision ")
    assert "false alarms per signal and week" in lines[5]
    for start in ("VUS-PR ", "NAB standard: shipped ", "NAB low_fp: ", "NAB low_fn: ", "NAB standard, negated: "):
        assert any(line.startswith(start) for line in lines), start


def test_the_other_suites_can_be_scored(tmp_path: Path) -> None:
    labelled_file(tmp_path / "cloud/rate/a.csv", noise(400, HIGH), HIGH)
    train, test = np.stack([noise(400)] * 3, axis=1), np.stack([noise(200, [(50, 59)])] * 3, axis=1)
    machine_file(tmp_path / "machines/m.npz", train, test, [50 <= row < 60 for row in range(200)])
    found = {}
    for suite, path in (("mscloud", "cloud"), ("labelled-csv", "cloud"), ("smd", "machines")):
        done = invoke({}, "evaluate", "--suite", suite, str(tmp_path / path), "--json")
        found[suite] = json.loads(done.stdout)
        assert list(found[suite])[: len(KEYS)] == KEYS
        assert found[suite]["event_recall"] == 1.0
        assert found[suite]["profiles"]["low_fn"] == {"best": None, "shipped": None, "stderr": None}
    assert found["smd"]["peers"].keys() == {"online_pca"}
    assert {**found["mscloud"], "suite": "labelled-csv"} == found["labelled-csv"]


def test_plots_go_into_a_folder_of_pages(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "a.csv", noise(200))
    done = invoke({}, "evaluate", "--suite", "labelled-csv", str(path), "--json", "--plots", str(tmp_path / "plots"))
    assert done.returncode == 0
    assert [page.name for page in (tmp_path / "plots").iterdir()] == ["a.html"]


def test_a_configuration_replaces_the_shipped_one_and_the_environment_alone_does_not(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "a.csv", noise(400, HIGH), HIGH)
    config = tmp_path / "never.yaml"
    config.write_text("detection: {min_absolute: 1000}\n")
    never = {"CALMSTREAM_DETECTION__MIN_ABSOLUTE": "1000"}
    arguments = ("evaluate", "--suite", "labelled-csv", str(path), "--json")
    shipped = invoke({}, *arguments).stdout
    assert json.loads(shipped)["event_recall"] == 1.0
    assert invoke(never, *arguments).stdout == shipped
    assert json.loads(invoke({}, *arguments, "--config", str(config)).stdout)["event_recall"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "nab", "gone"], "calmstream: there is no file or folder gone"),
        (["--suite", "smd", "."], "calmstream: . holds no *.npz; name the folder that holds one npz a machine"),
        (["--suite", "smd", ".", "--variants"], "--variants is for --suite nab"),
        (["--suite", "numenta", "."], "'numenta' is not one of 'nab', 'smd', 'mscloud', 'labelled-csv'"),
        (["."], "Missing option '--suite'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_explained(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke({"COLUMNS": "140", "TERM": "dumb", "NO_COLOR": "1"}, "evaluate", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_bad_data_is_one_line_and_code_2(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "a.csv", noise(20))
    path.write_text(path.read_text() + "soon,1,0\n")
    done = calmstream({}, "evaluate", "--suite", "labelled-csv", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"calmstream: {path} line 22: time 'soon' cannot be read; write ")
    assert done.stderr.count("\n") == 1


def test_a_plot_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "a.csv", noise(100))
    taken = tmp_path / "taken"
    taken.write_text("")
    one = invoke({}, "evaluate", "--suite", "labelled-csv", str(path), "--plots", str(taken))
    assert one.returncode == 2
    two = invoke({}, "evaluate", "--suite", "labelled-csv", str(path), "--plots", str(taken / "below"))
    assert two.returncode == 1
    assert "taken" in two.stderr
