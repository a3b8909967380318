"""Numbers for byte strings: a table behaves as a dictionary does, whatever the bytes are."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import byte_table
from pipeline.codecs.byte_table import ByteTable

#: Few distinct bytes, so that many keys are alike, and lengths around eight.
parts = st.lists(st.binary(max_size=3) | st.text("ab", max_size=20).map(str.encode), max_size=3)
keys = st.tuples(st.integers(-1, 3), parts)


def get(table: ByteTable, prefix: int, key: Sequence[bytes]) -> int:
    """What a kernel finds."""
    return int(byte_table.find(table.slots, prefix, *byte_table._joined(key), len(key)))


@given(st.lists(keys, max_size=60))
@settings(deadline=None)
def test_it_is_a_dictionary(wanted: list[tuple[int, list[bytes]]]) -> None:
    table, known = ByteTable(), dict[tuple[int, tuple[bytes, ...]], int]()
    for prefix, key in wanted:
        number = known.get((prefix, tuple(key)), -1)
        assert get(table, prefix, key) == number
        if number < 0:
            known[prefix, tuple(key)] = len(known)
            table.add(prefix, key, len(table))
    assert len(table) == len(known)
    for (prefix, key), number in known.items():
        assert get(table, prefix, list(key)) == number


@given(st.lists(keys, max_size=20), st.lists(keys, max_size=20), st.data())
@settings(deadline=None)
def test_what_is_looked_for_behind_any_entry_is_found_as_from_the_start(
    known: list[tuple[int, list[bytes]]], others: list[tuple[int, list[bytes]]], data: st.DataObject
) -> None:
    table = ByteTable()
    distinct = {(prefix, tuple(key)): (prefix, key) for prefix, key in known}
    for number, (prefix, key) in enumerate(distinct.values()):
        table.add(prefix, key, 100 + number)
    entry = -1
    for prefix, key in [*distinct.values(), *data.draw(st.permutations(known)), *others]:
        joined = byte_table._joined(key)
        number, entry = byte_table.find_after(table.slots, entry, prefix, *joined, len(key))
        assert number == get(table, prefix, key)
        assert entry == number - 100 if number >= 0 else entry == -1


def test_keys_with_one_hash_are_told_apart() -> None:
    table = ByteTable()
    table.add(0, [b"one"], 1)
    entries = table.slots.entries
    entries[0, byte_table._HASH] = byte_table._hash(0, *byte_table._joined([b"other"]), 1)
    table.slots.slots[:] = 0
    byte_table._spread(table.slots.slots, entries, 1)
    assert get(table, 0, [b"other"]) == -1
    table.add(0, [b"other"], 2)
    assert get(table, 0, [b"other"]) == 2


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    table = ByteTable()
    table.add(0, [b"ab", b"c"], 1)
    assert [get(table, 0, key) for key in ([b"a", b"bc"], [b"abc"], [b"ab", b"c", b""], [b"ab", b"c"])] == [
        -1,
        -1,
        -1,
        1,
    ]


def test_thousands_of_keys_are_found_after_it_grew_and_none_after_it_was_emptied() -> None:
    table = ByteTable()
    names = [f"key {number}".encode() * (number % 7) for number in range(5000)]
    for number, name in enumerate(names):
        table.add(number, [name, b"x"], number)
    assert [get(table, number, [name, b"x"]) for number, name in enumerate(names)] == list(range(5000))
    assert table.kept_bytes > sum(map(len, names))
    table.clear()
    assert get(table, 1, [names[1], b"x"]) == -1
    assert np.count_nonzero(table.slots.slots) == 0
