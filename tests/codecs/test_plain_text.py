"""Plain text: lines with and without a time, what belongs together, and who wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.plain_text import PlainText
from pipeline.codecs.series_table import Limits
from pipeline.records import LineColumns
from tests.codecs.otlp_sent import Sent

MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
US = MS * 1000
Headers = tuple[tuple[str, bytes], ...]


def decode(
    text: str | bytes | None, key: bytes | None = None, headers: Headers = ()
) -> tuple[LineColumns, list[dict[str, str]]]:
    """Columns, and the resource of each line."""
    codec = PlainText(Limits())
    value = text.encode() if isinstance(text, str) else text
    columns = codec.decode([Sent(value, key=key, timestamp=MS, headers=headers)])
    return columns, [dict(codec.resources[number]) for number in columns.resource.tolist()]


def test_a_line_without_a_time_has_that_of_its_message() -> None:
    columns, resources = decode("it works\n")
    assert (columns.body, columns.time_us.tolist(), columns.severity.tolist()) == (["it works"], [US], [0])
    assert (columns.trace_id, resources, columns.rejections, columns.dropped) == ([b""], [{}], [], {})


def test_a_time_at_the_beginning_is_the_lines_and_a_level_its_severity() -> None:
    columns, _ = decode("2026-01-31 11:59:58,500 WARN [main] slow")
    assert columns.body == ["WARN [main] slow"]
    assert columns.time_us.tolist() == [US - 1_500_000]
    assert columns.severity.tolist() == [13]


def test_several_lines_in_a_message_are_several() -> None:
    columns, _ = decode("ERROR one\r\nINFO two\n\n\nthree\n")
    assert columns.body == ["ERROR one", "INFO two", "three"]
    assert columns.severity.tolist() == [17, 9, 0]
    assert columns.message.tolist() == [0, 0, 0]


def test_a_line_that_begins_with_white_space_goes_on_with_the_one_above() -> None:
    assert decode("java.lang.X: y\n\tat a.b\n\tat c.d\nnext")[0].body == ["java.lang.X: y\n\tat a.b\n\tat c.d", "next"]


def test_where_the_message_begins_with_a_time_lines_without_one_go_on() -> None:
    text = "2026-01-31T12:00:00Z ERROR x\nTraceback:\n  f()\nKeyError: 1\n2026-01-31T12:00:01Z INFO y"
    columns, _ = decode(text)
    assert columns.body == ["ERROR x\nTraceback:\n  f()\nKeyError: 1", "INFO y"]
    assert columns.time_us.tolist() == [US, US + 1_000_000]


def test_a_json_line_gives_its_message_and_level() -> None:
    columns, _ = decode('{"time":"2026-01-31T11:59:00Z","level":"error","msg":"it broke"}')
    assert (columns.body, columns.severity.tolist()) == (["it broke"], [17])
    assert columns.time_us.tolist() == [US - 60_000_000]


def test_headers_with_resource_attributes_say_who_wrote() -> None:
    headers = (
        ("service.name", b"cart"),
        ("host.name", b"web-1"),
        ("content-type", b"text/plain"),
        ("k8s.pod.name", b""),
    )
    assert decode("x", key=b"other", headers=headers)[1] == [{"service.name": "cart", "host.name": "web-1"}]


def test_a_syslog_line_says_who_wrote() -> None:
    columns, resources = decode("<34>Jan 31 12:00:00 web-1 nginx[17]: down", key=b"other")
    assert resources == [{"host.name": "web-1", "service.name": "nginx"}]
    assert (columns.body, columns.severity.tolist()) == (["down"], [18])


def test_headers_go_before_what_a_syslog_line_says() -> None:
    headers = (("service.name", b"edge"), ("host.name", b"h"))
    resources = decode("<34>Jan 31 12:00:00 web-1 nginx[17]: down", headers=headers)[1]
    assert resources == [{"host.name": "h", "service.name": "edge"}]


@pytest.mark.parametrize("key", [b"cart", b"shop/cart", b"cart-v2.prod", b"web_1"])
def test_a_key_that_reads_like_a_name_is_the_service(key: bytes) -> None:
    assert decode("x", key=key)[1] == [{"service.name": key.decode()}]


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"17",
        b"\xff\x00\x01",
        b"a b",
        b"deadbeefdeadbeefdeadbeef",
        b"0f8fad5b-d9cb-469f-a165-70867728950e",
        b"order-1234567",
        b"x" * 200,
        b'{"a":1}',
    ],
)
def test_any_other_key_says_nothing(key: bytes | None) -> None:
    assert decode("x", key=key)[1] == [{}]


def test_a_traceparent_gives_the_trace() -> None:
    header = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert decode("a\nb", headers=(header,))[0].trace_id == [bytes.fromhex("0af7651916cd43dd8448eb211c80319c")] * 2
    assert decode("a", headers=(("traceparent", b"x"),))[0].trace_id == [b""]


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert decode(b"caf\xe9 open")[0].body == ["caf\ufffd open"]


def test_a_long_line_is_cut_and_counted() -> None:
    columns, _ = decode("x" * 20_000 + "\n" + " y\n" * 20_000)
    assert columns.body == ["x" * 16_384]
    assert columns.dropped == {"cut": 1}


@pytest.mark.parametrize("value", [None, b"", b" \n\t "])
def test_a_message_without_text_is_refused(value: bytes | None) -> None:
    columns, _ = decode(value)
    assert [(one.reason, one.whole) for one in columns.rejections] == [("empty", True)]


def test_a_line_of_only_a_time_is_blank() -> None:
    columns, _ = decode("2026-01-31T12:00:00Z")
    assert (columns.body, columns.dropped, columns.rejections) == ([], {"blank": 1}, [])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.binary(max_size=20))
def test_any_bytes_have_an_answer(value: bytes, key: bytes) -> None:
    columns, resources = decode(value, key)
    assert len(columns.body) == len(resources) == columns.time_us.size
    for body in columns.body:
        body.encode()
    assert columns.body or columns.rejections or columns.dropped
