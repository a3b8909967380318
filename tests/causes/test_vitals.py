"""Vitals: work beyond the usual, and how far from usual, by hand."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes.vitals import Reading, Role, Usual, usual_errors, usual_latency, usual_level, usual_of_band, vitals

NAN = float("nan")
USUAL = Usual(centre=log(0.040), scale=0.1, high=log(0.045))
RARE = Usual(centre=0.001, scale=1e-6, high=0.002)


def latency(seconds: float, requests: float = 1200.0, signal: str = "latency", entity: str = "shop") -> Reading:
    return Reading(entity, signal, Role.LATENCY, seconds, USUAL, requests)


def errors(failed: float, requests: float = 1000.0, entity: str = "shop") -> Reading:
    return Reading(entity, "errors", Role.ERRORS, failed, RARE, requests)


def test_the_usual_latency_has_the_median_and_the_largest_of_several_scales() -> None:
    seconds = np.exp(np.linspace(-1.0, 1.0, 201))
    usual = usual_latency(seconds)
    assert usual is not None
    assert usual.centre == pytest.approx(0.0)
    assert usual.scale == pytest.approx(max(1.4826 * 0.5, 1.0 / 1.349, 0.96 / 3))
    assert usual.high == pytest.approx(0.8)


def test_the_scale_of_a_latency_that_never_moves_is_five_percent() -> None:
    usual = usual_latency(np.full(50, 0.2))
    assert usual is not None
    assert usual.scale == 0.05


def test_a_heavy_tail_widens_the_scale_so_that_it_is_no_surprise() -> None:
    seconds = np.full(100, 0.1)
    seconds[::10] = 1.0
    usual = usual_latency(seconds)
    assert usual is not None
    assert (log(1.0) - usual.centre) / usual.scale == pytest.approx(3.0)


def test_the_usual_latency_can_be_taken_from_the_detectors_band() -> None:
    usual = usual_of_band(0.1, 0.2)
    assert usual is not None
    assert (usual.centre, usual.high) == (log(0.1), log(0.2))
    assert usual.scale == pytest.approx(log(2.0) / 2.576)
    narrow = usual_of_band(0.1, 0.1001)
    assert narrow is not None
    assert narrow.scale == 0.05


@pytest.mark.parametrize(("expected", "upper"), [(NAN, NAN), (0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, float("inf"))])
def test_without_a_band_nothing_is_usual(expected: float, upper: float) -> None:
    assert usual_of_band(expected, upper) is None


@pytest.mark.parametrize("seconds", [[], [0.1] * 19, [NAN] * 100])
def test_of_too_few_windows_nothing_is_usual(seconds: list[float]) -> None:
    assert usual_latency(np.array(seconds)) is None
    assert usual_level(np.array(seconds)) is None
    assert usual_errors(np.zeros(len(seconds)), np.array(seconds)) is None or seconds == [0.1] * 19


def test_windows_without_requests_say_nothing_of_failures() -> None:
    assert usual_errors(np.zeros(100), np.concatenate([np.zeros(90), np.full(10, 5.0)])) is None


def test_who_never_failed_is_not_sure_never_to() -> None:
    usual = usual_errors(np.zeros(100), np.full(100, 10.0))
    assert usual is not None
    assert usual.centre == pytest.approx(0.5 / 1001)


def test_latency_beyond_the_usual_is_work_of_all_requests() -> None:
    (row,) = vitals(60, [latency(0.128)])
    assert row.latency is not None
    assert (row.entity, row.end_us, row.requests) == ("shop", 60, 1200.0)
    assert row.latency.excess == pytest.approx(1200 * 0.088)
    assert row.latency.z == pytest.approx(log(3.2) / 0.1)
    assert row.latency.value == 0.128
    assert row.latency.usual == pytest.approx(0.040)
    assert row.z == row.felt(Role.LATENCY) == row.latency.z


def test_what_is_within_the_signals_own_highest_tenth_is_no_work() -> None:
    (row,) = vitals(60, [latency(0.044)])
    assert row.latency is not None
    assert row.latency.excess == 0.0
    (row,) = vitals(60, [latency(0.030)])
    assert row.latency is not None
    assert row.latency.excess == pytest.approx(-12.0)
    assert row.latency.z == 0.0


def test_operations_of_a_workload_add_up_and_the_worst_is_named() -> None:
    (row,) = vitals(60, [latency(0.050, 100, "get"), latency(0.080, 10, "put")])
    assert row.latency is not None
    assert row.latency.signal == "put"
    assert row.latency.excess == pytest.approx(100 * 0.010 + 10 * 0.040)
    assert row.requests == 110.0


def test_where_requests_are_not_known_the_work_is_that_of_one() -> None:
    (row,) = vitals(60, [latency(0.140, NAN)])
    assert row.latency is not None
    assert row.latency.excess == pytest.approx(0.100)
    assert np.isnan(row.requests)


def test_failures_are_judged_by_how_many_there_can_be() -> None:
    (many,) = vitals(60, [errors(50, 1000)])
    (few,) = vitals(60, [errors(1, 20)])
    assert many.errors is not None
    assert few.errors is not None
    assert many.errors.excess == pytest.approx(49.0)
    assert (many.errors.value, many.errors.usual) == (0.05, 0.001)
    assert many.errors.z > 6.0 > 3.0 > few.errors.z > 0.0


def test_errors_without_requests_are_judged_as_a_count() -> None:
    reading = Reading("shop", "log errors", Role.ERRORS, 104.0, Usual(4.0, 1.5, 6.0), NAN)
    (row,) = vitals(60, [reading])
    assert row.errors is not None
    assert row.errors.excess == 100.0
    assert row.errors.z == pytest.approx(100 / 2.5)


def test_saturation_is_no_work() -> None:
    (row,) = vitals(60, [Reading("shop", "cpu", Role.SATURATION, 90.0, Usual(40.0, 2.0, 45.0), NAN)])
    assert row.saturation is not None
    assert (row.saturation.z, row.saturation.excess) == (25.0, 0.0)
    assert row.z == 25.0
    assert row.felt(Role.SATURATION) == 0.0


def test_nobody_feels_a_latency_that_is_longer_by_less_than_5_ms() -> None:
    (row,) = vitals(60, [replace(latency(0.001), usual=Usual(log(0.0001), 0.1, log(0.0002)))])
    assert row.z > 20.0
    assert row.felt(Role.LATENCY) == 0.0


def test_a_signal_without_a_value_or_anything_usual_is_left_out() -> None:
    assert vitals(60, [latency(NAN), replace(latency(9.0), usual=None)]) == []


@given(
    st.lists(
        st.builds(
            Reading,
            st.sampled_from("abc"),
            st.sampled_from("xyz"),
            st.sampled_from(list(Role)),
            st.floats(0.0, 1e9) | st.just(NAN) | st.just(float("inf")),
            st.none() | st.builds(Usual, st.floats(-5, 0.99), st.floats(1e-6, 0.3), st.floats(-5, 5)),
            st.floats(0, 1e6) | st.just(NAN),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_signals_does_not_matter_and_everything_is_finite(readings: list[Reading], chance: object) -> None:
    rows = vitals(60, readings)
    chance.shuffle(readings)  # type: ignore[attr-defined]
    assert repr(vitals(60, readings)) == repr(rows)
    assert [row.entity for row in rows] == sorted({row.entity for row in rows})
    for row in rows:
        for sign in filter(None, (row.latency, row.errors, row.saturation)):
            assert 0.0 <= sign.z <= 100.0
            assert np.isfinite(sign.excess)
