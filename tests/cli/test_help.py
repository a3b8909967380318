"""The first page, and what is said to wrong arguments; no broker needed."""

import pytest
from typer.testing import CliRunner

from pipeline.cli.root import app
from tests.cli.person import calmstream

runner = CliRunner(env={"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"})


def test_the_first_page_says_what_it_is_how_to_try_it_and_every_verb() -> None:
    page = " ".join(runner.invoke(app, ["--help"]).output.split())
    assert "Telemetry from Kafka in, few and explained incidents out." in page
    assert "calmstream broker --topics" in page
    for verb in (
        "worker",
        "backtest",
        "broker",
        "topics",
        "state",
        "policy",
        "silence",
        "maintenance",
        "incidents",
        "signals",
        "signal",
        "why",
        "inputs",
        "dead-letter",
    ):
        assert f" {verb} " in page
    assert "4 broker not reached or lost" in page


@pytest.mark.parametrize(
    "verb",
    [
        ["worker"],
        ["broker"],
        ["topics", "create"],
        ["topics", "acls"],
        ["topics", "check"],
        ["topics", "describe"],
        ["topics", "grow"],
        ["state", "inspect"],
        ["state", "export"],
        ["state", "reset"],
        ["policy", "apply"],
        ["policy", "list"],
        ["policy", "remove"],
        *(["policy", verb] for verb in ("diff", "promote", "rollback", "history")),
        ["backtest"],
        *(["silence", verb] for verb in ("add", "list", "expire")),
        *(["maintenance", verb] for verb in ("add", "list", "expire")),
        ["incidents"],
        *(["incidents", verb] for verb in ("show", "ack", "resolve", "reopen", "merge", "split")),
        ["signals"],
        ["signal", "show"],
        ["why"],
        ["inputs", "check"],
        ["inputs", "tail"],
        ["dead-letter", "list"],
        ["dead-letter", "show"],
        ["dead-letter", "replay"],
    ],
    ids=" ".join,
)
def test_every_verb_explains_itself(verb: list[str]) -> None:
    page = runner.invoke(app, [*verb, "--help"])
    assert page.exit_code == 0
    assert "\\[" not in page.output
    for line in page.output.splitlines():
        assert len(line) <= 120


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["incidents", "--since", "soon"], "'soon' is not a length of time; write 30s, 15m, 1h or 2d"),
        (["signals", "name~=x.*"], "use name=value, name!=value or name=~regex"),
        (["signals", "name=~("], "is not a regular expression"),
        (["signals", "=x"], "matcher name is ''"),
        (["broker", "--port", "0"], "Invalid value for '--port'"),
        (["topics", "grow", "calm.signals"], "'calm.signals' is not TOPIC=COUNT; write for instance calm.signals=8"),
        (["state", "reset", "--role", "all"], "Invalid value for '--role'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_arguments_are_explained(arguments: list[str], said: str) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_a_wrong_setting_is_one_line_and_code_2() -> None:
    done = calmstream({"CALMSTREAM_BROKER__BOOTSTRAPP": "x"}, "incidents")
    assert done.returncode == 2
    assert done.stderr.startswith("calmstream: environment variable CALMSTREAM_BROKER__BOOTSTRAPP is not a setting")
    assert done.stderr.count("\n") == 1
