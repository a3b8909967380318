"""Kubernetes events as the collector's ``k8s_events`` receiver writes them: log records with attributes.

Guarantee: repeats of one event of one pod are counted, as Kubernetes does, and go under the same name.
"""

import random
from collections import Counter
from typing import TYPE_CHECKING

from tests.benchmarks.shop_faults import spans
from tests.benchmarks.shop_faults.clock import Clock
from tests.benchmarks.shop_faults.town import ENVIRONMENT, NAMESPACE

if TYPE_CHECKING:
    from tests.benchmarks.shop_faults.pods import Pod


class KubernetesEvents:
    """``told`` are those that nobody has taken yet: resource and record."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._dice = random.Random(f"{seed}/events")
        self._counts: Counter[tuple[str, str]] = Counter()
        self.told: list[tuple[bytes, bytes]] = []

    def tell(
        self, text: str, reason: str, *, pod: "Pod | None" = None, deployment: str = "", warning: bool = False
    ) -> None:
        """Of a pod, or of a deployment."""
        kind, name = ("Pod", pod.name) if pod else ("Deployment", deployment)
        now = self._clock.now
        self._counts[name, reason] += 1
        resource = {
            "deployment.environment.name": ENVIRONMENT,
            "k8s.object.kind": kind,
            "k8s.object.name": name,
            "k8s.object.uid": f"uid-{name}",
            "k8s.object.api_version": "v1" if pod else "apps/v1",
        }
        if pod:
            resource["k8s.object.fieldpath"] = f"spec.containers{{{pod.service.name}}}"
            resource["k8s.node.name"] = pod.node.name
        told = (
            ("k8s.event.reason", reason),
            ("k8s.event.action", ""),
            ("k8s.event.start_time", f"{int(now)}"),
            ("k8s.event.name", f"{name}.{self._dice.getrandbits(64):016x}"),
            ("k8s.event.uid", f"{self._dice.getrandbits(64):016x}"),
            ("k8s.namespace.name", NAMESPACE),
            ("k8s.event.count", self._counts[name, reason]),
        )
        severity, word = (13, "Warning") if warning else (9, "Normal")
        self.told.append((spans.resource(resource), spans.line(now, severity, word, text, b"", b"", told)))
