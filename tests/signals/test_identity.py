"""Who a series belongs to: scope, workload, instance, own attributes; ids and partitions that never change."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Kind, Series, Signal
from pipeline.signals.identity import derived, partition_of, scope_partition, signal_of

SCOPE = ("deployment.environment.name", "k8s.cluster.name")
POD = {
    "service.name": "checkout",
    "k8s.namespace.name": "shop",
    "k8s.deployment.name": "checkout-api",
    "k8s.pod.name": "checkout-api-7d4b9c5f6-x2x9z",
    "k8s.node.name": "node-1",
    "service.instance.id": "0d5c",
    "deployment.environment.name": "prod",
}


def signal(attributes: Mapping[str, str], kind: Kind = Kind.GAUGE, name: str = "m", unit: str = "1") -> Signal:
    return signal_of(Series(name, unit, kind, tuple(sorted(attributes.items()))), SCOPE)


def workload(**attributes: str) -> str:
    return signal({name.replace("_", "."): value for name, value in attributes.items()}).workload


def test_a_pod_belongs_to_its_deployment_in_its_namespace() -> None:
    found = signal({**POD, "http.route": "/pay"})
    assert (found.scope, found.workload) == ("prod", "deployment:shop/checkout-api")
    assert found.instance == "checkout-api-7d4b9c5f6-x2x9z"
    assert found.attributes == (("http.route", "/pay"),)


@pytest.mark.parametrize(
    "change",
    [
        {"k8s.pod.name": "checkout-api-7d4b9c5f6-abcde"},
        {"k8s.pod.uid": "11"},
        {"k8s.replicaset.name": "checkout-api-66c5d87b4"},
        {"service.version": "2.0.0"},
        {"service.instance.id": "ffff"},
        {"process.pid": "4711"},
        {"container.id": "cafe"},
        {"container.image.tag": "v2"},
        {"k8s.node.name": "node-9"},
        {"host.name": "node-9"},
        {"process.command_line": "java -Xmx2g"},
    ],
)
def test_a_rollout_does_not_change_whom_a_signal_belongs_to(change: Mapping[str, str]) -> None:
    before, after = signal({**POD, "route": "/"}), signal({**POD, "route": "/", **change})
    assert (after.scope, after.workload, after.attributes) == (before.scope, before.workload, before.attributes)
    assert partition_of(after, 64) == partition_of(before, 64)


def test_a_replicaset_belongs_to_the_deployment_that_it_is_named_after() -> None:
    first, second = (workload(k8s_replicaset_name=f"pay-api-{hash_}") for hash_ in ("7d4b9c5f6", "66c5d87b4"))
    assert first == second == workload(k8s_deployment_name="pay-api") == "deployment:pay-api"


def test_a_replicaset_with_a_name_of_its_own_keeps_it() -> None:
    assert workload(k8s_replicaset_name="frontend") == "replicaset:frontend"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"k8s.deployment.name": "d", "k8s.replicaset.name": "d-7d4b9c5f6", "service.name": "s"}, "deployment:d"),
        ({"k8s.statefulset.name": "db", "service.name": "s"}, "statefulset:db"),
        ({"k8s.daemonset.name": "agent", "k8s.node.name": "n"}, "daemonset:agent"),
        ({"k8s.cronjob.name": "backup", "k8s.job.name": "backup-28394820"}, "cronjob:backup"),
        ({"k8s.job.name": "migrate", "k8s.namespace.name": "ops"}, "job:ops/migrate"),
        ({"service.name": "s", "service.namespace": "team", "host.name": "h"}, "service:team/s"),
        ({"service.name": "s", "faas.name": "f"}, "service:s"),
        ({"faas.name": "f", "cloud.region": "eu"}, "function:f"),
        ({"process.executable.name": "nginx", "host.name": "h"}, "process:nginx"),
        ({"container.name": "web", "container.image.name": "img", "host.name": "h"}, "container:web"),
        ({"container.image.name": "img", "host.name": "h"}, "image:img"),
        ({"k8s.node.name": "n", "host.name": "h"}, "node:n"),
        ({"host.name": "h", "host.id": "i"}, "host:h"),
        ({"host.id": "i"}, "host:i"),
        ({}, "unknown"),
        ({"service.name": "", "host.name": "h"}, "host:h"),
    ],
)
def test_the_most_exact_name_of_a_workload_comes_first(attributes: Mapping[str, str], expected: str) -> None:
    assert signal(attributes).workload == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"k8s.pod.name": "p", "service.instance.id": "i", "host.name": "h"}, "p"),
        ({"service.instance.id": "i", "process.pid": "7", "host.name": "h"}, "i"),
        ({"process.pid": "7", "host.name": "h"}, "h/7"),
        ({"process.pid": "7"}, "7"),
        ({"container.id": "c", "host.name": "h"}, "c"),
        ({"host.name": "h"}, "h"),
        ({}, ""),
    ],
)
def test_the_most_exact_name_of_an_instance_comes_first(attributes: Mapping[str, str], expected: str) -> None:
    assert signal({"service.name": "s", **attributes}).instance == expected


def test_a_host_is_not_an_instance_of_itself() -> None:
    found = signal({"host.name": "h"})
    assert (found.workload, found.instance, found.entity) == ("host:h", "", "host:h")


def test_the_scope_is_made_of_the_scope_attributes_that_are_there() -> None:
    assert signal({"k8s.cluster.name": "c", "deployment.environment.name": "prod"}).scope == "prod/c"
    assert signal({"k8s.cluster.name": "c"}).scope == "c"
    assert signal({"service.name": "s"}).scope == "default"


def test_the_older_name_of_the_environment_is_read_where_the_newer_is_missing() -> None:
    assert signal({"deployment.environment": "old"}).scope == "old"
    assert signal({"deployment.environment": "old", "deployment.environment.name": "new"}).scope == "new"


@pytest.mark.parametrize(
    "name",
    ["k8s.container.name", "k8s.volume.name", "process.context_switch.type", "faas.trigger", "k8s.node.condition.type"],
)
def test_what_tells_apart_the_measurements_of_one_instance_stays_with_the_signal(name: str) -> None:
    one, other = signal({**POD, name: "a"}), signal({**POD, name: "b"})
    assert one.id != other.id
    assert one.attributes == ((name, "a"),)


def test_the_name_of_the_container_that_is_the_workload_is_not_told_twice() -> None:
    assert signal({"container.name": "web"}).attributes == ()


def test_a_rate_has_the_unit_per_second() -> None:
    assert signal({}, Kind.COUNTER, unit="By").unit == "By/s"
    assert signal({}, Kind.DELTA, unit="").unit == "1/s"
    assert signal({}, Kind.COUNTER, unit="s").unit == "1"
    assert signal({}, Kind.GAUGE, unit="By").unit == "By"


def test_ids_are_the_same_in_every_process_and_version() -> None:
    assert (
        signal({**POD, "http.route": "/pay"}, name="http.server.request.duration", unit="s").id == 8164891562159217019
    )
    assert signal({}).id == 8910805532051654326


def test_partitions_are_the_same_in_every_process_and_version() -> None:
    names = [signal({"service.name": f"s{i}"}) for i in range(8)]
    assert [partition_of(one, 4) for one in names] == [2, 0, 2, 0, 3, 1, 3, 1]
    assert [scope_partition(scope, 4) for scope in ("default", "prod", "prod/c", "staging")] == [3, 3, 3, 1]


def test_all_signals_of_a_workload_meet_in_one_partition() -> None:
    signals = [signal({**POD, "k8s.pod.name": f"p{i}", "cpu": str(i)}, name=f"m{i}") for i in range(20)]
    assert len({one.id for one in signals}) == 20
    assert len({partition_of(one, 64) for one in signals}) == 1


def test_workloads_spread_over_the_partitions() -> None:
    partitions = [partition_of(signal({"service.name": f"s{i}"}), 8) for i in range(800)]
    assert min(partitions.count(p) for p in range(8)) > 60


TEXT = st.text(min_size=1, max_size=5)
SERIES = st.builds(
    Series,
    TEXT,
    TEXT,
    st.sampled_from(Kind),
    st.dictionaries(TEXT, TEXT, max_size=3).map(lambda d: tuple(sorted(d.items()))),
)


@given(SERIES, SERIES)
def test_two_signals_share_an_id_only_if_they_are_the_same(one: Series, other: Series) -> None:
    first, second = signal_of(one, SCOPE), signal_of(other, SCOPE)
    assert (first.id == second.id) == (first == second)


def test_where_a_name_ends_and_its_value_begins_is_part_of_the_id() -> None:
    assert signal({"ab": "c"}).id != signal({"a": "bc"}).id
    assert signal({"a": "b", "c": "d"}).id != signal({"a": "b,c=d"}).id


def test_a_derived_signal_keeps_the_entity_and_has_an_id_of_its_own() -> None:
    base = signal({**POD, "http.route": "/pay"}, Kind.HISTOGRAM, "latency", "s")
    found = {suffix: derived(base, suffix, "s") for suffix in ("p50", "p95")}
    assert len({base.id, *(one.id for one in found.values())}) == 3
    one = found["p95"]
    assert (one.name, one.unit, one.kind) == ("latency.p95", "s", Kind.GAUGE)
    assert (one.scope, one.workload, one.instance, one.attributes) == (
        base.scope,
        base.workload,
        base.instance,
        base.attributes,
    )
    assert partition_of(one, 64) == partition_of(base, 64)
