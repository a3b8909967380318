"""How several signals of one entity are judged together: the distance, what it finds, what does not matter to it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from detectors.together import COLD, FIELDS, MOST_MEMBERS, Entities
from tests.detectors.naive_together import Member, NaiveEntity

Floats = npt.NDArray[np.float64]
DISTANCE, USUAL, UPPER, SURPRISE = range(4)
SURPRISING = 3.5


def state(rows: int) -> dict[str, npt.NDArray[Any]]:
    return {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}


def all_of(entities: Entities, rows: dict[str, npt.NDArray[Any]], column: Floats) -> Floats:
    """What is said (entities, 4) of all entities in one window."""
    stepped, found = entities.step(rows, column.copy(), np.ones(len(entities), np.bool_))
    assert stepped.tolist() == [
        each for each in range(len(entities)) if np.isfinite(column[entities.members(each)]).any()
    ]
    return found


def judged(values: Floats, order: list[int] | None = None) -> Floats:
    """What is said (4, windows) of an entity whose members are the rows of ``values`` (rows, windows)."""
    entities, rows = Entities(), state(len(values))
    entity = entities.add()
    assert all(entities.join(entity, row) for row in order or range(len(values)))
    return np.concatenate([all_of(entities, rows, column) for column in values.T]).T


def correlated(members: int, windows: int, seed: int = 0) -> Floats:
    """Members that follow two hidden courses, each with noise of its own."""
    dice = np.random.default_rng(seed)
    hidden = dice.standard_normal((2, windows))
    weights = dice.uniform(-1, 1, (members, 2))
    level = 10 ** dice.uniform(0, 4, (members, 1))
    return level * (10 + weights @ hidden + 0.2 * dice.standard_normal((members, windows)))


@pytest.mark.parametrize("members", [2, 5, 12])
def test_it_agrees_with_its_naive_twin(members: int) -> None:
    values = correlated(members, 2300, members)
    values[0, 700:720] *= 1.5
    values[-1, 900:930] = np.nan
    found = judged(values)
    twin = NaiveEntity([Member() for _ in range(members)])
    expected = np.array([twin.step(column.tolist()) for column in values.T]).T
    np.testing.assert_allclose(found[DISTANCE], expected[DISTANCE], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[USUAL], expected[USUAL], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[[UPPER, SURPRISE]], expected[[UPPER, SURPRISE]], rtol=1e-4, atol=1e-5)


def test_two_signals_that_part_are_found_though_each_is_as_usual() -> None:
    found = 0
    for seed in range(20):
        dice = np.random.default_rng(seed)
        course = dice.standard_normal(3040)
        values = np.array([course, course, dice.standard_normal(3040)]) + 0.1 * dice.standard_normal((3, 3040))
        values[1, 3000:] *= -1
        surprise = judged(values)[SURPRISE]
        found += bool((surprise[3000:3020] >= SURPRISING).any())
        assert (surprise[1000:3000] >= SURPRISING).mean() < 5e-3
    assert found >= 18


def test_many_small_deviations_at_once_are_found() -> None:
    found = 0
    for seed in range(20):
        values = np.random.default_rng(seed).standard_normal((20, 2020))
        values[:, 2000:] += 1.5
        found += bool((judged(values)[SURPRISE, 2000:] >= SURPRISING).any())
    assert found >= 15


def test_nothing_is_said_of_a_young_entity() -> None:
    values = correlated(4, 400)
    values[:, 50] *= 10
    assert not judged(values)[SURPRISE, :COLD].any()


def test_the_order_of_members_hardly_matters() -> None:
    """It decides when the ridge of each is renewed."""
    values = correlated(6, 1500)
    found, moved = judged(values), judged(values, [3, 5, 0, 2, 4, 1])
    np.testing.assert_allclose(moved[DISTANCE, COLD:], found[DISTANCE, COLD:], rtol=2e-2)
    np.testing.assert_allclose(moved[DISTANCE, 1000:], found[DISTANCE, 1000:], rtol=2e-3)
    np.testing.assert_allclose(moved[SURPRISE], found[SURPRISE], atol=0.1)


@pytest.mark.parametrize("constant", [0.0, 42.0, -1e9, np.nan])
def test_a_member_that_never_moves_changes_hardly_anything(constant: float) -> None:
    values = correlated(5, 1500)
    values[:, 1200:1210] *= 1.3
    found, alone = judged(np.vstack([values, np.full(1500, constant)])), judged(values)
    np.testing.assert_allclose(found[DISTANCE, COLD:], alone[DISTANCE, COLD:], rtol=0.05)
    np.testing.assert_allclose(found[SURPRISE, 1000:], alone[SURPRISE, 1000:], atol=0.3)


@pytest.mark.parametrize(("factor", "offset"), [(1e6, 0.0), (-1.0, 0.0), (1e-6, 5.0)])
def test_neither_unit_nor_sign_nor_origin_of_a_member_matter(factor: float, offset: float) -> None:
    values = correlated(4, 600)
    other = values.copy()
    other[2] = factor * other[2] + offset
    np.testing.assert_allclose(judged(other)[DISTANCE, 50:], judged(values)[DISTANCE, 50:], rtol=1e-5)


def test_one_window_far_away_moves_what_is_usual_by_a_bounded_amount() -> None:
    values = correlated(4, 3000)
    wild = values.copy()
    wild[:, 2500] *= 1e9
    found, clean = judged(wild), judged(values)
    assert found[SURPRISE, 2500] >= SURPRISING
    assert np.isfinite(found).all()
    moved = found[USUAL, 2501:] / clean[USUAL, 2501:]
    assert moved.max() < 2
    assert moved[-1] < 1.3
    np.testing.assert_allclose(found[DISTANCE, 2600:], clean[DISTANCE, 2600:], rtol=0.2)


def test_gaps_and_the_greatest_floats_leave_everything_finite() -> None:
    values = np.random.default_rng(0).choice([np.nan, np.inf, -1e308, 1e308, 0.0, 1.0, 1e-300], (5, 500))
    assert np.isfinite(judged(values)).all()


def test_a_member_that_joins_late_is_taken_in_and_does_not_disturb() -> None:
    values = correlated(4, 1500)
    values[3] += 1e6
    entities, rows = Entities(), state(4)
    entity = entities.add()
    for row in range(3):
        entities.join(entity, row)
    found = []
    for window, column in enumerate(values.T):
        if window == 700:
            entities.join(entity, 3)
        found.append(all_of(entities, rows, column)[0])
    assert np.isfinite(found).all()
    assert entities.members(entity) == [0, 1, 2, 3]
    assert entities.inverse.size == 16
    assert (np.array(found)[700:, SURPRISE] < SURPRISING).mean() > 0.995
    assert rows["mean"][3] == pytest.approx(values[3, 700:].mean(), rel=1e-3)


def test_no_more_members_join_than_there_may_be() -> None:
    entities = Entities()
    entity = entities.add()
    joined = [entities.join(entity, row) for row in range(MOST_MEMBERS + 2)]
    assert joined == [True] * MOST_MEMBERS + [False] * 2
    assert entities.members(entity) == list(range(MOST_MEMBERS))


def test_entities_do_not_matter_to_each_other() -> None:
    one, other = correlated(3, 400, 1), correlated(3, 400, 2)
    entities, rows = Entities(), state(6)
    first, second = entities.add(), entities.add()
    for row in range(6):
        entities.join(first if row < 3 else second, row)
    both = np.array([all_of(entities, rows, column) for column in np.vstack([one, other]).T])
    np.testing.assert_array_equal(both[:, first].T, judged(one))
    np.testing.assert_array_equal(both[:, second].T, judged(other))


def test_entities_restored_judge_on_as_if_nothing_had_happened() -> None:
    values = correlated(5, 600)
    entities, rows = Entities(), state(5)
    first, empty, second = entities.add(), entities.add(), entities.add()
    for row in range(5):
        entities.join(first if row < 2 else second, row)
    for column in values[:, :300].T:
        all_of(entities, rows, column)
    saved = {name: array.copy() for name, array in entities.dump().items()}
    again, rows_again = Entities(), {name: array.copy() for name, array in rows.items()}
    again.load(saved)
    assert [again.members(entity) for entity in (first, empty, second)] == [[0, 1], [], [2, 3, 4]]
    for column in values[:, 300:].T:
        np.testing.assert_array_equal(all_of(again, rows_again, column), all_of(entities, rows, column))


def test_who_is_not_wanted_or_has_no_value_is_left_as_it_was() -> None:
    entities, rows = Entities(), state(4)
    first, second = entities.add(), entities.add()
    for row in range(4):
        entities.join(first if row < 2 else second, row)
    column = np.array([1.0, 2.0, np.nan, np.nan])
    assert entities.step(rows, column, np.array([True, True]))[0].tolist() == [first]
    assert entities.step(rows, np.ones(4), np.array([False, True]))[0].tolist() == [second]
    assert rows["windows"].tolist() == [1, 1, 1, 1]


def test_a_damaged_state_is_refused() -> None:
    saved = Entities().dump()
    with pytest.raises(ValueError, match="entities need arrays of"):
        Entities().load({**saved, "sizes": np.array([2])})


def test_no_entities_at_all_are_saved_and_restored() -> None:
    entities = Entities()
    entities.load(Entities().dump())
    assert len(entities) == 0


def test_members_that_leave_are_as_if_the_others_had_never_known_them() -> None:
    """The correlations that stay are those of the members that stay; other entities are untouched."""
    entities, rows = Entities(), state(12)
    for members in ((0, 1, 2, 3, 4), (5, 6, 7), (8, 9, 10, 11)):
        entity = entities.add()
        assert all(entities.join(entity, row) for row in members)
    values = correlated(12, 400)
    for column in values.T[:300]:
        all_of(entities, rows, column)
    before = entities.dump()
    whole = np.linalg.inv(before["inverse"][:25].reshape(5, 5))
    stays = entities.leave(np.array([3, 1, 6]), least=3)
    after = entities.dump()
    assert stays.tolist() == [True, False, True]
    assert [entities.members(each) for each in range(len(entities))] == [[0, 2, 4], [8, 9, 10, 11]]
    kept = [0, 2, 4]
    np.testing.assert_allclose(np.linalg.inv(after["inverse"][:9].reshape(3, 3)), whole[np.ix_(kept, kept)], rtol=1e-9)
    np.testing.assert_array_equal(after["inverse"][9:], before["inverse"][34:])
    np.testing.assert_array_equal(after["numbers"], before["numbers"][[0, 2]])
    loaded = Entities()
    loaded.load(after)
    for column in values.T[300:]:
        ours, theirs = {name: array.copy() for name, array in rows.items()}, rows
        np.testing.assert_array_equal(all_of(loaded, ours, column), all_of(entities, theirs, column))


def test_nobody_leaves_where_no_member_is_named() -> None:
    entities = Entities()
    assert entities.leave(np.array([1]), least=3).tolist() == []
    assert entities.join(entities.add(), 4)
    assert entities.leave(np.array([1]), least=3).tolist() == [True]
    assert entities.members(0) == [4]
