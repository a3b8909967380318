"""Arrays that grow, and the parts of a checkpoint: what changed, and only that."""

import numpy as np
import pytest

from pipeline.scoring.table import PART_ROWS, Table

GROUPS = {"detector": {"level": np.float64, "profile": np.float32}, "episodes": {"open": np.bool_}}
SLOW = frozenset({("detector", "profile")})


def filled(rows: int) -> Table:
    table = Table(GROUPS, SLOW)
    table.grow(rows)
    for arrays in table.groups.values():
        for array in arrays.values():
            array[:rows] = np.arange(rows) % 251
    table.clean()
    return table


def changed(table: Table) -> list[str]:
    return [name for name, _ in table.changed(everything=False)]


@pytest.mark.parametrize("rows", [1, PART_ROWS, PART_ROWS + 1, 5 * PART_ROWS + 3])
def test_new_rows_are_zero_and_old_ones_stay(rows: int) -> None:
    table = filled(10)
    table.grow(10 + rows)
    assert table.rows == 10 + rows
    for arrays in table.groups.values():
        for array in arrays.values():
            assert array.size == table.capacity >= table.rows
            assert array[:10].tolist() == np.arange(10).astype(array.dtype).tolist()
            assert not array[10 : table.rows].any()


def test_new_rows_are_changes_in_every_part_they_are_in() -> None:
    table = filled(PART_ROWS - 1)
    assert changed(table) == []
    table.grow(2 * PART_ROWS + 1)
    assert changed(table) == [f"{speed}/{part}" for speed in ("fast", "slow") for part in range(3)]
    table.clean()
    table.grow(2 * PART_ROWS + 2)
    assert changed(table) == ["fast/2", "slow/2"]


def test_only_touched_parts_changed_and_fast_and_slow_are_apart() -> None:
    table = filled(4 * PART_ROWS)
    table.touch(np.array([5, 3 * PART_ROWS]))
    assert changed(table) == ["fast/0", "fast/3"]
    table.touch(np.array([PART_ROWS]), slow=True)
    assert changed(table) == ["fast/0", "fast/3", "slow/1"]
    table.clean()
    assert changed(table) == []


def test_a_table_without_slow_arrays_has_no_slow_parts() -> None:
    table = Table({"detector": {"level": np.float64}}, frozenset())
    table.grow(1)
    assert table.names() == ["fast/0"]


def test_fast_parts_hold_the_fast_arrays_and_slow_parts_the_slow_ones() -> None:
    parts = dict(filled(PART_ROWS + 2).changed(everything=True))
    assert list(parts) == ["fast/0", "fast/1", "slow/0", "slow/1"]
    assert parts["fast/0"].keys() == {"detector.level", "episodes.open"}
    assert parts["slow/1"].keys() == {"detector.profile"}
    assert [array.size for array in parts["fast/1"].values()] == [2, 2]


def test_parts_loaded_into_an_empty_table_are_the_original() -> None:
    original = filled(2 * PART_ROWS + 7)
    copy = Table(GROUPS, SLOW)
    copy.grow(original.rows)
    for name, arrays in original.changed(everything=True):
        copy.load(name, arrays)
    for group, arrays in original.groups.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(copy.groups[group][name][: copy.rows], array[: original.rows])


def test_a_part_with_other_arrays_is_refused_by_name() -> None:
    table = filled(3)
    with pytest.raises(ValueError, match=r"part fast/0 holds \['level'\], but \['detector\.level', 'episodes\.open'\]"):
        table.load("fast/0", {"level": np.zeros(3)})
