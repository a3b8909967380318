"""Samples of prometheus-kafka-adapter: values, times, kinds, units, and who a series belongs to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.prometheus_names import series_of
from pipeline.records import Kind, Series, Signal
from pipeline.signals.identity import signal_of
from tests.codecs.decoding import attributes, decoded, refusals
from tests.codecs.golden import PROMETHEUS

T = 1_767_225_600_000_000
KSM = {"job": "kube-state-metrics", "instance": "10.0.0.9:8080"}
CADVISOR = {"job": "kubelet", "instance": "10.0.0.4:10250", "node": "node-1", "metrics_path": "/metrics/cadvisor"}


def sample(name: str = "up", /, value: Any = "1", timestamp: Any = "2026-01-01T00:00:00Z", **labels: Any) -> str:
    return json.dumps(
        {"labels": {"__name__": name, **labels}, "name": name, "timestamp": timestamp, "value": value}, sort_keys=True
    )


def signal(name: str, /, **labels: str) -> Signal:
    series = series_of(name, labels)
    assert isinstance(series, Series)
    return signal_of(series, ())


def test_a_sample_of_cadvisor_is_a_rate_of_its_pod() -> None:
    _, (row,) = decoded("prometheus_json", PROMETHEUS)
    assert (row.time_us, row.value, row.start_us) == (T, 5021.75, 0)
    assert (row.series.name, row.series.unit, row.series.kind) == (
        "container_cpu_usage_seconds_total",
        "s",
        Kind.COUNTER,
    )
    assert attributes(row.series) == {
        "cpu": "total",
        "container.cgroup.path": "/kubepods/c1",
        "container.id": "c1",
        "container.image.name": "registry/cart:1.4.2",
        "k8s.container.name": "cart",
        "k8s.namespace.name": "shop",
        "k8s.node.name": "node-1",
        "k8s.pod.name": "cart-7d4b9c5f6-x2x9z",
        "k8s.replicaset.name": "cart-7d4b9c5f6",
    }


# Values and times


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0.0), ("-1.5", -1.5), ("1e+06", 1e6), ("18446744073709551615", 2.0**64), (2.5, 2.5)]
)
def test_values_are_texts_or_numbers(text: Any, expected: float) -> None:
    assert decoded("prometheus_json", sample(value=text))[1][0].value == expected


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "1e999"])
def test_stale_markers_and_infinities_are_counted_and_nothing_is_refused(text: str) -> None:
    columns, rows = decoded("prometheus_json", sample(value=text), sample())
    assert [row.message for row in rows] == [1]
    assert (columns.rejections, columns.dropped) == ([], {"not_finite": 1})


@pytest.mark.parametrize("text", ["", "one", "0x10", "1,5"])
def test_a_value_that_is_no_number_is_refused(text: str) -> None:
    columns, rows = decoded("prometheus_json", sample(value=text), sample(value="2"))
    assert [row.value for row in rows] == [2.0]
    assert refusals(columns) == [(0, "bad_value", True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", T),
        ("2026-01-01T01:00:00+01:00", T),
        ("2026-01-01T00:00:00.25Z", T + 250_000),
        ("2026-01-01T00:00:00", T),
    ],
)
def test_times_are_rfc_3339_with_utc_as_default(text: str, expected: int) -> None:
    assert decoded("prometheus_json", sample(timestamp=text))[1][0].time_us == expected


@pytest.mark.parametrize("text", ["", "now", "1767225600", "2026-02-30T00:00:00Z"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    columns, rows = decoded("prometheus_json", sample(timestamp=text), sample(), sample(timestamp=text))
    assert [row.message for row in rows] == [1]
    assert refusals(columns) == [(0, "bad_time", True), (2, "bad_time", True)]


def test_an_array_and_ndjson_hold_many_samples() -> None:
    both = [sample(value="1"), sample(value="2")]
    for text in (f"[{','.join(both)}]", "\n".join(both) + "\n"):
        columns, rows = decoded("prometheus_json", text)
        assert [(row.message, row.value) for row in rows] == [(0, 1.0), (0, 2.0)]
        assert columns.rejections == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [('{"a": 1}', "bad_attributes"), ("[]", "bad_attributes"), ('{"a": {}}', "bad_attributes"), ("{}", "bad_name")],
)
def test_labels_that_are_no_texts_by_name_are_refused(labels: str, reason: str) -> None:
    columns, rows = decoded("prometheus_json", f'{{"labels":{labels},"timestamp":"2026-01-01T00:00:00Z","value":"1"}}')
    assert rows == []
    assert refusals(columns) == [(0, reason, True)]


def test_the_name_beside_the_labels_counts_where_they_have_none() -> None:
    text = '{"labels":{"a":"b"},"name":"up","timestamp":"2026-01-01T00:00:00Z","value":"1"}'
    assert decoded("prometheus_json", text)[1][0].series == Series("up", "", Kind.GAUGE, (("a", "b"),))


# What is left out


def test_buckets_of_a_histogram_are_left_out_and_counted_and_its_count_and_sum_are_counters() -> None:
    texts = [sample(f"http_duration_seconds_{part}", "7", job="cart") for part in ("count", "sum")]
    texts += [sample("http_duration_seconds_bucket", "7", le=bound, job="cart") for bound in ("0.1", "1", "+Inf")]
    columns, rows = decoded("prometheus_json", *texts)
    assert [(row.series.name, row.series.unit, row.series.kind) for row in rows] == [
        ("http_duration_seconds_count", "", Kind.COUNTER),
        ("http_duration_seconds_sum", "s", Kind.COUNTER),
    ]
    assert (columns.rejections, columns.dropped) == ([], {"histogram_bucket": 3})


@pytest.mark.parametrize(
    ("name", "labels", "kept"),
    [
        ("container_memory_working_set_bytes", {"pod": "p", "container": "app"}, True),
        ("container_memory_working_set_bytes", {"pod": "p", "container": "POD"}, False),
        ("container_memory_working_set_bytes", {"pod": "p", "container": ""}, False),
        ("container_memory_working_set_bytes", {"pod": "p"}, False),
        ("container_memory_working_set_bytes", {"id": "/system.slice"}, False),
        ("container_memory_working_set_bytes", {"id": "/docker/1", "name": "web"}, True),
        ("container_network_receive_bytes_total", {"pod": "p", "container": "POD"}, True),
        ("container_network_receive_bytes_total", {"pod": "p"}, True),
        ("container_network_receive_bytes_total", {"id": "/"}, False),
    ],
)
def test_sums_over_containers_are_left_out_but_not_the_network_of_a_pod(
    name: str, labels: dict[str, str], kept: bool
) -> None:
    columns, rows = decoded("prometheus_json", sample(name, **labels), sample(name, **labels))
    assert len(rows) == 2 * kept
    assert (columns.rejections, columns.dropped) == ([], {} if kept else {"no_container": 2})


# Kinds and units


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("http_requests_total", Kind.COUNTER, ""),
        ("process_cpu_seconds_total", Kind.COUNTER, "s"),
        ("node_network_receive_bytes_total", Kind.COUNTER, "By"),
        ("http_duration_seconds_sum", Kind.COUNTER, "s"),
        ("http_duration_seconds_count", Kind.COUNTER, ""),
        ("http_duration_seconds", Kind.GAUGE, "s"),
        ("process_resident_memory_bytes", Kind.GAUGE, "By"),
        ("node_hwmon_temp_celsius", Kind.GAUGE, "Cel"),
        ("go_goroutines", Kind.GAUGE, ""),
        ("queue_bucket", Kind.GAUGE, ""),
        ("node_vmstat_pgmajfault", Kind.COUNTER, ""),
        ("node_netstat_Tcp_InSegs", Kind.COUNTER, ""),
        ("node_netstat_Tcp_CurrEstab", Kind.GAUGE, ""),
        ("kubelet_running_pod_count", Kind.GAUGE, ""),
        ("job:http_requests_total:rate5m", Kind.GAUGE, ""),
    ],
)
def test_kind_and_unit_follow_from_the_name(name: str, kind: Kind, unit: str) -> None:
    series = series_of(name, {})
    assert isinstance(series, Series)
    assert (series.kind, series.unit) == (kind, unit)


def test_kube_state_metrics_has_the_unit_in_a_label() -> None:
    limits = {"namespace": "shop", "pod": "cart-0", "container": "cart"}
    found = [
        signal("kube_pod_container_resource_limits", resource=resource, unit=unit, **limits).unit
        for resource, unit in (("memory", "byte"), ("cpu", "core"))
    ]
    assert found == ["By", "{cpu}"]


# Who it belongs to


@pytest.mark.parametrize(
    ("name", "labels", "workload", "instance"),
    [
        ("http_requests_total", {"job": "cart", "instance": "10.1.2.3:8080"}, "service:cart", "10.1.2.3:8080"),
        (
            "http_requests_total",
            {"job": "cart", "namespace": "shop", "pod": "cart-7d4b9c5f6-x2x9z", "instance": "10.1.2.3:8080"},
            "deployment:shop/cart",
            "cart-7d4b9c5f6-x2x9z",
        ),
        (
            "kube_deployment_spec_replicas",
            {"namespace": "shop", "deployment": "cart", **KSM},
            "deployment:shop/cart",
            "",
        ),
        ("kube_statefulset_replicas", {"namespace": "shop", "statefulset": "db", **KSM}, "statefulset:shop/db", ""),
        ("kube_job_failed", {"namespace": "shop", "job_name": "migrate", **KSM}, "job:shop/migrate", ""),
        (
            "kube_pod_container_status_restarts_total",
            {"namespace": "shop", "pod": "db-0", "container": "db", **KSM},
            "statefulset:shop/db",
            "db-0",
        ),
        (
            "kube_pod_info",
            {"namespace": "x", "pod": "odd", "created_by_kind": "DaemonSet", "created_by_name": "agent", **KSM},
            "daemonset:x/agent",
            "odd",
        ),
        ("kube_pod_status_phase", {"namespace": "shop", "pod": "toolbox", **KSM}, "service:shop/toolbox", "toolbox"),
        ("kube_node_status_condition", {"node": "node-1", "condition": "Ready", **KSM}, "node:node-1", ""),
        ("kube_namespace_status_phase", {"namespace": "shop", **KSM}, "service:shop/kube-state-metrics", ""),
        (
            "container_cpu_usage_seconds_total",
            {"id": "/docker/1", "name": "web", "instance": "h1:8080"},
            "container:web",
            "h1",
        ),
        ("node_load1", {"instance": "10.0.0.7:9100", "job": "node", "pod": "node-exporter-x2x9z"}, "host:10.0.0.7", ""),
        ("node_load1", {"instance": "[fe80::1]:9100"}, "host:fe80::1", ""),
        ("node_load1", {"instance": "10.0.0.7:9100", "node": "node-1"}, "node:node-1", "10.0.0.7"),
        ("push_time_seconds", {"job": "pushgateway", "exported_job": "nightly"}, "service:nightly", ""),
        ("otel_metric", {"service_name": "pay", "job": "shop/pay", "instance": "i"}, "service:pay", "i"),
        ("namespace:cpu:sum", {"namespace": "shop"}, "service:shop", ""),
    ],
)
def test_a_series_belongs_to_what_it_describes(name: str, labels: dict[str, str], workload: str, instance: str) -> None:
    found = signal(name, **labels)
    assert (found.workload, found.instance) == (workload, instance)


def test_a_pod_is_the_same_workload_for_every_exporter() -> None:
    pod = {"namespace": "shop", "pod": "cart-7d4b9c5f6-x2x9z"}
    found = [
        signal("http_requests_total", job="cart", instance="10.1.2.3:80", endpoint="http", **pod),
        signal("kube_pod_status_ready", condition="true", **pod, **KSM),
        signal("container_cpu_usage_seconds_total", container="cart", **pod, **CADVISOR),
    ]
    assert len({(one.workload, one.instance) for one in found}) == 1


def test_who_was_scraped_is_no_part_of_what_is_told_of_others() -> None:
    one, other = ({**KSM, "instance": instance} for instance in ("10.0.0.9:8080", "10.0.0.10:8080"))
    name = "kube_deployment_spec_replicas"
    assert signal(name, namespace="a", deployment="d", **one) == signal(name, namespace="a", deployment="d", **other)


@pytest.mark.parametrize(
    ("name", "labels", "change"),
    [
        (
            "go_goroutines",
            {"job": "a", "namespace": "n", "pod": "p-0", "instance": "10.1.2.3:80"},
            {"instance": "10.1.2.3:81"},
        ),
        ("go_goroutines", {"job": "a", "namespace": "n", "pod": "p-0", "container": "x"}, {"container": "y"}),
        (
            "kube_horizontalpodautoscaler_spec_max_replicas",
            {"namespace": "n", "horizontalpodautoscaler": "h"},
            {"namespace": "m"},
        ),
        (
            "kube_horizontalpodautoscaler_spec_max_replicas",
            {"namespace": "n", "horizontalpodautoscaler": "h"},
            {"horizontalpodautoscaler": "i"},
        ),
        ("kube_configmap_info", {"namespace": "n", "configmap": "c", **KSM}, {"namespace": "m"}),
        ("namespace:cpu:sum", {"namespace": "n"}, {"namespace": "m"}),
        ("build_info", {"job": "a", "version": "1"}, {"version": "2"}),
        ("up", {"job": "a", "region": "eu"}, {"region": "us"}),
        ("up", {"job": "a", "instance": "i", "id": "1", "name": "x", "uid": "u"}, {"uid": "v"}),
        ("up", {"job": "a", "instance": "i", "id": "1", "name": "x"}, {"name": "y"}),
    ],
)
def test_series_that_are_sent_side_by_side_are_different_signals(
    name: str, labels: dict[str, str], change: dict[str, str]
) -> None:
    assert signal(name, **labels).id != signal(name, **{**labels, **change}).id


@given(
    st.dictionaries(
        st.sampled_from(["job", "service_name", "instance", "env", "environment", "pod", "x"]),
        st.text(min_size=1, max_size=3),
    )
)
def test_no_label_of_a_service_is_lost(labels: dict[str, str]) -> None:
    series = series_of("up", labels)
    assert isinstance(series, Series)
    assert set(labels.values()) <= {value for _, value in series.attributes}
