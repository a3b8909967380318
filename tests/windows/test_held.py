"""What is let go when there is too much: the latest windows, never all that is still to be told."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.windows.held import Held


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), max_size=30), st.integers(1, 60), st.integers(0, 9))
def test_all_up_to_the_horizon_is_held_and_one_window_at_least_that_is_not_told(
    chunks: list[tuple[int, int]], most: int, told_us: int
) -> None:
    held: Held[int] = Held(most)
    wanted: dict[int, list[int]] = {}
    for number, (end_us, size) in enumerate(chunks):
        wanted.setdefault(end_us, []).append(number)
        if held.near(np.array([end_us])) is None:
            held.put(end_us, number, 1, size)
        held.bound(told_us)
        assert held.size <= most or held.horizon_us is not None or max(held.ends()) <= told_us
    horizon_us = 10 if held.horizon_us is None else held.horizon_us
    assert {end_us: held.at(end_us) for end_us in held.ends()} == {
        end_us: numbers for end_us, numbers in wanted.items() if end_us <= horizon_us
    }
    assert held.whole == (len(held) == len(chunks))
    assert held.horizon_us is None or held.horizon_us > told_us
    assert held.horizon_us is None or not held.is_done(told_us)


def test_windows_that_are_told_already_may_be_too_much_without_anything_to_let_go() -> None:
    held: Held[str] = Held(3)
    held.put(10, "told", 1, 100)
    assert held.bound(told_us=10) == []
    assert (held.horizon_us, held.whole) == (None, True)
    held.put(20, "next", 1, 1)
    held.put(30, "later", 1, 1)
    assert held.bound(told_us=10) == ["later"]
    assert (held.horizon_us, held.whole, held.size, len(held)) == (20, False, 101, 2)
