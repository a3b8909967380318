"""The whole configuration, and what of it must fit together."""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.policies import DetectorPolicy, Policy, PolicyTable
from pipeline.policies.form import policy_of
from pipeline.settings.connections import BrokerSettings, HttpSettings
from pipeline.settings.sections import (
    LINE_FORMATS,
    SPAN_FORMATS,
    IncidentSettings,
    InputSettings,
    LimitSettings,
    RedactionSettings,
    RoleSettings,
    StateSettings,
    TimeSettings,
    TopicSettings,
    WorkerSettings,
    default_inputs,
)
from pipeline.settings.sinks import SinkSettings


class Settings(BaseSettings):
    """The whole configuration of a worker, a replay or a command."""

    model_config = SettingsConfigDict(
        env_prefix="CALMSTREAM_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    topic_prefix: str = Field("calm.", description="put before the name of every topic that is ours")
    broker: BrokerSettings = BrokerSettings()
    topics: TopicSettings = TopicSettings()
    inputs: tuple[InputSettings, ...] = Field(default_factory=default_inputs, min_length=1)
    time: TimeSettings = TimeSettings()
    limits: LimitSettings = LimitSettings()
    redaction: RedactionSettings = RedactionSettings()
    state: StateSettings = StateSettings()
    detection: DetectorPolicy = DetectorPolicy()
    policies: tuple[Annotated[InstanceOf[Policy], BeforeValidator(policy_of)], ...] = ()
    incidents: IncidentSettings = IncidentSettings()
    roles: RoleSettings = RoleSettings()
    sinks: tuple[SinkSettings, ...] = ()
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
        names = [sink.name for sink in self.sinks]
        if again := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sinks: {', '.join(again)} is named twice; give each sink a name of its own")
        if not self.sinks and set(self.worker.roles) == {"deliver"}:
            raise ValueError("worker.roles: deliver has nothing to do, for there are no sinks; give some in sinks")
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
