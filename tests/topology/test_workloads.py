"""Workloads: which sightings are news, and which are the first of a rollout."""

from dataclasses import replace

import pytest

from pipeline.records import US, Change, Entity
from pipeline.topology.workloads import Workloads

ONE = Entity("prod", "service:cart", "cart-1", "1.0")
MINUTE = 60 * US


def seen(*sightings: tuple[Entity, int]) -> list[Change]:
    """Changes told of entities seen at so many minutes."""
    workloads = Workloads()
    told = [workloads.see(entity, minute * MINUTE)[1] for entity, minute in sightings]
    return [change for change in told if change is not None]


def of(instance: str, version: str) -> Entity:
    return replace(ONE, instance=instance, version=version)


def test_a_new_version_of_a_known_workload_is_a_change() -> None:
    (change,) = seen((ONE, 0), (of("cart-2", "2.0"), 10))
    assert (change.kind, change.source, change.version, change.before) == ("deployment", "telemetry", "2.0", "1.0")
    assert change.effective_us == 10 * MINUTE
    assert "service:cart began to run 2.0, after 1.0" in change.title


def test_a_rollout_of_many_instances_is_told_once() -> None:
    rollout = [(of(f"cart-{number}", "2.0"), 10 + number) for number in range(5)]
    assert len(seen((ONE, 0), *rollout)) == 1


def test_going_back_to_an_old_version_is_a_change_too() -> None:
    changes = seen((ONE, 0), (of("cart-2", "2.0"), 30), (of("cart-3", "1.0"), 60))
    assert [(change.before, change.version) for change in changes] == [("1.0", "2.0"), ("2.0", "1.0")]
    assert len({change.id for change in changes}) == 2


def test_an_old_pod_that_restarts_in_a_rollout_changes_nothing() -> None:
    assert len(seen((ONE, 0), (of("cart-2", "2.0"), 5), (of("cart-9", "1.0"), 6), (of("cart-3", "2.0"), 7))) == 1


def test_versions_seen_at_first_are_no_changes() -> None:
    assert seen((ONE, 0), (of("cart-2", "2.0"), 1)) == []
    assert seen((ONE, 0)) == []


def test_a_workload_without_versions_has_changes_of_its_replica_sets() -> None:
    def pod(name: str, replicaset: str) -> Entity:
        return replace(ONE, instance=name, version="", places=(("k8s.replicaset.name", replicaset),))

    (change,) = seen((pod("a", "cart-5d4f"), 0), (pod("b", "cart-7c9b"), 10))
    assert change.version == "cart-7c9b"


def test_the_same_instance_again_is_no_news() -> None:
    workloads = Workloads()
    assert workloads.see(ONE, 0) == (True, None)
    assert workloads.see(ONE, 100 * MINUTE) == (False, None)
    assert workloads.see(replace(ONE, instance=""), 0)[0]


@pytest.mark.parametrize("cut", range(4))
def test_what_is_saved_goes_on_as_if_nothing_had_been(cut: int) -> None:
    story = [(ONE, 0), (of("cart-2", "2.0"), 30), (of("cart-3", "1.0"), 60), (of("cart-4", "2.0"), 61)]
    workloads, told = Workloads(), []
    for place, (entity, minute) in enumerate(story):
        if place == cut:
            saved, workloads = workloads.dump(), Workloads()
            workloads.load(saved)
        told.append(workloads.see(entity, minute * MINUTE)[1])
    assert [change for change in told if change] == seen(*story)


def test_a_workload_with_ever_new_versions_takes_no_more_memory() -> None:
    workloads = Workloads()
    for number in range(3000):
        on = (("k8s.node.name", "n"),)
        workloads.see(replace(of(f"cart-{number}", f"1.{number}"), places=on), number)
    ((_, _, _, instances, versions, newest, nodes),) = workloads.dump()
    assert len(instances) == len(nodes) == 1000
    assert [name for name, _ in versions] == [f"1.{number}" for number in range(2900, 3000)]
    assert newest == "1.2999"


def test_what_says_no_version_takes_none_away() -> None:
    again = [(of("cart-1", ""), 1), (ONE, 11), (of("cart-1", ""), 12), (ONE, 22)]
    assert seen((ONE, 0), *again) == []
    workloads = Workloads()
    assert [workloads.see(entity, minute * MINUTE)[0] for entity, minute in [(ONE, 0), *again]] == [True] + 4 * [False]


def test_versions_side_by_side_that_are_told_again_and_again_are_no_changes() -> None:
    both = [(of("", version), minute) for minute in (20, 31, 42, 53) for version in ("1.0", "2.0")]
    assert [change.version for change in seen((of("", "1.0"), 0), *both)] == ["2.0"]


def test_it_is_known_where_an_instance_runs() -> None:
    workloads = Workloads()
    pod = replace(ONE, places=(("host.name", "cart-1"), ("k8s.node.name", "n-7"), ("k8s.pod.name", "cart-1")))
    workloads.see(pod, 0)
    assert workloads.node_of("prod", "service:cart", "cart-1") == "node:n-7"
    assert workloads.node_of("prod", "service:cart", "cart-2") == workloads.node_of("prod", "service:a", "") == ""
    workloads.see(replace(pod, places=(("k8s.node.name", "n-8"),)), 1)  # a StatefulSet's pod has moved
    workloads.see(ONE, 2)
    again = Workloads()
    again.load(workloads.dump())
    assert again.node_of("prod", "service:cart", "cart-1") == "node:n-8"


def test_outside_of_kubernetes_the_host_is_where_it_runs() -> None:
    workloads = Workloads()
    workloads.see(replace(ONE, places=(("host.name", "vm-3"),)), 0)
    workloads.see(replace(ONE, instance="cart-2", places=(("host.name", "cart-2"), ("k8s.pod.name", "cart-2"))), 0)
    workloads.see(Entity("prod", "host:vm-3", "vm-3", "", (("host.name", "vm-3"),)), 0)
    assert workloads.node_of("prod", "service:cart", "cart-1") == "host:vm-3"
    assert workloads.node_of("prod", "service:cart", "cart-2") == workloads.node_of("prod", "host:vm-3", "vm-3") == ""
