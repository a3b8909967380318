"""From the name of a pod to its controller, by the names that Kubernetes' controllers give to pods.

Guarantee: a pure function of the names; what follows no such form is no controller's. It is a guess where nothing
better is known: a pod of a Job that has a random suffix only looks like one of a DaemonSet, and a pod that a person
named may look like a controller's.
"""

import re

from pipeline.records.signal import Attributes

#: Controllers by the kind that Kubernetes (and kube-state-metrics) calls them.
CONTROLLER_ATTRIBUTES = {
    "CronJob": "k8s.cronjob.name",
    "DaemonSet": "k8s.daemonset.name",
    "Deployment": "k8s.deployment.name",
    "Job": "k8s.job.name",
    "ReplicaSet": "k8s.replicaset.name",
    "StatefulSet": "k8s.statefulset.name",
}

# Kubernetes makes hashes and random suffixes of this alphabet, which spells no words.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_CRONJOB = re.compile(rf"((.+)-\d{{8,10}})-[{_SAFE}]{{5}}")  # the minute since 1970 that the job was due
_REPLICASET = re.compile(rf"(.+-[{_SAFE}]{{5,10}})-[{_SAFE}]{{5}}")
_STATEFULSET = re.compile(r"(.+)-(?:0|[1-9]\d{0,4})")
_DAEMONSET = re.compile(rf"(.+)-[{_SAFE}]{{5}}")


def controller_attributes(pod: str, node: str = "") -> Attributes:
    """The attributes that name a pod's controller; ``service.name`` where it has none.

    A pod that is named after its node (a static pod, such as ``etcd-<node>``) is named after what it runs.
    """
    if node and pod.endswith(f"-{node}"):
        return (("service.name", pod.removesuffix(f"-{node}")),)
    if found := _CRONJOB.fullmatch(pod):
        return ("k8s.cronjob.name", found[2]), ("k8s.job.name", found[1])
    if found := _REPLICASET.fullmatch(pod):
        return (("k8s.replicaset.name", found[1]),)
    if found := _STATEFULSET.fullmatch(pod):
        return (("k8s.statefulset.name", found[1]),)
    if found := _DAEMONSET.fullmatch(pod):
        return (("k8s.daemonset.name", found[1]),)
    return (("service.name", pod),)
