"""Suppressions on ``calm.suppressions``: what is written is told by itself, and the same each time."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import suppression_event
from pipeline.records import Suppression, iso
from tests.codecs.otlp_sent import Sent
from tests.codecs.test_events import ANOMALIES, OPENED

HELD = Suppression(replace(OPENED, false_discovery_rate=0.1), "owner_budget", OPENED.step_us, 2.25)
SUPPRESSIONS = st.builds(
    Suppression,
    ANOMALIES,
    st.sampled_from(["owner_budget", "false_discovery"]),
    st.integers(0, 4_000_000_000_000_000),
    st.floats(0, 1e6) | st.none(),
)


def test_it_says_which_anomaly_why_and_the_numbers() -> None:
    value, headers = suppression_event.encode(HELD)
    body = json.loads(value)
    assert (body["id"], body["revision"], body["reason"]) == (OPENED.id, 1, "owner_budget")
    assert (body["owner"], body["owner_budget"], body["owner_budget_used"]) == ("payments", 2.5, 2.25)
    assert (body["false_discovery_rate"], body["surprise"]) == (0.1, 5.25)
    assert (body["scope"], body["signal"]["id"]) == (OPENED.signal.scope, "ffffffffffffffff")
    assert (body["decided_time"], body["policy"]["version"]) == (iso(OPENED.step_us), OPENED.policy)
    found = {name: text.decode() for name, text in headers}
    assert (found["ce_id"], found["ce_subject"]) == (f"{OPENED.id}/1", OPENED.id)
    assert (found["ce_type"], found["ce_time"]) == ("dev.calmstream.suppression", iso(OPENED.step_us))


@given(SUPPRESSIONS)
def test_it_is_read_as_it_was_written_and_written_the_same_each_time(suppression: Suppression) -> None:
    value, headers = suppression_event.encode(suppression)
    assert suppression_event.encode(suppression) == (value, headers)
    assert suppression_event.decode(Sent(value, headers=headers)) == suppression_event.body(suppression)


@given(st.binary() | st.none())
def test_other_bytes_are_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="not a"):
        suppression_event.decode(Sent(value))


@pytest.mark.parametrize("value", [b"[]", b'{"id": 1, "revision": 1, "reason": "x"}', b'{"id": "a"}', b"[" * 100_000])
def test_other_json_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        suppression_event.decode(Sent(value))
