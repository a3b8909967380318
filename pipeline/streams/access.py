"""The one table of who does what on Kafka: each role of a worker, and those who only write telemetry, read or operate.

From it ``calmstream topics acls`` makes Kafka's access control lists, and a worker knows which topics are its own.
Guarantee: exactly these suffice, and nothing else is tried (tests/security/test_least_privilege.py runs every role
under them). What Kafka implies is left out: READ, WRITE and ALTER of a topic imply DESCRIBE, as READ of a group does.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.settings import LINE_FORMATS, SPAN_FORMATS, Settings
from pipeline.streams.topic_table import OUTPUTS

Operation = Literal["READ", "WRITE", "CREATE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]

_INPUTS = "inputs"
#: Checkpoints, and the consumer group of the shards that they are of, by their names without the prefix.
_STATES = tuple(
    row.name
    for row in OUTPUTS
    if row.name.endswith(".state") and not row.name.startswith("deliver") and "incidents" not in row.name
)
#: The group of the ordinary agents of all roles.
AGENTS = "agents"

#: What Kafka takes as granted with another operation.
_IMPLIED_BY: Mapping[str, frozenset[str]] = {
    "DESCRIBE": frozenset({"READ", "WRITE", "ALTER"}),
    "DESCRIBE_CONFIGS": frozenset({"ALTER_CONFIGS"}),
}

_CHECKED = "a worker checks at its start that the topic keeps what it must"
_LED = "the leader of the agents' group, which any member may be, looks at the topics of all"


@dataclass(frozen=True, slots=True)
class Grant:
    """One operation on one topic or group (full name). ``why``: where it is not plain from the operation."""

    resource: Literal["topic", "group"]
    name: str
    operation: Operation
    why: str = ""


@dataclass(frozen=True, slots=True)
class Uses:
    """What one part of a role does. Topics are named as in the table of topics, ``inputs`` are all inputs.

    ``group``: the consumer group that it is in. ``checks``: the settings of its topics are looked at. ``looks``: topics
    that are only described.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    group: str = ""
    checks: bool = True
    looks: tuple[str, ...] = ()


def _shards(role: str, reads: str, *writes: str, letters: bool = True) -> Uses:
    return Uses((reads, f"{role}.state"), (*writes, *(["dead-letter"] if letters else []), f"{role}.state"), role)


#: Roles of a worker, each with its parts.
WORKERS: Mapping[str, tuple[Uses, ...]] = {
    "ingest": (_shards("ingest", _INPUTS, "signals", "logs", "spans", "anomalies"),),
    "join": (
        _shards("join-logs", "logs", "signals", "log-templates", "anomalies"),
        _shards("join-spans", "spans", "signals", "topology", "anomalies"),
    ),
    "score": (
        _shards("score", "signals", "scores", "anomalies", "topology"),
        Uses(("control",), ("signals", "dead-letter"), AGENTS, looks=("incidents",)),
    ),
    "correlate": (
        _shards("correlate", "anomalies", "incidents", "suppressions"),
        Uses(("incidents",), ("incidents.state",), AGENTS, looks=("control",)),
    ),
    "shadow": (
        _shards("shadow-copy", "anomalies", "shadow.anomalies", letters=False),
        _shards("shadow-score", "signals", "shadow.anomalies", letters=False),
        Uses(("control",)),  # before it has a state
        _shards(
            "shadow-correlate",
            "shadow.anomalies",
            "shadow.incidents",
            "shadow.incidents.state",
            "shadow.suppressions",
        ),
    ),
    # its groups, one a sink, and the topics of sinks are named by the settings
    "deliver": (Uses(("incidents", "deliver.state"), ("deliver.state", "dead-letter")),),
}
#: Everything in the table.
_ALL = (_INPUTS, *(row.name for row in OUTPUTS))
#: Everybody else: programs that send telemetry, programs that read incidents, and people at the command line.
OTHERS: Mapping[str, Uses] = {
    "producer": Uses(writes=(_INPUTS,), checks=False),
    "reader": Uses(("incidents", "incidents.state"), checks=False),
    "look": Uses(_ALL),
    "operate": Uses(_ALL, (_INPUTS, "control", "dead-letter")),
    "admin": Uses(_ALL, _STATES),
}
ROLES = (*WORKERS, *OTHERS)


def topics_of(settings: Settings, roles: Iterable[str]) -> set[str]:
    """Full names of the topics that these roles of a worker read and write, and check at their start."""
    roles = [role for role in roles if role != "deliver" or settings.sinks]
    return {grant.name for role in roles for grant in grants(settings, role) if grant.operation == "DESCRIBE_CONFIGS"}


def grants(settings: Settings, role: str) -> list[Grant]:
    """What a role needs, sorted by resource, name and operation."""
    parts = WORKERS.get(role) or (OTHERS[role],)
    listed = [
        grant for uses in parts if role in OTHERS or _is_there(settings, uses.reads[0]) for grant in _of(settings, uses)
    ]
    if role == "deliver":
        groups = (f"{settings.topic_prefix}deliver.{sink.name}" for sink in settings.sinks)
        listed += [Grant("group", group, "READ") for group in groups]
        listed += [Grant("topic", sink.topic, "WRITE") for sink in settings.sinks if sink.topic]
    if role == "admin":
        listed += _administration(settings)
    return merged([listed])


def merged(lists: Iterable[Iterable[Grant]]) -> list[Grant]:
    """One list of several, for somebody who has several roles; without what is implied."""
    found = {(grant.resource, grant.name, grant.operation): grant for grants in lists for grant in grants}
    operations = by_resource(found[key] for key in sorted(found))
    return [
        found[key]
        for key in sorted(found)
        if not _IMPLIED_BY.get(key[2], frozenset()) & set(operations[key[0], key[1]])
    ]


def by_resource(granted: Iterable[Grant]) -> dict[tuple[str, str], list[str]]:
    """The operations on each topic and group."""
    found: dict[tuple[str, str], list[str]] = {}
    for grant in granted:
        found.setdefault((grant.resource, grant.name), []).append(grant.operation)
    return found


def _is_there(settings: Settings, topic: str) -> bool:
    """Log lines and spans have topics and joins where an input holds some."""
    kinds = {"logs": LINE_FORMATS, "spans": SPAN_FORMATS}
    return topic not in kinds or any(source.format in kinds[topic] for source in settings.inputs)


def _of(settings: Settings, uses: Uses) -> Iterator[Grant]:
    reads, writes = _names(settings, uses.reads), _names(settings, uses.writes)
    yield from (Grant("topic", name, "READ") for name in reads)
    yield from (Grant("topic", name, "WRITE") for name in writes)
    yield from (Grant("topic", name, "DESCRIBE", _LED) for name in _names(settings, uses.looks))
    if uses.checks:
        yield from (Grant("topic", name, "DESCRIBE_CONFIGS", _CHECKED) for name in (*reads, *writes))
    if uses.group:
        yield Grant("group", f"{settings.topic_prefix}{uses.group}", "READ")


def _names(settings: Settings, topics: Iterable[str]) -> list[str]:
    """Full names; the inputs for ``inputs``."""
    inputs = [source.topic for source in settings.inputs]
    ours = {topic: [settings.topic(topic)] for topic in topics if _is_there(settings, topic)}
    return [name for topic in ours for name in (inputs if topic == _INPUTS else ours[topic])]


def _administration(settings: Settings) -> Iterator[Grant]:
    for name in _names(settings, _ALL):
        yield Grant("topic", name, "CREATE", "calmstream topics create")
        yield Grant("topic", name, "ALTER", "more partitions")
        if name.startswith(settings.topic_prefix):
            yield Grant("topic", name, "ALTER_CONFIGS", "settings of our own topics are mended")
    for uses in (uses for parts in WORKERS.values() for uses in parts if uses.group):
        yield Grant(
            "group", f"{settings.topic_prefix}{uses.group}", "DESCRIBE", "state is only changed while nobody works"
        )


def as_json(principal: str, granted: Iterable[Grant]) -> str:
    """A list for programs, in Kafka's own words."""
    form = [
        {
            "principal": principal,
            "resource_type": grant.resource.upper(),
            "name": grant.name,
            "pattern_type": "LITERAL",
            "operation": grant.operation,
            "permission": "ALLOW",
            "host": "*",
        }
        for grant in granted
    ]
    return json.dumps(form, indent=2)


def as_commands(bootstrap: str, principal: str, granted: Iterable[Grant]) -> list[str]:
    """A command of Kafka's own tools for each topic and group."""
    return [
        shlex.join(
            [
                *("kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal),
                *(word for each in listed for word in ("--operation", each.title().replace("_", ""))),
                *(f"--{resource}", name),
            ]
        )
        for (resource, name), listed in by_resource(granted).items()
    ]
