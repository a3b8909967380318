"""CSV files: rows that cannot be used are counted and the rest goes on; what cannot work is refused with a reason."""

from pathlib import Path

import pytest

from pipeline.replay.csv_file import CsvFile, Layout
from pipeline.replay.files import open_csv
from pipeline.replay.message import ReplayError
from tests.replay.runs import START, replay_csv, seconds_apart, values, written


def opened(path: Path, *columns: str) -> CsvFile:
    return CsvFile(path, Layout("e", value_columns=columns or ("value",)))


def test_bad_rows_are_counted_by_reason_with_their_first_line(tmp_path: Path) -> None:
    lines = [
        f"{START},1",
        "yesterday,2",
        f"{START + 10},",
        f"{START + 20},many",
        f"{START + 30},nan",
        f"{START + 40},inf",
        f"{START + 50}",
        f"{START + 60},1,2",
        "",
        f"{START + 70},2,",
        f"{START + 80},tall",
        f"{START * 1000},3",
    ]
    results = replay_csv(written(tmp_path / "a.csv", lines))
    assert [row["timestamp"] for row in results.rows()] == [str(START), str(START + 70)]
    assert results.totals.of("drop") == {
        "bad_row": 2,
        "bad_time": 2,
        "bad_value": 2,
        "missing_value": 2,
        "not_finite": 1,
    }
    examples = {reason: example.where for reason, example in results.totals.examples.items()}
    assert examples == {
        "bad_time": "a.csv line 3",
        "missing_value": "a.csv line 4",
        "bad_value": "a.csv line 5",
        "not_finite": "a.csv line 7",
        "bad_row": "a.csv line 8",
    }
    assert results.totals.examples["bad_value"].detail == "value is 'many', not a number"


def test_a_wide_row_keeps_the_values_that_it_has(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [f"{START},1,", f"{START + 10},,2"], header="timestamp,x,y")
    rows = replay_csv(path, columns=("x", "y")).rows()
    assert [(row["signal"], row["value"]) for row in rows] == [("x", "1.0"), ("y", "2.0")]


def test_quotes_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        '\ufeff"timestamp" , "note, long","value"\r\n'.encode() + f'{START},"two\r\nlines","1.5"\r\n'.encode()
    )
    assert [row["value"] for row in replay_csv(path).rows()] == ["1.5"]


def test_bytes_that_are_no_text_spoil_their_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"timestamp,value\n" + f"{START},1\n{START + 10},".encode() + b"\xff\xfe\x00\n" + f"{START + 20},3\n".encode()
    )
    results = replay_csv(path)
    assert [row["value"] for row in results.rows()] == ["1.0", "3.0"]
    assert results.totals.of("drop") == {"bad_value": 1}


def test_a_field_too_large_for_csv_spoils_its_row_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [f"{START},1", f"{START + 10},{'9' * 200_000}", f"{START + 20},3"])
    results = replay_csv(path)
    assert [row["value"] for row in results.rows()] == ["1.0", "3.0"]
    assert results.totals.of("drop") == {"bad_row": 1}


def test_a_missing_column_is_named_with_the_columns_there_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ["1,2"], header="time,value")
    with pytest.raises(ReplayError, match=r"a\.csv: there is no column 'timestamp'; the file has time, value\."):
        opened(path)


def test_a_column_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ["1,2,3"], header="timestamp,value,value")
    with pytest.raises(ReplayError, match=r"2 columns are named 'value'"):
        opened(path)


@pytest.mark.parametrize("content", ["", "\n"])
def test_a_file_without_a_header_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ReplayError, match="has no header"):
        opened(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no row can be used: it has a header and no rows"),
        ([f"{START},"] * 3, r"no row can be used: 3 missing_value \(a.csv line 2: value has no value\)"),
        (["1748736000000,1"] * 2, "divide by 1000"),
        (["7/20/2015 0:00,1"] * 5000, "none of the first 1000 times can be read: .*write 2014-02-14 14:30:00"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(ReplayError, match=reason):
        list(opened(written(tmp_path / "a.csv", lines)).messages())


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"gone\.csv cannot be read: No such file"):
        open_csv([tmp_path / "gone.csv"], "timestamp", ["value"])
    with pytest.raises(ReplayError, match="is a directory"):
        open_csv([tmp_path], "timestamp", ["value"])


def test_a_file_is_read_as_it_is_needed(tmp_path: Path) -> None:
    file = opened(written(tmp_path / "a.csv", seconds_apart(1, values(20_000))))
    next(file.messages())
    assert 0 < file.done() < file.size / 2


@pytest.mark.parametrize("entity", ['quote " back \\ slash', "new\nline", "ünï", "x" * 200])
def test_any_name_may_be_an_entity_or_a_column(tmp_path: Path, entity: str) -> None:
    path = tmp_path / "a.csv"
    quoted = entity.replace('"', '""')
    path.write_text(f'timestamp,"{quoted}"\n{START},1\n', encoding="utf-8")
    rows = replay_csv(path, columns=(entity,), entity=entity).rows()
    assert [(row["entity"], row["signal"]) for row in rows] == [(entity, entity)]
