"""Entities on ``calm.topology``: one JSON record for each instance of a workload, compacted, with where it runs.

Key: ``entity|<scope>|<workload>|<instance>``.
"""

import msgspec

from pipeline.records import Entity, iso

_json = msgspec.json.Encoder()


def encode(entity: Entity, seen_us: int) -> tuple[bytes, bytes]:
    """Key and value; ``seen_us`` is event time when it was first seen as it is."""
    body = {
        "scope": entity.scope,
        "workload": entity.workload,
        "instance": entity.instance,
        "version": entity.version,
        "places": dict(entity.places),
        "seen_time": iso(max(seen_us, 0)),
    }
    key = "|".join(("entity", entity.scope, entity.workload, entity.instance))
    return key.encode("utf-8", "replace"), _json.encode(body)
