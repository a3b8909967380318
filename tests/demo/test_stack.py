"""What runs underneath the demo."""

import pytest

from pipeline.demo.stack import CONFIG, forget_environment
from pipeline.settings import Settings, load


def test_the_configuration_is_as_shipped_except_what_its_comments_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in forget_environment():
        monkeypatch.delenv(name, raising=False)
    demo, shipped = load(CONFIG).model_dump(), Settings().model_dump()
    changed = {
        (section, key)
        for section, values in demo.items()
        if isinstance(values, dict)
        for key in values
        if values[key] != shipped[section][key]
    }
    assert changed == {
        ("time", "window_seconds"),
        ("time", "allowed_lateness_seconds"),
        ("broker", "idempotence"),
        ("broker", "session_timeout_seconds"),
        ("topics", "partitions_by_topic"),
        ("detection", "alert_budget"),
        ("detection", "min_history_windows"),
    }
    assert [source["topic"] for source in demo["inputs"]] == ["otlp_metrics"]


def test_settings_in_the_environment_are_forgotten_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALMSTREAM_BROKER__BOOTSTRAP", "production:9092")
    monkeypatch.setenv("CALMSTREAM_CONFIG", "production.yaml")
    monkeypatch.setenv("CALMSTREAM_KAFKA_HOME", "kafka")
    assert {"CALMSTREAM_BROKER__BOOTSTRAP", "CALMSTREAM_CONFIG"} <= set(forget_environment())
    assert load(CONFIG).broker.bootstrap == "localhost:9092"
