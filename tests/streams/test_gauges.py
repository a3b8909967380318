"""The gauges of a shard say how far it is, and are taken back with it."""

import time

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from pipeline.streams import gauges
from pipeline.telemetry import Telemetry

PLACE = TopicPartition("calm.signals", 3)
LABELS = {"role": "score", "topic": "calm.signals", "partition": "3"}


class Told:
    """A chain that says what it is told to say."""

    def watermark_us(self) -> int:
        return 1_700_000_000_000_000

    def gauges(self) -> dict[str, int]:
        return {"signals": 7, "open_incidents": 2}


def samples(telemetry: Telemetry) -> set[str]:
    return {
        sample.name
        for family in telemetry.registry.collect()
        for sample in family.samples
        if "partition" in sample.labels
    }


def lag_seconds(messages: int, read_ms: int | None) -> float | None:
    telemetry = Telemetry(CollectorRegistry())
    gauges.show_lag(telemetry, "score", PLACE, messages, read_ms=read_ms)
    assert telemetry.registry.get_sample_value("calmstream_lag_messages", LABELS) == messages
    return telemetry.registry.get_sample_value("calmstream_lag_seconds", LABELS)


def test_who_has_read_everything_is_not_late_however_old_the_last_message_is() -> None:
    assert lag_seconds(0, read_ms=0) == 0
    assert lag_seconds(0, read_ms=None) == 0


def test_who_has_not_is_as_late_as_the_message_that_was_read_last_is_old() -> None:
    found = lag_seconds(5, read_ms=round((time.time() - 3600) * 1000))
    assert found is not None
    assert 3600 <= found < 3700


def test_before_the_first_message_it_is_not_known() -> None:
    assert lag_seconds(5, read_ms=None) is None


def test_a_clock_that_is_behind_the_producers_makes_nobody_early() -> None:
    assert lag_seconds(5, read_ms=round((time.time() + 3600) * 1000)) == 0


def test_all_is_taken_back_with_the_shard_and_a_second_time_does_no_harm() -> None:
    telemetry = Telemetry(CollectorRegistry())
    gauges.show(telemetry, "score", PLACE, Told())  # type: ignore[arg-type]
    gauges.show_lag(telemetry, "score", PLACE, 5, read_ms=0)
    telemetry.checkpoint_time.labels("score").set_to_current_time()
    assert samples(telemetry) == {
        "calmstream_lag_messages",
        "calmstream_lag_seconds",
        "calmstream_watermark_timestamp_seconds",
        "calmstream_signals",
        "calmstream_open_incidents",
    }
    for _ in range(2):
        gauges.hide(telemetry, "score", [PLACE])
        assert samples(telemetry) == set()
        assert telemetry.registry.get_sample_value("calmstream_checkpoint_timestamp_seconds", {"role": "score"}) is None
