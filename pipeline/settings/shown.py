"""The configuration in force, as it may be shown: with everything but the secrets.

Guarantee: a secret is ``***`` where it is set and empty where it is not; the files that hold secrets are named only.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import SecretStr

from pipeline.policies.form import form_of
from pipeline.settings.whole import Settings

_HIDDEN = "***"


def shown(settings: Settings) -> dict[str, Any]:
    """What the settings are, with nothing but what JSON has."""
    written: dict[str, Any] = _plain(settings.model_dump(exclude={"policies", "roles", "sinks"}))
    roles = settings.roles.shown()
    sinks = [
        _plain(sink.model_dump(exclude={"matchers"})) | {"matchers": [str(each) for each in sink.matchers]}
        for sink in settings.sinks
    ]
    return written | {
        "policies": [form_of(policy) for policy in settings.policies],
        "roles": roles,
        "sinks": sinks,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _HIDDEN if value.get_secret_value() else ""
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    return value if value is None or isinstance(value, str | int | float) else str(value)
