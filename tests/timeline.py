"""Stages as a timeline: push points at t, want transitions between t1 and t2; nothing sleeps and nothing is sent.

The real chains (ingest → score → correlate) run in memory. Times are seconds of a timeline that begins at ``START``; a
transition counts at the time of the push that let it out. ``play`` fails on a transition that is missing, too early or
too late, and on one that nobody wanted.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from pipeline.codecs import incident_event, policy_event, vitals_event
from pipeline.codecs.registry import input_codec
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.policies import Control, DetectorPolicy
from pipeline.records import US, Output

START = 1_700_000_000
#: So that a timeline says when something comes, however detection is tuned: above 200 is trouble, and nothing else.
USUAL_POLICY: dict[str, Any] = {
    "threshold_surprise": 4.0,
    "hard_upper": 200.0,
    "min_absolute": 1e9,
    "open_windows": 2,
    "of_windows": 3,
}
#: What is trouble is for the detector to find; it ends when the deviation does, not when its evidence has faded.
DETECTED: dict[str, Any] = {"threshold_surprise": 2.5, "hard_upper": None, "min_absolute": 60.0}
TRANSITIONS = ("anomalies", "incidents")


@dataclass(frozen=True)
class Record:
    """What pipeline.records.Message asks for."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Between:
    """From ``first`` to ``last`` second, both included."""

    first: float
    last: float

    def __contains__(self, at: float) -> bool:
        return self.first <= at <= self.last


@dataclass(frozen=True)
class Told:
    """A transition: ``what`` is ``anomaly opened``, ``incident resolved`` …; ``who`` the signal's name or the scope."""

    at: float
    what: str
    who: str
    data: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.at:g}: {self.what} {self.who}"


def every(step: float, first: float, last: float) -> list[float]:
    """Seconds from ``first`` to before ``last``."""
    return [first + i * step for i in range(round((last - first) / step))]


def usual(second: float) -> float:
    """A gauge that goes on around 100."""
    return 99.0 + second % 15 / 7.5


@dataclass(order=True)
class _Push:
    arrives: float
    source: int
    number: int
    value: bytes | None = field(compare=False)  # None: the source says that it is idle
    control: Control | None = field(compare=False, default=None)


class Timeline:
    """Windows of 10 s and lateness of 5 s unless told otherwise; ``policy`` are fields of DetectorPolicy, and what it
    does not say is as in ``USUAL_POLICY``."""

    def __init__(self, sources: int = 1, policy: dict[str, Any] | None = None, **config: Any) -> None:
        self.config = FlowConfig(
            sources=tuple(f"points/{i}" for i in range(sources)),
            **{
                "signal_partitions": 1,
                "anomaly_partitions": 1,
                "policy": DetectorPolicy(**USUAL_POLICY | (policy or {})),
            }
            | config,
        )
        codecs = [input_codec("json_points", self.config.limits) for _ in range(sources)]
        self._chains: dict[tuple[str, int], Chain] = {
            ("points", i): IngestChain(f"points/{i}", codec, self.config) for i, codec in enumerate(codecs)
        }
        self._chains |= {("signals", i): ScoreChain(i, self.config) for i in range(self.config.signal_partitions)}
        self._chains |= {
            ("anomalies", i): CorrelateChain(i, self.config) for i in range(self.config.anomaly_partitions)
        }
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._pushes: list[_Push] = []
        self._wants: list[tuple[Between, str, str]] = []
        self.now = 0.0
        self.told: list[Told] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.dead_letters: list[Record] = []

    # -- what happens --------------------------------------------------------------------------------------------

    def push(
        self,
        times: float | Iterable[float],
        name: str,
        value: float | Callable[[float], float],
        *,
        arrives: float | None = None,
        source: int = 0,
        kind: str = "gauge",
        unit: str = "",
        **attributes: str,
    ) -> None:
        """Points at these times; they arrive at once, or all at ``arrives``. ``env`` is short for the environment."""
        named = {"service.name": "shop"} | {key.replace("__", "."): text for key, text in attributes.items()}
        if "env" in named:
            named["deployment.environment.name"] = named.pop("env")
        for at in [times] if isinstance(times, int | float) else times:
            shown = value(at) if callable(value) else value
            point = {"ts": START + at, "name": name, "value": shown, "unit": unit, "kind": kind, "attributes": named}
            self.send(at if arrives is None else arrives, json.dumps(point).encode(), source=source)

    def send(self, arrives: float, value: bytes, *, source: int = 0) -> None:
        """A message as it is."""
        self._pushes.append(_Push(arrives, source, len(self._pushes), value))

    def idle(self, at: float, source: int) -> None:
        """The source was read to its end and was silent for long enough to say so."""
        self._pushes.append(_Push(at, source, len(self._pushes), None))

    def control(self, at: float, control: Control) -> None:
        """Policies are written into the log of every partition of ``signals``."""
        self._pushes.append(_Push(at, -1, len(self._pushes), None, control))

    # -- what is wanted ------------------------------------------------------------------------------------------

    def want(self, between: Between, what: str, who: str) -> None:
        self._wants.append((between, what, who))

    def play(self) -> None:
        """Let it happen, and compare."""
        for (at, source), pushes in groupby(sorted(self._pushes), key=lambda push: (push.arrives, push.source)):
            self.now, place = at, ("points", source)
            if source < 0:
                for push in pushes:
                    self._tell_policies(push.control)
                continue
            values = [push.value for push in pushes]
            records = [self._record(place, value) for value in values if value is not None]
            if records:
                self._route(self._chains[place].apply(records))
            self._route(self._chains[place].flush(idle=None in values))
        self._compare()

    def one(self, what: str, who: str) -> dict[str, Any]:
        """The data of the only transition of this kind."""
        (found,) = [told.data for told in self.told if (told.what, told.who) == (what, who)]
        return found

    def _tell_policies(self, control: Control | None) -> None:
        assert control is not None
        value, headers = policy_event.encode_control(control)
        for number in range(self.config.signal_partitions):
            record = self._record(("signals", number), value, headers=headers)
            self._route(self._chains["signals", number].apply([record]))

    def _compare(self) -> None:
        left = list(self.told)
        wrong = []
        for between, what, who in self._wants:
            fitting = [told for told in left if (told.what, told.who) == (what, who) and told.at in between]
            if fitting:
                left.remove(fitting[0])
            else:
                wrong.append(f"wanted between {between.first:g} and {between.last:g}: {what} {who}")
        wrong += [f"nobody wanted {told}" for told in left]
        assert not wrong, "\n".join([*wrong, "what happened:", *map(str, self.told)])

    # -- the log in memory ---------------------------------------------------------------------------------------

    def _record(self, place: tuple[str, int], value: bytes | None, **fields: Any) -> Record:
        offset = self._offsets[place]
        self._offsets[place] += 1
        return Record(offset, round((START + self.now) * 1000), **{"key": None, "value": value} | fields)

    def _route(self, output: Output) -> None:
        self.counts.update(output.counts)
        for made in output.records:
            target = (made.topic, made.partition or 0)
            record = self._record(target, made.value, key=made.key, headers=made.headers)
            if made.topic in TRANSITIONS and made.value is not None:
                self._tell(record, made.topic)
            if made.topic == "dead-letter":
                self.dead_letters.append(record)
            if target in self._chains:
                self._route(self._chains[target].apply([record]))
                self._route(self._chains[target].flush())

    def _tell(self, record: Record, topic: str) -> None:
        if vitals_event.is_vitals(record.headers):
            return
        data = incident_event.decode(record)
        noun, who = ("anomaly", data["signal"]["name"]) if topic == "anomalies" else ("incident", data["scope"])
        self.told.append(Told(self.now, f"{noun} {data['transition']}", who, data))


def second(time: str) -> float:
    """Where on the timeline an RFC 3339 time of an event is."""
    return (datetime.fromisoformat(time).timestamp() * US - START * US) / US
