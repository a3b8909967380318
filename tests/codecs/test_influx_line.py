"""InfluxDB line protocol as Telegraf writes it: every type, every escape, every kind of damage."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import Kind
from tests.codecs.decoding import WRITTEN_MS, Row, attributes, decoded, refusals
from tests.codecs.golden import INFLUX

NS = 1_767_225_600_000_000_000
T = NS // 1000


def values(*lines: str) -> dict[str, float]:
    return {row.series.name: row.value for row in decoded("influx_line", "\n".join(lines))[1]}


def test_each_number_of_each_line_is_a_point_of_its_host() -> None:
    columns, rows = decoded("influx_line", INFLUX)
    assert [(row.series.name, row.series.unit, row.series.kind, row.value) for row in rows] == [
        ("cpu.usage_idle", "%", Kind.GAUGE, 97.5),
        ("cpu.usage_user", "%", Kind.GAUGE, 1.25),
        ("cpu.time_idle", "s", Kind.COUNTER, 812.0),
        ("system.load1", "", Kind.GAUGE, 0.5),
        ("system.n_cpus", "", Kind.GAUGE, 8.0),
    ]
    assert {row.time_us for row in rows} == {T}
    assert attributes(rows[0].series) == {"cpu": "cpu0", "host.name": "web-1"}
    assert columns.dropped == {"text_field": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("1", 1.0), ("-1.5", -1.5), ("1e3", 1e3), ("1.e-3", 1e-3), (".5", 0.5), ("+2", 2.0)),
        *(
            ("7i", 7.0),
            ("-7i", -7.0),
            ("0i", 0.0),
            ("9223372036854775807i", 2.0**63),
            ("18446744073709551615u", 2.0**64),
        ),
        *((text, 1.0) for text in ("t", "T", "true", "True", "TRUE")),
        *((text, 0.0) for text in ("f", "F", "false", "False", "FALSE")),
    ],
)
def test_every_type_of_number_and_boolean_is_read(text: str, expected: float) -> None:
    assert values(f"m a=1,f={text},z=2 {NS}") == {"m.a": 1.0, "m.f": expected, "m.z": 2.0}
    assert values(f'm a=1,f={text},s="x",z=2 {NS}') == {"m.a": 1.0, "m.f": expected, "m.z": 2.0}


@pytest.mark.parametrize("text", ["NaN", "inf", "-Inf", "1e999"])
def test_what_is_not_finite_is_counted(text: str) -> None:
    columns, rows = decoded("influx_line", f"m a=1,f={text} {NS}")
    assert [row.series.name for row in rows] == ["m.a"]
    assert (columns.rejections, columns.dropped) == ([], {"not_finite": 1})


@pytest.mark.parametrize("text", ["", "one", "1.5.2", "truE", "0x10", "i", "1ii", "1,5", "--1"])
def test_a_value_that_is_none_refuses_its_line_and_no_other(text: str) -> None:
    columns, rows = decoded("influx_line", f"m a=1 {NS}\nm b=2,f={text} {NS}\nm c=3 {NS}")
    assert [row.series.name for row in rows] == ["m.a", "m.c"]
    assert [(one.message, one.whole) for one in columns.rejections] == [(0, False)]


ESCAPED = (
    r'my\ cpu\,x,host\ name=a\=b\,c\ d,path=C:\dir,q="quoted" field\ one=1,f\=2=2i,s="a, \"b\" c=1,\\'
    + "\n"
    + f'x" {NS}'
)


def test_escapes_and_quotes_are_undone() -> None:
    columns, rows = decoded("influx_line", f"m a=1 {NS}\n{ESCAPED}\nm b=2 {NS}")
    assert columns.rejections == []
    assert columns.dropped == {"text_field": 1}
    assert [row.series.name for row in rows] == ["m.a", "my cpu,x.field one", "my cpu,x.f=2", "m.b"]
    assert attributes(rows[1].series) == {"host name": "a=b,c d", "path": r"C:\dir", "q": '"quoted"'}


def test_comments_empty_lines_more_spaces_and_other_line_ends_do_no_harm() -> None:
    text = f"# a comment\n\n  \nm,host=h  a=1   {NS} \r\n\r\nm,host=h b=2 {NS}\r\n#end"
    for more in ("", 'm s="x" 1\n'):
        columns, rows = decoded("influx_line", f"{more}{text}")
        assert [(row.series.name, row.value) for row in rows] == [("m.a", 1.0), ("m.b", 2.0)]
        assert len(columns.rejections) == bool(more)  # the time of what was put before


def test_a_line_without_a_time_has_that_of_its_kafka_record() -> None:
    for text in ("m a=1", 'm s="x",a=1', "m a=1\n"):
        assert [row.time_us for row in decoded("influx_line", text)[1]] == [WRITTEN_MS * 1000]


@pytest.mark.parametrize(
    "time", ["1767225600", "1767225600000", "1767225600000000", "0", "-5", "9" * 30, "9" * 5000, "now", "1.5"]
)
@pytest.mark.parametrize("fields", ["a=1", 'a=1,s="x"'])
def test_a_time_that_is_not_in_nanoseconds_refuses_its_line(time: str, fields: str) -> None:
    columns, rows = decoded("influx_line", f"m b=1 {NS}\nm {fields} {time}\nm c=1 {NS}")
    assert [row.series.name for row in rows] == ["m.b", "m.c"]
    assert refusals(columns) == [(0, "bad_time", False)]
    assert columns.dropped == {}


@pytest.mark.parametrize(
    "line",
    [
        "m",
        "m ",
        "m a",
        f"m {NS}",
        f"m a=1 {NS} more",
        f"m a=1 b=2 {NS}",
        f",tag=1 a=1 {NS}",
        f"m,tag a=1 {NS}",
        f"m,tag= a=1 {NS}",
        f"m,=x a=1 {NS}",
        f"m,,b=x a=1 {NS}",
        f"m,b=x, a=1 {NS}",
        f"m =1 {NS}",
        f"m a=1,,b=2 {NS}",
        f'm a="open {NS}',
        f'm a="x"y {NS}',
        f'm "a"=1 b {NS}',
        f"m\\ a=1 {NS}",
        "m a=\\",
    ],
)
def test_a_line_of_another_form_is_refused_and_the_next_is_read(line: str) -> None:
    columns, rows = decoded("influx_line", f"m b=1 {NS}\n{line}\nm c=1 {NS}", line)
    assert [row.series.name for row in rows] == ["m.b", "m.c"]
    assert {(one.message, one.whole) for one in columns.rejections} == {(0, False), (1, True)}
    assert all(len(one.detail) < 300 for one in columns.rejections)


def test_a_thousand_bad_lines_give_one_rejection() -> None:
    columns, _ = decoded("influx_line", "nonsense\n" * 1000)
    assert refusals(columns) == [(0, "undecodable", True)]


@pytest.mark.parametrize("piece", ['m f="x\n', "m a\\\n", 'm f="\\"\n', "\\", '"', "m,a=\\", " \\ ", "m a=1,"])
def test_hostile_text_takes_time_in_proportion_to_its_size(piece: str) -> None:
    decoded("influx_line", piece * 30_000)  # quadratic work would not end before the time limit


# Everything that is written is read

NAMES = st.text(st.characters(exclude_characters="\n\r\\\t", exclude_categories=("Cs",)), min_size=1, max_size=6)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(max_size=6),
)
LINES = st.tuples(
    NAMES.filter(lambda name: not name.startswith("#")),
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(NAMES, NUMBERS, min_size=1, max_size=4),
    st.integers(10**16, 2**62),
)


def escaped(text: str, special: str) -> str:
    return re.sub(f"([{special}])", r"\\\1", text)


def written(line: tuple[str, dict[str, str], dict[str, Any], int]) -> str:
    measurement, tags, fields, time = line
    in_head = [f"{escaped(name, ',= ')}={escaped(value, ',= ')}" for name, value in tags.items()]
    in_fields = [f"{escaped(name, ',= ')}={value_text(value)}" for name, value in fields.items()]
    return f"{','.join([escaped(measurement, ', '), *in_head])} {','.join(in_fields)} {time}"


def value_text(value: Any) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value}i" if isinstance(value, int) else repr(value)


@given(st.lists(LINES, min_size=1, max_size=4))
@settings(deadline=None)
def test_every_number_that_is_written_is_read(lines: list[tuple[str, dict[str, str], dict[str, Any], int]]) -> None:
    columns, rows = decoded("influx_line", "\n".join(map(written, lines)))
    expected = [
        (f"{measurement}.{name}", time // 1000, float(value))
        for measurement, _, fields, time in lines
        for name, value in fields.items()
        if not isinstance(value, str)
    ]
    assert columns.rejections == []
    assert [(row.series.name, row.time_us, row.value) for row in rows] == expected
    texts = sum(isinstance(value, str) for line in lines for value in line[2].values())
    assert columns.dropped.get("text_field", 0) == texts


@given(st.lists(LINES, min_size=1, max_size=3))
@settings(deadline=None)
def test_a_quoted_text_in_the_message_changes_nothing_of_the_others(
    lines: list[tuple[str, dict[str, str], dict[str, Any], int]],
) -> None:
    text = "\n".join(map(written, lines))

    def others(found: list[Row]) -> list[Row]:
        return [row for row in found if not row.series.name.startswith("#")]

    assert others(decoded("influx_line", text)[1]) == others(decoded("influx_line", f'{text}\nm s="x" {NS}')[1])
