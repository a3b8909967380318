"""Workloads of which something is unusual, in our own log: what is read is what was written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import anomaly_event, vitals_event
from pipeline.codecs.vitals_event import Arrival, BadVitals
from pipeline.records import Called, Degree, Lines, Outlier, Pace, Unusual
from tests.codecs.otlp_sent import Sent, T

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**31)
DEGREES = st.builds(Degree, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
MAYBE = st.none() | DEGREES
ROWS = st.builds(
    Unusual,
    TEXT,
    st.just(T),
    st.integers(1, 10**12),
    st.none() | NUMBERS,
    MAYBE,
    MAYBE,
    MAYBE,
    st.none() | st.builds(Outlier, TEXT, TEXT, TEXT, NUMBERS, NUMBERS, COUNTS, COUNTS),
    st.none() | st.builds(Lines, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, COUNTS),
    st.none() | st.builds(Pace, TEXT, st.booleans(), NUMBERS, COUNTS, NUMBERS, NUMBERS),
    st.lists(st.builds(Called, TEXT, NUMBERS, MAYBE, MAYBE), max_size=2).map(tuple),
    st.none() | NUMBERS,
)
ROW = Unusual("service:cart", T, 10_000_000, 41.0, Degree("latency", 4.5, 12.0, 4.2, 0.3))


def sent(rows: list[Unusual], source: str = "signals/3", sequence: int = 7) -> Sent:
    value, headers = vitals_event.encode("prod", T, rows, source, sequence)
    return Sent(value, headers=headers)


@given(st.lists(ROWS, max_size=3), TEXT, st.integers(0, 2**62))
def test_what_is_written_is_read(rows: list[Unusual], source: str, sequence: int) -> None:
    found = vitals_event.decode(sent(rows, source, sequence))
    assert found == Arrival(source, sequence, sequence + 1, "prod", T, tuple(rows))
    assert [vitals_event.unpack(vitals_event.pack(row)) for row in rows] == rows


def test_headers_say_what_it_is() -> None:
    _, headers = vitals_event.encode("prod", T, [ROW], "signals/3", 7)
    assert headers == (
        ("content-type", b"application/json"),
        ("calm_type", b"vitals"),
        ("calm_source", b"signals/3"),
        ("calm_sequence", b"7"),
    )
    assert vitals_event.is_vitals(headers)
    assert not vitals_event.is_vitals(anomaly_event.encode_progress("signals/0", 7, T))
    assert not vitals_event.is_vitals(())


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"value": b"{"},
        {"value": b"[]"},
        {"value": b'{"scope": "prod", "end_us": 5, "workloads": [{"workload": "a", "end_us": 6, "window_us": 1}]}'},
        {"value": b'{"scope": "prod", "end_us": 6, "workloads": [{"workload": "a", "end_us": 6, "window_us": 0}]}'},
        {"value": b'{"scope": "prod", "end_us": 6, "workloads": [{"workload": 1, "end_us": 6, "window_us": 1}]}'},
        {"value": b'{"workloads":' * 100_000},
        {"headers": ()},
        {"headers": (("calm_type", b"anomaly"), ("calm_source", b"a"), ("calm_sequence", b"1"))},
        {"headers": (("calm_type", b"vitals"), ("calm_source", b"\xff"), ("calm_sequence", b"1"))},
        {"headers": (("calm_type", b"vitals"), ("calm_source", b"a"), ("calm_sequence", b"x"))},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    value, headers = vitals_event.encode("prod", T, [ROW], "signals/3", 7)
    with pytest.raises(BadVitals, match="not vitals of ours"):
        vitals_event.decode(Sent(**({"value": value, "headers": headers} | change)))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 2000))
def test_whatever_bytes_are_changed_it_is_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    value, headers = vitals_event.encode("prod", T, [ROW, ROW], "signals/3", 7)
    damaged = bytearray(value)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        assert isinstance(vitals_event.decode(Sent(bytes(damaged[:length]), headers=headers)), Arrival)
    except BadVitals:
        pass  # the other right answer
