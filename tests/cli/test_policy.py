"""``calmstream policy``: what a person gives, gets and is told."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.cli.policy_files import read_policies
from pipeline.settings import ConfigurationError, load
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import calmstream, invoke

YAML = """\
# two of them
- name: cart
  match: [service.name=cart]
  detection: {alert_budget: 0.1}
- name: nights
  match: ["name=~.*latency", environment!=dev]
  priority: 5
  effective_at: 2100-01-01T00:00:00Z
  detection:
    direction: up
    parts_off: [drift]
"""


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker, topic_prefix: str) -> Mapping[str, str]:
    found = {
        "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "CALMSTREAM_TOPIC_PREFIX": topic_prefix,
        "CALMSTREAM_TOPICS__PARTITIONS": "2",
    }
    assert invoke(found, "topics", "create").returncode == 0
    return found


def test_policies_are_applied_listed_replaced_and_removed(settings: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    (tmp_path / "one.json").write_text('{"name": "cart",\n\t"match": [], "detection": {"season": "daily"}}')
    none = invoke(settings, "policy", "list")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "No policies.\n")

    done = invoke(settings, "policy", "apply", str(tmp_path / "p.yaml"))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("applied  cart@")
    assert first.endswith("at once: from the next window that closes, in 2 partitions")
    assert second.endswith("from 2100-01-01T00:00:00Z on, in 2 partitions")

    shown = invoke(settings, "policy", "list").stdout.splitlines()
    assert [line.partition("@")[0] for line in shown[1:]] == ["cart", "nights"]
    assert "service.name=cart" in shown[1]
    assert 'direction="up", parts_off=["drift"]' in shown[2]
    assert "2100-01-01T00:00:00Z" in shown[2]

    assert invoke(settings, "policy", "apply", str(tmp_path / "one.json")).returncode == 0
    listed = [json.loads(line) for line in invoke(settings, "policy", "list", "--json").stdout.splitlines()]
    assert listed[0] == {"name": "cart", "match": [], "detection": {"season": "daily"}}

    assert invoke(settings, "policy", "remove", "cart").stdout == "removed  cart  from the next window that closes\n"
    gone = invoke(settings, "policy", "remove", "cart")
    assert gone.returncode == 1
    assert gone.stderr.startswith("No policy cart is in force; there are: nights.")


def test_policies_are_tried_in_the_shadow_beside_live_ones_of_the_same_name(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    (tmp_path / "one.json").write_text('{"name": "cart", "match": [], "detection": {"season": "daily"}}')
    assert invoke(settings, "policy", "apply", str(tmp_path / "p.yaml")).returncode == 0
    done = invoke(settings, "policy", "apply", "--shadow", str(tmp_path / "one.json"))
    assert done.stdout.endswith("at once: from the next window that closes, in 2 partitions of the shadow\n")
    rows = [line.split() for line in invoke(settings, "policy", "list").stdout.splitlines()[1:]]
    assert [(row[0].partition("@")[0], row[1]) for row in rows if "@" in row[0]] == [
        ("cart", "live"),
        ("cart", "shadow"),
        ("nights", "live"),
    ]
    live, tried = (invoke(settings, "policy", "list", "--json", *more).stdout for more in ((), ("--shadow",)))
    assert [json.loads(line)["name"] for line in live.splitlines()] == ["cart", "nights"]
    assert json.loads(tried) == {"name": "cart", "match": [], "detection": {"season": "daily"}}

    removed = invoke(settings, "policy", "remove", "--shadow", "cart").stdout
    assert removed == "removed  cart  from the next window that closes in the shadow\n"
    gone = invoke(settings, "policy", "remove", "--shadow", "cart")
    assert (gone.returncode, gone.stderr.partition(";")[0]) == (1, "No policy cart is in the shadow")
    assert len(invoke(settings, "policy", "list", "--json").stdout.splitlines()) == 2


def test_what_is_listed_can_be_applied_again(settings: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    invoke(settings, "policy", "apply", str(tmp_path / "p.yaml"))
    listed = invoke(settings, "policy", "list", "--json").stdout
    (tmp_path / "again.yaml").write_text("---\n".join(listed.splitlines(keepends=True)))
    assert read_policies([tmp_path / "again.yaml"]) == read_policies([tmp_path / "p.yaml"])


def test_one_wrong_policy_stops_all_and_every_fault_is_said_with_its_line(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text(YAML)
    (tmp_path / "bad.yaml").write_text(
        "policies:\n"
        "  - name: pay\n"
        "    match:\n"
        "      - unit=ms\n"
        "      - pay\n"
        "    detection: {direction: up}\n"
        "  - name: shop\n"
        "    match: []\n"
        "    detection:\n"
        "      direction: up\n"
        "      alert_budgets: 5\n"
    )
    done = calmstream(settings, "policy", "apply", str(tmp_path / "good.yaml"), str(tmp_path / "bad.yaml"))
    assert done.returncode == 2
    first, second, third = done.stderr.splitlines()
    assert first == "calmstream: policies refused:"
    path = tmp_path / "bad.yaml"
    assert second == f"  {path}:5: policy pay: match.1 is 'pay'; write name=value, name!=value or name=~regex"
    assert third.startswith(f"  {path}:11: policy shop: detection.alert_budgets is not a key; there are alert_budget, ")
    assert invoke(settings, "policy", "list").stderr == "No policies.\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.yaml: there is no policy in it"),
        ("a: [", "p.yaml:1: not valid YAML or JSON: expected the node content"),
        ("- just text", "p.yaml:1: policy is 'just text'; it must be a mapping with the keys name, match"),
        (YAML + YAML, "p.yaml:13: policy cart is given twice, first at"),
        (YAML + "    direction: down\n", "p.yaml:12: policy nights: detection.direction is given twice"),
        ("{name: a, match: [], detection: {min_absolute_by_unit: {ms: x}}}", "p.yaml:1: policy a: detection.min_abs"),
        ("name: a\nmatch: []\neffective_at: soon\ndetection: {direction: up}", "p.yaml:3: policy a: effective_at is"),
        ("name: a\nmatch: []\n", "p.yaml:1: policy a: detection is missing; say what is to be different"),
        ("name: [a]\nmatch: []\ndetection: {direction: up}\n", "p.yaml:1: name is ['a']; use letters"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_policies([tmp_path / "p.yaml"])
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml: cannot be read: No such file or directory"):
        read_policies([tmp_path / "nothing.yaml"])


def test_the_configuration_may_hold_policies_in_the_same_form(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    indented = "".join(f"  {line}" for line in YAML.splitlines(keepends=True))
    (tmp_path / "c.yaml").write_text(f"policies:\n{indented}")
    settings = load(tmp_path / "c.yaml")
    assert list(settings.policies) == read_policies([tmp_path / "p.yaml"]) == read_policies([tmp_path / "c.yaml"])


def test_a_wrong_policy_in_the_configuration_is_refused_by_its_place_and_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "policies:\n"
        "- {name: a, match: [], detection: {direction: up}}\n"
        "- {name: b, match: [], detection: {season: x}}\n"
    )
    with pytest.raises(ConfigurationError, match=r"policies\.1: detection\.season is 'x'; use auto, none, daily or"):
        load(tmp_path / "c.yaml")
