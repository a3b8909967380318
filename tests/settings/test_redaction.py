"""Rules of redaction in the configuration: read in both ways, refused by their place and key, used by the chains."""

from pathlib import Path

import pytest

from pipeline.app import flow_config
from pipeline.settings import ConfigurationError, load
from tests.docs.pages import code

RULES = """
redaction:
  rules:
    - name: user\\.email
    - {name: 'db\\..*', value: '\\d+', replacement: '#'}
    - value: '\\b\\d{16}\\b'
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "calmstream.yaml"
    path.write_text(text)
    return path


def test_rules_come_from_the_file_and_the_chains_have_them(tmp_path: Path) -> None:
    redaction = flow_config(load(written(tmp_path, RULES))).limits.redaction
    assert redaction.text("user.email", "a") == "[redacted]"
    assert redaction.text("db.system", "v17") == "v#"
    assert redaction.text("log.body", "paid with 4111111111111111") == "paid with [redacted]"
    assert redaction.text("db.query.text", "4111111111111111") == "#"


def test_rules_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALMSTREAM_REDACTION__RULES", '[{"name": "http.method"}]')
    redaction = flow_config(load()).limits.redaction
    assert redaction.text("http.request.method", "GET") == "[redacted]"  # what it is called now


def test_the_rules_on_the_page_do_what_it_says(tmp_path: Path) -> None:
    (example,) = code("configuration.md", "yml")
    redaction = flow_config(load(written(tmp_path, example))).limits.redaction
    assert redaction.text("enduser.id", "ann") == "[redacted]"
    assert redaction.text("log.body", "paid with 4111 1111 1111 1111") == "paid with [card]"
    assert redaction.text("db.query.text", "WHERE name = 'ann'") == "WHERE name = ?"


def test_without_rules_nothing_is_redacted() -> None:
    assert not flow_config(load()).limits.redaction


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("[{value: '('}]", "redaction.rules.0: value: not an expression"),
        ("[{value: a+}, {value: '(?=a)'}]", "redaction.rules.1: value: not an expression of RE2's syntax"),
        ("[{name: 'a*'}]", "redaction.rules.0: name: it matches the empty text"),
        ("[{}]", "redaction.rules.0: name: a rule has neither name nor value"),
        ("[{value: a, replacement: ''}]", "redaction.rules.0: replacement: it must have 1 to 100"),
        ("[{valeu: a}]", "redaction.rules.0.valeu: is not a setting"),
        ("[" + ", ".join(["{value: x+}"] * 65) + "]", "redaction.rules: "),
        ("[" + ", ".join([r"{value: '\w{300}'}"] * 64) + "]", "redaction: rules: they are too large together"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_and_its_place_is_named(tmp_path: Path, rules: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(written(tmp_path, f"redaction: {{rules: {rules}}}"))
    assert said in str(refused.value)
