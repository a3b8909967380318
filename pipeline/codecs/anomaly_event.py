"""Anomalies on ``calm.anomalies``: JSON for everybody, and headers that keep the order between our own stages.

Headers: ``calm_type`` is ``anomaly``, or ``progress`` for a record without a value that only says how far event time
is; ``calm_source`` is the shard that wrote; ``calm_sequence`` counts its anomalies in this partition from 0;
``calm_progress_us`` stands on progress records only.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from pipeline.codecs.signal_block import describe, signal_of
from pipeline.records import NO_TIME, US, Anomaly, Message, iso

_json = msgspec.json.Encoder()


class BadEvent(ValueError):
    """A record on ``calm.anomalies`` that Calmstream did not write."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record: ``anomaly`` is None for progress. It covers the source's sequence ``start`` … ``end``. Its writer
    never says that nothing comes for now: it tells how far event time is."""

    idle: ClassVar[bool] = False

    source: str
    start: int
    end: int
    progress_us: int
    anomaly: Anomaly | None


def body(anomaly: Anomaly) -> dict[str, Any]:
    """The JSON object of an anomaly; see docs/schema/anomaly.json."""
    return {
        "id": anomaly.id,
        "revision": anomaly.revision,
        "transition": anomaly.transition,
        "scope": anomaly.signal.scope,
        "signal": signal_body(anomaly),
        "decided_time": iso(anomaly.step_us),
        "onset_time": iso(anomaly.onset_us),
        "last_seen_time": iso(anomaly.last_seen_us),
        "end_time": None if anomaly.end_us is None else iso(anomaly.end_us),
        "peak_time": iso(anomaly.peak_us),
        "observed": anomaly.value,
        "expected": {"value": anomaly.expected, "lower": anomaly.lower, "upper": anomaly.upper},
        "surprise": anomaly.surprise,
        "threshold": anomaly.threshold,
        "p": 10.0**-anomaly.surprise,
        "score": anomaly.surprise / (1 + anomaly.surprise),
        "unlikely_windows": anomaly.windows,
        "why": anomaly.why,
        "detector": {"version": anomaly.detector},
        "policy": {"version": anomaly.policy},
        "owner": anomaly.owner,
        "owner_budget": anomaly.owner_budget,
        "discovered": anomaly.discovered,
        "false_discovery_rate": anomaly.false_discovery_rate,
        "excess": anomaly.excess,
        "slo": anomaly.slo,
        "silent": anomaly.silent,
        "felt": anomaly.felt,
    }


def signal_body(anomaly: Anomaly) -> dict[str, Any]:
    """The JSON object that names an anomaly's signal."""
    signal = anomaly.signal
    return {
        "id": f"{signal.id:016x}",
        "name": signal.name,
        "unit": signal.unit,
        "kind": signal.kind.value,
        "workload": signal.workload,
        "instance": signal.instance,
        "attributes": dict(signal.attributes),
    }


def encode(anomaly: Anomaly, source: str, sequence: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers of one anomaly."""
    headers = (
        ("content-type", b"application/json"),
        ("calm_type", b"anomaly"),
        ("calm_source", source.encode()),
        ("calm_sequence", str(sequence).encode()),
    )
    return _json.encode(body(anomaly)), headers


def encode_progress(source: str, sequence: int, progress_us: int) -> tuple[tuple[str, bytes], ...]:
    """Headers of a progress record; its value is null. ``sequence`` is the next one to come."""
    return (
        ("calm_type", b"progress"),
        ("calm_source", source.encode()),
        ("calm_sequence", str(sequence).encode()),
        ("calm_progress_us", str(progress_us).encode()),
    )


def decode(message: Message) -> Arrival:
    """Raises BadEvent."""
    try:
        headers = dict(message.headers)
        source, sequence = headers["calm_source"].decode(), int(headers["calm_sequence"])
        if headers["calm_type"] == b"progress":
            return Arrival(source, sequence, sequence, int(headers["calm_progress_us"]), None)
        return Arrival(source, sequence, sequence + 1, NO_TIME, anomaly_of(msgspec.json.decode(message.value or b"")))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise BadEvent(f"not an anomaly event: {error!r}") from error


def anomaly_of(found: dict[str, Any]) -> Anomaly:
    """The inverse of ``body``."""
    signal, expected = found["signal"], found["expected"]
    flat = [part for pair in sorted(signal["attributes"].items()) for part in pair]
    described = (
        int(signal["id"], 16),
        signal["name"],
        signal["unit"],
        signal["kind"],
        found["scope"],
        signal["workload"],
        signal["instance"],
        flat,
    )
    return Anomaly(
        id=found["id"],
        revision=found["revision"],
        transition=found["transition"],
        signal=signal_of(described),
        step_us=_us(found["decided_time"]),
        onset_us=_us(found["onset_time"]),
        last_seen_us=_us(found["last_seen_time"]),
        end_us=None if found["end_time"] is None else _us(found["end_time"]),
        peak_us=_us(found["peak_time"]),
        value=_number(found["observed"]),
        expected=_number(expected["value"]),
        lower=_number(expected["lower"]),
        upper=_number(expected["upper"]),
        surprise=_number(found["surprise"]),
        windows=found["unlikely_windows"],
        why=found["why"],
        detector=found["detector"]["version"],
        policy=found["policy"]["version"],
        owner=found["owner"],
        owner_budget=_or_none(found["owner_budget"]),
        discovered=found["discovered"],
        threshold=_or_none(found.get("threshold")),  # this and the next ones came later
        false_discovery_rate=_or_none(found.get("false_discovery_rate")),
        excess=_or_none(found.get("excess")),
        slo=_or_none(found.get("slo")),
        silent=bool(found.get("silent", False)),
        felt=found.get("felt"),
    )


def pack(anomaly: Anomaly) -> list[Any]:
    """An anomaly as a plain list, as checkpoints keep it of members of incidents, of which nobody asks for the
    threshold and the false-discovery rate any more."""
    a = anomaly
    times = [a.step_us, a.onset_us, a.last_seen_us, a.end_us, a.peak_us]
    numbers = [a.value, a.expected, a.lower, a.upper, a.surprise, a.windows]
    judged = [a.detector, a.policy, a.owner, a.owner_budget, a.discovered]
    weighed = [a.excess, a.slo, a.silent, a.felt]
    return [a.id, a.revision, a.transition, describe(a.signal), *times, *numbers, a.why, *judged, *weighed]


def unpack(parts: list[Any]) -> Anomaly:
    """The inverse of ``pack``, but for what that leaves out."""
    id_, revision, transition, described, *rest, excess, slo, silent, felt = parts
    found = Anomaly(id_, revision, transition, signal_of(described), *rest)
    return replace(found, excess=excess, slo=slo, silent=silent, felt=felt)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _or_none(value: float | None) -> float | None:
    return None if value is None else float(value)


def _us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.replace(microsecond=0).timestamp()) * US + moment.microsecond
