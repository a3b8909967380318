"""Changes as somebody announces them: deployments as CDEvents, flags, configuration and scaling in our own form.

Guarantee: a pure function of what was changed and when.
"""

import json

from pipeline.demo.shop.announcement import announcement
from pipeline.demo.shop.town import Deployment
from tests.benchmarks.shop_faults.telling import Sent
from tests.benchmarks.shop_faults.town import ENVIRONMENT

CHANGES = "calm.changes"


def deployed(service: str, version: str, before: str, at: float, *, back: bool = False) -> Sent:
    """A version is in place, or an earlier one is again."""
    key, value, headers = announcement(Deployment(service, version, before), "rolledback" if back else "deployed", at)
    again = [(name, text if name != "ce_id" else text + f"-{int(at)}".encode()) for name, text in headers]
    return Sent(at, CHANGES, value, key, tuple(again))


def flag(service: str, name: str, variant: str, before: str, at: float) -> Sent:
    """A flag serves something else."""
    attributes = {
        "service.name": service,
        "deployment.environment.name": ENVIRONMENT,
        "feature_flag.key": name,
        "feature_flag.result.variant": variant,
        "feature_flag.provider.name": "flagd",
    }
    return _own({"id": f"{name}-{variant}-{int(at)}", "before": before, "attributes": attributes}, at)


def other(kind: str, service: str, version: str, before: str, at: float) -> Sent:
    """Configuration or scaling."""
    entity = {"service.name": service, "deployment.environment.name": ENVIRONMENT}
    told: dict[str, object] = {
        "kind": kind,
        "id": f"{kind}-{service}-{int(at)}",
        "entity": entity,
        "version": version,
        "before": before,
    }
    return _own(told, at)


def elsewhere(at: float) -> Sent:
    """A change of another environment."""
    entity = {"service.name": "website", "deployment.environment.name": "elsewhere"}
    told: dict[str, object] = {"kind": "config", "id": f"elsewhere-{int(at)}", "entity": entity}
    return _own(told, at)


def _own(told: dict[str, object], at: float) -> Sent:
    return Sent(at, CHANGES, json.dumps({"ts": round(at, 3), **told}).encode())
