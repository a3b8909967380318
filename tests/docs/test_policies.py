"""The policies on ``docs/policies.md`` can be applied, and the page names every key of a policy."""

from pathlib import Path

import pytest

from pipeline.cli.policy_files import read_policies
from pipeline.policies import PolicyTable
from pipeline.policies.form import KEYS
from tests.docs.pages import code, rows, section, unquoted

PAGE = "policies.md"


def test_every_key_of_a_policy_is_on_the_page() -> None:
    assert {unquoted(row[0]) for row in rows(section(PAGE, "## What is in a policy"))} == set(KEYS)


@pytest.mark.parametrize("example", code(PAGE, "yaml"), ids=lambda text: text.splitlines()[0])
def test_every_example_can_be_applied(example: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(example)
    assert read_policies([tmp_path / "p.yaml"])


def test_all_examples_can_be_in_force_together(tmp_path: Path) -> None:
    for number, example in enumerate(code(PAGE, "yaml")):
        (tmp_path / f"{number}.yaml").write_text(example)
    policies = read_policies(sorted(tmp_path.iterdir()))
    assert len(PolicyTable(policies=tuple(policies)).policies) == len(policies) == 12
