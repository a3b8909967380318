"""What runs underneath the demos."""

from pathlib import Path

import pytest

from pipeline.demo.machine.watch import CONFIG as MACHINE
from pipeline.demo.shop.story import CONFIG as SHOP
from pipeline.demo.stack import forget_environment
from pipeline.settings import Settings, load

QUICK = {
    ("time", "window_seconds"),
    ("time", "allowed_lateness_seconds"),
    ("broker", "idempotence"),
    ("broker", "session_timeout_seconds"),
    ("topics", "partitions_by_topic"),
    ("detection", "min_history_windows"),
}
OF_MACHINE = {("detection", "alert_budget")}
OF_SHOP = {
    ("time", "idle_sparse_seconds"),
    ("time", "trace_wait_seconds"),
    ("detection", "threshold_surprise"),
    ("detection", "open_windows"),
    ("detection", "min_absolute_by_unit"),
    ("detection", "min_relative"),
    ("detection", "parts_off"),
    ("incidents", "join_windows"),
}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in forget_environment():
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("config", "different", "inputs"),
    [
        (MACHINE, QUICK | OF_MACHINE, ["otlp_metrics"]),
        (SHOP, QUICK | OF_SHOP, ["otlp_metrics", "otlp_logs", "otlp_spans", "calm.changes"]),
    ],
    ids=["machine", "shop"],
)
def test_a_configuration_is_as_shipped_except_what_its_comments_say(
    config: Path, different: set[tuple[str, str]], inputs: list[str]
) -> None:
    demo, shipped = load(config).model_dump(), Settings().model_dump()
    changed = {
        (section, key)
        for section, values in demo.items()
        if isinstance(values, dict)
        for key in values
        if values[key] != shipped[section][key]
    }
    assert changed == different
    assert [source["topic"] for source in demo["inputs"]] == inputs
    assert config.read_text().count("# Shipped: ") == len(different) + 1  # and the inputs


def test_settings_in_the_environment_are_forgotten_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALMSTREAM_BROKER__BOOTSTRAP", "production:9092")
    monkeypatch.setenv("CALMSTREAM_CONFIG", "production.yaml")
    monkeypatch.setenv("CALMSTREAM_KAFKA_HOME", "kafka")
    assert {"CALMSTREAM_BROKER__BOOTSTRAP", "CALMSTREAM_CONFIG"} <= set(forget_environment())
    assert load(SHOP).broker.bootstrap == "localhost:9092"
