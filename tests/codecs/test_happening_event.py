"""Events and changes in our own log: what is read is what was written."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import anomaly_event, happening_event
from pipeline.codecs.happening_event import Arrival, BadHappening
from pipeline.records import Change, ChangeKind, ChangePhase, Event
from tests.codecs.otlp_sent import Sent, T

TEXT = st.text(max_size=6)
SOME = st.text(min_size=1, max_size=6)
ATTRIBUTES = st.dictionaries(TEXT, TEXT, max_size=3).map(lambda found: tuple(sorted(found.items())))
MOMENTS = st.integers(0, 10**16)
EVENTS = st.builds(Event, SOME, MOMENTS, SOME, ATTRIBUTES, st.integers(0, 24), TEXT, ATTRIBUTES)
CHANGES = st.builds(
    Change,
    id=SOME,
    effective_us=MOMENTS,
    kind=st.sampled_from(get_args(ChangeKind)),
    phase=st.sampled_from(get_args(ChangePhase)),
    entity=ATTRIBUTES,
    source=SOME,
    **{name: TEXT for name in ("version", "before", "title", "url", "author", "chain")},
    attributes=ATTRIBUTES,
)
EVENT = Event("e", T, "x", (("service.name", "cart"),), 13, "text", (("a", "b"),))


def sent(happening: Event | Change, source: str = "events/3", sequence: int = 7) -> Sent:
    value, headers = happening_event.encode(happening, source, sequence)
    return Sent(value, headers=headers)


@given(EVENTS | CHANGES, TEXT, st.integers(0, 2**62))
def test_what_is_written_is_read(happening: Event | Change, source: str, sequence: int) -> None:
    assert happening_event.decode(sent(happening, source, sequence)) == Arrival(
        source, sequence, sequence + 1, happening
    )


def test_headers_say_what_it_is() -> None:
    _, headers = happening_event.encode(EVENT, "events/3", 7)
    assert headers == (
        ("content-type", b"application/json"),
        ("calm_type", b"event"),
        ("calm_source", b"events/3"),
        ("calm_sequence", b"7"),
    )
    change = Change("c", T, "flag", "finished", (), "json", version="on")
    assert dict(happening_event.encode(change, "events/3", 7)[1])["calm_type"] == b"change"


def test_it_is_told_from_the_other_records_of_the_log() -> None:
    assert happening_event.is_happening(happening_event.encode(EVENT, "events/3", 7)[1])
    assert not happening_event.is_happening(anomaly_event.encode_progress("signals/0", 7, T))
    assert not happening_event.is_happening(())


def test_a_flag_without_a_version_gets_none_on_the_way() -> None:
    change = Change(
        "c", T, "flag", "finished", (), "x", attributes=(("feature_flag.key", "k"), ("feature_flag.variant", "v"))
    )
    assert happening_event.decode(sent(change)).happening == change


def test_long_texts_and_many_attributes_that_we_wrote_are_read() -> None:
    many = tuple(sorted((f"a{number}", "x" * 2000) for number in range(100)))
    event = Event("e" * 2000, T, "x", many, text="t" * 16_384, attributes=many)
    assert happening_event.decode(sent(event)).happening == event


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"value": b"{"},
        {"value": b"[]"},
        {"value": b'{"ts": "soon", "type": "x"}'},
        {"value": b'{"ts":' * 100_000},
        {"headers": ()},
        {"headers": (("calm_type", b"anomaly"), ("calm_source", b"a"), ("calm_sequence", b"1"))},
        {"headers": (("calm_type", b"event"), ("calm_source", b"\xff"), ("calm_sequence", b"1"))},
        {"headers": (("calm_type", b"event"), ("calm_source", b"a"), ("calm_sequence", b"x"))},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    value, headers = happening_event.encode(EVENT, "events/3", 7)
    with pytest.raises(BadHappening, match="not an event or change of ours"):
        happening_event.decode(Sent(**({"value": value, "headers": headers} | change)))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
def test_whatever_bytes_are_changed_it_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    value, headers = happening_event.encode(EVENT, "events/3", 7)
    damaged = bytearray(value)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        assert isinstance(happening_event.decode(Sent(bytes(damaged), headers=headers)).happening, Event)
    except BadHappening:
        pass  # the other right answer
