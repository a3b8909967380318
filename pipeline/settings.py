"""One validated configuration, from flags, environment and a YAML file.

Guarantee: an unknown key, a wrong type or a combination that cannot work is refused before anything is connected,
with the key named and the right form said. Sources, strongest first: arguments, environment (``CALMSTREAM_`` and
``__`` between levels), the YAML file named by ``CALMSTREAM_CONFIG`` or ``--config``, the defaults below.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from pipeline.policies import DetectorPolicy, Policy, PolicyTable
from pipeline.policies.form import policy_of
from pipeline.records import Kind

Role = Literal["ingest", "join", "score", "correlate"]
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


class ConfigurationError(ValueError):
    """The configuration cannot be used; the message names each key and says what would be right."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerSettings(_Section):
    """How to reach Kafka."""

    bootstrap: str = Field("localhost:9092", description="host:port of one or more brokers, separated by commas")
    idempotence: Literal["required", "if-available"] = Field(
        "required", description="refuse a broker without idempotent producing, or go on without it and say so"
    )
    session_timeout_seconds: float = Field(10.0, ge=1, description="a worker silent for longer loses its partitions")
    request_timeout_seconds: float = Field(20.0, ge=1)
    lost_after_seconds: float = Field(
        40.0, ge=5, description="a broker that does not answer for longer ends the worker"
    )


class TopicSettings(_Section):
    """Sizes used by ``calmstream topics create`` and expected by a worker at start."""

    partitions: int = Field(4, ge=1, le=1024, description="partitions of every topic not named in partitions_by_topic")
    partitions_by_topic: dict[str, int] = Field(default_factory=dict)
    replication_factor: int = Field(1, ge=1)


class InputSettings(_Section):
    """One input topic and the format of its messages."""

    topic: str = Field(min_length=1)
    format: Format

    @property
    def sparse(self) -> bool:
        """Does what it holds come when it comes, so that silence says nothing?"""
        return self.format in LINE_FORMATS | SPAN_FORMATS | HAPPENING_FORMATS


class TimeSettings(_Section):
    """Event time: windows, lateness, idleness, and which times are believed."""

    window_seconds: float = Field(10.0, gt=0)
    window_seconds_by_kind: dict[Kind, float] = Field(default_factory=dict)
    allowed_lateness_seconds: float = Field(5.0, ge=0)
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


class LimitSettings(_Section):
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


class StateSettings(_Section):
    """Checkpoints."""

    checkpoint_interval_seconds: float = Field(5.0, gt=0)
    max_state_age_seconds: float = Field(60.0, gt=0, description="no checkpoint may be older, however long they take")
    signal_ttl_seconds: float = Field(
        691_200.0, ge=3600, description="a signal of which nothing comes for longer is forgotten, with its baseline"
    )
    instance_ttl_seconds: float = Field(
        86_400.0, ge=3600, description="the same for signals of one instance (a pod, a process), which come and go"
    )


class IncidentSettings(_Section):
    """How anomalies become incidents; lengths are in windows of ``time.window_seconds``."""

    join_windows: int = Field(
        6, ge=1, description="an anomaly joins an incident whose newest onset is at most this far"
    )
    resolve_windows: int = Field(3, ge=0, description="an incident resolves when all members have ended for this long")
    scope_attributes: tuple[str, ...] = ("deployment.environment.name", "k8s.cluster.name")


class HttpSettings(_Section):
    """The worker's own endpoints: /live, /ready, /metrics."""

    host: str = "127.0.0.1"
    port: int = Field(6066, ge=0, le=65535)


class WorkerSettings(_Section):
    """Bounds on the life of a worker process."""

    roles: tuple[Role, ...] = Field(("ingest", "join", "score", "correlate"), min_length=1)
    loop_blocked_seconds: float = Field(30.0, ge=2, description="a blocked event loop ends the worker after this long")
    shutdown_seconds: float = Field(15.0, ge=1)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def _default_inputs(settings: dict[str, Any]) -> tuple[InputSettings, ...]:
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


class Settings(BaseSettings):
    """The whole configuration of a worker, a replay or a command."""

    model_config = SettingsConfigDict(
        env_prefix="CALMSTREAM_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    topic_prefix: str = Field("calm.", description="put before the name of every topic that is ours")
    broker: BrokerSettings = BrokerSettings()
    topics: TopicSettings = TopicSettings()
    inputs: tuple[InputSettings, ...] = Field(default_factory=_default_inputs, min_length=1)
    time: TimeSettings = TimeSettings()
    limits: LimitSettings = LimitSettings()
    state: StateSettings = StateSettings()
    detection: DetectorPolicy = DetectorPolicy()
    policies: tuple[Annotated[InstanceOf[Policy], BeforeValidator(policy_of)], ...] = ()
    incidents: IncidentSettings = IncidentSettings()
    http: HttpSettings = HttpSettings()
    worker: WorkerSettings = WorkerSettings()

    @field_validator("detection", mode="before")
    @classmethod
    def _read_maps(cls, given: Any) -> Any:
        """The environment gives maps, lists and null inside ``detection`` as JSON text."""
        if not isinstance(given, dict):
            return given
        texts = {key: text for key, text in given.items() if isinstance(text, str)}
        return given | {
            key: json.loads(text) for key, text in texts.items() if text[:1] in ("{", "[") or text == "null"
        }

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        seen = [source.topic for source in self.inputs]
        twice = sorted({topic for topic in seen if seen.count(topic) > 1})
        if twice:
            raise ValueError(f"inputs: topic {', '.join(twice)} is named twice; name each input topic once")
        PolicyTable(self.detection, self.policies)  # refuses a name that is given twice
        if self.state.checkpoint_interval_seconds > self.state.max_state_age_seconds:
            raise ValueError("state.checkpoint_interval_seconds must not be above state.max_state_age_seconds")
        self._refuse_what_the_join_cannot_do()
        return self

    def _refuse_what_the_join_cannot_do(self) -> None:
        """A pause of lines or spans is known to be one after ``idle_sparse_seconds``. What the join tells then of the
        window before must come before others close that window."""
        joined = LINE_FORMATS | SPAN_FORMATS
        inputs = [source.topic for source in self.inputs if source.format in joined]
        idle, lateness = self.time.idle_sparse_seconds, self.time.allowed_lateness_seconds
        if inputs and idle > lateness:
            raise ValueError(
                f"time.idle_sparse_seconds is {idle:g} and must not be above time.allowed_lateness_seconds, which is "
                f"{lateness:g}, where lines or spans are read ({', '.join(inputs)}): what comes before a pause would "
                "be counted too late; lower the one or raise the other"
            )
        if not inputs and set(self.worker.roles) == {"join"}:
            raise ValueError(
                "worker.roles: join has nothing to do, for no input holds log lines or spans; name an input of one of "
                f"the formats {', '.join(sorted(joined))}, or run other roles: ingest, score, correlate"
            )

    def topic(self, name: str) -> str:
        """The full name of one of our topics, for instance ``signals`` → ``calm.signals``."""
        return f"{self.topic_prefix}{name}"

    def partitions(self, topic: str) -> int:
        """How many partitions a topic (full name) must have."""
        return self.topics.partitions_by_topic.get(topic, self.topics.partitions)


_PREFIX = "CALMSTREAM_"
#: Environment variables with our prefix that are not settings.
NOT_SETTINGS = frozenset({"CALMSTREAM_CONFIG", "CALMSTREAM_DATA", "CALMSTREAM_KAFKA_HOME"})


def load(config: str | os.PathLike[str] | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Read the configuration.

    ``config`` is a YAML file (default: the one named by ``CALMSTREAM_CONFIG``); ``overrides`` is a nested dict
    that is stronger than everything else (command-line flags). Raises ConfigurationError.
    """
    path = config or os.environ.get("CALMSTREAM_CONFIG")
    from_file = _read(Path(path)) if path else {}
    _refuse_unknown_environment()
    try:
        return _with_file(from_file)(**(overrides or {}))
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None
    except SettingsError as error:
        raise ConfigurationError(
            f'{error}; lists and maps are given as JSON, for instance \'["ingest", "score"]\''
        ) from None


def _with_file(values: dict[str, Any]) -> type[Settings]:
    class _Source(PydanticBaseSettingsSource):
        """The content of the configuration file, as the weakest source above the defaults."""

        def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
            return values.get(field_name), field_name, False

        def __call__(self) -> dict[str, Any]:
            return values

    class _Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, _Source(settings_cls))

    return _Loaded


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"configuration file {path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"configuration file {path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"configuration file {path} must hold a mapping of settings at its top level")
    return content


def environment_keys() -> dict[str, Any]:
    """Every environment variable that is a setting, and its default."""
    found: dict[str, Any] = {}

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            key = f"{prefix}{name.upper()}"
            default = field.get_default(call_default_factory=True, validated_data={"topic_prefix": "calm."})
            found[key] = default
            if isinstance(default, BaseModel):
                walk(type(default), f"{key}__")
            elif dataclasses.is_dataclass(default):
                inner = dataclasses.fields(default)
                found.update({f"{key}__{part.name.upper()}": getattr(default, part.name) for part in inner})

    walk(Settings, _PREFIX)
    return found


def _refuse_unknown_environment() -> None:
    known = {key.upper() for key in environment_keys()} | NOT_SETTINGS
    maps = tuple(f"{key.upper()}__" for key, default in environment_keys().items() if isinstance(default, dict))
    for key in os.environ:
        upper = key.upper()
        if upper.startswith(_PREFIX) and upper not in known and not upper.startswith(maps):
            raise ConfigurationError(
                f"environment variable {key} is not a setting; see docs/configuration.md for all keys"
            )


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "settings"
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            what = "is not a setting; see docs/configuration.md for all keys"
        lines.append(f"{where}: {what}")
    return "configuration refused:\n  " + "\n  ".join(lines)
