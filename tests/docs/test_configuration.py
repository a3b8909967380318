"""``docs/configuration.md`` has every setting, with its default, and nothing else; its examples load."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.settings import NOT_SETTINGS, Settings, environment_keys, load
from tests.docs.pages import DOCS, code, rows, unquoted

PAGE = "configuration.md"
TEXT = (DOCS / PAGE).read_text()
ROWS = [row for row in rows(TEXT) if len(row) == 4]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)


def test_the_page_names_every_environment_key_and_no_other() -> None:
    named = set(re.findall(r"CALMSTREAM_[A-Z_]*[A-Z]", TEXT))
    assert named - NOT_SETTINGS == environment_keys().keys()


def test_every_row_names_a_setting_as_it_is_written_in_both_ways() -> None:
    for path, variable, _, _ in ROWS:
        assert unquoted(variable) == "CALMSTREAM_" + unquoted(path).replace(".", "__").upper()


def test_every_setting_has_one_row() -> None:
    leaves = {
        key for key in environment_keys() if not any(other.startswith(f"{key}__") for other in environment_keys())
    }
    documented = [unquoted(variable) for _, variable, _, _ in ROWS]
    assert sorted(documented) == sorted(leaves)


@pytest.mark.parametrize(("path", "default"), [(unquoted(row[0]), unquoted(row[2])) for row in ROWS])
def test_the_default_on_the_page_is_the_default(path: str, default: str) -> None:
    assert default == written(value_at(Settings(), path))


def value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def written(value: Any) -> str:
    """A value as one writes it in the environment."""
    if isinstance(value, dict | tuple):
        return json.dumps(value, default=lambda inner: inner.model_dump() if isinstance(inner, BaseModel) else inner)
    return "null" if value is None else str(value)


@pytest.mark.parametrize(("variable", "default"), [(unquoted(row[1]), unquoted(row[2])) for row in ROWS])
def test_every_setting_can_be_given_in_the_environment(
    variable: str, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, default)
    assert load().model_dump() == Settings().model_dump()


def test_the_files_on_the_page_load(tmp_path: Path) -> None:
    first, roles = code(PAGE, "yaml")
    (tmp_path / "roles.yaml").write_text(roles)
    assert len(load(tmp_path / "roles.yaml").roles.business) == 2
    (tmp_path / "calmstream.yaml").write_text(first)
    settings = load(tmp_path / "calmstream.yaml")
    assert settings.topics.partitions_by_topic == {"calm.anomalies": 4}
    assert settings.detection.min_absolute_by_unit == Settings().detection.min_absolute_by_unit | {"ms": 20}


def assignments() -> list[str]:
    (example,) = code(PAGE, "sh")
    return [*example.splitlines(), *re.findall(r"`(CALMSTREAM_\w+='[^`]*')`", TEXT)]


@pytest.mark.parametrize("assignment", assignments())
def test_the_variables_on_the_page_load(assignment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (word,) = shlex.split(assignment)
    variable, _, value = word.partition("=")
    monkeypatch.setenv(variable, value)
    assert load() != Settings()
