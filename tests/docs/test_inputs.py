"""``docs/inputs.md`` has every format, its examples are read, and its configuration loads."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml

from pipeline.settings import Format, Settings, load
from tests.codecs.decoding import taken
from tests.codecs.golden import GOLDEN
from tests.docs.pages import DOCS, code, rows, section, unquoted

PAGE = "inputs.md"
TEXT = (DOCS / PAGE).read_text()
FORMATS = get_args(Format)
INPUT_BLOCKS = [block for block in code(PAGE, "yaml") if block.startswith("inputs:")]


def test_every_format_has_a_row_and_a_section() -> None:
    assert [unquoted(row[0]) for row in rows(TEXT)] == list(FORMATS)
    assert re.findall(r"^## .*: `(\w+)`$", TEXT, re.MULTILINE) == list(FORMATS)


def test_the_first_configuration_is_the_default() -> None:
    assert [one.model_dump() for one in Settings().inputs] == yaml.safe_load(INPUT_BLOCKS[0])["inputs"]


@pytest.mark.parametrize("block", INPUT_BLOCKS)
def test_every_configuration_of_inputs_loads(block: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(block)
    assert load(tmp_path / "c.yaml").inputs


def test_every_format_is_configured_somewhere() -> None:
    assert {one["format"] for block in INPUT_BLOCKS for one in yaml.safe_load(block)["inputs"]} == set(FORMATS)


def test_the_configuration_of_producers_is_well_formed() -> None:
    assert all(isinstance(yaml.safe_load(block), dict) for block in code(PAGE, "yaml"))
    assert all(tomllib.loads(block)["outputs"]["kafka"] for block in code(PAGE, "toml"))


@pytest.mark.parametrize("name", [name for name in FORMATS if "otlp" not in name])
def test_the_example_of_a_format_is_the_message_that_the_tests_send(name: str) -> None:
    (heading,) = re.findall(rf"^## .*: `{name}`$", TEXT, re.MULTILINE)
    example = re.findall(r"^```(?:json|text)\n(.*?)^```$", section(PAGE, heading), re.MULTILINE | re.DOTALL)
    assert [text.strip().encode() for text in example] == [GOLDEN[name].strip()]
    found, rejections = taken(name, example[0])
    assert found
    assert not rejections


def test_every_reason_on_the_page_is_explained_in_operations() -> None:
    reasons = {unquoted(row[0]) for row in rows(section("operations.md", "### Reasons of drops"))}
    named = set(re.findall(r"\(`([a-z]+_[a-z_]+)`\)|counted as `([a-z_]+)`", TEXT))
    assert {one or other for one, other in named} <= reasons
