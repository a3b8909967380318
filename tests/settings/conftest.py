"""What every test of settings needs."""

import pytest

from pipeline.settings import NOT_SETTINGS, environment_keys


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)
