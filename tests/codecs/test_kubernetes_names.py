"""Controllers are found from the names of pods, by the forms that Kubernetes gives them."""

import pytest

from pipeline.codecs.kubernetes_names import controller_attributes


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ("cart-7d4b9c5f6-x2x9z", {"k8s.replicaset.name": "cart-7d4b9c5f6"}),
        ("cart-api-v2-66c5d87b4f-bcdfg", {"k8s.replicaset.name": "cart-api-v2-66c5d87b4f"}),
        ("db-0", {"k8s.statefulset.name": "db"}),
        ("kafka-broker-12", {"k8s.statefulset.name": "kafka-broker"}),
        ("node-exporter-x2x9z", {"k8s.daemonset.name": "node-exporter"}),
        ("backup-28394820-x2x9z", {"k8s.cronjob.name": "backup", "k8s.job.name": "backup-28394820"}),
        ("backup-28457529-x2x9z", {"k8s.cronjob.name": "backup", "k8s.job.name": "backup-28457529"}),
        ("toolbox", {"service.name": "toolbox"}),
        ("my-cache", {"service.name": "my-cache"}),
        ("release-2024-01", {"service.name": "release-2024-01"}),
        ("", {"service.name": ""}),
    ],
)
def test_a_pod_belongs_to_the_controller_that_its_name_tells(pod: str, expected: dict[str, str]) -> None:
    assert dict(controller_attributes(pod)) == expected


def test_a_static_pod_is_named_after_what_it_runs() -> None:
    assert controller_attributes("etcd-ip-10-0-0-1", "ip-10-0-0-1") == (("service.name", "etcd"),)
