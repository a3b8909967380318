"""Anomalies and incidents as JSON lines: each transition as its event's body has it on Kafka.

Guarantee: lines in the order of the time at which they were decided, then of their ids and revisions; byte for byte
the same for the same input.
"""

from typing import ClassVar, TextIO

from pipeline.codecs import anomaly_event
from pipeline.records import Produced
from pipeline.replay.message import handed_over
from pipeline.replay.ordering import OrderedLines


class IncidentsFile:
    """Every transition of every incident: opened, updated, resolved."""

    topic: ClassVar[str] = "incidents"

    def __init__(self, out: TextIO) -> None:
        self._lines = OrderedLines(out)

    def take(self, record: Produced) -> None:
        """Hold one transition."""
        headers = dict(record.headers)
        key, _, revision = headers["ce_id"].decode().rpartition("/")
        line = (record.value or b"").decode() + "\n"
        self._lines.add((int(headers["calm_decided_us"]), key, int(revision)), line)

    def release(self, complete_us: int) -> None:
        """What was decided at or before this time has all come."""
        self._lines.release(complete_us)

    def close(self) -> None:
        """Nothing comes any more."""
        self._lines.release(2**62)


class AnomaliesFile:
    """Every transition of every anomaly: opened, updated, ended."""

    topic: ClassVar[str] = "anomalies"

    def __init__(self, out: TextIO) -> None:
        self._lines = OrderedLines(out)

    def take(self, record: Produced) -> None:
        """Hold one transition; what is none is passed over."""
        if dict(record.headers).get("calm_type") != b"anomaly":
            return
        anomaly = anomaly_event.decode(handed_over(record, 0)).anomaly
        if anomaly is not None:
            line = (record.value or b"").decode() + "\n"
            self._lines.add((anomaly.step_us, anomaly.id, anomaly.revision), line)

    def release(self, complete_us: int) -> None:
        """What was decided at or before this time has all come."""
        self._lines.release(complete_us)

    def close(self) -> None:
        """Nothing comes any more."""
        self._lines.release(2**62)
