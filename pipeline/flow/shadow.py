"""The shadow: the score and correlate chains once more, over the same log, with policies that are only tried.

They are the same chains and not a copy: with ``FlowConfig.shadow`` policies in the shadow count too, and incidents are
marked so. What they write goes to topics of its own, so that nobody who reads incidents can be woken by mistake.

Guarantee: nothing that they write stands in a topic that somebody else writes, but for the dead letters of what only
they read; what they count is never counted as live.
"""

from collections.abc import Mapping
from dataclasses import replace

from pipeline.flow.config import FlowConfig
from pipeline.records import Output

#: What comes before the names of roles and of topics.
ROLE, TOPIC = "shadow-", "shadow."

#: Where a role's records go instead, by short topic. Who stands beside a live role leaves to that what would be the
#: same: dead letters, and where instances run.
WRITES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shadow-copy": {"anomalies": ("shadow.anomalies",), "dead-letter": ()},
    "shadow-score": {"anomalies": ("shadow.anomalies",), "scores": (), "topology": (), "dead-letter": ()},
    "shadow-correlate": {
        "incidents": ("shadow.incidents", "shadow.incidents.state"),
        "suppressions": ("shadow.suppressions",),
    },
}
#: What is counted under other words, and what is not counted at all.
_COUNTED = {"incident": "shadow_incident", "drop": "drop", "notice": "notice"}


def is_shadow(role: str) -> bool:
    """Is this a role of the shadow?"""
    return role.startswith(ROLE)


def role_of(live: str, config: FlowConfig) -> str:
    """What a role is called there."""
    return f"{ROLE}{live}" if config.shadow else live


def topic_of(live: str, config: FlowConfig) -> str:
    """What a topic (short name) is called there."""
    return f"{TOPIC}{live}" if config.shadow else live


def redirected(role: str, output: Output) -> Output:
    """What a role says, as it is written and counted; nothing changes for a role that is live."""
    writes = WRITES.get(role)
    if writes is None:
        return output
    found = Output(reread_from=output.reread_from)
    for record in output.records:
        found.records += [replace(record, topic=topic) for topic in writes.get(record.topic, (record.topic,))]
    for (what, reason), number in output.counts.items():
        if what in _COUNTED:
            found.count(_COUNTED[what], reason, number)
    return found
