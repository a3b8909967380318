"""Create, describe and check the topics of ``topic_table`` on a broker.

Guarantee: nothing is deleted or made smaller, and other people's topics are created where they are missing but never
changed. A check sees what the broker tells: a setting that it does not describe is left out, and named in the log.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, NodeNotReadyError, TopicAlreadyExistsError, for_code

from pipeline.settings import Settings
from pipeline.streams.clients import connection
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
    "plan",
    "problems",
    "undescribed",
]

log = logging.getLogger(__name__)

_CREATE = "calmstream topics create"
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


async def describe(settings: Settings) -> dict[str, TopicState | None]:
    """What the broker has of each topic of the plan, in its order; None where the topic is missing.

    Like the other two, raises ConfigurationError (see ``plan``), and KafkaError where the broker cannot be reached.
    """
    specs, until = plan(settings), time.monotonic() + settings.broker.request_timeout_seconds
    while True:
        try:
            async with _admin(settings) as admin:
                return await _describe(admin, specs)
        except NodeNotReadyError:  # right after it came back a broker knows of none, itself included
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def check(settings: Settings) -> list[Problem]:
    """What is wrong with the topics; empty when a worker may start. Logs what could not be checked."""
    specs, states = plan(settings), await describe(settings)
    if unseen := undescribed(specs, states):
        log.info("Not checked, because the broker does not describe them: %s", "; ".join(unseen))
    return problems(specs, states)


async def create(settings: Settings, *, within_seconds: float = 30.0) -> Applied:
    """Create what is missing, mend what is wrong where that loses nothing, and wait until the broker shows it.

    Raises TopicError where the broker refuses. What cannot be mended stays: ``check`` says what to do.
    """
    specs = plan(settings)
    async with _admin(settings) as admin:
        states = await _describe(admin, specs)
        await _create_missing(admin, missing := [spec for spec in specs if states[spec.name] is None])
        mended = [spec for spec in specs if (state := states[spec.name]) and await _mend(admin, spec, state)]
        await _until_shown(admin, specs, within_seconds)
    return Applied(tuple(spec.name for spec in missing), tuple(spec.name for spec in mended))


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
    for spec in specs:
        state = states[spec.name]
        if state is None:
            found.append(Problem(spec.name, "the topic is missing", f"run: {_CREATE}"))
            continue
        if _partitions_are_wrong(spec, state):
            wrong = f"it has {state.partitions} partitions and {spec.partitions} are expected"
            found.append(Problem(spec.name, wrong, _partition_remedy(spec, state)))
        for key, wrong in _wrong_configs(spec, state.configs):
            found.append(Problem(spec.name, wrong, _config_remedy(spec, key)))
    return found


def _partitions_are_wrong(spec: TopicSpec, state: TopicState) -> bool:
    return state.partitions < spec.partitions or (state.partitions > spec.partitions and not spec.grows)


def _partition_remedy(spec: TopicSpec, state: TopicState) -> str:
    if spec.grows:
        return f"run: {_CREATE}"
    if spec.follows:
        return f"stop the workers, delete the topic (what they have learnt goes with it) and run: {_CREATE}"
    keep = f"to keep it, set topics.partitions_by_topic: {{{spec.name}: {state.partitions}}}"
    return f"{keep}; if its content may go, delete it and run: {_CREATE}" if spec.ours else keep


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
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec]) -> dict[str, TopicState | None]:
    # All topics at once: asked for a missing topic by name, a broker may create it on the spot.
    there = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
    names = [spec.name for spec in specs]
    told = await _describe_configs(admin, [name for name in names if name in there])
    return {name: _state(there[name], told.get(name, [])) if name in there else None for name in names}


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


async def _until_shown(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], within_seconds: float) -> None:
    """Wait until the broker shows the topics as they were made: what it acknowledged it may show a moment later."""
    waiting: list[str] = []
    try:
        async with asyncio.timeout(within_seconds):
            while waiting := await _not_shown(admin, specs):
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        names = ", ".join(waiting)
        raise TopicError(f"after {within_seconds:g} s the broker does not show as they were made: {names}") from error


async def _not_shown(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    states = await _describe(admin, specs)
    waiting = []
    for spec in specs:
        state = states[spec.name]
        if state is None or not state.led or any(_mendable(spec, state)):
            waiting.append(spec.name)
    return waiting
