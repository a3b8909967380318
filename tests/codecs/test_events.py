"""Anomaly and incident events: what goes out comes in again, and repeats are equal byte for byte."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import anomaly_event, incident_event
from pipeline.codecs.anomaly_event import BadEvent
from pipeline.records import NO_TIME, Anomaly, Incident, Kind, Member, Signal
from tests.codecs.otlp_sent import Sent

T = 1_700_000_000_123_456
SIGNAL = Signal(2**64 - 1, "latency", "ms", Kind.GAUGE, "prod/eu", "service:pay", "pod-1", (("a", "é"), ("b", "")))
OPENED = Anomaly(
    id="a1",
    revision=1,
    transition="opened",
    signal=SIGNAL,
    step_us=T + 30,
    onset_us=T,
    last_seen_us=T + 20,
    end_us=None,
    peak_us=T + 10,
    value=200.5,
    expected=0.1 + 0.2,
    lower=-1e-300,
    upper=1e300,
    surprise=5.25,
    windows=2,
    why="higher than usual",
    detector="level/1",
    policy="checkout@1a2b3c4d+default@d37bfb52",
    owner="payments",
    owner_budget=2.5,
    excess=-12.5,
    slo=99.5,
    silent=True,
)

TIMES = st.integers(0, 4_000_000_000_000_000)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)
ATTRIBUTES = st.dictionaries(TEXT, TEXT, max_size=3).map(lambda found: tuple(sorted(found.items())))
ANOMALIES = st.builds(
    Anomaly,
    id=TEXT,
    revision=st.integers(1, 2**31),
    transition=st.sampled_from(["opened", "updated", "ended", "withdrawn"]),
    signal=st.builds(
        Signal, st.integers(0, 2**64 - 1), TEXT, TEXT, st.sampled_from(Kind), TEXT, TEXT, TEXT, ATTRIBUTES
    ),
    step_us=TIMES,
    onset_us=TIMES,
    last_seen_us=TIMES,
    end_us=TIMES | st.none(),
    peak_us=TIMES,
    value=FLOATS,
    expected=FLOATS,
    lower=FLOATS,
    upper=FLOATS,
    surprise=st.floats(0, 300),
    windows=st.integers(1, 2**31),
    why=TEXT,
    detector=TEXT,
    policy=TEXT,
    owner=TEXT | st.none(),
    owner_budget=st.floats(1e-3, 1e6) | st.none(),
    discovered=st.booleans(),
    threshold=st.floats(0, 300) | st.none(),
    false_discovery_rate=st.floats(1e-3, 0.999) | st.none(),
)


@given(ANOMALIES, st.integers(0, 2**40))
def test_an_anomaly_comes_back_as_it_was(anomaly: Anomaly, sequence: int) -> None:
    value, headers = anomaly_event.encode(anomaly, "signals/3", sequence)
    arrival = anomaly_event.decode(Sent(value, headers=headers))
    assert arrival.anomaly == anomaly
    assert (arrival.source, arrival.start, arrival.end) == ("signals/3", sequence, sequence + 1)
    assert arrival.progress_us == NO_TIME


@given(ANOMALIES)
def test_an_anomaly_in_a_checkpoint_comes_back_without_what_only_its_event_tells(anomaly: Anomaly) -> None:
    kept = replace(anomaly, threshold=None, false_discovery_rate=None)
    assert anomaly_event.unpack(anomaly_event.pack(anomaly)) == kept


def test_an_anomaly_from_before_thresholds_were_told_is_read() -> None:
    body = anomaly_event.body(OPENED)
    del body["threshold"], body["false_discovery_rate"]
    assert anomaly_event.anomaly_of(body) == OPENED


def test_progress_says_how_far_its_source_is_and_brings_no_anomaly() -> None:
    arrival = anomaly_event.decode(Sent(None, headers=anomaly_event.encode_progress("signals/3", 17, T)))
    assert (arrival.source, arrival.start, arrival.end) == ("signals/3", 17, 17)
    assert (arrival.progress_us, arrival.anomaly) == (T, None)


def test_the_body_of_an_anomaly_is_readable_by_itself() -> None:
    body = json.loads(anomaly_event.encode(OPENED, "signals/0", 0)[0])
    assert body["onset_time"] == "2023-11-14T22:13:20.123456Z"
    assert body["signal"]["id"] == "ffffffffffffffff"
    assert body["signal"]["attributes"] == {"a": "é", "b": ""}
    assert body["p"] == pytest.approx(10**-5.25)
    assert body["score"] == pytest.approx(5.25 / 6.25)
    assert body["end_time"] is None
    assert body["policy"] == {"version": "checkout@1a2b3c4d+default@d37bfb52"}
    assert (body["owner"], body["owner_budget"], body["discovered"]) == ("payments", 2.5, True)


GOOD_VALUE, GOOD_HEADERS = anomaly_event.encode(OPENED, "signals/0", 0)


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(header for header in GOOD_HEADERS if header[0] != name)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(GOOD_VALUE) | fields).encode()


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (GOOD_VALUE, ()),
        (GOOD_VALUE, without("calm_type")),
        (GOOD_VALUE, without("calm_source")),
        (GOOD_VALUE, (*without("calm_sequence"), ("calm_sequence", b"x"))),
        (GOOD_VALUE, (*without("calm_source"), ("calm_source", b"\xff"))),
        (GOOD_VALUE, (*without("calm_source"), ("calm_source", None))),
        (None, GOOD_HEADERS),
        (None, anomaly_event.encode_progress("s", 1, 2)[:3]),
        (b"{}", GOOD_HEADERS),
        (b"[]", GOOD_HEADERS),
        (b"[" * 100_000, GOOD_HEADERS),
        (b"\xff", GOOD_HEADERS),
        (changed(signal=None), GOOD_HEADERS),
        (changed(signal={"id": "zz"}), GOOD_HEADERS),
        (changed(onset_time="now"), GOOD_HEADERS),
        (changed(onset_time=7), GOOD_HEADERS),
        (changed(expected=3), GOOD_HEADERS),
        (changed(policy="x"), GOOD_HEADERS),
        (changed(owner_budget="x"), GOOD_HEADERS),
    ],
)
def test_a_record_that_is_no_anomaly_event_is_refused(value: bytes | None, headers: Any) -> None:
    with pytest.raises(BadEvent, match="not an anomaly event"):
        anomaly_event.decode(Sent(value, headers=headers))


# Incidents

INCIDENT = Incident(
    id="inc-a1",
    revision=3,
    transition="resolved",
    scope="prod",
    severity="error",
    title="latency was 200 ms",
    step_us=T + 60,
    onset_us=T,
    detected_us=T + 30,
    resolved_us=T + 50,
    surprise=9.0,
    members=(Member(replace(OPENED, end_us=T + 50), "first member"),),
    member_count=1,
    ended_count=1,
    affected=("service:pay pod-1",),
    detector="level/1",
    close_reason="all members ended",
    state="resolved",
)


def test_an_incident_is_a_cloud_event_in_binary_mode() -> None:
    _, headers = incident_event.encode(INCIDENT)
    assert dict(headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"inc-a1/3",
        "ce_source": b"/calmstream",
        "ce_type": b"dev.calmstream.incident.resolved",
        "ce_time": b"2023-11-14T22:13:20.123516Z",
        "ce_subject": b"inc-a1",
        "calm_decided_us": str(T + 60).encode(),
    }


def test_the_data_of_an_incident_says_what_since_when_and_why() -> None:
    value, headers = incident_event.encode(INCIDENT)
    data = incident_event.decode(Sent(value, headers=headers))
    assert (data["state"], data["revision"], data["dedup_key"]) == ("resolved", 3, "inc-a1")
    assert (data["onset_time"], data["resolved_time"]) == ("2023-11-14T22:13:20.123456Z", "2023-11-14T22:13:20.123506Z")
    (member,) = data["members"]
    assert (member["anomaly_id"], member["joined_by"], member["observed"]) == ("a1", "first member", 200.5)
    assert member["signal"]["workload"] == "service:pay"


@given(ANOMALIES, st.integers(1, 100))
def test_two_encodings_of_a_transition_are_equal_byte_for_byte(anomaly: Anomaly, revision: int) -> None:
    first = replace(INCIDENT, revision=revision, members=(Member(anomaly, "x"),))
    again = replace(first, members=(Member(anomaly_event.unpack(anomaly_event.pack(anomaly)), "x"),))
    assert incident_event.encode(first) == incident_event.encode(again)


def test_an_event_in_structured_mode_is_read_too() -> None:
    value, _ = incident_event.encode(INCIDENT)
    envelope = json.dumps({"specversion": "1.0", "data": json.loads(value)}).encode()
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    assert incident_event.decode(Sent(envelope, headers=headers))["id"] == "inc-a1"


STRUCTURED = (("content-type", b"application/cloudevents+json"),)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, ()),
        (b"nonsense", ()),
        (b"[" * 100_000, ()),
        (b"[]", ()),
        (b"[]", STRUCTURED),
        (b"{}", STRUCTURED),
        (b'{"data": 3}', STRUCTURED),
        (b'{"id": "x"}', (("content-type", None),)),
    ],
)
def test_a_record_that_is_no_incident_event_is_refused(value: bytes | None, headers: Any) -> None:
    with pytest.raises(ValueError, match=r"not a JSON event|not an incident event"):
        incident_event.decode(Sent(value, headers=headers))
