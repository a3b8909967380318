"""JSON points: every form is read, and every kind of bad input has its fate."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.json_points import JsonPoints
from pipeline.codecs.series_table import Limits
from pipeline.records import Kind, PointColumns, Rejection, Series
from tests.codecs.otlp_sent import Sent

LIMITS = Limits(max_attributes=4, max_attribute_bytes=32, max_series=1000)
T = 1_700_000_000


def decode(*values: bytes | str | None, codec: JsonPoints | None = None) -> tuple[PointColumns, list[Series]]:
    """Columns, and the series of each row."""
    codec = codec or JsonPoints(LIMITS)
    sent = [Sent(value.encode() if isinstance(value, str) else value) for value in values]
    columns = codec.decode(sent)
    return columns, [codec.table.series[number] for number in columns.series.tolist()]


def point(**fields: Any) -> str:
    """A good point with some fields replaced; ``...`` leaves one out."""
    whole = {"ts": T, "name": "m", "value": 1.5, **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not ...})


def refused(value: bytes | str | None) -> Rejection:
    """The one rejection of a message of which nothing was used."""
    columns, _ = decode(value)
    assert columns.series.size == 0
    (rejection,) = columns.rejections
    assert rejection.whole
    assert rejection.message == 0
    return rejection


# What is read


def test_a_point_becomes_a_row() -> None:
    columns, (series,) = decode(point(unit="ms", kind="counter", attributes={"service.name": "pay", "code": 200}))
    assert columns.time_us.tolist() == [T * 1_000_000]
    assert columns.value.tolist() == [1.5]
    assert columns.message.tolist() == [0]
    assert columns.start_us is None
    assert series == Series("m", "ms", Kind.COUNTER, (("code", "200"), ("service.name", "pay")))
    assert (columns.rejections, columns.dropped) == ([], {})


def test_what_is_left_out_is_a_gauge_without_unit_and_attributes() -> None:
    for text in (point(), point(unit=None, kind=None, attributes=None), point(attributes={})):
        assert decode(text)[1] == [Series("m", "", Kind.GAUGE, ())]


@pytest.mark.parametrize(
    ("kind", "expected"), [("gauge", Kind.GAUGE), ("counter", Kind.COUNTER), ("delta", Kind.DELTA)]
)
def test_a_kind_is_read_by_its_name(kind: str, expected: Kind) -> None:
    assert decode(point(kind=kind))[1][0].kind == expected


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n  \n", "\n\t"])
def test_an_array_and_ndjson_hold_many_points(between: str) -> None:
    points = [point(name=f"m{i}", value=i) for i in range(3)]
    for text in (f"[{','.join(points)}]", between.join(points), between.join(points) + "\n", f"\n {points[0]} \n"):
        columns, series = decode(text)
        assert [one.name for one in series] == [f"m{i}" for i in range(len(series))]
        assert columns.message.tolist() == [0] * len(series)
        assert not columns.rejections


def test_messages_are_not_joined_with_their_neighbours() -> None:
    half = point()[:20]
    columns, _ = decode(half, point()[20:], point())
    assert columns.message.tolist() == [2]
    assert [(one.message, one.reason) for one in columns.rejections] == [(0, "undecodable"), (1, "undecodable")]


def test_an_empty_array_is_no_point_and_no_fault() -> None:
    columns, _ = decode("[]", point())
    assert columns.message.tolist() == [1]
    assert columns.rejections == []


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        (T, T * 1_000_000),
        (T + 0.25, T * 1_000_000 + 250_000),
        (T + 0.000001, T * 1_000_000 + 1),
        (0, 0),
        (-1.5, -1_500_000),
        ("2023-11-14T22:13:20Z", T * 1_000_000),
        ("2023-11-14t22:13:20z", T * 1_000_000),
        ("2023-11-14 23:13:20.000001+01:00", T * 1_000_000 + 1),
        ("2023-11-14T22:13:20", T * 1_000_000),
        ("2023-11-14T22:13:20.123456789Z", T * 1_000_000 + 123_456),
    ],
)
def test_times_are_seconds_or_rfc_3339_with_utc_as_default(ts: float | str, expected: int) -> None:
    assert decode(point(ts=ts))[0].time_us.tolist() == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3.0), (-0.5, -0.5), (1e300, 1e300), (2**63, 2.0**63), (10**30, 1e30), (-(2**64), -(2.0**64))],
)
def test_integers_beyond_64_bits_are_values_like_others(value: float, expected: float) -> None:
    assert decode(point(value=value))[0].value.tolist() == [expected]


def test_attributes_are_texts_and_null_ones_are_left_out() -> None:
    found = decode(point(attributes={"a": True, "b": 1, "c": 1.0, "d": None}))[1][0].attributes
    assert found == (("a", "true"), ("b", "1"), ("c", "1.0"))


def test_of_duplicate_keys_the_last_counts() -> None:
    text = f'{{"ts": {T}, "name": "a", "name": "b", "value": 1, "value": 2, "attributes": {{"x": 1, "x": 2}}}}'
    columns, (series,) = decode(text)
    assert (series.name, series.attributes, columns.value.tolist()) == ("b", (("x", "2"),), [2.0])


def test_fields_that_nobody_knows_are_passed_over() -> None:
    assert decode(point(host="h", tags=[1, {"a": 2}]))[1] == [Series("m", "", Kind.GAUGE, ())]


def test_a_series_is_numbered_once_as_long_as_it_is_spelled_the_same() -> None:
    codec = JsonPoints(LIMITS)
    first, _ = decode(point(attributes={"a": "x"}), point(attributes={"b": "x"}), codec=codec)
    again, _ = decode(point(attributes={"b": "x"}), point(attributes={"a": "x"}), codec=codec)
    assert (first.series.tolist(), again.series.tolist()) == ([0, 1], [1, 0])


# What is refused, and as what

DEEP = "[" * 100_000
DEEP_POINT = f'{{"ts": {T}, "name": "m", "value": 1, "more": {DEEP}{DEEP.replace("[", "]")}}}'


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b" \n ", "empty", "no value"),
        (b"hello", "undecodable", "malformed"),
        (b"null", "undecodable", "object"),
        (b"17", "undecodable", "object"),
        (b"{}", "undecodable", "ts"),
        (point()[:-3], "undecodable", "truncated"),
        (point() + point(), "undecodable", "trailing"),
        (point(ts=...), "undecodable", "missing required field `ts`"),
        (point(name=...), "undecodable", "missing required field `name`"),
        (point(value=...), "undecodable", "missing required field `value`"),
        (point(value="1.5"), "undecodable", "$.value"),
        (point(value=True), "undecodable", "$.value"),
        (point(value=None), "undecodable", "$.value"),
        (point(value=[1]), "undecodable", "$.value"),
        (point(value=float("nan")), "undecodable", "malformed"),
        (point(value=float("inf")), "undecodable", "malformed"),
        (f'{{"ts": {T}, "name": "m", "value": 1e999}}', "undecodable", "out of range"),
        (point(ts=True), "undecodable", "$.ts"),
        (point(ts=None), "undecodable", "$.ts"),
        (point(name=7), "undecodable", "$.name"),
        (point(unit=7), "undecodable", "$.unit"),
        (b'{"ts": 1, "name": "\xff", "value": 1}', "undecodable", "utf-8"),
        (b'{"ts": 1, "name": "\\ud800", "value": 1}', "undecodable", "surrogate"),
        (b'\xef\xbb\xbf{"ts": 1, "name": "m", "value": 1}', "undecodable", "malformed"),
        (f'{{"ts": 1, "name": "m", "value": 1, "attributes": {DEEP}', "undecodable", "recursion"),
        (f'{{"ts": 1, "name": "m", "value": 1, "more": {DEEP}', "undecodable", "recursion"),
        (DEEP_POINT, "undecodable", "recursion"),
        (DEEP_POINT.replace("more", "attributes"), "undecodable", "recursion"),
        (DEEP, "undecodable", ""),
        (point(ts=T * 1000), "bad_time", "not milliseconds"),
        (point(ts=T * 10**9), "bad_time", "not milliseconds"),
        (point(ts=str(T)), "bad_time", f"ts is '{T}'"),
        (point(ts="nan"), "bad_time", "RFC 3339"),
        (point(ts="yesterday"), "bad_time", "RFC 3339"),
        (point(ts="2023-02-30T00:00:00Z"), "bad_time", "RFC 3339"),
        (point(ts=""), "bad_time", "RFC 3339"),
        (point(ts="x" * 10_000), "bad_time", "RFC 3339"),
        (point(name=""), "bad_name", "empty"),
        (point(kind="rate"), "bad_kind", "use gauge, counter or delta"),
        (point(attributes=[]), "bad_attributes", "strings, numbers or booleans"),
        (point(attributes="a=b"), "bad_attributes", "strings, numbers or booleans"),
        (point(attributes={"a": {"b": 1}}), "bad_attributes", "strings, numbers or booleans"),
        (point(attributes={"a": ["b"]}), "bad_attributes", "strings, numbers or booleans"),
        (b'{"ts": 1, "name": "m", "value": 1, "attributes": {"a": "\xff"}}', "bad_attributes", "utf-8"),
        (point(attributes={str(i): i for i in range(5)}), "too_many_attributes", "5 attributes; at most 4"),
        (point(attributes={"a": "x" * 33}), "huge_attribute", "has 33 bytes; at most 32"),
        (point(attributes={"é" * 17: "x"}), "huge_attribute", "has 34 bytes; at most 32"),
        (point(name="x" * 33), "huge_attribute", "has 33 bytes; at most 32"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(value: bytes | str | None, reason: str, detail: str) -> None:
    rejection = refused(value)
    assert rejection.reason == reason
    assert detail in rejection.detail
    assert len(rejection.detail) < 500


def test_what_is_just_inside_the_limits_is_read() -> None:
    columns, _ = decode(point(name="x" * 32, attributes={"é" * 16: "x" * 32, "a": 1, "b": 2, "c": 3}))
    assert columns.series.size == 1


def test_an_object_over_several_lines_is_refused_for_its_own_fault() -> None:
    assert "missing required field `value`" in refused(f'{{"ts": {T},\n "name": "m"}}').detail


def test_one_wrong_type_in_an_array_or_ndjson_refuses_the_whole_message() -> None:
    wrong = point(value="1")
    assert refused(f"[{point()},{wrong}]").reason == "undecodable"
    assert refused(f"{point()}\n{wrong}").reason == "undecodable"
    assert refused(f"{point()}\nnonsense\n{point()}").reason == "undecodable"


def test_one_point_beyond_the_limits_leaves_the_others_of_its_message() -> None:
    texts = [point(name="good"), point(name=""), point(ts=T * 1000), point(ts=T * 1001), point(name="better")]
    columns, series = decode(f"[{','.join(texts)}]")
    assert [one.name for one in series] == ["good", "better"]
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_name", False), ("bad_time", False)]


def test_a_message_with_only_bad_points_is_refused_whole() -> None:
    columns, _ = decode(f"[{point(name='')},{point(kind='x')}]")
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_name", True), ("bad_kind", True)]


def test_one_bad_message_leaves_its_neighbours() -> None:
    columns, _ = decode(point(value=1), "nonsense", point(value=3), None, point(value=5))
    assert columns.message.tolist() == [0, 2, 4]
    assert columns.value.tolist() == [1.0, 3.0, 5.0]
    assert [(one.message, one.reason) for one in columns.rejections] == [(1, "undecodable"), (3, "empty")]


MESSAGES = [
    point(),
    point(ts="2023-11-14T22:13:20Z", attributes={"a": 1}),
    point(ts=str(T)),
    point(ts=T * 1000),
    point(ts=T * 1000, kind="x"),
    point(ts="never", name=""),
    point(attributes={"a": []}),
    f"[{point(value=2)},{point(name='')},{point(ts='2023-11-14T22:13:21Z')}]",
    f"{point(value=7)}\n{point(value=8)}",
    "[]",
    "nonsense",
    "",
    DEEP_POINT,
    # each begins like a point or ends like one, so that a careless reader takes two for one or one for two
    '{"ts": 1, "name": "m", "value": 1, "attributes": {"x": "}',
    '{"}}',
    '{"ts": 1, "name": "m", "value": 1, "attributes": {"x": {}',
    '{"y": 1}}',
    point() + point(),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=6))
def test_what_a_message_becomes_does_not_depend_on_its_batch(batch: list[str]) -> None:
    def told(number: int, columns: PointColumns, series: list[Series]) -> list[Any]:
        rows = [i for i, owner in enumerate(columns.message.tolist()) if owner == number]
        points = [(columns.time_us[i], columns.value[i], series[i]) for i in rows]
        return [points, sorted((r.reason, r.detail, r.whole) for r in columns.rejections if r.message == number)]

    together = decode(*batch)
    for number, text in enumerate(batch):
        assert told(number, *together) == told(0, *decode(text))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    columns, _ = decode(value)
    assert columns.series.size == 0
    assert len(columns.rejections) == 1 or value.strip() in (b"[]", b"[ ]")


NAMES = st.text(min_size=1, max_size=7)
POINTS = st.fixed_dictionaries(
    {"ts": st.integers(-T, 3 * T), "name": NAMES, "value": st.floats(allow_nan=False, allow_infinity=False)},
    optional={
        "unit": NAMES,
        "kind": st.sampled_from(["gauge", "counter", "delta"]),
        "attributes": st.dictionaries(NAMES, NAMES | st.integers() | st.booleans(), max_size=3),
    },
)


@given(st.lists(POINTS, max_size=4), st.sampled_from(["one", "array", "lines"]), st.booleans())
def test_every_form_gives_the_same_points(points: list[dict[str, Any]], form: str, ascii_only: bool) -> None:
    texts = [json.dumps(one, ensure_ascii=ascii_only) for one in points]
    codec = JsonPoints(Limits())
    if form == "one":
        columns, series = decode(*texts, codec=codec)
    else:
        columns, series = decode("\n".join(texts) if form == "lines" else f"[{','.join(texts)}]", codec=codec)
    assert columns.value.tolist() == [one["value"] for one in points]
    assert columns.time_us.tolist() == [one["ts"] * 1_000_000 for one in points]
    assert [one.name for one in series] == [one["name"] for one in points]
    for one, found in zip(points, series, strict=True):
        assert dict(found.attributes).keys() == one.get("attributes", {}).keys()


def test_a_full_table_starts_over_between_batches() -> None:
    codec = JsonPoints(Limits(max_series=2))
    decode(point(name="a"), point(name="b"), point(name="c"), codec=codec)
    assert (len(codec.table.series), codec.table.generation) == (3, 0)
    columns, series = decode(point(name="c"), codec=codec)
    assert (columns.series.tolist(), series[0].name, codec.table.generation) == ([0], "c", 1)


def test_messages_that_only_together_are_points_are_all_refused() -> None:
    halves = [b'{"ts":1,"name":"x",', b'"value":1}', b'{"ts":2,"name":"y","value":1}{"ts":3,"name":"z","value":1}']
    columns, _ = decode(*halves)
    assert columns.value.size == 0
    assert [(rejection.message, rejection.whole) for rejection in columns.rejections] == [
        (0, True),
        (1, True),
        (2, True),
    ]
