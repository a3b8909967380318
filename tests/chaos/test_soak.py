"""The judgement of a soak: what rises is told from what only trembles; and what is sent, that it comes and goes."""

import json
import random

import pytest

from tests.chaos.soak import LIFE, LIVE, METRICS, SECONDS, judged, messages


def samples(rise_mib: float, noise_mib: float = 0.0) -> list[tuple[float, float]]:
    """A start that takes memory, and then so much more over the second half."""
    dice = random.Random(1)
    return [
        (float(at), min(250.0, 150.0 + at) + rise_mib * max(at - 300, 0) / 300 + dice.uniform(-noise_mib, noise_mib))
        for at in range(SECONDS)
    ]


def test_memory_that_trembles_is_flat_and_its_start_does_not_count() -> None:
    report = judged(SECONDS, 1, samples(0.0, noise_mib=8.0), {})
    assert report.is_flat
    assert report.rise_in_half == pytest.approx(0.0, abs=0.02)


def test_a_leak_of_what_comes_and_goes_is_seen() -> None:
    report = judged(SECONDS, 1, samples(20.0, noise_mib=8.0), {})
    assert not report.is_flat
    assert report.slope_mib_per_hour == pytest.approx(240, rel=0.2)
    assert report.end_mib - report.half_mib == pytest.approx(20, rel=0.2)


def test_instances_come_and_go_and_each_has_its_life() -> None:
    seen: dict[str, list[int]] = {}
    for minute in range(0, 5 * LIFE, 10):
        told = [json.loads(value) for topic, _, value in messages(0, minute) if topic == "points"]
        points = [point for message in told if isinstance(message, list) for point in message]
        assert len(points) == LIVE * len(METRICS)
        for instance in {point["attributes"]["service.instance.id"] for point in points}:
            seen.setdefault(instance, []).append(minute)
    assert 5 * LIVE <= len(seen) <= 6 * LIVE
    assert max(minutes[-1] - minutes[0] for minutes in seen.values()) < LIFE
