"""The reader of this machine, on this machine."""

import os
import subprocess
import sys
from typing import Any

import psutil
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData

from pipeline.demo.machine import host
from pipeline.demo.machine.host import CpuUse, Host
from pipeline.signals.identity import signal_of
from tests.codecs.otlp_sent import decode


def resources(reading: host.Reading) -> list[tuple[dict[str, Any], dict[str, Metric]]]:
    """Resource attributes and metrics by name, for each resource."""
    found = []
    for resource in MetricsData.FromString(reading.request).resource_metrics:
        values = {pair.key: pair.value.string_value or pair.value.int_value for pair in resource.resource.attributes}
        found.append((values, {metric.name: metric for metric in resource.scope_metrics[0].metrics}))
    return found


def directions(metric: Metric) -> dict[str, int]:
    return {point.attributes[0].value.string_value: point.as_int for point in metric.sum.data_points}


def test_the_host_has_cpu_and_memory_as_shares() -> None:
    attributes, metrics = resources(Host({}).read())[0]
    assert attributes == {"host.name": os.uname().nodename, "deployment.environment.name": "demo"}
    for name in ("system.cpu.utilization", "system.memory.utilization"):
        assert metrics[name].unit == "1"
        assert 0 <= metrics[name].gauge.data_points[0].as_double <= 1


def test_a_process_names_itself_and_its_counters_grow() -> None:
    watched = Host({os.getpid(): "the-tests"})
    before = resources(watched.read())[1][1]
    until = psutil.Process().cpu_times().user + 0.1
    while psutil.Process().cpu_times().user < until:
        pass
    attributes, after = resources(watched.read())[1]
    assert attributes["process.pid"] == os.getpid()
    assert attributes["process.executable.name"] == "the-tests"
    assert after["process.memory.usage"].gauge.data_points[0].as_int > 2**20
    cpu = [metrics["process.cpu.time"].sum for metrics in (before, after)]
    assert cpu[0].is_monotonic
    assert cpu[1].data_points[0].as_double - cpu[0].data_points[0].as_double >= 0.09
    assert directions(after["process.disk.io"]).keys() == {"read", "write"}


def test_every_point_becomes_a_signal_that_names_its_process() -> None:
    watched = Host({os.getpid(): "the-tests"})
    reading = watched.read()
    columns, series = decode(reading.request)
    assert (columns.rejections, columns.dropped) == ([], {})
    assert reading.points == columns.value.size
    signals = [signal_of(each, ["deployment.environment.name"]) for each in series]
    assert {signal.scope for signal in signals} == {"demo"}
    own = {signal.name for signal in signals if signal.instance == watched.instance(os.getpid())}
    assert own == {"process.cpu.time", "process.memory.usage", "process.disk.io"}
    assert {signal.workload for signal in signals} == {f"host:{watched.name}", "process:the-tests"}


def test_a_process_that_ended_is_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        watched = Host({child.pid: "child"})
        assert [name for name, _ in watched.processes] == ["child"]
        child.communicate(b"\n", timeout=10)
        assert len(resources(watched.read())) == 1
        assert watched.processes == []


def test_a_process_that_is_not_there_is_not_watched() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait(timeout=10)
        assert Host({child.pid: "gone"}).processes == []


def test_counters_that_the_machine_does_not_have_are_skipped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {"lo": None})
    watched = Host({})
    assert resources(watched.read())[0][1].keys() == {"system.cpu.utilization", "system.memory.utilization"}
    assert watched.missing == {
        "system.disk.io": "this machine has no disk counters",
        "system.network.io": "this machine has no network counters apart from loopback",
    }


def test_a_busy_process_is_found_unless_it_is_left_out() -> None:
    burn = "import sys\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as child:
        try:
            use, process = CpuUse(), psutil.Process(child.pid)
            until = process.cpu_times().user + 0.3
            while process.cpu_times().user < until:
                pass
            busy = use.busiest(100, apart_from=[os.getpid()])
            assert child.pid in busy
            assert os.getpid() not in busy
            assert use.busiest(1, apart_from=[])[0] in {*busy, os.getpid()}
        finally:
            child.kill()
