"""What all codecs of log lines have in common, and the table of resources behind them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.registry import LINE_CODECS, LineCodec, line_codec
from pipeline.codecs.resource_table import ResourceTable
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records.signal import Attributes
from tests.codecs.otlp_sent import Sent
from tests.codecs.test_otlp_logs import as_json, flag, kubernetes_event, record, request

Row = tuple[int, Attributes, int, int, str, bytes]


def fluent(**members: Any) -> bytes:
    return json.dumps({"@timestamp": 1_700_000_000, **members}).encode()


MESSAGES: dict[str, list[bytes | None]] = {
    "otlp_logs": [
        request(record("a"), record("b", severity_number=0)),
        as_json(request(record("WARN c"))),
        request(record("d"), resource={"service.name": "other"}),
        request(flag("on", "u"), record("e")),
        kubernetes_event(),
        request(record("f"), resource={"x": "y" * 2000}),
        b"broken",
        None,
    ],
    "fluent_bit": [
        fluent(log="a", kubernetes={"pod_name": "p-0"}),
        fluent(log='{"level":"error","msg":"b"}', host="h"),
        b"[" + fluent(log="c") + b"," + fluent(log="d", hostname="h") + b"]",
        fluent(log="x", **{"@timestamp": "soon"}),
        b"broken",
        None,
    ],
    "plain_text": [b"a\nb\n c", b"2026-01-31T12:00:00Z ERROR d", b"<34>Jan 31 12:00:00 web-1 nginx: e", b"", None],
}


def rows(codec: LineCodec, messages: list[bytes | None], first: int = 0) -> list[Row]:
    columns = codec.decode([Sent(value, timestamp=1_769_860_800_000) for value in messages])
    resources = [codec.resources[number] for number in columns.resource.tolist()]
    numbers = (columns.message + first).tolist()
    return list(
        zip(
            numbers,
            resources,
            columns.time_us.tolist(),
            columns.severity.tolist(),
            columns.body,
            columns.trace_id,
            strict=True,
        )
    )


def test_every_codec_of_lines_is_tested_here() -> None:
    assert MESSAGES.keys() == LINE_CODECS.keys()


@given(st.sampled_from(list(MESSAGES)), st.data())
def test_what_a_message_gives_does_not_depend_on_its_neighbours_or_on_what_came_before(
    name: str, data: st.DataObject
) -> None:
    messages = data.draw(st.lists(st.sampled_from(MESSAGES[name]), max_size=8))
    codec = line_codec(name, Limits(max_series=data.draw(st.integers(1, 4))))
    alone = [row for number, value in enumerate(messages) for row in rows(codec, [value], number)]
    assert rows(line_codec(name, Limits()), messages) == alone
    assert rows(codec, messages) == alone


@pytest.mark.parametrize("name", MESSAGES)
def test_whatever_cannot_be_used_is_named_once_for_each_message_and_reason(name: str) -> None:
    columns = line_codec(name, Limits()).decode([Sent(value) for value in MESSAGES[name] * 2])
    named = [(one.message, one.reason) for one in columns.rejections]
    assert named
    assert len(set(named)) == len(named)
    alive = set(columns.message.tolist()) | {message for message, _, _ in columns.events}
    assert all(one.whole == (one.message not in alive) for one in columns.rejections)


# The table of resources


def table(read: Callable[[str], Attributes], size: int = 1, **limits: int) -> ResourceTable[str]:
    return ResourceTable(Limits(**limits), read, lambda _: size)


def test_a_key_is_read_once() -> None:
    asked = []

    def read(key: str) -> Attributes:
        asked.append(key)
        return (("k", key),)

    found = table(read)
    found.begin_batch()
    assert [found.number(key) for key in "abab"] == [0, 1, 0, 1]
    assert asked == ["a", "b"]
    assert found.resources == [(("k", "a"),), (("k", "b"),)]


def test_what_cannot_be_read_is_read_once_in_a_batch_and_said_each_time() -> None:
    asked = []

    def read(key: str) -> Attributes:
        asked.append(key)
        raise BadPoint("bad_attributes", "no")

    found = table(read)
    for batch in (1, 2):
        found.begin_batch()
        for _ in range(3):
            with pytest.raises(BadPoint, match="no"):
                found.number("a")
        assert len(asked) == batch
    assert found.resources == []


@pytest.mark.parametrize(("size", "most"), [(1, 5), (32 * 2**20, 3)])
def test_it_is_emptied_when_it_holds_too_many_keys_or_bytes(size: int, most: int) -> None:
    found = table(lambda key: (("k", key),), size, max_series=5)
    before = found.resources
    for number in range(most):
        found.begin_batch()
        assert found.number(str(number)) == number
    assert found.generation == 0
    found.begin_batch()
    assert (found.generation, found.resources) == (1, [])
    assert len(before) == most  # what was handed out stays as it was
    assert found.number("new") == 0


def test_a_resource_beyond_the_limits_is_refused() -> None:
    with pytest.raises(BadPoint, match="2 attributes; at most 1 are taken"):
        table(lambda _: (("a", "b"), ("c", "d")), max_attributes=1).number("x")
    with pytest.raises(BadPoint, match="is too long; at most 4 bytes are taken"):
        table(lambda _: (("a", "ééé"),), max_attribute_bytes=4).number("x")
