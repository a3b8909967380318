"""Reading the configuration: arguments, environment, YAML file, defaults.

Guarantee: what cannot be used is refused with each key named; a secret that stands in the YAML file is refused too.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from pipeline.settings.connections import SECRETS
from pipeline.settings.errors import ConfigurationError
from pipeline.settings.whole import Settings

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
        raise ConfigurationError(f"configuration file {path} is not valid YAML: {_of_yaml(error)}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"configuration file {path} must hold a mapping of settings at its top level")
    _refuse_secrets(content, path)
    return content


def _of_yaml(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the text that stands there: it may be a secret."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark and problem else "it cannot be read"


def _refuse_secrets(content: dict[str, Any], path: Path) -> None:
    for setting in SECRETS:
        section, _, name = setting.partition(".")
        if isinstance(inner := content.get(section), dict) and name in inner:
            raise ConfigurationError(
                f"{setting}: secrets do not stand in the configuration file ({path}); name a file that holds it in "
                f"{setting}_file, or set {_PREFIX}{setting.replace('.', '__').upper()}"
            )


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
