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


def test_every_fault_of_a_file_is_said_with_its_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: a b\nmatch:\n- pay\n- unit=ms\n- name=~(\neffective_at: soon\npriority: high\nmatches: []\n"
        "detection:\n  alert_budgets: 3\n  direction: left\n  open_windows: 99\n  season: daily\n"
    )
    with pytest.raises(ConfigurationError) as refused:
        read_policies([tmp_path / "p.yaml"])
    lines = [line.removeprefix(f"  {tmp_path / 'p.yaml'}:") for line in str(refused.value).splitlines()[1:]]
    said = [(int(line.partition(":")[0]), line.split(": ", 2)[2].split()[0]) for line in lines]
    assert said == [
        (1, "name"),
        (3, "match.0"),
        (5, "match.2"),
        (6, "effective_at"),
        (7, "priority"),
        (8, "matches"),
        (10, "detection.alert_budgets"),
        (11, "detection.direction"),
        (12, "detection.open_windows"),
    ]
    assert lines[6].endswith("; did you mean alert_budget?")
    assert "did you mean match?" in lines[5]


def test_two_lists_of_policies_in_one_document_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("policies: []\npolicies:\n- {name: a, match: [], detection: {direction: up}}\n")
    with pytest.raises(ConfigurationError, match=r"p\.yaml:2: policies is given twice; make one list of them"):
        read_policies([tmp_path / "p.yaml"])


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


HISTORY = "name: cart\nmatch: [service.name=cart]\ndetection: {{alert_budget: {budget}}}\n"


def _apply(settings: Mapping[str, str], directory: Path, budget: float, *more: str) -> None:
    (directory / "cart.yaml").write_text(HISTORY.format(budget=budget))
    done = invoke(settings, "policy", "apply", str(directory / "cart.yaml"), "--author", "ada", *more)
    assert done.returncode == 0, done.stderr


def _budget(settings: Mapping[str, str]) -> list[float]:
    listed = invoke(settings, "policy", "list", "--json").stdout.splitlines()
    return [json.loads(line)["detection"]["alert_budget"] for line in listed]


def test_a_policy_is_rolled_back_to_what_it_was_and_forward_again(settings: Mapping[str, str], tmp_path: Path) -> None:
    for budget in (0.1, 0.2, 0.4):
        _apply(settings, tmp_path, budget)
    done = invoke(settings, "policy", "rollback", "cart")
    assert done.stdout.startswith("rolled back  cart@")
    assert _budget(settings) == [0.2]
    assert invoke(settings, "policy", "rollback").returncode == 0  # the one that was changed last
    assert _budget(settings) == [0.4]
    first = json.loads(invoke(settings, "policy", "history", "cart", "--json").stdout.splitlines()[-2])
    assert first["policy"]["detection"] == {"alert_budget": 0.1}
    shown = invoke(settings, "policy", "history", "cart").stdout.splitlines()
    version = next(line.split()[0] for line in shown if '"alert_budget": 0.1}' in line)
    assert invoke(settings, "policy", "rollback", "cart", "--to", version).returncode == 0
    assert _budget(settings) == [0.1]
    assert "ada" in shown[-1]


def test_what_was_there_for_the_first_time_is_rolled_back_to_nothing_and_what_was_removed_comes_back(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    _apply(settings, tmp_path, 0.1)
    assert "cart@" in invoke(settings, "policy", "rollback", "cart").stdout
    assert _budget(settings) == []
    _apply(settings, tmp_path, 0.3)
    assert invoke(settings, "policy", "remove", "cart").returncode == 0
    assert invoke(settings, "policy", "rollback", "cart", "--comment", "too quiet").returncode == 0
    assert _budget(settings) == [0.3]
    last = json.loads(invoke(settings, "policy", "history", "cart", "--json").stdout.splitlines()[0])
    assert (last["policy"], last["why"]) == (None, "rolled back: too quiet")


def test_a_policy_is_promoted_from_the_shadow_and_that_can_be_taken_back(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    _apply(settings, tmp_path, 0.1)
    _apply(settings, tmp_path, 0.2, "--shadow")
    assert _budget(settings) == [0.1]
    assert invoke(settings, "policy", "promote", "cart").stdout.startswith("promoted  cart@")
    assert _budget(settings) == [0.2]
    assert invoke(settings, "policy", "list", "--shadow").stderr == "No policies.\n"
    assert invoke(settings, "policy", "rollback", "cart").returncode == 0
    assert _budget(settings) == [0.1]
    again = invoke(settings, "policy", "promote", "cart")
    assert (again.returncode, again.stderr.partition(";")[0]) == (1, "No policy cart is in the shadow")


def test_what_differs_is_shown_key_by_key(settings: Mapping[str, str], tmp_path: Path) -> None:
    _apply(settings, tmp_path, 0.1)
    same = invoke(settings, "policy", "diff", str(tmp_path / "cart.yaml"))
    assert (same.returncode, same.stderr) == (0, "Nothing differs.\n")
    (tmp_path / "new.yaml").write_text(
        "name: cart\nmatch: []\npriority: 2\ndetection: {alert_budget: 0.2, direction: up}\n"
    )
    done = invoke(settings, "policy", "diff", str(tmp_path / "new.yaml"), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "policy": "cart",
        "signals": 0,
        "changes": [
            {"key": "match", "before": ["service.name=cart"], "after": []},
            {"key": "priority", "before": 0, "after": 2},
            {"key": "alert_budget", "before": 0.1, "after": 0.2},
            {"key": "direction", "before": "both", "after": "up"},
        ],
    }
    applied = invoke(settings, "policy", "diff", "base", "in-force")
    assert [line.split() for line in applied.stdout.splitlines()[2:]] == [["alert_budget", "0.5", "→", "0.1"]]
    taken = json.loads(invoke(settings, "policy", "diff", "in-force", "base", "--json").stdout)
    assert taken["changes"] == [{"key": "alert_budget", "before": 0.1, "after": 0.5}]
    unknown = invoke(settings, "policy", "diff", "nothing")
    assert unknown.returncode == 2
    assert "'nothing' is no file, and no policy that is in force" in " ".join(unknown.stderr.split())


def test_nothing_to_roll_back_to_is_said(settings: Mapping[str, str], tmp_path: Path) -> None:
    done = invoke(settings, "policy", "rollback")
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing is known of earlier states of any policy")
    assert invoke(settings, "policy", "history", "cart").returncode == 1
    _apply(settings, tmp_path, 0.1)
    wrong = invoke(settings, "policy", "rollback", "cart", "--to", "cart@ffff")
    assert (wrong.returncode, wrong.stderr.partition(";")[0]) == (
        1,
        "There is no state of cart to go back to of version cart@ffff",
    )
