"""Labelled data of every layout is read as it is; bad data is refused: what is wrong, where, and what is right."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation import reading
from pipeline.evaluation.labelled import Fleet, runs, usual_interval_us
from pipeline.evaluation.table import BadData, time_us
from tests.evaluation.made import BEGIN, labelled_file, machine_file, nab_folder

BEGIN_US = round(BEGIN.timestamp()) * 1_000_000


def one(suite: str, path: Path) -> Fleet:
    (found,) = reading.read(suite, [path])
    return found


# -- times -------------------------------------------------------------------------------------------------------------

AT = 1_524_614_700_000_000  # 2018-04-25 00:05 UTC


@pytest.mark.parametrize(
    "text",
    [
        "2018-04-25T00:05:00Z",
        "2018-04-25 00:05:00",
        "2018-04-25 00:05:00.000000",
        "2018-04-25T02:05:00+02:00",
        "4/25/2018 0:05",
        "04/25/2018 00:05:00",
        "4/25/2018 12:05:00 AM",
        "1524614700",
        "1524614700.0",
        "1524614700000",
    ],
)
def test_a_time_can_be_written_in_many_ways(text: str) -> None:
    assert time_us(text) == AT


def test_noon_is_12_pm_and_fractions_are_kept() -> None:
    assert time_us("4/25/2018 12:05 PM") == AT + 12 * 3600 * 1_000_000
    assert time_us("4/25/2018") == time_us("2018-04-25")
    assert time_us("2018-04-25T00:05:00.25Z") == AT + 250_000


@pytest.mark.parametrize("text", ["", "soon", "25/4/2018 0:05", "13:00", "4/25/2018 13:05 PM", "nan", "1e99"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        time_us(text)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_runs_are_first_and_last_rows() -> None:
    assert runs(np.array([1, 1, 0, 0, 1, 0, 0, 0, 1], np.bool_)) == ((0, 1), (4, 4), (8, 8))


def test_runs_with_less_between_them_than_an_anomaly_needs_to_end_are_one() -> None:
    assert runs(np.array([1, 1, 0, 0, 1, 0, 0, 0, 1], np.bool_), join=2) == ((0, 4), (8, 8))


def test_the_usual_interval_is_the_median_of_steps_forward() -> None:
    assert usual_interval_us(np.array([0, 10, 20, 15, 25, 100])) == 10
    assert usual_interval_us(np.array([5, 5])) == 0


# -- NAB ---------------------------------------------------------------------------------------------------------------


def test_a_nab_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    files = {"b/two.csv": (range(100), [(20, 29), (60, 61)]), "a/one.csv": (np.zeros(10), [])}
    first, second = reading.read("nab", [nab_folder(tmp_path, files)])
    assert (first.name, first.events, first.rows) == ("a/one.csv", (), 10)
    assert (second.name, second.signals, second.scored_from) == ("b/two.csv", ("value",), 15)
    assert second.events == ((20, 29), (60, 61))
    assert np.flatnonzero(second.labels).tolist() == [*range(20, 30), 60, 61]
    assert second.values[:, 0].tolist() == list(range(100))
    assert second.window_us == 300 * 1_000_000
    assert second.time_us[:2].tolist() == [BEGIN_US, BEGIN_US + second.window_us]
    assert reading.count("nab", [tmp_path]) == 2


def test_nab_rows_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    folder = nab_folder(tmp_path, {"a/one.csv": ([], [])})
    times = ["2014-02-14 14:00:00", "2014-02-14 14:05:00", "2014-02-14 13:00:00", "2014-02-14 14:10:00"]
    (folder / "data/a/one.csv").write_text("timestamp,value\n" + "".join(f"{time},1\n" for time in times))
    assert np.diff(one("nab", folder).time_us).tolist() == [300_000_000, -3_900_000_000, 4_200_000_000]


def test_a_folder_that_is_not_nab_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"there is no .*windows\.json; name the folder that holds windows\.json and data"
    ):
        list(reading.read("nab", [tmp_path]))
    (tmp_path / "windows.json").write_text("{}")
    with pytest.raises(BadData, match=r"data is not a folder; name the folder that holds"):
        list(reading.read("nab", [tmp_path]))
    (tmp_path / "data").mkdir()
    with pytest.raises(BadData, match=r"holds no \*/\*\.csv"):
        list(reading.read("nab", [tmp_path]))


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ("{", "windows.json is not JSON"),
        ("[]", 'should be {"category/file.csv": [[start, end], …], …}'),
        ("{}", 'does not say where a/one.csv is anomalous; write "a/one.csv": [] if it nowhere is'),
        ('{"a/one.csv": [["2024-03-04 00:00:00"]]}', "is not a window; write [start, end] as two times"),
        ('{"a/one.csv": [["soon", "later"]]}', "is not a window; write [start, end] as two times"),
        ('{"a/one.csv": [["2031-01-01", "2031-01-02"]]}', "a/one.csv: no row of the file is within"),
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path: Path, windows: str, said: str) -> None:
    nab_folder(tmp_path, {"a/one.csv": (range(10), [])})
    (tmp_path / "windows.json").write_text(windows)
    with pytest.raises(BadData) as error:
        list(reading.read("nab", [tmp_path]))
    assert said in str(error.value)


# -- CSV with labels ---------------------------------------------------------------------------------------------------


def test_an_mscloud_folder_is_read(tmp_path: Path) -> None:
    labelled_file(tmp_path / "rate/b.csv", range(30), [(3, 4), (7, 7), (20, 22)])
    labelled_file(tmp_path / "crash/a.csv", np.zeros(5))
    first, second = reading.read("mscloud", [tmp_path])
    assert (first.name, second.name) == ("crash/a.csv", "rate/b.csv")
    assert second.events == ((3, 7), (20, 22))
    assert np.flatnonzero(second.labels).tolist() == [3, 4, 7, 20, 21, 22]
    assert second.scored_from == 0


def test_quotes_missing_values_and_rows_in_any_order_are_read(tmp_path: Path) -> None:
    text = '"timestamp","VALUE","Label"\r\n"2018-04-25T00:10:00Z","3","true"\r\n\r\n"2018-04-25T00:05:00Z","",0\r\n'
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = one("labelled-csv", path)
    assert found.time_us.tolist() == [AT, AT + 300_000_000]
    assert np.isnan(found.values[0, 0])
    assert found.values[1, 0] == 3
    assert found.labels.tolist() == [False, True]


def test_labelled_csv_takes_files_and_folders(tmp_path: Path) -> None:
    labelled_file(tmp_path / "in/deep/a.csv", range(5))
    labelled_file(tmp_path / "in/b.csv", range(5))
    alone = labelled_file(tmp_path / "c.csv", range(5))
    names = [found.name for found in reading.read("labelled-csv", [tmp_path / "in", alone])]
    assert names == ["b.csv", "deep/a.csv", "c.csv"]


HEAD = "timestamp,value,label\n"
ROW = "2018-04-25 00:05:00,1,0\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a.csv is empty; it should begin with a line of column names: timestamp,value,label"),
        ("timestamp,value\n", "a.csv has no column 'label'; its first line names timestamp, value"),
        ("timestamp,value,label,value\n", "a.csv has more than one column 'value'"),
        (f"{HEAD}soon,1,0\n", "a.csv line 2: time 'soon' cannot be read; write 2014-02-14 14:30:00"),
        (f"{HEAD}{ROW}2018-04-25 00:06:00,much,0\n", "a.csv line 3: value 'much' cannot be read; write a number"),
        (f"{HEAD}{ROW}2018-04-25 00:06:00,inf,0\n", "a.csv line 3: value 'inf' cannot be read; write a number"),
        (f"{HEAD}{ROW}2018-04-25 00:06:00,1,2\n", "a.csv line 3: label '2' cannot be read; write 0 or 1"),
        (f"{HEAD}{ROW}2018-04-25 00:06:00,1\n", "a.csv line 3 has 2 cells; its first line has 3"),
        (f"{HEAD}{ROW}{ROW}", "a.csv has 2 rows with 1 different times; two are needed"),
        (HEAD, "a.csv has 0 rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadData) as error:
        one("labelled-csv", path)
    assert said in str(error.value)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BadData, match="is not a text in UTF-8"):
        one("labelled-csv", path)
    with pytest.raises(BadData, match=r"there is no file or folder .*gone"):
        one("labelled-csv", tmp_path / "gone")


# -- Server Machine Dataset --------------------------------------------------------------------------------------------


def test_a_machine_is_its_train_and_test_in_one_and_scored_on_test(tmp_path: Path) -> None:
    machine_file(tmp_path / "machine-9-9.npz", np.zeros((20, 3)), np.ones((10, 3)), [0] * 4 + [1] * 2 + [0] * 4)
    found = one("smd", tmp_path)
    assert (found.name, found.values.shape, found.scored_from) == ("machine-9-9", (30, 3), 20)
    assert found.signals == ("metric_00", "metric_01", "metric_02")
    assert found.events == ((24, 25),)
    assert np.unique(np.diff(found.time_us)).tolist() == [found.window_us] == [60_000_000]


def test_a_machine_that_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    machine_file(tmp_path / "m.npz", np.zeros((20, 3)), np.ones((10, 2)), np.zeros(10))
    with pytest.raises(
        BadData, match=r"m\.npz: train is \(20, 3\), test is \(10, 2\), label is \(10,\); they should be"
    ):
        one("smd", tmp_path)
    np.savez(tmp_path / "m.npz", train=np.zeros((2, 2)), test=np.zeros((2, 2)))
    with pytest.raises(BadData, match=r"has no array label; it holds train, test"):
        one("smd", tmp_path)
    (tmp_path / "m.npz").write_text(json.dumps({}))
    with pytest.raises(BadData, match=r"m\.npz is not an npz of numbers"):
        one("smd", tmp_path)
