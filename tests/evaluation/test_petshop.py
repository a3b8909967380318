"""The PetShop suite on a small shop: front calls cart, cart calls data."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.petshop import evaluate
from pipeline.evaluation.petshop_files import read
from pipeline.evaluation.table import BadData
from tests.cli.person import invoke
from tests.docs.pages import section

BEGIN, WINDOW = 1_692_608_400, 300
NODES = ("front", "cart", "data")
#: What a workload's windows are changed by: latency in seconds, and share of failures.
Fault = Callable[[str, int], tuple[float, float]]
SPENT = {"front": 0.09, "cart": 0.05, "data": 0.02}


def none(node: str, row: int) -> tuple[float, float]:
    return 0.0, 0.0


def slow_data(node: str, row: int) -> tuple[float, float]:
    return (0.1, 0.0) if row >= 2 else (0.0, 0.0)


def failing_cart(node: str, row: int) -> tuple[float, float]:
    return (0.0, 0.1) if row >= 2 and node != "data" else (0.0, 0.0)


def metrics(path: Path, rows: int, begin: int, fault: Fault, seed: int = 1) -> None:
    """100 requests a window; each workload's latency includes what it calls."""
    chance = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = (("latency", "Average"), ("latency", "p50"), ("requests", "Sum"), ("availability", "Average"))
    columns = [(node, *kind) for kind in kinds for node in NODES]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        for place, name in enumerate(("microservice", "metric", "statistic")):
            out.writerow([name, *(column[place] for column in columns)])
        out.writerow(["unix_timestamp", *("" for _ in columns)])
        for row in range(rows):
            cells = []
            for node, metric, _ in columns:
                more, failed = fault(node, row)
                latency = SPENT[node] * float(np.exp(0.05 * chance.standard_normal())) + more
                cells.append({"latency": latency, "requests": 100.0, "availability": 100.0 * (1.0 - failed)}[metric])
            out.writerow([float(begin + WINDOW * row), *cells])


def case(folder: Path, kind: str, root: str, fault: Fault, seed: int) -> None:
    begin = BEGIN - 40 * 86400 + 1000 * seed
    metrics(folder / "metrics.csv", 5, begin, fault, seed)
    target = {"node": "front", "metric": kind, "agg": "Average", "timestamp": begin + 2 * WINDOW}
    told = {"target": target, "root_cause": {"node": root, "metric": None}, "metadata": {}}
    (folder / "target.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("shops")
    folder = top / "small"
    metrics(folder / "noissue" / "metrics.csv", 150, BEGIN, none)
    case(folder / "train" / "issue_0", "latency", "data", slow_data, 11)
    case(folder / "test" / "issue_2", "availability", "cart", failing_cart, 12)
    case(folder / "test" / "issue_10", "latency", "data", none, 13)
    calls = {("front", "cart"), ("cart", "data")}
    with (folder / "graph.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["", *NODES])
        out.writerows([client, *(float((client, server) in calls) for server in NODES)] for client in NODES)
    return top


def test_a_folder_is_read_with_its_graph_its_healthy_days_and_its_cases_by_number(shop: Path) -> None:
    (scenario,) = read(shop)
    assert [each.name for each in read(shop / "small")] == [scenario.name] == ["small"]
    assert scenario.calls == (("front", "cart"), ("cart", "data"))
    assert (scenario.healthy.rows, scenario.healthy.window_us) == (150, 300_000_000)
    assert [each.name for each in scenario.cases] == ["test/issue_2", "test/issue_10", "train/issue_0"]
    first = scenario.cases[0]
    assert (first.kind, first.target, first.root) == ("availability", "front", "cart")
    assert first.frame.nodes["cart"].errors.tolist() == [0, 0, 10, 10, 10]
    assert set(scenario.healthy.nodes) == set(NODES)


def test_faults_are_noticed_and_blamed_on_whom_they_started_at_and_nothing_is_told_without_one(shop: Path) -> None:
    figures = evaluate(shop)
    assert (figures["suite"], figures["files"], figures["scenarios"]) == ("petshop", 3, ["small"])
    assert (figures["noissue_incidents"], figures["noissue_hours"]) == (0, 12.5)
    for kind, cases in (("latency", 2), ("availability", 1)):
        found = figures[kind]
        assert (found["cases"], found["noticed"], found["alarms_before_the_fault"]) == (cases, 1, 0)
        assert found["median_delay_minutes"] == 10.0
        assert found["top_1_at_alarm"] == found["top_1_at_end"] == found["top_3_at_alarm"] == 1
    assert figures["all"]["top_1_given"] == 2
    page = section("evaluation.md", "## PetShop: the right workload, and no incident without a fault")
    named = [*figures, *(f"all.{key}" for key in figures["all"])]
    assert [key for key in named if f"`{key}`" not in page and key not in ("suite", "files")] == []
    (miss,) = figures["misses"]
    assert (miss["case"], miss["place"], miss["candidates"]) == ("small/test/issue_10", None, [])


def test_the_command_prints_the_figures_as_json_and_for_people(shop: Path) -> None:
    done = invoke({}, "evaluate", "--suite", "petshop", str(shop), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["all"]["cases"] == 3
    shown = invoke({}, "evaluate", "--suite", "petshop", str(shop)).stdout
    assert ["all.top_1_at_alarm", "2"] in [line.split() for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["one", "two"], "takes one folder, not 2 paths"),
        (["one", "--plots", "plots"], "has no plots and is scored as shipped"),
        (["gone"], "calmstream: gone is not a folder; name one that holds graph.csv, noissue/metrics.csv and"),
        (["."], "calmstream: . holds no scenario; one has graph.csv,"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke({"COLUMNS": "140", "TERM": "dumb", "NO_COLOR": "1"}, "evaluate", "--suite", "petshop", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


BROKEN = {
    "graph.csv": (",a,b\na,1\n", "graph.csv line 2 has 2 cells; its first line has 3"),
    "noissue/metrics.csv": ("a,b\n", "metrics.csv should begin with the lines microservice, metric, statistic"),
    "test/issue_2/target.json": ("{}", "target.json does not tell the fault (KeyError('target'))"),
    "test/issue_2/metrics.csv": (
        "microservice,a\nmetric,requests\nstatistic,Sum\nunix_timestamp,\nsoon,1\n",
        "metrics.csv line 5: time 'soon' cannot be read; write seconds since 1970",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_said_with_what_would_be_right(name: str, shop: Path, tmp_path: Path) -> None:
    for path in (shop / "small").rglob("*.*"):
        copy = tmp_path / path.relative_to(shop / "small")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    text, said = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData) as caught:
        read(tmp_path)
    assert said in str(caught.value)


# -- real data ---------------------------------------------------------------------------------------------------------


def test_real_faults_are_noticed_and_blamed_on_whom_they_started_at() -> None:
    if "CALMSTREAM_DATA" not in os.environ:
        pytest.skip("it takes half a minute; CALMSTREAM_DATA names the folder with petshop/")
    figures = evaluate(Path(os.environ["CALMSTREAM_DATA"]) / "petshop")
    found = figures["all"]
    assert found["top_1_at_alarm"] >= 24 / 26 * found["cases"], figures["misses"]
    assert found["top_3_at_alarm"] == found["cases"], figures["misses"]
    assert figures["noissue_incidents_per_12_h"] <= 1.0
