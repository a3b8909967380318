"""Older OpenTelemetry names are read as today's, values keep their meaning, and no two series become one signal."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Kind, Series, Signal
from pipeline.signals.aliases import ATTRIBUTES, METRICS, current_attributes, current_metric, value_factor
from pipeline.signals.identity import _names_entity, derived, signal_of

SCOPE = ("deployment.environment.name",)


def series(name: str = "m", unit: str = "1", kind: Kind = Kind.GAUGE, /, **attributes: str) -> Series:
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    return Series(name, unit, kind, tuple(sorted(given.items())))


def signal(*args: object, rescaled: bool = True, **attributes: str) -> Signal:
    return signal_of(series(*args, **attributes), SCOPE, rescaled=rescaled)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("older", "unit", "newer", "unit_now", "factor"),
    [
        ("http.server.duration", "ms", "http.server.request.duration", "s", 0.001),
        ("http.server.duration", "s", "http.server.request.duration", "s", 1.0),
        ("http.client.duration", "ms", "http.client.request.duration", "s", 0.001),
        ("rpc.server.duration", "ms", "rpc.server.call.duration", "s", 0.001),
        ("process.runtime.jvm.gc.duration", "ms", "jvm.gc.duration", "s", 0.001),
        ("db.client.connections.wait_time", "us", "db.client.connection.wait_time", "s", 1e-6),
        ("k8s.pod.cpu.utilization", "1", "k8s.pod.cpu.usage", "1", 1.0),
        ("k8s.container.restarts", "{restart}", "k8s.container.restart.count", "{restart}", 1.0),
        ("k8s.deployment.desired", "{pod}", "k8s.deployment.pod.desired", "{pod}", 1.0),
        ("k8s.deployment.desired_pods", "{pod}", "k8s.deployment.pod.desired", "{pod}", 1.0),
        ("k8s.hpa.max_replicas", "{pod}", "k8s.hpa.pod.max", "{pod}", 1.0),
        ("k8s.daemonset.ready_nodes", "{node}", "k8s.daemonset.node.ready", "{node}", 1.0),
        ("process.runtime.jvm.memory.usage", "By", "jvm.memory.used", "By", 1.0),
    ],
)
def test_a_metric_is_called_by_todays_name_in_todays_unit(
    older: str, unit: str, newer: str, unit_now: str, factor: float
) -> None:
    assert current_metric(older, unit) == (newer, unit_now, pytest.approx(factor))
    found = signal(older, unit)
    assert (found.name, found.unit) == (newer, unit_now)


def test_a_metric_whose_unit_cannot_be_converted_keeps_name_and_unit() -> None:
    assert current_metric("http.server.duration", "") == ("http.server.duration", "", 1.0)
    assert current_metric("http.server.duration", "By") == ("http.server.duration", "By", 1.0)


def test_names_of_today_stay_as_they_are() -> None:
    for newer in METRICS.values():
        assert newer.name not in METRICS
        assert current_metric(newer.name, "x") == (newer.name, "x", 1.0)
    assert not set(ATTRIBUTES.values()) & ATTRIBUTES.keys()


def test_without_conversion_of_values_a_metric_in_another_unit_keeps_both() -> None:
    found = signal("http.server.duration", "ms", Kind.HISTOGRAM, rescaled=False)
    assert (found.name, found.unit) == ("http.server.duration", "ms")
    assert found.id == signal("http.server.duration", "ms", Kind.HISTOGRAM).id
    assert value_factor(series("http.server.duration", "ms")) == pytest.approx(0.001)
    assert value_factor(series("k8s.container.restarts", "")) == 1.0


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("http.method", "http.request.method"),
        ("http.status_code", "http.response.status_code"),
        ("db.system", "db.system.name"),
        ("net.peer.name", "server.address"),
        ("peer.service", "service.peer.name"),
        ("rpc.system", "rpc.system.name"),
        ("process.context_switch_type", "process.context_switch.type"),
        ("system.processes.status", "process.state"),
    ],
)
def test_an_attribute_is_called_by_todays_name(older: str, newer: str) -> None:
    found = signal_of(Series("m", "", Kind.GAUGE, ((older, "x"), ("service.name", "s"))), SCOPE)
    assert found.attributes == ((newer, "x"),)


def test_the_environment_is_the_scope_under_both_names_and_both_settings() -> None:
    for name in ("deployment.environment", "deployment.environment.name"):
        for setting in ("deployment.environment", "deployment.environment.name"):
            assert signal_of(Series("m", "", Kind.GAUGE, ((name, "prod"),)), (setting,)).scope == "prod"


@pytest.mark.parametrize("value", ["x", "y"])
def test_renaming_never_hides_what_tells_measurements_apart(value: str) -> None:
    for older, newer in ATTRIBUTES.items():
        assert _names_entity(older, value, "service:s") or not _names_entity(newer, value, "service:s"), older


# No two series become one signal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("http.server.duration", "s"), ("http.server.request.duration", "s")),
        (("http.server.duration", "ms"), ("http.server.request.duration", "s")),
        (("k8s.deployment.desired",), ("k8s.deployment.desired_pods",)),
        (("k8s.pod.cpu.utilization",), ("k8s.pod.cpu.usage",)),
    ],
)
def test_a_metric_sent_under_both_names_is_two_signals_of_one_name(one: tuple[str], other: tuple[str]) -> None:
    first, second = signal(*one, service__name="s"), signal(*other, service__name="s")
    assert (first.name, first.unit, first.workload) == (second.name, second.unit, second.workload)
    assert first.id != second.id
    assert derived(first, "p95", "s").id != derived(second, "p95", "s").id
    assert derived(first, "p95", "s").name == derived(second, "p95", "s").name


def test_an_attribute_sent_under_both_names_is_two_signals_or_one_with_the_newer() -> None:
    older, newer = signal(http__method="GET"), signal(http__request__method="GET")
    both, mixed = (
        signal(http__method="GET", http__request__method="GET"),
        signal(http__method="A", http__request__method="B"),
    )
    assert older.attributes == newer.attributes == both.attributes == (("http.request.method", "GET"),)
    assert len({older.id, newer.id, both.id, mixed.id}) == 4
    assert mixed.attributes == (("http.method", "A"), ("http.request.method", "B"))


def test_two_older_names_of_one_are_kept_apart() -> None:
    found = signal_of(Series("m", "", Kind.GAUGE, (("net.host.name", "a"), ("net.peer.name", "b"))), SCOPE)
    assert found.attributes == (("net.peer.name", "b"), ("server.address", "a"))


NAMES = st.sampled_from([*list(ATTRIBUTES)[:12], *list(ATTRIBUTES.values())[:12], "route", "server.address"])
ALL = st.dictionaries(NAMES, st.sampled_from("ab"), max_size=3)
METRIC = st.sampled_from(
    ["http.server.duration", "http.server.request.duration", "k8s.hpa.max_replicas", "k8s.hpa.pod.max"]
)


@given(METRIC, ALL, METRIC, ALL)
def test_signals_are_the_same_only_where_all_that_was_sent_of_the_measurement_is(
    one: str, attributes: Mapping[str, str], other: str, others: Mapping[str, str]
) -> None:
    first = signal_of(Series(one, "s", Kind.GAUGE, tuple(sorted(attributes.items()))), ())
    second = signal_of(Series(other, "s", Kind.GAUGE, tuple(sorted(others.items()))), ())
    measured = [
        {name: value for name, value in given.items() if not name.startswith("deployment.")}
        for given in (attributes, others)
    ]
    assert (first.id == second.id) == (one == other and measured[0] == measured[1])
    assert (first.id == second.id) == (first == second)


@given(ALL)
def test_no_value_is_lost(attributes: Mapping[str, str]) -> None:
    found = current_attributes(tuple(sorted(attributes.items())))
    assert {(sent, value) for _, value, sent in found} == set(attributes.items())
    assert len({name for name, _, _ in found}) >= len({(ATTRIBUTES.get(name, name)) for name in attributes})
