"""The TrainTicket suite on a small made folder of its layout."""

import csv
import json
import tarfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import trainticket, trainticket_alarms
from pipeline.evaluation.table import BadData
from pipeline.evaluation.trainticket_calls import Texts, observe
from pipeline.evaluation.trainticket_files import MINUTE_US, Line, Metrics, Span, opened, workload_of

DAY = "2023-01-29"
BEGIN = int(datetime(2023, 1, 29, 8, tzinfo=UTC).timestamp())
PODS = {name: f"ts-{name}-6f6cfc45b-h5m2n" for name in ("gateway", "cart", "pay")}
MINUTES = 240
FAULT_MINUTE = 180


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_metrics(day: Path, *, hog: bool) -> None:
    random = np.random.default_rng(7)
    for name, pod in PODS.items():
        use, memory = random.normal(20, 1, MINUTES), random.normal(40, 0.2, MINUTES)
        if hog and name == "pay":
            use[FAULT_MINUTE : FAULT_MINUTE + 6] = 97.0
            memory[FAULT_MINUTE : FAULT_MINUTE + 6] = 90.0
        rows = [(f"{minute}", BEGIN + minute * 60 + 9, pod, use[minute], memory[minute]) for minute in range(MINUTES)]
        write(day / "metric" / f"{pod}_metric.csv", ("Time", "TimeStamp", "PodName", *LEVELS), rows)


LEVELS = ("CpuUsageRate(%)", "MemoryUsageRate(%)")


def write_minute(day: Path, minute: int, *, broken: bool, traces: int = 30) -> None:
    """Each trace: the gateway calls the cart, and that calls pay, which logs what it did."""
    spans, lines = [], []
    for number in range(traces):
        trace = f"{minute}-{number}"
        start = (BEGIN + minute * 60 + 2 * number % 60) * 10**9
        way = (("root", "gateway", "/*", 9), ("a", "cart", "GET /cart", 7), ("b", "pay", "POST /pay", 5))
        for span, (parent, name, operation, milliseconds) in zip("abc", way, strict=True):
            spans.append((trace, span, parent, PODS[name], operation, start, start + milliseconds * 10**6))
        done = "ERROR payment refused by bank" if broken else f"INFO payment {number} done"
        for span, name, text in (("b", "cart", "INFO look into the cart"), ("c", "pay", done)):
            log = json.dumps({"log": f"{text} TraceID: {trace} SpanID: {span} \n", "stream": "stdout"})
            lines.append((start + 10**6, PODS[name], trace, span, log))
    stamp = f"{8 + minute // 60:02d}_{minute % 60:02d}"
    header = ("TraceID", "SpanID", "ParentID", "PodName", "OperationName", "StartTimeUnixNano", "EndTimeUnixNano")
    write(day / "trace" / f"{stamp}_trace.csv", header, spans)
    write(day / "log" / f"{stamp}_log.csv", ("TimeUnixNano", "PodName", "TraceID", "SpanID", "Log"), lines)


def made(folder: Path, *, hog: bool) -> Path:
    healthy, faulty = folder / "healthy" / DAY, folder / "faulty" / DAY
    write_metrics(healthy, hog=False)
    write_metrics(faulty, hog=hog)
    write_minute(healthy, 5, broken=False)
    for minute in range(FAULT_MINUTE, FAULT_MINUTE + 3):
        write_minute(faulty, minute, broken=True)
    fault = {"inject_time": f"{DAY} 11:00:10", "inject_pod": PODS["pay"], "inject_type": "exception"}
    (faulty / f"{DAY}-fault_list.json").write_text(json.dumps({"11": [fault]}))
    return folder


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trainticket.evaluate(made(tmp_path_factory.mktemp("hog"), hog=True))


def test_a_fault_that_metrics_show_is_noticed_and_nothing_else(figures: dict[str, Any]) -> None:
    assert (figures["suite"], figures["faults"], figures["noticed"], figures["recall"]) == ("trainticket", 1, 1, 1.0)
    assert figures["incidents_outside_faults"] == 0
    assert figures["hours_outside_faults"] == pytest.approx((MINUTES - 6) / 60)
    assert 1.0 <= figures["median_delay_minutes"] <= 4.0


def test_the_cause_is_first_by_either_way_to_join_lines(figures: dict[str, Any]) -> None:
    right = {"faults": 1, "as_1": 1, "as_3": 1, "as_5": 1}
    for begin in ("alarm_or_minutes", "minutes"):
        for way in ("joined", "apart"):
            found = figures["causes"][begin][way]
            assert (found["all"], found["with_alarm"], found["misses"]) == (right, right, [])


def test_figures_are_ready_for_json(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures


def test_that_logs_and_traces_begin_triggers_nothing_and_the_cause_is_found_in_the_minutes(tmp_path: Path) -> None:
    found = trainticket.evaluate(made(tmp_path, hog=False))
    assert (found["noticed"], found["incidents"], found["median_delay_minutes"]) == (0, 0, None)
    assert found["causes"]["alarm_or_minutes"]["joined"]["without_alarm"]["as_1"] == 1


def test_archives_are_read_as_unpacked_folders_are(tmp_path: Path) -> None:
    unpacked, packed = made(tmp_path / "unpacked", hog=False), tmp_path / "packed"
    packed.mkdir()
    for part in ("healthy", "faulty"):
        with tarfile.open(packed / f"{part}.tar.xz", "w:xz") as archive:
            archive.add(unpacked / part / DAY, DAY)
    with opened(unpacked) as one, opened(packed) as other:
        assert one.faults() == other.faults()
        assert one.healthy() == other.healthy()
        assert np.array_equal(one.metrics().values, other.metrics().values, equal_nan=True)


def test_a_span_that_stands_in_two_files_is_given_once(tmp_path: Path) -> None:
    folder = made(tmp_path, hog=False)
    with opened(folder) as days:
        fault = days.faults()[0]
        assert len(days.of(fault).spans) == 3 * 30 * 3
        assert days.of(fault).spans == []


def test_a_tie_counts_against_us() -> None:
    from pipeline.evaluation.trainticket import Judged
    from pipeline.evaluation.trainticket_files import Fault
    from pipeline.records.cause import Candidate

    told = (Candidate("cart", "", 2.0), Candidate("pay", "", 2.0), Candidate("shop", "", 1.0))
    assert [Judged(Fault(0, name, ""), told).place for name in ("cart", "pay", "shop", "other")] == [2, 2, 3, None]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda day: (day / f"{DAY}-fault_list.json").unlink(), "0 days with a fault list and 2 without"),
        (lambda day: (day / f"{DAY}-fault_list.json").write_text('{"11": [{}]}'), "inject_time"),
        (lambda day: (day / "trace" / "11_00_trace.csv").write_text("TraceID\n1\n"), "has no column SpanID"),
        (lambda day: (day / "metric" / "x_metric.csv").write_text("TimeStamp,cpu\nnoon,1\n"), "x_metric.csv line 2"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused_with_what_would_be_right(
    tmp_path: Path, spoil: Any, said: str
) -> None:
    folder = made(tmp_path, hog=False)
    spoil(folder / "faulty" / DAY)
    with pytest.raises(BadData, match=said):
        trainticket.evaluate(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is not a folder"):
        trainticket.evaluate(tmp_path / "nothing")


def test_pods_are_of_the_workload_of_their_deployment() -> None:
    assert workload_of("ts-contacts-service-866bd68c97-xcqfx") == "ts-contacts-service"
    assert workload_of("front_service") == "front_service"


# -- calls -------------------------------------------------------------------------------------------------------------


def spans_of(*rows: str) -> list[Span]:
    """``"id parent workload operation start end"`` of one trace, times in milliseconds."""
    cells = [row.split() for row in rows]
    return [Span("t", a, p.strip("-"), w, o, int(s) * 1000, int(e) * 1000) for a, p, w, o, s, e in cells]


TRACE = spans_of("a - shop GET/ 0 20", "b a shop render 1 4", "c a cart GET/cart 5 15", "d c cart SELECT 6 10")


def test_a_call_holds_the_steps_below_it_and_whom_it_calls() -> None:
    seen = observe(TRACE, [], [], joined=True).seen
    happened = {key: {f"{what.value} {name}" for what, name in one.events} for key, one in seen.items()}
    assert happened == {("shop", "GET/"): {"step render", "call cart GET/cart"}, ("cart", "GET/cart"): {"step SELECT"}}


def test_own_times_are_of_steps_and_those_of_calling_spans_of_the_way() -> None:
    parts = observe(TRACE, [], [], joined=True).parts
    own = {part: float(np.exp(y[0]) - 0.3) for part, y in parts.items()}
    assert own == pytest.approx(
        {
            ("shop", "cart", "GET/cart", ""): 7.0,
            ("shop", "", "GET/", "render"): 3.0,
            ("cart", "", "GET/cart", "GET/cart"): 6.0,
            ("cart", "", "GET/cart", "SELECT"): 4.0,
        }
    )


def test_spans_that_name_each_other_as_parents_end_somewhere() -> None:
    seen = observe(spans_of("a b shop x 0 1", "b a shop y 0 1"), [], [], joined=True).seen
    assert sum(one.calls for one in seen.values()) == 1


def test_lines_apart_from_traces_count_by_the_calls_of_their_workload() -> None:
    lines = [Line(at, "shop", "", "", "order placed") for at in range(3)] + [Line(9, "batch", "", "", "batch ran")]
    templates, _ = Texts().mine(lines)
    seen = observe(TRACE, lines, templates, joined=False).seen
    assert (seen["shop", ""].calls, seen["shop", ""].events[templates[0]]) == (1.0, 1.0)
    assert (seen["batch", ""].calls, seen["batch", ""].events[templates[3]]) == (1.0, 1.0)


# -- alarms ------------------------------------------------------------------------------------------------------------


def steps(names: Sequence[str], *, minutes: int = 200, at: int = 150) -> Metrics:
    """Two metrics of each workload, all of which leave their level at once."""
    values = np.random.default_rng(3).normal(100, 1, (minutes, 2 * len(names)))
    values[at : at + 6] += 60
    signals = tuple((name, name, metric) for name in names for metric in ("cpu", "rss"))
    return Metrics(BEGIN * 1_000_000, signals, values)


def test_workloads_that_call_each_other_are_one_incident_and_others_are_not() -> None:
    found = trainticket_alarms.alarms(steps(["a", "b", "c"]), [("a", "b")])
    assert sorted(sorted(incident.workloads) for incident in found) == [["a", "b"], ["c"]]


def test_an_alarm_comes_after_the_onset_and_within_minutes() -> None:
    (incident,) = trainticket_alarms.alarms(steps(["a"]), [])
    assert incident.alarm_us is not None
    assert incident.onset_us == (BEGIN + 150 * 60) * 1_000_000
    assert MINUTE_US <= incident.alarm_us - incident.onset_us <= 4 * MINUTE_US
