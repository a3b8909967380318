"""What the simulated shop consists of: the services of ``pipeline.demo.shop`` as pods on nodes, and who calls whom.

Databases stand outside the cluster and send no telemetry of their own. Beside the shop a batch job has a pod on each
node, which is quiet as a rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.demo.shop.town import ENVIRONMENT, FRONTEND, VERSIONS

NAMESPACE, BATCH_NAMESPACE, BATCH = "shop", "batch", "report-builder"
NODES = ("node-1", "node-2", "node-3")
NODE_CORES, POD_CORES = 4.0, 0.5
MEMORY_LIMIT = 512 * 2**20
#: A call gives up after so long, as the demo's services do; a refused GET is tried once more.
CALL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """``work`` is how much longer than the demo's its pieces of work take: these pods are smaller."""

    name: str
    pods: int
    work: float
    calls: tuple[str, ...] = ()
    slots: int = 16
    backlog: int = 64


SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service("frontend", 3, 7.0, ("catalogue", "recommendation", "cart", "orders")),
        Service("recommendation", 2, 5.0, ("catalogue",)),
        Service("cart", 2, 8.0, ("catalogue",)),
        Service("catalogue", 3, 9.0, ("catalogue-db",)),
        Service("orders", 2, 7.0, ("cart", "payment", "orders-db")),
        Service("payment", 2, 5.0),
    )
}
DATABASES: Mapping[str, str] = {"catalogue-db": "catalogue", "orders-db": "orders"}
assert set(SERVICES) == set(VERSIONS)

__all__ = ["ENVIRONMENT", "FRONTEND", "VERSIONS"]


def callers(place: str) -> set[str]:
    """All services that call this service or database, directly or not."""
    direct = {service.name for service in SERVICES.values() if place in service.calls}
    return direct.union(*(callers(caller) for caller in direct)) if direct else set()


def workload(place: str) -> str:
    """How signals and candidates name a service, a database, a node or the batch job."""
    if place in SERVICES:
        return f"deployment:{NAMESPACE}/{place}"
    if place in DATABASES:
        return f"database:postgresql/{DATABASES[place]}"
    return f"node:{place}" if place in NODES else f"deployment:{BATCH_NAMESPACE}/{place}"
