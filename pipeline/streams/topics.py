"""Create, describe and check the topics of ``topic_table`` on a broker.

Guarantee: nothing is deleted or made smaller, and other people's topics are created where they are missing but never
changed. A check sees what the broker tells: a setting that it does not describe is left out, and named in the log.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.settings import Settings
from pipeline.streams.clients import connecting, connection
from pipeline.streams.topic_table import RETENTION_PER_STATE_AGE, TopicSpec, plan

__all__ = [
    "Applied",
    "Problem",
    "TopicError",
    "TopicSpec",
    "TopicState",
    "check",
    "create",
    "describe",
    "grow",
    "plan",
    "problems",
    "undescribed",
]

log = logging.getLogger(__name__)

_CREATE = "calmstream topics create"
_GROW = "calmstream topics grow"
_CHECKED = ("cleanup.policy", "retention.ms", "max.message.bytes")
_PAUSE_SECONDS = 0.1
_SET_ON_TOPIC = 1  # the protocol's code for where a setting comes from


class TopicError(RuntimeError):
    """The broker refused to create or change a topic; the message says which and why."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker describes it.

    led: every partition has a leader, so that clients find it.
    configs: every setting that it tells, which may be none; set_on_topic: those of them that are the topic's own.
    """

    partitions: int
    replication: int
    led: bool
    configs: Mapping[str, str]
    set_on_topic: Mapping[str, str]


@dataclass(frozen=True)
class Problem:
    """Something that keeps a worker from starting, and what mends it."""

    topic: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.wrong}; {self.remedy}"


@dataclass(frozen=True)
class Applied:
    """Names of the topics that ``create`` created, and of those whose settings it changed."""

    created: tuple[str, ...]
    mended: tuple[str, ...]


async def describe(
    settings: Settings, names: Collection[str] | None = None, *, configs: bool = True
) -> dict[str, TopicState | None]:
    """What the broker has of each topic of the plan, or of those named, in its order; None where a topic is missing.

    ``configs``: ask for their settings too. Like the other two, raises ConfigurationError (see ``plan``), WorkerExit
    where the broker refuses us, and KafkaError where it cannot be reached or a topic may not be looked at.
    """
    specs, until = _planned(settings, names), time.monotonic() + settings.broker.request_timeout_seconds
    while True:
        try:
            async with admin_client(settings) as admin:
                return await _describe(admin, specs, configs=configs)
        except NodeNotReadyError:  # right after it came back a broker knows of none, itself included
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def check(settings: Settings, names: Collection[str] | None = None) -> list[Problem]:
    """What is wrong with the topics of the plan, or with those named; empty when a worker may start. Logs what could
    not be checked."""
    specs, states = _planned(settings, names), await describe(settings, names)
    if unseen := undescribed(specs, states):
        log.info("Not checked, because the broker does not describe them: %s", "; ".join(unseen))
    return problems(specs, states)


async def create(settings: Settings, *, within_seconds: float = 30.0) -> Applied:
    """Create what is missing, mend what is wrong where that loses nothing, and wait until the broker shows it.

    Raises TopicError where the broker refuses. What cannot be mended stays: ``check`` says what to do.
    """
    specs = plan(settings)
    async with admin_client(settings) as admin:
        states = await _describe(admin, specs)
        await _create_missing(admin, missing := [spec for spec in specs if states[spec.name] is None])
        mended = [spec for spec in specs if (state := states[spec.name]) and await _mend(admin, spec, state)]
        await _until_shown(admin, specs, within_seconds, _is_as_made)
    return Applied(tuple(spec.name for spec in missing), tuple(spec.name for spec in mended))


async def grow(settings: Settings, counts: Mapping[str, int], *, within_seconds: float = 30.0) -> None:
    """Give topics of the plan (full names) so many partitions, those that have fewer, and wait until the broker shows
    it. Raises TopicError where the broker refuses."""
    specs = [spec for spec in plan(settings) if spec.name in counts]
    async with admin_client(settings) as admin:
        states = await _describe(admin, specs)
        more = {name: counts[name] for name, state in states.items() if state and state.partitions < counts[name]}
        try:
            if more:
                await admin.create_partitions({name: NewPartitions(count) for name, count in more.items()})
        except KafkaError as error:
            raise TopicError(f"the broker did not grow {', '.join(more)}: {error}") from error
        await _until_shown(
            admin, specs, within_seconds, lambda spec, state: state.led and state.partitions >= counts[spec.name]
        )


def undescribed(specs: Iterable[TopicSpec], states: Mapping[str, TopicState | None]) -> list[str]:
    """``topic: setting, …`` for each topic with settings that are checked and that the broker does not tell."""
    found = []
    for spec in specs:
        state = states[spec.name]
        if state and (silent := [key for key in _CHECKED if key in spec.configs and key not in state.configs]):
            found.append(f"{spec.name}: {', '.join(silent)}")
    return found


def problems(specs: Iterable[TopicSpec], states: Mapping[str, TopicState | None]) -> list[Problem]:
    """What is wrong, judged from what ``describe`` gave."""
    found: list[Problem] = []
    specs = list(specs)
    read = {spec.follows for spec in specs}
    for spec in specs:
        state = states[spec.name]
        if state is None:
            found.append(Problem(spec.name, "the topic is missing", f"run: {_CREATE}"))
            continue
        if _partitions_are_wrong(spec, state):
            wrong = f"it has {state.partitions} partitions and {spec.partitions} are expected"
            found.append(Problem(spec.name, wrong, _partition_remedy(spec, state, grows=spec.name in read)))
        for key, wrong in _wrong_configs(spec, state.configs):
            found.append(Problem(spec.name, wrong, _config_remedy(spec, key)))
    return found


def _partitions_are_wrong(spec: TopicSpec, state: TopicState) -> bool:
    return state.partitions < spec.partitions or (state.partitions > spec.partitions and not spec.grows)


def _partition_remedy(spec: TopicSpec, state: TopicState, *, grows: bool) -> str:
    if spec.grows:
        return f"run: {_CREATE}"
    if spec.follows:
        count = max(spec.partitions, state.partitions)
        return (
            f"to keep what was learnt, run with the configuration as it was before: {_GROW} {spec.follows}={count}; if "
            f"it may go, stop the workers, delete the topic and run: {_CREATE}"
        )
    keep = f"to keep it, set topics.partitions_by_topic: {{{spec.name}: {state.partitions}}}"
    if not spec.ours:
        return keep
    if grows and state.partitions < spec.partitions:
        keep += f"; to grow it and keep what was learnt, run with that setting: {_GROW} {spec.name}={spec.partitions}"
    return f"{keep}; if its content may go, delete it and run: {_CREATE}"


def _wrong_configs(spec: TopicSpec, actual: Mapping[str, str]) -> list[tuple[str, str]]:
    """(setting, what is wrong with it), of those that the broker tells."""
    found = []
    cleanup = actual.get("cleanup.policy", spec.cleanup)
    if {part.strip() for part in cleanup.split(",")} != {spec.cleanup}:
        found.append(("cleanup.policy", f"cleanup.policy is {cleanup} and must be {spec.cleanup}"))
    retention, least = int(actual.get("retention.ms", -1)), spec.least_retention_ms
    if least is not None and 0 <= retention < least:
        rule = f"{RETENTION_PER_STATE_AGE} times state.max_state_age_seconds"
        found.append(("retention.ms", f"retention.ms is {retention} and must be at least {least} ({rule})"))
    largest = spec.configs["max.message.bytes"]
    if spec.output and int(actual.get("max.message.bytes", largest)) < int(largest):
        wrong = f"max.message.bytes is {actual['max.message.bytes']} and must be at least {largest}"
        found.append(("max.message.bytes", wrong))
    return found


def _config_remedy(spec: TopicSpec, key: str) -> str:
    if spec.ours:
        return f"run: {_CREATE}"
    change = f"--entity-type topics --entity-name {spec.name} --add-config {key}={spec.configs[key]}"
    return f"run Kafka's own kafka-configs.sh --bootstrap-server … --alter {change}"


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started one. Raises KafkaConnectionError where the broker cannot be reached, WorkerExit where it refuses us."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        async with connecting(settings):
            await admin.start()
        yield admin
    finally:
        await admin.close()


def _planned(settings: Settings, names: Collection[str] | None) -> list[TopicSpec]:
    return [spec for spec in plan(settings) if names is None or spec.name in names]


async def _describe(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], *, configs: bool = True
) -> dict[str, TopicState | None]:
    names = [spec.name for spec in specs]
    there = await _there(admin, names)
    told = await _describe_configs(admin, list(there)) if configs else {}
    return {name: _state(there[name], told.get(name, [])) if name in there else None for name in names}


async def _there(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, list[Any]]:
    """The partitions of those of the topics that there are. By name: of a list of all topics, Kafka leaves out what
    may not be looked at, and it would seem to be missing."""
    # Unless told not to, a broker may create a missing topic that is asked for by name.
    answer = await admin._send_request(MetadataRequest(names, allow_auto_topic_creation=False))
    found = {topic["topic"]: topic for topic in answer.to_object()["topics"]}
    hidden = {name for name, topic in found.items() if topic["error_code"] == TopicAuthorizationFailedError.errno}
    if hidden:
        raise TopicAuthorizationFailedError(hidden)
    gone = UnknownTopicOrPartitionError.errno
    return {name: found[name]["partitions"] for name in names if name in found and found[name]["error_code"] != gone}


async def _describe_configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    if not names:
        return {}
    # Without a choice of settings: the embedded broker drops the connection when asked for particular ones.
    try:
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except IncompatibleBrokerVersion:
        return {}
    resources = [resource for response in responses for resource in response.to_object()["resources"]]
    return {each["resource_name"]: each["config_entries"] for each in resources if each["error_code"] == 0}


def _state(partitions: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]) -> TopicState:
    own = [entry for entry in entries if entry.get("config_source") == _SET_ON_TOPIC]
    return TopicState(
        partitions=len(partitions),
        replication=min((len(partition["replicas"]) for partition in partitions), default=0),
        led=bool(partitions) and all(partition["leader"] >= 0 for partition in partitions),
        configs={entry["config_names"]: entry["config_value"] for entry in entries},
        set_on_topic={entry["config_names"]: entry["config_value"] for entry in own},
    )


async def _create_missing(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    if not specs:
        return
    new = [NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.configs)) for spec in specs]
    refused = [
        f"{topic}: {message or for_code(code).__name__}"
        for topic, code, message in (await admin.create_topics(new)).topic_errors
        if code not in (0, TopicAlreadyExistsError.errno)  # another process may create them too
    ]
    if refused:
        raise TopicError(f"the broker did not create {'; '.join(refused)}")


def _mendable(spec: TopicSpec, state: TopicState) -> tuple[bool, dict[str, str]]:
    """What is wrong with a topic and may be changed: whether it must grow, and settings."""
    grow = spec.grows and _partitions_are_wrong(spec, state)
    return grow, {key: spec.configs[key] for key, _ in _wrong_configs(spec, state.configs)} if spec.ours else {}


async def _mend(admin: AIOKafkaAdminClient, spec: TopicSpec, state: TopicState) -> bool:
    """Change what may be changed of a topic that is there; False when there was nothing."""
    grow, configs = _mendable(spec, state)
    try:
        if grow:
            await admin.create_partitions({spec.name: NewPartitions(spec.partitions)})
        if configs:
            # The request replaces all settings that are the topic's own, so those go with it.
            wanted = ConfigResource(ConfigResourceType.TOPIC, spec.name, {**state.set_on_topic, **configs})
            for code, message, *_ in (await admin.alter_configs([wanted]))[0].resources:
                if code:
                    raise for_code(code)(message)
    except KafkaError as error:
        change = ", ".join([*configs, *(["partitions"] if grow else [])])
        raise TopicError(f"the broker did not change {change} of {spec.name}: {error}") from error
    return grow or bool(configs)


async def _until_shown(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    within_seconds: float,
    is_shown: Callable[[TopicSpec, TopicState], bool],
) -> None:
    """Wait until the broker shows the topics as they were made: what it acknowledged it may show a moment later."""
    waiting: list[str] = []
    try:
        async with asyncio.timeout(within_seconds):
            while waiting := await _not_shown(admin, specs, is_shown):
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        names = ", ".join(waiting)
        raise TopicError(f"after {within_seconds:g} s the broker does not show as they were made: {names}") from error


async def _not_shown(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], is_shown: Callable[[TopicSpec, TopicState], bool]
) -> list[str]:
    states = await _describe(admin, specs)
    return [spec.name for spec in specs if (state := states[spec.name]) is None or not is_shown(spec, state)]


def _is_as_made(spec: TopicSpec, state: TopicState) -> bool:
    return state.led and not any(_mendable(spec, state))
