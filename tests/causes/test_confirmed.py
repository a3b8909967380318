"""Confirmed trouble: what lasts, and not what spikes."""

import json

from pipeline.causes.confirmed import Confirmed
from pipeline.causes.vitals import Vitals
from tests.causes.made import failing, slow

W = 60


def ran(*windows: list[Vitals]) -> list[dict[str, int]]:
    confirmed = Confirmed()
    return [confirmed.step(W * place, W, rows) for place, rows in enumerate(windows, 1)]


def test_one_odd_window_confirms_nothing_however_odd() -> None:
    assert ran([slow("a", 90.0, z=100.0)], [], [], [slow("a", 90.0, z=100.0)], []) == [{}] * 5


def test_far_and_then_still_away_is_confirmed_from_its_first_window_on() -> None:
    assert ran([], [slow("a", 9.0, z=6.0)], [slow("a", 9.0, z=3.0)])[-1] == {"a": 2 * W}


def test_away_and_then_far_is_confirmed_and_one_window_between_does_not_matter() -> None:
    assert ran([failing("a", 9.0, z=3.0)], [], [failing("a", 9.0, z=6.0)])[-1] == {"a": W}
    assert ran([failing("a", 9.0, z=3.0)], [], [], [failing("a", 9.0, z=6.0)])[-1] == {}


def test_often_away_but_never_far_is_not_confirmed() -> None:
    assert ran(*[[slow("a", 9.0, z=5.9)]] * 5)[-1] == {}


def test_what_nobody_feels_is_not_confirmed() -> None:
    assert ran(*[[slow("a", 0.001, z=50.0)]] * 3)[-1] == {}


def test_it_ends_when_the_windows_are_as_usual_again() -> None:
    bad = [slow("a", 9.0, z=9.0)]
    assert [list(found) for found in ran(bad, bad, [], [], [])] == [[], ["a"], ["a"], [], []]


def test_saved_and_restored_it_goes_on_the_same() -> None:
    one = Confirmed()
    one.step(W, W, [slow("a", 9.0, z=9.0), slow("b", 9.0, z=1.0)])
    two = Confirmed(json.loads(json.dumps(one.saved())))
    rows = [slow("a", 9.0, z=4.0)]
    assert one.step(2 * W, W, rows) == two.step(2 * W, W, rows) == {"a": W}


def test_those_as_usual_are_not_remembered() -> None:
    confirmed = Confirmed()
    for place in range(1, 5):
        confirmed.step(W * place, W, [slow("a", 9.0)] if place == 1 else [slow("b", 9.0, z=1.0)])
    assert confirmed.saved() == {}
