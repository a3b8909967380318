"""What it costs in memory to know a signal: in the catalogue of a score shard, and in an ingest shard that decodes it.

Guarantee: each figure is the growth of the resident memory of a process of its own, which takes in the signals as they
come over the wire (blocks of ``calm.signals``, requests of OTLP) and keeps nothing else. The signals are those of pods:
fifty metrics each with three attributes. *Own attributes*: each signal has one that no other has.
"""

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from pipeline.codecs import signal_block
from pipeline.codecs.otlp_encode import gauge, metrics_request, resource_metrics
from pipeline.codecs.registry import input_codec
from pipeline.codecs.series_table import Limits
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.records import US, Kind, Series, Signal
from pipeline.scoring.catalogue import Catalogue
from pipeline.signals.identity import signal_of
from tests.benchmarks.run import Run, scaled
from tests.benchmarks.signal_blocks import Record

_SCORE, _INGEST = "catalogue.bytes_per_signal", "catalogue.ingest_bytes_per_series"
FIGURES = (_SCORE, _INGEST)

_SIGNALS = 1_000_000
_METRICS, _PODS = 50, 20
_PART = 1000
_AT_US = 1_700_000_000 * US


def figures(run: Run, wanted: set[str]) -> None:
    signals = scaled(_SIGNALS) // _METRICS * _METRICS
    if _SCORE in wanted:
        ours, own, naive = (_bytes(build, signals) for build in (_catalogue, _catalogue_of_own, _naive))
        run.emit(_SCORE, ours, "bytes", {"naive_dictionaries": naive}, own_attributes=own, signals=signals)
    if _INGEST in wanted:
        run.emit(_INGEST, _bytes(_ingest, signals), "bytes", signals=signals)


def _bytes(build: Callable[[int], object], signals: int) -> float:
    """Growth a signal of a process that builds something of so many signals."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(build, signals, sender))
    process.start()
    sender.close()
    try:
        return float(receiver.recv()) / signals
    finally:
        process.join()


def _measure(build: Callable[[int], object], signals: int, sender: Any) -> None:
    build(2 * _PART)  # what is imported and compiled on the way does not count
    gc.collect()
    before = _resident()
    kept = build(signals)
    gc.collect()
    sender.send(_resident() - before)
    del kept


def _resident() -> int:
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _catalogue(signals: int, *, own: bool = False) -> Catalogue:
    catalogue = Catalogue()
    for part in _parts(signals, own=own):
        for signal in signal_block.decode_signals(part):
            catalogue.add(signal)
    catalogue.rows(np.zeros(1, np.uint64))
    return catalogue


def _catalogue_of_own(signals: int) -> Catalogue:
    return _catalogue(signals, own=True)


def _naive(signals: int) -> dict[int, dict[str, Any]]:
    """The first thing that one would write: a dictionary for each signal."""
    names = ("id", "name", "unit", "kind", "scope", "workload", "instance")
    known = {}
    for part in _parts(signals, own=False):
        for *fields, flat in msgspec.msgpack.decode(part):
            known[fields[0]] = {
                **dict(zip(names, fields, strict=True)),
                "attributes": dict(zip(flat[::2], flat[1::2], strict=True)),
            }
    return known


def _parts(signals: int, *, own: bool) -> Iterator[bytes]:
    for first in range(0, signals, _PART):
        yield signal_block.encode_signals([_signal(number, own=own) for number in range(first, first + _PART)])


def _signal(number: int, *, own: bool) -> Signal:
    pod, metric = divmod(number, _METRICS)
    attributes = _resource(pod) | _point(metric) | ({"user.id": f"{number:x}"} if own else {})
    series = Series(_name(metric), "s", Kind.GAUGE, tuple(sorted(attributes.items())))
    return signal_of(series, ("k8s.cluster.name",))


def _ingest(signals: int) -> IngestChain:
    config = FlowConfig(sources=("otlp/0",), signal_partitions=4, anomaly_partitions=1)
    chain = IngestChain("otlp/0", input_codec("otlp_metrics", Limits(max_series=signals + 1)), config)
    for pod in range(signals // _METRICS):
        chain.apply([Record(pod, _request(pod), _AT_US // 1000)])
        if pod % _PODS == 0:
            chain.flush()
    chain.flush()
    return chain


def _request(pod: int) -> bytes:
    metrics = [gauge(_name(metric), [(_AT_US, 1.0, _point(metric))], "s") for metric in range(_METRICS)]
    return metrics_request(resource_metrics(_resource(pod), metrics))


def _name(metric: int) -> str:
    return f"http.server.metric{metric}"


def _point(metric: int) -> dict[str, str]:
    return {
        "http.request.method": ("GET", "POST")[metric % 2],
        "http.response.status_code": str(200 + metric % 5),
        "http.route": f"/route/{metric % 7}",
    }


def _resource(pod: int) -> dict[str, str]:
    service = f"service{pod // _PODS}"
    return {
        "k8s.cluster.name": "c1",
        "k8s.deployment.name": service,
        "k8s.namespace.name": "shop",
        "k8s.pod.name": f"{service}-7d4b9c5f6-{pod:05x}",
        "service.name": service,
    }
