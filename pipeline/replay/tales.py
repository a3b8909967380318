"""What becomes of each incident and of each anomaly that is held back, gathered while they are told.

Guarantee: depends on the events alone, in whatever order those of different incidents come.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pipeline.codecs import incident_event
from pipeline.records import Produced, ScoreBlock, Signal, to_us
from pipeline.replay.message import handed_over

_SEVERITIES = ("info", "warning", "error", "critical")


@dataclass(slots=True)
class Tale:
    """An incident from its opening to what was said of it last. Times are event times in microseconds; ``ended_us`` is
    None while it goes on; ``severity`` is the worst that it had; ``cause`` is empty where none was named."""

    id: str
    scope: str
    onset_us: int
    told_us: int
    ended_us: int | None = None
    state: str = ""
    severity: str = ""
    title: str = ""
    cause: str = ""
    transitions: int = 0
    members: int = 0
    signals: dict[str, str] = field(default_factory=dict)  # id → "name of workload (instance)"

    def take(self, body: dict[str, Any]) -> None:
        """Its next transition."""
        self.onset_us = time_us(body["onset_time"])
        self.state, self.title = body["state"], body["title"]
        self.severity = max(self.severity, body["severity"], key=_rank)
        self.members = max(self.members, body["member_count"])
        ended = body["resolved_time"] or (body["updated_time"] if is_over(self.state) else None)
        self.ended_us = None if ended is None else time_us(ended)
        causes = body["root_cause_candidates"]
        self.cause = causes[0]["entity"] if causes else ""
        self.signals |= {member["signal"]["id"]: _words(member["signal"]) for member in body["members"]}
        self.transitions += 1

    @property
    def delay_us(self) -> int:
        """From the onset to when it was told."""
        return self.told_us - self.onset_us


class _Kept:
    """Keeps what it makes of each record, so that nothing waits."""

    def release(self, complete_us: int) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class Tales(_Kept):
    """Takes the transitions of incidents; ``found`` has a tale of each, by its id."""

    topic: ClassVar[str] = "incidents"

    def __init__(self) -> None:
        self.found: dict[str, Tale] = {}

    def take(self, record: Produced) -> None:
        """The next transition of an incident."""
        body = incident_event.decode(handed_over(record, 0))
        tale = self.found.get(body["id"])
        if tale is None:
            onset_us, told_us = time_us(body["onset_time"]), time_us(body["updated_time"])
            tale = self.found[body["id"]] = Tale(body["id"], body["scope"], onset_us, told_us)
        tale.take(body)


class Withheld(_Kept):
    """Takes suppressions; ``at_us`` has when each anomaly was held back first, by (reason, anomaly id)."""

    topic: ClassVar[str] = "suppressions"

    def __init__(self) -> None:
        self.at_us: dict[tuple[str, str], int] = {}

    def take(self, record: Produced) -> None:
        """One suppression."""
        body = json.loads(record.value or b"{}")
        self.at_us.setdefault((body["reason"], body["id"]), time_us(body["decided_time"]))

    def since(self, from_us: int) -> Counter[str]:
        """Reason → anomalies that were held back for it from then on."""
        return Counter(reason for (reason, _), at_us in self.at_us.items() if at_us >= from_us)


class Unusual(_Kept):
    """Takes anomalies; ``opened_us`` has when each was told first, by its id."""

    topic: ClassVar[str] = "anomalies"

    def __init__(self) -> None:
        self.opened_us: dict[str, int] = {}

    def take(self, record: Produced) -> None:
        """One transition of an anomaly; what is none is passed over."""
        if dict(record.headers).get("calm_type") == b"anomaly":
            body = json.loads(record.value or b"{}")
            self.opened_us.setdefault(body["id"], time_us(body["decided_time"]))

    def since(self, from_us: int) -> int:
        """How many were told from then on."""
        return sum(at_us >= from_us for at_us in self.opened_us.values())


class Extent(_Kept):
    """Takes scores; from the first window that was scored to the last one, by their ends, in microseconds."""

    def __init__(self) -> None:
        self.first_us: int | None = None
        self.last_us: int | None = None

    def take(self, block: ScoreBlock, signals: Mapping[int, Signal]) -> None:
        """Windows that end together."""
        self.first_us = block.end_us if self.first_us is None else min(self.first_us, block.end_us)
        self.last_us = block.end_us if self.last_us is None else max(self.last_us, block.end_us)


def is_over(state: str) -> bool:
    """Does an incident in this state go on no more?"""
    return state in ("resolved", "merged", "withdrawn")


def time_us(rfc3339: str) -> int:
    """An RFC 3339 time of ours in microseconds."""
    return to_us(datetime.fromisoformat(rfc3339).timestamp())


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else -1


def _words(signal: dict[str, Any]) -> str:
    where = f" ({signal['instance']})" if signal["instance"] else ""
    return f"{signal['name']} of {signal['workload']}{where}"
