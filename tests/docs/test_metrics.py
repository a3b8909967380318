"""``docs/metrics.md`` is what the registry says, and the registry keeps to Prometheus' conventions."""

import re

import pytest
from prometheus_client import generate_latest

from pipeline.telemetry import Telemetry
from tests.docs.metrics import LABELS, PAGE, Described, described, page

METRICS = described(Telemetry())
OURS = [metric for metric in METRICS if metric.name.startswith("calmstream_")]
every_metric_of_ours = pytest.mark.parametrize("metric", OURS, ids=lambda metric: metric.name)


def test_the_page_is_made_of_the_registry() -> None:
    assert PAGE.read_text() == page(), "docs/metrics.md is stale: .venv/bin/python -m tests.docs.metrics"


def test_the_page_has_every_metric_that_is_exported_and_no_other() -> None:
    exported = re.findall(r"^# TYPE (\w+) (\w+)$", generate_latest(Telemetry().registry).decode(), re.MULTILINE)
    assert sorted((metric.name, metric.type) for metric in METRICS) == sorted(exported)


@every_metric_of_ours
def test_a_name_has_our_prefix_and_base_units_and_total_where_it_counts(metric: Described) -> None:
    assert re.fullmatch(r"calmstream(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not set(metric.name.split("_")) & {
        "milliseconds",
        "ms",
        "minutes",
        "hours",
        "kilobytes",
        "megabytes",
        "percent",
    }
    assert not metric.name.endswith(("_count", "_sum", "_bucket")), "the samples of a histogram are called so"
    assert metric.type != "histogram" or metric.unit, "what is measured has a unit"


@every_metric_of_ours
def test_no_label_can_have_very_many_values_or_is_in_the_name(metric: Described) -> None:
    assert set(metric.labels) <= LABELS.keys()
    assert not set(metric.labels) & set(metric.name.split("_"))


@every_metric_of_ours
def test_the_meaning_is_a_sentence_that_says_more_than_the_name(metric: Described) -> None:
    verb = {"counter": "Counts", "gauge": "(Says|Is)", "histogram": "Measures"}[metric.type]
    assert re.fullmatch(rf"{verb} .*[^.]\.", metric.meaning)
    assert len(metric.meaning.split()) >= 6


def test_what_a_role_reads_is_counted_from_zero() -> None:
    telemetry = Telemetry()
    telemetry.reads("ingest", ("calm.points",))
    samples = generate_latest(telemetry.registry).decode()
    for sample in (
        'calmstream_messages_total{role="ingest",topic="calm.points"} 0.0',
        'calmstream_dead_letters_total{role="ingest",topic="calm.points"} 0.0',
        'calmstream_drops_total{reason="log_truncated",role="ingest"} 0.0',
        'calmstream_ready{role="ingest"} 0.0',
    ):
        assert sample in samples
