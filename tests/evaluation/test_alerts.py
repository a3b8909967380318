"""Streams of alerts: what is read, what becomes of them in the chains, and the figures."""

import json
import lzma
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.evaluation import alert_files
from pipeline.evaluation.alert_files import Alert
from pipeline.evaluation.alerts import Found, Scenario, evaluate, figures, scenario
from pipeline.evaluation.table import BadData
from tests.cli.person import invoke
from tests.docs.pages import rows, section, unquoted

BEGIN = 1_704_067_200
HEAD = "time,name,ip,host,short,time_label,event_label"
DAY = 86_400
ATTACK = BEGIN + DAY + DAY // 2


def line(second: int, name: str, host: str = "web", step: str = "-", phase: str = "false_positive") -> str:
    return f'{second},"{name}",10.0.0.1,{host},x,{phase},{step}'


def background() -> list[str]:
    """Two days: a login a minute, and once in a while one rule alone that seldom speaks."""
    logins = [line(BEGIN + 60 * minute, "Login ok", "mail") for minute in range(2 * 1440)]
    updates = [line(BEGIN + 7 * 3_600 * number, "Database update", "db") for number in range(1, 7)]
    return logins + updates


def attack() -> list[str]:
    scan = [line(ATTACK + second, "Port scan", step="scan", phase="scan") for second in range(100)]
    shell = [line(ATTACK + 200 + second, "New command", step="shell", phase="shell") for second in (0, 1)]
    return scan + shell


def written(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([HEAD, *lines]) + "\n"
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("alerts")
    written(found / "calm.csv", background())
    written(found / "hacked.csv.xz", [*attack(), *background()])
    return found


# -- reading -----------------------------------------------------------------------------------------------------------


def test_alerts_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv.xz", [line(7, "B, or so"), line(5, "A", step="scan", phase="network_scans")])
    assert alert_files.read(path) == [
        Alert(5, "A", "web", "10.0.0.1", "scan", "network_scans"),
        Alert(7, "B, or so", "web", "10.0.0.1", "", ""),
    ]
    assert alert_files.name_of(path) == "a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,name,host\n1,a,b\n", "has no column ip"),
        (f"{HEAD}\n", "holds no alert"),
        (f"{HEAD}\n{line(5, 'a')}\nnoon,a,i,h,s,-,-\n", "line 3: time is 'noon'; write seconds since 1970"),
        (f"{HEAD}\n5,,i,h,s,-,-\n", "line 2: an alert has a name and a host"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadData, match=said):
        alert_files.read(path)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "a.csv.xz"
    damaged.write_bytes(b"no archive")
    with pytest.raises(BadData, match=r"a\.csv\.xz cannot be read"):
        alert_files.read(damaged)
    (tmp_path / "empty").mkdir()
    for path, said in ((tmp_path / "none", "is not a folder"), (tmp_path / "empty", r"holds no \*\.csv")):
        with pytest.raises(BadData, match=said):
            alert_files.scenarios(path)


# -- the chains --------------------------------------------------------------------------------------------------------


def test_an_attack_is_one_incident_and_the_background_none(folder: Path) -> None:
    found = scenario(folder / "hacked.csv.xz")
    (incident,) = found.incidents
    assert incident.steps == Counter({"scan": 100, "shell": 2})
    assert found.steps == {"scan", "shell"} == found.found
    assert (found.false, found.rank, found.alerts) == (0, 1, 2880 + 6 + 102)
    assert incident.weight > 5
    assert found.held_back >= 1


def test_what_comes_afterwards_decides_nothing(folder: Path, tmp_path: Path) -> None:
    cut = [each for each in (*attack(), *background()) if int(each.partition(",")[0]) < ATTACK + 3_600]
    early, whole = (scenario(path) for path in (written(tmp_path / "hacked.csv", cut), folder / "hacked.csv.xz"))
    assert [(each.alerts, each.weight) for each in early.incidents] == [
        (each.alerts, each.weight) for each in whole.incidents
    ]


def test_labels_decide_nothing(folder: Path, tmp_path: Path) -> None:
    unlabelled = [each.rpartition(",")[0].rpartition(",")[0] + ",-,-" for each in (*attack(), *background())]
    blind, seeing = (
        scenario(path) for path in (written(tmp_path / "hacked.csv", unlabelled), folder / "hacked.csv.xz")
    )
    assert [(each.alerts, each.weight) for each in blind.incidents] == [
        (each.alerts, each.weight) for each in seeing.incidents
    ]
    assert (blind.false, blind.rank) == (1, None)


# -- figures -----------------------------------------------------------------------------------------------------------


def incident(weight: float, **steps: int) -> Found:
    counted = Counter({step.replace("none", ""): number for step, number in steps.items()})
    return Found(True, weight, sum(steps.values()), counted, counted)


def test_figures_are_pooled_over_scenarios() -> None:
    one = Scenario("one", 100, 2.0, frozenset({"scan", "shell"}), (incident(9, scan=6, none=2), incident(5, none=4)), 3)
    other = Scenario("other", 60, 1.0, frozenset({"scan"}), (incident(8, none=4), incident(6, scan=4)), 0)
    assert figures([one, other]) == {
        "alerts": 160,
        "days": 3.0,
        "incidents": 4,
        "held_back": 3,
        "alerts_per_incident": 40.0,
        "alerts_in_incidents": 20,
        "steps": 3,
        "steps_found": 2,
        "steps_missed": ["one: shell"],
        "false_incidents": 2,
        "false_incidents_per_day": pytest.approx(2 / 3),
        "attack_rank": 2,
        "purity": pytest.approx(18 / 20),
    }


def test_an_attack_that_no_incident_has_takes_the_rank_away() -> None:
    missed = Scenario("missed", 10, 1.0, frozenset({"scan"}), (), 0)
    assert figures([missed])["attack_rank"] is None
    assert figures([missed])["alerts_per_incident"] is None


def test_the_command_prints_them(folder: Path) -> None:
    done = invoke({}, "evaluate", "--suite", "alerts", str(folder), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["suite"], found["incidents"], found["steps_found"], found["attack_rank"]) == ("alerts", 1, 2, 1)
    assert found["scenarios"].keys() == {"calm", "hacked"}
    assert found["scenarios"]["calm"]["incidents"] == 0


def test_the_command_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    done = invoke({}, "evaluate", "--suite", "alerts", str(tmp_path))
    assert done.returncode == 2
    assert "holds no *.csv or *.csv.xz" in done.stderr


def test_every_figure_is_on_the_page(folder: Path) -> None:
    page = section("evaluation.md", "## Alerts: few incidents, and the attack among them")
    named = {unquoted(name) for row in rows(page) for name in row[0].split(", ")}
    assert named - {"figure"} == figures([]).keys() | {"files", "scenarios"}


def test_real_alerts_become_few_incidents_with_the_attack_on_top() -> None:
    if "CALMSTREAM_DATA" not in os.environ:
        pytest.skip("it takes a minute or two; CALMSTREAM_DATA names the folder with alerts/")
    data = Path(os.environ["CALMSTREAM_DATA"]) / "alerts"
    found = evaluate(data)
    assert found["alerts_per_incident"] >= 2_000
    assert found["steps_found"] >= 16 / 17 * found["steps"]
    assert found["false_incidents_per_day"] <= 8
    assert found["attack_rank"] <= 3
