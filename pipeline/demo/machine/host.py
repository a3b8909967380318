"""Reads this machine with psutil and writes what it read as OTLP metrics.

Guarantee: names and units are those of the OpenTelemetry semantic conventions. A counter that the machine does not
have is left out and said once in ``missing``; a process that ended is left out from then on.
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics

from pipeline.codecs.otlp_encode import Point, Scalar, cumulative_sum, gauge, metrics_request, resource_metrics
from pipeline.records import to_us

ENVIRONMENT = "demo"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine: the value of a message on ``otlp_metrics``, and how many points are in it."""

    request: bytes
    points: int


class CpuUse:
    """How much CPU time each process has used, to find the busiest ones between two looks."""

    def __init__(self) -> None:
        self._before = _cpu_seconds()

    def busiest(self, count: int, apart_from: Iterable[int]) -> list[int]:
        """Process ids of those that used most since this object was made, busiest first; idle ones are left out."""
        now, skip = _cpu_seconds(), set(apart_from)
        used = {
            pid: seconds - self._before[pid] for pid, seconds in now.items() if pid in self._before and pid not in skip
        }
        return sorted((pid for pid in used if used[pid] > 0), key=lambda pid: (-used[pid], pid))[:count]


class Host:
    """This machine and some of its processes.

    own: process id → the name under which it is shown, instead of the one that the system knows.
    """

    def __init__(self, own: Mapping[int, str], others: Iterable[int] = ()) -> None:
        self.name = platform.node() or "localhost"
        self.missing: dict[str, str] = {}
        self._started_us = to_us(psutil.boot_time())
        self._watched: list[_Watched] = []
        for pid, name in [*own.items(), *((pid, None) for pid in others)]:
            if (watched := _watch(pid, name)) is not None:
                self._watched.append(watched)
        psutil.cpu_percent()  # the next call tells the share of the time since this one

    @property
    def processes(self) -> list[tuple[str, int]]:
        """Name and process id of each process that is watched."""
        return [(watched.name, watched.process.pid) for watched in self._watched]

    def instance(self, pid: int) -> str:
        """How a signal of this process names it."""
        return f"{self.name}/{pid}"

    def read(self) -> Reading:
        """Look at everything once."""
        now_us = to_us(time.time())
        resources = [self._host(now_us)]
        for watched in list(self._watched):
            try:
                resources.append(self._process(watched, now_us))
            except psutil.NoSuchProcess:
                self._watched.remove(watched)
        metrics = [metric for resource in resources for metric in resource.scope_metrics[0].metrics]
        points = sum(len(metric.gauge.data_points) + len(metric.sum.data_points) for metric in metrics)
        return Reading(metrics_request(*resources), points)

    def _host(self, now_us: int) -> ResourceMetrics:
        share = {
            "system.cpu.utilization": psutil.cpu_percent() / 100,
            "system.memory.utilization": psutil.virtual_memory().percent / 100,
        }
        metrics = [gauge(name, [(now_us, value, {})], "1") for name, value in share.items()]
        if disk := self._disk_bytes():
            metrics.append(self._io("system.disk.io", "disk.io.direction", disk, now_us, self._started_us))
        if network := self._network_bytes():
            metrics.append(self._io("system.network.io", "network.io.direction", network, now_us, self._started_us))
        return resource_metrics(self._resource(), metrics)

    def _process(self, watched: "_Watched", now_us: int) -> ResourceMetrics:
        process, started_us = watched.process, watched.started_us
        if not process.is_running():  # another process may have its id by now
            raise psutil.NoSuchProcess(process.pid)
        with process.oneshot():
            cpu = process.cpu_times()
            metrics = [
                cumulative_sum("process.cpu.time", [(now_us, cpu.user + cpu.system, {})], started_us, "s"),
                gauge("process.memory.usage", [(now_us, process.memory_info().rss, {})], "By"),
            ]
            if disk := self._process_bytes(watched):
                metrics.append(self._io("process.disk.io", "disk.io.direction", disk, now_us, started_us))
        identity: dict[str, Scalar | list[Scalar]] = {
            "process.pid": process.pid,
            "process.executable.name": watched.name,
        }
        return resource_metrics({**self._resource(), **identity}, metrics)

    def _resource(self) -> dict[str, Scalar | list[Scalar]]:
        return {"host.name": self.name, "deployment.environment.name": ENVIRONMENT}

    def _disk_bytes(self) -> dict[str, int]:
        found = _or_none(psutil.disk_io_counters)
        if found is None:
            self.missing["system.disk.io"] = "this machine has no disk counters"
            return {}
        return {"read": found.read_bytes, "write": found.write_bytes}

    def _network_bytes(self) -> dict[str, int]:
        found = _or_none(lambda: psutil.net_io_counters(pernic=True)) or {}
        outside = [counters for name, counters in found.items() if not name.startswith("lo")]
        if not outside:
            self.missing["system.network.io"] = "this machine has no network counters apart from loopback"
            return {}
        return {"receive": sum(c.bytes_recv for c in outside), "transmit": sum(c.bytes_sent for c in outside)}

    def _process_bytes(self, watched: "_Watched") -> dict[str, int]:
        try:
            found = watched.process.io_counters()
        except psutil.NoSuchProcess:
            raise
        except (psutil.Error, OSError):  # of somebody else's process, or a kernel that does not count
            self.missing[f"process.disk.io of {watched.name} ({watched.process.pid})"] = "it cannot be read"
            return {}
        return {"read": found.read_bytes, "write": found.write_bytes}

    @staticmethod
    def _io(name: str, attribute: str, total: Mapping[str, int], now_us: int, started_us: int) -> Metric:
        points: list[Point] = [(now_us, value, {attribute: direction}) for direction, value in total.items()]
        return cumulative_sum(name, points, started_us, "By")


@dataclass(frozen=True, slots=True)
class _Watched:
    process: psutil.Process
    name: str
    started_us: int


def _watch(pid: int, name: str | None) -> _Watched | None:
    """None where it ended meanwhile or has no memory of its own: a thread of the kernel, or a zombie."""
    try:
        process = psutil.Process(pid)
        if not process.memory_info().rss:
            return None
        return _Watched(process, name or process.name(), to_us(process.create_time()))
    except psutil.Error:
        return None


def _cpu_seconds() -> dict[int, float]:
    found = psutil.process_iter(["cpu_times"])
    return {p.pid: p.info["cpu_times"].user + p.info["cpu_times"].system for p in found if p.info["cpu_times"]}


def _or_none(read: Callable[[], Any]) -> Any:
    """What a counter of the host says, None where the kernel does not have it."""
    try:
        return read()
    except (psutil.Error, OSError, NotImplementedError, RuntimeError):
        return None
