"""The sections of the configuration, each with its bounds and defaults."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, model_validator

from pipeline.policies.redaction import REPLACEMENT, Redaction, RedactionRule
from pipeline.policies.roles import GivenRoles, Meant, meant_of
from pipeline.records import Kind

Role = Literal["ingest", "join", "score", "correlate", "shadow", "deliver"]
Format = Literal[
    "json_points",
    "otlp_metrics",
    "prometheus_json",
    "influx_line",
    "telegraf_json",
    "cloudwatch_json",
    "cloudwatch_otlp",
    "otlp_logs",
    "fluent_bit",
    "plain_text",
    "otlp_spans",
    "jaeger_spans",
    "events",
    "changes",
]
#: What formats hold, where it is not points.
LINE_FORMATS = frozenset({"otlp_logs", "fluent_bit", "plain_text"})
SPAN_FORMATS = frozenset({"otlp_spans", "jaeger_spans"})
HAPPENING_FORMATS = frozenset({"events", "changes"})


_AllMeant = tuple[Annotated[InstanceOf[Meant], BeforeValidator(meant_of)], ...]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TopicSettings(Section):
    """Sizes used by ``calmstream topics create`` and expected by a worker at start."""

    partitions: int = Field(4, ge=1, le=1024, description="partitions of every topic not named in partitions_by_topic")
    partitions_by_topic: dict[str, int] = Field(default_factory=dict)
    replication_factor: int = Field(1, ge=1)


class InputSettings(Section):
    """One input topic and the format of its messages."""

    topic: str = Field(min_length=1)
    format: Format

    @property
    def sparse(self) -> bool:
        """Does what it holds come when it comes, so that silence says nothing?"""
        return self.format in LINE_FORMATS | SPAN_FORMATS | HAPPENING_FORMATS


class TimeSettings(Section):
    """Event time: windows, lateness, idleness, and which times are believed."""

    window_seconds: float = Field(10.0, gt=0)
    window_seconds_by_kind: dict[Kind, float] = Field(default_factory=dict)
    allowed_lateness_seconds: float = Field(5.0, ge=0)
    correction_seconds: float = Field(
        600.0, ge=0, description="points that come later correct anomalies that go on, or ended at most this long ago"
    )
    idle_seconds: float = Field(
        90.0, gt=0, description="an input partition read to its end for this long no longer holds the watermark back"
    )
    idle_empty_seconds: float = Field(3.0, gt=0, description="the same for a partition that never held a message")
    idle_sparse_seconds: float = Field(
        3.0, gt=0, description="the same for logs, traces, events and changes, which come when they come"
    )
    trace_wait_seconds: float = Field(
        10.0, gt=0, description="a trace is taken as whole this long after a span of it ended"
    )
    max_future_seconds: float = Field(
        300.0, gt=0, description="a point further ahead of its Kafka record time is dropped"
    )
    max_past_seconds: float = Field(
        86_400.0, gt=0, description="a point further behind its Kafka record time is dropped"
    )


class LimitSettings(Section):
    """Bounds on what a producer may send."""

    max_attributes: int = Field(64, ge=1)
    max_attribute_bytes: int = Field(1024, ge=16, description="of one attribute value or one name, in UTF-8")
    max_series: int = Field(1_000_000, ge=1000, description="distinct series an ingest shard remembers at once")
    max_operations: int = Field(200, ge=1, description="operations of a workload that traces tell apart")
    max_signals_per_metric: int = Field(10_000, ge=1, description="signals that a workload has of one metric")
    max_signals_per_workload: int = Field(200_000, ge=1, description="signals that a workload has of all metrics")
    over_max_signals: Literal["refuse", "count"] = Field(
        "refuse", description="what happens to more: values are dropped and counted, or they are only counted"
    )
    max_held_points: int = Field(
        10_000_000, ge=1000, description="points that a score shard keeps while they wait for an input that is behind"
    )
    max_held_bytes: int = Field(
        400_000_000, ge=100_000, description="the same of spans or lines in a join shard, in bytes of memory, about"
    )


class RedactionRuleSettings(Section):
    """One rule: see policies.redaction."""

    name: str = Field("", description="expression that matches whole names of attributes")
    value: str = Field("", description="expression for what is replaced in values")
    replacement: str = REPLACEMENT

    @model_validator(mode="after")
    def _is_a_rule(self) -> Self:
        self.rule()
        return self

    def rule(self) -> RedactionRule:
        """Raises RedactionError."""
        return RedactionRule(self.name, self.value, self.replacement)


class RedactionSettings(Section):
    """What is taken out of everything that is read, before any of it is stored."""

    rules: tuple[RedactionRuleSettings, ...] = Field((), max_length=64)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        self.compiled()
        return self

    def compiled(self, current: Mapping[str, str] | None = None) -> Redaction:
        """The rules, ready for use; ``current`` has for older names of attributes what they are called now."""
        return Redaction([rule.rule() for rule in self.rules], current)


class StateSettings(Section):
    """Checkpoints."""

    checkpoint_interval_seconds: float = Field(5.0, gt=0)
    max_state_age_seconds: float = Field(60.0, gt=0, description="no checkpoint may be older, however long they take")
    signal_ttl_seconds: float = Field(
        691_200.0, ge=3600, description="a signal of which nothing comes for longer is forgotten, with its baseline"
    )
    instance_ttl_seconds: float = Field(
        86_400.0, ge=3600, description="the same for signals of one instance (a pod, a process), which come and go"
    )


class IncidentSettings(Section):
    """How anomalies become incidents; lengths are in windows of ``time.window_seconds``."""

    join_windows: int = Field(
        6, ge=1, description="an anomaly joins an incident whose newest onset is at most this far"
    )
    resolve_windows: int = Field(3, ge=0, description="an incident resolves when all members have ended for this long")
    reopen_windows: int = Field(
        90, ge=0, description="for so long after its end an incident comes back with its signals, instead of a new one"
    )
    habits: bool = Field(
        True,
        description="an incident of a kind that usually passes soon, or is frequent or regular, is held back until"
        " it is worse than usual",
    )
    scope_attributes: tuple[str, ...] = ("deployment.environment.name", "k8s.cluster.name")


class RoleSettings(Section):
    """Which signals have which role: lists of conditions, or of lists of conditions that must all hold."""

    business: _AllMeant = ()
    users: _AllMeant = ()
    errors: _AllMeant = ()
    latency: _AllMeant = ()
    saturation: _AllMeant = ()
    traffic: _AllMeant = ()
    other: _AllMeant = ()

    def given(self) -> GivenRoles:
        """For those who ask signal by signal."""
        return GivenRoles({role: meant for role in type(self).model_fields if (meant := getattr(self, role))})

    def shown(self) -> dict[str, list[list[str]]]:
        """As one would write it."""
        return {role: [meant.written() for meant in all_of] for role, all_of in self.given().by_role.items()}


class WorkerSettings(Section):
    """Bounds on the life of a worker process."""

    roles: tuple[Role, ...] = Field(("ingest", "join", "score", "correlate", "deliver"), min_length=1)
    loop_blocked_seconds: float = Field(30.0, ge=2, description="a blocked event loop ends the worker after this long")
    shutdown_seconds: float = Field(15.0, ge=1)
    log_format: Literal["text", "json"] = Field("text", description="lines for people, or one JSON object a line")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def default_inputs(settings: dict[str, Any]) -> tuple[InputSettings, ...]:
    """Our own topics under the prefix, and the default topics of OpenTelemetry's collector."""
    prefix = settings["topic_prefix"]
    return (
        InputSettings(topic=f"{prefix}points", format="json_points"),
        InputSettings(topic=f"{prefix}events", format="events"),
        InputSettings(topic=f"{prefix}changes", format="changes"),
        InputSettings(topic="otlp_metrics", format="otlp_metrics"),
        InputSettings(topic="otlp_logs", format="otlp_logs"),
        InputSettings(topic="otlp_spans", format="otlp_spans"),
    )
