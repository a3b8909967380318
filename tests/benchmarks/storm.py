"""A storm: 50,000 anomalies in a minute over 2,000 workloads, through the correlate chain as they stand in its log.

Guarantee: a run counts only if every anomaly is a member of an open incident at the end, and no figure is above its
limit. Three storms are made, each in a process of its own, and a figure is that of the worst: *web*, everybody is a few
calls from everybody; *islands*, a hundred groups that do not call each other; *unknown*, nobody sends spans. A third of
the anomalies are of log templates whose texts are known, and rows of vitals come as from a score shard.

*Seconds behind* is how long after the end of the minute all is applied by one core that gets each window when it ends;
time is CPU time of the thread. *Memory* is how much the process grows by it, less what is told and read.
``CALMSTREAM_BENCH_SCALE`` makes fewer anomalies.
"""

import gc
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from pipeline.codecs import anomaly_event, edge_event, happening_event, vitals_event
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.incident_state import unpack_open
from pipeline.records import US, Anomaly, Degree, Edge, EdgeKind, Event, Kind, Signal, Unusual
from pipeline.records.message import Headers
from tests.benchmarks.run import Run, RunFailed, scaled

INCIDENTS, BEHIND, MEMORY = FIGURES = ("storm.incidents", "storm.seconds_behind", "storm.memory_mib")
#: No figure may be above.
LIMITS = {INCIDENTS: 20.0, BEHIND: 30.0, MEMORY: 512.0}

_ANOMALIES, _WORKLOADS, _NAMES = 50_000, 2_000, 25
_WINDOW, _WINDOWS = 10, 6
#: Before the storm: when texts were seen first, and how many; rows of vitals of a window.
_BEFORE, _SIGHTS, _ROWS = 7200, 8_000, 200
_BEGIN = 1_700_000_000
_SCOPE, _SOURCE = "production", "signals/0"
_TEMPLATES, _VOCABULARY = 2_000, 600
_PART = 1_000

#: Of a workload some that it calls.
_Graph = Callable[[int, random.Random], list[int]]


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record."""

    offset: int
    value: bytes | None
    headers: Headers
    timestamp: int = 0
    key: bytes | None = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a storm came to; ``lost``: anomalies that are in no incident."""

    incidents: int
    behind: float
    memory_mib: float
    cpu_seconds: float
    transitions: int
    lost: int
    snapshot_seconds: float


def figures(run: Run, wanted: set[str]) -> None:
    if not wanted.intersection(FIGURES):
        return
    anomalies = scaled(_ANOMALIES) // _WINDOWS * _WINDOWS
    outcomes = {name: _apart(name, anomalies) for name in _GRAPHS}
    for name, outcome in outcomes.items():
        run.say(f"storm: {name}: {outcome}")
        if outcome.lost:
            raise RunFailed(f"{outcome.lost} of {anomalies} anomalies of the storm {name!r} are in no incident")
    values: dict[str, Callable[[Outcome], float]] = {
        INCIDENTS: lambda one: one.incidents,
        BEHIND: lambda one: one.behind,
        MEMORY: lambda one: one.memory_mib,
    }
    units = {INCIDENTS: "incidents", BEHIND: "s", MEMORY: "MiB"}
    for figure in (each for each in FIGURES if each in wanted):
        each = {name: values[figure](outcome) for name, outcome in outcomes.items()}
        more = {"cpu_seconds": sum(one.cpu_seconds for one in outcomes.values())} if figure == BEHIND else {}
        run.emit(figure, max(each.values()), units[figure], limit=LIMITS[figure], anomalies=anomalies, **each, **more)
        if max(each.values()) > LIMITS[figure]:
            raise RunFailed(f"{figure} is {max(each.values()):.4g}; at most {LIMITS[figure]:g} is promised")


def _apart(name: str, anomalies: int) -> Outcome:
    """In a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, anomalies, sender))
    process.start()
    sender.close()
    try:
        found: Outcome = receiver.recv()
        return found
    except EOFError:
        raise RunFailed(f"the storm {name!r} ended before it was over; what it says is above") from None
    finally:
        process.join()


def _measure(name: str, anomalies: int, sender: Any) -> None:
    storm(name, 600)  # what is imported and compiled on the way does not count
    sender.send(storm(name, anomalies))


def storm(name: str, anomalies: int) -> Outcome:
    """One storm over the graph of that name, the same each time."""
    chain = CorrelateChain(0, FlowConfig(("bench/0",), 1, 1, window_us=_WINDOW * US, join_us=60 * US))
    log = _Log(name)
    for part in log.before():
        chain.apply(part)
    gc.collect()
    before, free_at, cpu, ids, transitions = _resident(), 0.0, 0.0, set(), 0
    for window in range(_WINDOWS):
        ends, took = (window + 1.0) * _WINDOW, 0.0
        for part in log.window(window, anomalies // _WINDOWS):
            began = time.thread_time()
            told = chain.apply(part).records
            took += time.thread_time() - began
            transitions += sum(record.topic == "incidents" for record in told)
            ids |= {record.key for record in told if record.topic == "incidents"}
        free_at, cpu = max(free_at, ends) + took, cpu + took
    gc.collect()
    grown = (_resident() - before) / 2**20
    began = time.thread_time()
    saved = chain.snapshot(full=True)
    snapshot_seconds = time.thread_time() - began
    members = sum(len(unpack_open(saved.blocks[each]).members) for each in saved.names if each.startswith("incident/"))
    behind = free_at - _WINDOWS * _WINDOW
    return Outcome(len(ids), behind, grown, cpu, transitions, anomalies - members, snapshot_seconds)


class _Log:
    """What stands in the partition, in the order of the storm."""

    def __init__(self, name: str) -> None:
        self._draw = random.Random(name)
        self._graph = _GRAPHS[name]
        self._offsets, self._signals, self._written = count(), count(), 0
        self._texts = [" ".join(self._word() for _ in range(6)) + " <*>" for _ in range(_TEMPLATES)]

    def before(self) -> Iterator[list[Record]]:
        """Calls and texts that are known when it begins."""
        records = []
        for client in range(_WORKLOADS):
            for server in self._graph(client, self._draw):
                since_us = (_BEGIN - _BEFORE) * US
                edge = Edge(_SCOPE, _workload(client), _workload(server), EdgeKind.CALL, since_us, since_us, 1)
                records.append(self._record(edge_event.encode(edge, "spans/0")[1], (edge_event.EDGE,)))
        for number in range(_SIGHTS):
            template, workload = self._draw.randrange(_TEMPLATES), self._draw.randrange(_WORKLOADS)
            records.append(self._record(*happening_event.encode(self._sight(template, workload), "logs/0", number)))
        yield records
        yield [self._until(_BEGIN)]

    def window(self, number: int, anomalies: int) -> Iterator[list[Record]]:
        """All that is written of a window, a part at a time."""
        end = _BEGIN + (number + 1) * _WINDOW
        rows = [
            Unusual(_workload(each), end * US, _WINDOW * US, 50.0, Degree("latency", 9.0, 40.0, 0.8, 0.1))
            for each in sorted(self._draw.sample(range(_WORKLOADS), _ROWS))
        ]
        value, headers = vitals_event.encode(_SCOPE, end * US, rows, _SOURCE, self._next())
        yield [self._record(value, headers)]
        for first in range(0, anomalies, _PART):
            found = [self._anomaly(end) for _ in range(min(_PART, anomalies - first))]
            yield [self._record(*anomaly_event.encode(each, _SOURCE, self._next())) for each in found]
        yield [self._until(end)]

    def _sight(self, template: int, workload: int) -> Event:
        entity = (("calm.scope", _SCOPE), ("calm.workload", _workload(workload)))
        attributes = (("log.template", f"{template:016x}"),)
        at_us = (_BEGIN - _BEFORE) * US
        return Event(f"{template}-{workload}", at_us, "log.template.new", entity, 17, self._texts[template], attributes)

    def _anomaly(self, end: int) -> Anomaly:
        number, workload = next(self._signals), self._draw.randrange(_WORKLOADS)
        surprise = 2 + 20 * self._draw.random()
        name, attributes = f"metric{number % _NAMES}", (("route", "/"),)
        if number % 3 == 0:
            name, attributes = "log.lines", (("log.template", f"{self._draw.randrange(_TEMPLATES):016x}"),)
        signal = Signal(number, name, "ms", Kind.GAUGE, _SCOPE, _workload(workload), f"pod-{number % 3}", attributes)
        at_us, onset_us = end * US, (end - _WINDOW) * US
        return Anomaly(
            id=f"{number:024x}",
            revision=1,
            transition="opened",
            signal=signal,
            step_us=at_us,
            onset_us=onset_us,
            last_seen_us=at_us,
            end_us=None,
            peak_us=at_us,
            value=200.0,
            expected=100.0,
            lower=90.0,
            upper=110.0,
            surprise=surprise,
            windows=1,
            why="higher than usual",
            detector="level/1",
            policy="default@0",
        )

    def _next(self) -> int:
        self._written += 1
        return self._written - 1

    def _until(self, second: int) -> Record:
        return self._record(None, anomaly_event.encode_progress(_SOURCE, self._written, second * US))

    def _record(self, value: bytes | None, headers: Headers) -> Record:
        return Record(next(self._offsets), value, headers)

    def _word(self) -> str:
        number = self._draw.randrange(_VOCABULARY)
        return "word" + "".join("abcdefghij"[number // place % 10] for place in (1, 10, 100))


def _workload(number: int) -> str:
    return f"service:shop/s{number}"


def _resident() -> int:
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _web(client: int, draw: random.Random) -> list[int]:
    return [each for each in draw.sample(range(_WORKLOADS), 3) if each != client]


def _islands(client: int, draw: random.Random) -> list[int]:
    first = client // 20 * 20
    return [each for each in draw.sample(range(first, first + 20), 2) if each != client]


def _unknown(client: int, draw: random.Random) -> list[int]:
    return []


_GRAPHS: dict[str, _Graph] = {"web": _web, "islands": _islands, "unknown": _unknown}
