"""One validated configuration, from flags, environment and a YAML file.

Guarantee: an unknown key, a wrong type or a combination that cannot work is refused before anything is connected,
with the key named and the right form said. Sources, strongest first: arguments, environment (``CALMSTREAM_`` and
``__`` between levels), the YAML file named by ``CALMSTREAM_CONFIG`` or ``--config``, the defaults below.
"""

from pipeline.settings.connections import BrokerSettings, HttpSettings
from pipeline.settings.errors import ConfigurationError
from pipeline.settings.loading import NOT_SETTINGS, environment_keys, load
from pipeline.settings.sections import (
    HAPPENING_FORMATS,
    LINE_FORMATS,
    SPAN_FORMATS,
    Format,
    IncidentSettings,
    InputSettings,
    LimitSettings,
    RedactionSettings,
    Role,
    RoleSettings,
    StateSettings,
    TimeSettings,
    TopicSettings,
    WorkerSettings,
)
from pipeline.settings.sinks import SinkSettings
from pipeline.settings.whole import Settings

__all__ = [
    "HAPPENING_FORMATS",
    "LINE_FORMATS",
    "NOT_SETTINGS",
    "SPAN_FORMATS",
    "BrokerSettings",
    "ConfigurationError",
    "Format",
    "HttpSettings",
    "IncidentSettings",
    "InputSettings",
    "LimitSettings",
    "RedactionSettings",
    "Role",
    "RoleSettings",
    "Settings",
    "SinkSettings",
    "StateSettings",
    "TimeSettings",
    "TopicSettings",
    "WorkerSettings",
    "environment_keys",
    "load",
]
