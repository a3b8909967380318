"""The composition root: reads top to bottom in the order of the data.

``stages`` are all roles but the shadow, which has ``shadow_stages``; ``create`` makes the Faust app of a worker: the
windowed agents (shard services) of its roles, then the ordinary agents. ``faust -A pipeline.app`` finds it as ``app``,
made from the environment.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faust
from mode import CrashingSupervisor

from pipeline.codecs.series_table import Limits
from pipeline.flow.carried import Carried
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.inputs import ingest_chain
from pipeline.flow.join_lines import LineJoinChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.flow.score import ScoreChain
from pipeline.flow.shadow_copy import ShadowCopyChain
from pipeline.records import to_us
from pipeline.settings import LINE_FORMATS, SPAN_FORMATS, InputSettings, Settings, load
from pipeline.signals.aliases import ATTRIBUTES
from pipeline.streams import control_topic, incident_state, policy_spread, security
from pipeline.streams.agents_group import AgentsWatch
from pipeline.streams.clients import MAX_RECORD_BYTES
from pipeline.streams.deliver import DeliverService
from pipeline.streams.endpoints.pages import Endpoints
from pipeline.streams.shard import ShardService, Stage
from pipeline.streams.topic_table import plan
from pipeline.streams.watchdog import BrokerProbe
from pipeline.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Worker:
    """An app and what runs in it."""

    app: faust.App
    shards: tuple[ShardService, ...]
    probe: BrokerProbe
    endpoints: Endpoints
    telemetry: Telemetry
    deliveries: tuple[DeliverService, ...]


def stages(settings: Settings) -> tuple[Stage, ...]:
    """What there is to run in shards, whatever roles a worker has; without the shadow."""
    flow = _bounded(settings)
    formats = {source.topic: source.format for source in settings.inputs}

    # telemetry in: points, lines and spans → columnar blocks, by workload or trace; events and changes
    ingest = Stage(
        role="ingest",
        topics=tuple(formats),
        state_topic="ingest.state",
        chain=lambda topic, partition: ingest_chain(formats[topic], f"{topic}/{partition}", flow),
        sparse=frozenset(source.topic for source in settings.inputs if source.sparse),
    )
    # lines → templates and their counts
    join_lines = Stage(
        role="join-logs",
        topics=(settings.topic("logs"),),
        state_topic="join-logs.state",
        chain=lambda topic, partition: Carried("join-logs", f"logs/{partition}", LineJoinChain(partition, flow)),
    )
    # spans → operations, calls and edges of the service graph
    join_spans = Stage(
        role="join-spans",
        topics=(settings.topic("spans"),),
        state_topic="join-spans.state",
        chain=lambda topic, partition: Carried("join-spans", f"spans/{partition}", SpanJoinChain(partition, flow)),
    )
    # raw values → windows → baseline → score → anomalies
    score = Stage(
        role="score",
        topics=(settings.topic("signals"),),
        state_topic="score.state",
        chain=lambda topic, partition: Carried("score", f"signals/{partition}", ScoreChain(partition, flow)),
    )
    # anomalies → incidents out
    correlate = Stage(
        role="correlate",
        topics=(settings.topic("anomalies"),),
        state_topic="correlate.state",
        chain=lambda topic, partition: CorrelateChain(partition, flow),
    )
    joins = [*([join_lines] if flow.line_sources else []), *([join_spans] if flow.span_sources else [])]
    return ingest, *joins, score, correlate


def shadow_stages(settings: Settings) -> tuple[Stage, ...]:
    """The same chains as score and correlate, with the policies in the shadow; flow.shadow says where they write."""
    flow = replace(_bounded(settings), shadow=True)
    # events, changes, edges and what people say → the shadow's own log
    copy = Stage(
        role="shadow-copy",
        topics=(settings.topic("anomalies"),),
        state_topic="shadow-copy.state",
        chain=lambda topic, partition: ShadowCopyChain(partition, flow),
    )

    async def told(chain: Chain) -> None:
        """Policies that were applied longer ago than ``signals`` is kept; the log says the others."""
        assert isinstance(chain, Carried)
        assert isinstance(chain.inner, ScoreChain)
        (kept,) = (spec.configs["retention.ms"] for spec in plan(settings) if spec.name == settings.topic("signals"))
        everything, oldest_ms = await control_topic.read(settings), time.time() * 1000 - int(kept)
        gone = {one.offset for one in (*everything.live, *everything.shadow) if one.written_ms < oldest_ms}
        control = everything.control()
        changes = tuple(change for change in control.changes if change.offset in gone)
        chain.inner.begin_with(replace(control, changes=changes, complete=False))

    # raw values → anomalies
    score = Stage(
        role="shadow-score",
        topics=(settings.topic("signals"),),
        state_topic="shadow-score.state",
        chain=lambda topic, partition: Carried("shadow-score", f"signals/{partition}", ScoreChain(partition, flow)),
        prime=told,
    )
    # anomalies → incidents, marked
    correlate = Stage(
        role="shadow-correlate",
        topics=(settings.topic("shadow.anomalies"),),
        state_topic="shadow-correlate.state",
        chain=lambda topic, partition: CorrelateChain(partition, flow),
    )
    return copy, score, correlate


def _bounded(settings: Settings) -> FlowConfig:
    """For who can read again what it let go."""
    limits = settings.limits
    return replace(flow_config(settings), most_held_rows=limits.max_held_points, most_held_bytes=limits.max_held_bytes)


def create(settings: Settings) -> Worker:
    """Everything that a worker runs, nothing started yet."""
    telemetry = Telemetry()
    app = _faust_app(settings)
    every = (*stages(settings), *shadow_stages(settings))
    own = [stage for stage in every if stage.role.partition("-")[0] in settings.worker.roles]
    shards = tuple(ShardService(stage, settings, telemetry) for stage in own)
    probe = BrokerProbe(settings)
    endpoints = Endpoints(settings, shards, telemetry)
    # incidents → people and machines that act: each sink by itself
    sinks = settings.sinks if "deliver" in settings.worker.roles else ()
    deliveries = tuple(DeliverService(sink, settings, telemetry) for sink in sinks)
    for service in (endpoints, probe, *shards, *deliveries):
        app.service(service)
    # policies → the log of every score shard
    if "score" in settings.worker.roles:
        policy_spread.register(app, settings, telemetry)
    # incidents → the newest state of each, compacted
    if "correlate" in settings.worker.roles:
        incident_state.register(app, settings, telemetry)
    # no ordinary agent, nothing to read for Faust's own clients: its consumer fails where there is no topic
    if not {"score", "correlate"} & set(settings.worker.roles):
        app.boot_strategy.enable_kafka = False
    else:
        app.service(AgentsWatch(app, settings))
    return Worker(app, shards, probe, endpoints, telemetry, deliveries)


def flow_config(settings: Settings) -> FlowConfig:
    """What the chains need of the settings."""
    time, limits = settings.time, settings.limits
    window_us = to_us(time.window_seconds)

    def sources(wanted: Callable[[InputSettings], bool]) -> tuple[str, ...]:
        found = [each.topic for each in settings.inputs if wanted(each)]
        return tuple(f"{topic}/{number}" for topic in found for number in range(settings.partitions(topic)))

    return FlowConfig(
        sources=sources(lambda each: each.format not in SPAN_FORMATS),
        line_sources=sources(lambda each: each.format in LINE_FORMATS),
        span_sources=sources(lambda each: each.format in SPAN_FORMATS),
        line_partitions=settings.partitions(settings.topic("logs")),
        span_partitions=settings.partitions(settings.topic("spans")),
        trace_wait_us=to_us(time.trace_wait_seconds),
        signal_partitions=settings.partitions(settings.topic("signals")),
        anomaly_partitions=settings.partitions(settings.topic("anomalies")),
        window_us=window_us,
        window_us_by_kind={kind: to_us(seconds) for kind, seconds in time.window_seconds_by_kind.items()},
        lateness_us=to_us(time.allowed_lateness_seconds),
        correction_us=to_us(time.correction_seconds),
        max_future_us=to_us(time.max_future_seconds),
        max_past_us=to_us(time.max_past_seconds),
        scope_attributes=settings.incidents.scope_attributes,
        limits=Limits(
            **limits.model_dump(exclude={"max_held_points", "max_held_bytes"}),
            redaction=settings.redaction.compiled(ATTRIBUTES),
        ),
        ttl_us=to_us(settings.state.signal_ttl_seconds),
        instance_ttl_us=to_us(settings.state.instance_ttl_seconds),
        policy=settings.detection,
        policies=settings.policies,
        roles=settings.roles.given(),
        join_us=settings.incidents.join_windows * window_us,
        resolve_us=settings.incidents.resolve_windows * window_us,
        reopen_us=settings.incidents.reopen_windows * window_us,
        habits=settings.incidents.habits,
    )


class _App(faust.App):
    """Keeps nothing in files: a full disk is none of its business."""

    def _create_directories(self) -> None:
        pass


def _faust_app(settings: Settings) -> faust.App:
    """The frame. Shard services have consumer groups of their own; this one belongs to the ordinary agents."""
    return _App(
        f"{settings.topic_prefix}agents",
        broker=[f"kafka://{host.strip()}" for host in settings.broker.bootstrap.split(",")],
        broker_credentials=security.credentials(settings.broker),
        broker_session_timeout=settings.broker.session_timeout_seconds,
        broker_heartbeat_interval=max(settings.broker.session_timeout_seconds / 5, 0.5),
        broker_max_poll_interval=300.0,
        producer_max_request_size=MAX_RECORD_BYTES,
        store="memory://",
        datadir=Path(os.devnull),
        topic_disable_leader=True,
        topic_allow_declare=False,
        agent_supervisor=CrashingSupervisor,
        web_enabled=False,  # ours are the endpoints; these two are what Faust calls a worker in its group's metadata
        web_host=settings.http.host,
        web_port=settings.http.port,
        worker_redirect_stdouts=False,
        autodiscover=False,
    )


def __getattr__(name: str) -> Any:
    """``app`` for ``faust -A pipeline.app``; made on demand, so that importing this module reads no configuration."""
    if name == "app":
        return create(load()).app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
