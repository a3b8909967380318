"""False-discovery control: properties of the filter, and the rates that it holds in seeded simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, norm

from detectors.discovery import OnlineDiscovery, benjamini_hochberg, benjamini_yekutieli, discovered
from detectors.protocol import State, StateVersionError
from tests.detectors.signals import Floats, Mask

P_VALUES = arrays(
    np.float64, st.integers(0, 40), elements=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-300, 0.01, 0.02, 1.0]))
)
RATES = st.floats(0.001, 0.5)


@given(P_VALUES, RATES, RATES, st.booleans())
def test_it_grows_with_the_rate_and_only_removes(p: Floats, first: float, second: float, any_dependence: bool) -> None:
    low, high = sorted((first, second))
    few, many = discovered(p, low, any_dependence), discovered(p, high, any_dependence)
    assert not (few & ~many).any()
    assert (p[many] <= high).all()


@given(P_VALUES, RATES, st.booleans(), st.randoms(use_true_random=False))
def test_which_signal_stands_where_does_not_matter(
    p: Floats, rate: float, any_dependence: bool, dice: "np.random.Generator"
) -> None:
    order = list(range(p.size))
    dice.shuffle(order)
    np.testing.assert_array_equal(
        discovered(p[order], rate, any_dependence), discovered(p, rate, any_dependence)[order]
    )


@given(P_VALUES, RATES)
def test_a_smaller_p_is_never_left_out_for_a_larger_one(p: Floats, rate: float) -> None:
    found = discovered(p, rate)
    if found.any():
        assert found[p <= p[found].max()].all()


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), RATES)
def test_it_agrees_with_adjusted_p_values_of_scipy(p: Floats, rate: float) -> None:
    for found, method in ((benjamini_hochberg(p, rate), "bh"), (benjamini_yekutieli(p, rate), "by")):
        adjusted = false_discovery_control(p, method=method)
        clear = np.abs(adjusted - rate) > 1e-9 * rate
        np.testing.assert_array_equal(found[clear], (adjusted <= rate)[clear])


def test_nothing_gives_nothing_and_zero_is_discovered() -> None:
    assert discovered(np.empty(0), 0.1).size == 0
    assert benjamini_yekutieli(np.empty(0), 0.1).size == 0
    assert discovered(np.array([0.0, 1.0, 1.0]), 0.01).tolist() == [True, False, False]
    assert not discovered(np.full(5, np.nan), 0.1).any()


def test_equal_p_values_stand_or_fall_together() -> None:
    assert discovered(np.full(10, 0.05), 0.05).all()
    assert not discovered(np.full(10, 0.0501), 0.05).any()
    assert discovered(np.array([0.01, 0.02, 0.02, 0.9]), 0.03).tolist() == [True, True, True, False]


def test_a_p_that_is_nan_is_no_test() -> None:
    p = np.array([0.02, np.nan, np.nan, 0.5])
    assert discovered(p, 0.05).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(discovered(p[[0, 3]], 0.05), [True, False])


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, np.nan])
def test_a_rate_outside_0_to_1_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate lies between 0 and 1"):
        discovered(np.array([0.5]), rate)
    with pytest.raises(ValueError, match="rate lies between 0 and 1"):
        OnlineDiscovery(rate=rate)


@pytest.mark.parametrize("p", [[1.5], [-0.1], [[0.5]]])
def test_what_is_no_row_of_p_values_is_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match="one axis of numbers from 0 to 1"):
        discovered(np.array(p), 0.1)


# Simulations: a share of the signals is off, all hang together by a common factor


def batch(
    dice: np.random.Generator, signals: int, off: int, correlation: float, strength: float = 3.5
) -> tuple[Floats, Mask]:
    """One-sided p-values of a step, and which are truly off; normal scores with one common factor."""
    truly = np.arange(signals) < off
    z = np.sqrt(correlation) * dice.normal() + np.sqrt(1 - correlation) * dice.normal(size=signals)
    return norm.sf(z + strength * truly), truly


def false_share(found: Mask, truly: Mask) -> float:
    return float((found & ~truly).sum() / max(found.sum(), 1))


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("off", [0, 3, 30])
def test_the_share_of_false_discoveries_of_a_step_is_held(correlation: float, off: int) -> None:
    dice = np.random.default_rng(1)
    steps = [batch(dice, 200, off, correlation) for _ in range(800)]
    for method in (benjamini_hochberg, benjamini_yekutieli):
        shares = [false_share(method(p, 0.1), truly) for p, truly in steps]
        assert np.mean(shares) <= 0.1 + 3 * np.std(shares) / np.sqrt(len(shares))


def test_where_signals_are_off_they_are_found() -> None:
    dice = np.random.default_rng(2)
    power = [discovered(p, 0.1)[truly].mean() for p, truly in (batch(dice, 1000, 50, 0.0, 5.0) for _ in range(50))]
    assert np.mean(power) > 0.9


def simulate(
    online: OnlineDiscovery, steps: int, incident: float, correlation: float, seed: int
) -> tuple[Floats, Mask, list[float]]:
    """False shares, which steps discovered, and the power in incidents, of steps with a rare incident of 20 windows."""
    dice, state = np.random.default_rng(seed), online.empty(1)
    shares, active, power, left = np.zeros(steps), np.zeros(steps, np.bool_), [], 0
    for step in range(steps):
        left = 20 if dice.random() < incident else max(left - 1, 0)
        p, truly = batch(dice, 200, 30 if left else 0, correlation, 5.5)
        found = online.step(state, 0, p)
        shares[step], active[step] = false_share(found, truly), found.any()
        if left:
            power.append(float(found[truly].mean()))
    return shares, active, power


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("incident", [0.0, 0.01])
def test_over_steps_the_share_of_false_ones_among_steps_that_discover_is_held(
    correlation: float, incident: float
) -> None:
    online = OnlineDiscovery(rate=0.1, memory=500)
    runs = [simulate(online, 1000, incident, correlation, seed) for seed in range(8)]
    weights = (1 - 1 / online.memory) ** np.arange(1000)[::-1]
    excess = [float((weights * shares).sum() - 0.1 * (1 + (weights * active).sum())) for shares, active, _ in runs]
    assert np.mean(excess) <= 3 * np.std(excess) / np.sqrt(len(excess))


def test_without_incidents_a_step_by_step_filter_alarms_far_more_often_than_the_online_one() -> None:
    dice, online = np.random.default_rng(3), OnlineDiscovery(rate=0.1, memory=1000)
    state, plain = online.empty(1), 0
    for _ in range(3000):
        p, _ = batch(dice, 300, 0, 0.0)
        plain += discovered(p, 0.1).any()
        online.step(state, 0, p)
    assert plain > 200
    assert state.arrays["active"][0] <= 3
    assert state.arrays["steps"][0] == 3000


def test_an_outage_over_many_signals_is_found_at_once_and_pays_for_more() -> None:
    online, dice = OnlineDiscovery(), np.random.default_rng(4)
    state = online.empty(1)
    for _ in range(100):
        online.step(state, 0, batch(dice, 10_000, 0, 0.0)[0])
    before = online.level(state, 0)
    p, truly = batch(dice, 10_000, 2000, 0.0, 6.5)
    found = online.step(state, 0, p)
    assert found[truly].mean() > 0.8
    assert online.level(state, 0) > 100 * before


def test_shards_do_not_touch_one_another_and_states_can_be_taken_and_joined() -> None:
    online, dice = OnlineDiscovery(), np.random.default_rng(5)
    both, alone = online.empty(2), online.empty(1)
    for _ in range(50):
        p, _ = batch(dice, 100, 5, 0.0, 6.0)
        online.step(both, 0, np.ones(3))
        np.testing.assert_array_equal(online.step(both, 1, p), online.step(alone, 0, p))
    assert all(both.arrays[name][1] == alone.arrays[name][0] for name in online.fields)
    assert both.take(slice(0, 1)).grown(alone).rows == 2


@given(st.lists(P_VALUES, max_size=8), st.floats(0.01, 0.3), st.floats(2, 1e4), st.floats(0, 1))
def test_what_is_spent_stays_within_what_was_earned(
    batches: list[Floats], rate: float, memory: float, pace: float
) -> None:
    online = OnlineDiscovery(rate=rate, memory=memory, pace=pace)
    state, spent, earned, keep = online.empty(1), 0.0, 0.0, 1 - 1 / memory
    for p in batches:
        level = online.level(state, 0)
        found = online.step(state, 0, p)
        assert (p[found] <= level).all()
        if p.size:
            spent, earned = keep * spent + level, keep * earned + found.any()
            assert spent <= rate * (1 + earned) * (1 + 1e-9)


def test_a_step_without_tests_changes_nothing() -> None:
    online = OnlineDiscovery()
    state = online.empty(1)
    online.step(state, 0, np.array([0.0, 0.5]))
    before = state.take(slice(None))
    for p in (np.empty(0), np.full(3, np.nan)):
        assert not online.step(state, 0, p).any()
    assert all(np.array_equal(before.arrays[name], state.arrays[name]) for name in online.fields)


def test_wrong_parameters_and_states_are_refused() -> None:
    with pytest.raises(ValueError, match="memory is at least 1 step"):
        OnlineDiscovery(memory=0.5)
    with pytest.raises(StateVersionError, match=r"cannot be read by discovery/1, which needs \['active'"):
        OnlineDiscovery().check(State("level/1", {"seen": np.zeros(1)}))
    OnlineDiscovery().check(OnlineDiscovery().empty(1))
