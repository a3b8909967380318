"""Announces a deployment as continuous delivery tools do: a CDEvent, in a CloudEvent in Kafka's binary mode.

Guarantee: a pure function of the deployment, its kind and its time: the same deployment has the same id.
"""

import json
from datetime import UTC, datetime
from typing import Literal

from pipeline.demo.shop.town import ENVIRONMENT, Deployment

SOURCE = "/demo/delivery"
CDEVENTS = "0.5.0"
_VERSION_OF_TYPE = "0.3.0"

Predicate = Literal["deployed", "rolledback"]


def announcement(
    deployment: Deployment, predicate: Predicate, at: float
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the message on ``calm.changes``; ``at`` is in seconds since the epoch."""
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    type_ = f"dev.cdevents.service.{predicate}.{_VERSION_OF_TYPE}"
    id_ = f"{deployment.service}-{deployment.version}-{predicate}"
    context = {"specversion": CDEVENTS, "id": id_, "source": SOURCE, "type": type_, "timestamp": time}
    content = {
        "environment": {"id": ENVIRONMENT},
        "artifactId": f"pkg:generic/{deployment.service}@{deployment.version}",
    }
    body = {"context": context, "subject": {"id": deployment.service, "source": SOURCE, "content": content}}
    envelope = {"specversion": "1.0", "id": id_, "source": SOURCE, "type": type_, "time": time}
    headers = [("content-type", b"application/json")]
    headers += [(f"ce_{name}", text.encode()) for name, text in envelope.items()]
    return ENVIRONMENT.encode(), json.dumps(body).encode(), headers
