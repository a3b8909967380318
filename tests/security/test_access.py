"""The table of who does what on Kafka, and ``calmstream topics acls`` that shows it; no broker needed."""

import json
import re
import shlex
from typing import get_args

import pytest
from typer.testing import CliRunner

from pipeline import app
from pipeline.cli.root import app as calmstream
from pipeline.settings import NOT_SETTINGS, Role, Settings, environment_keys
from pipeline.streams import access
from pipeline.streams.topic_table import OUTPUTS, plan
from tests.docs.pages import DOCS, rows, section, unquoted

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)


def test_every_role_of_a_worker_is_in_the_table() -> None:
    assert tuple(access.WORKERS) == get_args(Role)


def test_the_shards_of_the_table_are_those_that_a_worker_runs() -> None:
    settings = Settings()
    inputs = {source.topic for source in settings.inputs}
    every = [uses for parts in access.WORKERS.values() for uses in parts]
    listed = {uses.group: uses for uses in every if uses.group not in ("", access.AGENTS)}
    stages = {stage.role: stage for stage in (*app.stages(settings), *app.shadow_stages(settings))}
    assert list(listed) == list(stages)
    for role, stage in stages.items():
        reads, state = listed[role].reads
        assert set(stage.topics) == (inputs if reads == "inputs" else {settings.topic(reads)})
        assert stage.state_topic == state


def test_the_group_of_the_agents_is_that_of_faust() -> None:
    settings = Settings()
    assert app.create(settings).app.conf.id == settings.topic(access.AGENTS)


def test_every_topic_that_we_write_is_written_by_some_role_and_no_other_is_named() -> None:
    written = {name for parts in access.WORKERS.values() for uses in parts for name in uses.writes}
    assert written | {"control"} == {row.name for row in OUTPUTS}


def test_an_installation_without_logs_and_traces_needs_none_of_their_topics() -> None:
    settings = Settings(inputs=[{"topic": "points", "format": "json_points"}])  # type: ignore[arg-type, list-item]
    assert access.grants(settings, "join") == []
    assert {settings.topic("logs"), settings.topic("spans")} & access.topics_of(settings, ["ingest"]) == set()


def test_what_kafka_implies_is_not_listed() -> None:
    for role in access.ROLES:
        for (_, name), operations in access.by_resource(access.grants(Settings(), role)).items():
            if {"READ", "WRITE", "ALTER"} & set(operations):
                assert "DESCRIBE" not in operations, (role, name)


def test_the_lists_are_shown_as_a_table() -> None:
    page = runner.invoke(calmstream, ["topics", "acls", "--role", "ingest"])
    assert page.exit_code == 0
    assert re.search(r"ingest +topic +calm\.ingest\.state +DESCRIBE_CONFIGS, READ, WRITE", page.output)
    assert re.search(r"ingest +group +calm\.ingest +READ", page.output)


def test_the_lists_are_given_to_programs() -> None:
    page = runner.invoke(calmstream, ["topics", "acls", "--role", "reader", "--principal", "User:ann", "--json"])
    assert json.loads(page.output) == [
        {
            "principal": "User:ann",
            "resource_type": "TOPIC",
            "name": name,
            "pattern_type": "LITERAL",
            "operation": "READ",
            "permission": "ALLOW",
            "host": "*",
        }
        for name in ("calm.incidents", "calm.incidents.state")
    ]


def test_the_lists_are_given_as_commands_of_kafka_that_a_shell_takes_as_they_are() -> None:
    arguments = ["topics", "acls", "--role", "reader", "--principal", "User:CN=ann, O=us", "--commands"]
    first, second = runner.invoke(calmstream, arguments).output.splitlines()
    assert shlex.split(first) == [
        *("kafka-acls.sh", "--bootstrap-server", "localhost:9092", "--add", "--allow-principal", "User:CN=ann, O=us"),
        *("--operation", "Read", "--topic", "calm.incidents"),
    ]
    assert second.endswith("--operation Read --topic calm.incidents.state")


def test_several_roles_of_one_user_are_one_list() -> None:
    everything = json.loads(runner.invoke(calmstream, ["topics", "acls", "--json"]).output)
    listed = [(each["resource_type"], each["name"], each["operation"]) for each in everything]
    assert len(listed) == len(set(listed))
    assert ("TOPIC", "calm.incidents", "DESCRIBE") not in listed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--role", "king"],
            "no role is named king; there are ingest, join, score, correlate, shadow, deliver",
        ),
        (["--json", "--commands"], "--json and --commands are two forms of the same; give one"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], said: str) -> None:
    page = runner.invoke(calmstream, ["topics", "acls", *arguments])
    assert page.exit_code == 2
    assert said in " ".join(page.output.replace("│", " ").split())


def test_operations_md_says_of_every_role_what_it_reads_and_writes() -> None:
    listed = {
        unquoted(row[0]): row[1:] for row in rows(section("operations.md", "## Roles and topics")) if len(row) == 3
    }
    for role, parts in access.WORKERS.items():
        if role not in listed:
            continue
        reads, writes = listed[role]
        for uses in parts:
            for name in (
                name for name in uses.reads if name not in ("inputs", "incidents") and not name.endswith("state")
            ):
                assert f"`calm.{name}`" in reads, (role, name)
            for name in (name for name in uses.writes if name != "dead-letter" and name not in uses.reads):
                assert f"`calm.{name}`" in writes, (role, name)


def test_the_list_in_the_readme_is_that_of_the_table() -> None:
    text = (DOCS.parent / "README.md").read_text()
    table = text[text.index("| user of |") :].split("\n\n")[0]
    listed = {unquoted(row[0]): [set(re.findall(r"`([^`]+)`", cell)) for cell in row[1:]] for row in rows(table)}
    settings = Settings()
    inputs = {source.topic for source in settings.inputs}
    for role in (*access.WORKERS, "producer", "reader"):
        found = {"READ": set(), "WRITE": set(), "group": set(), "DESCRIBE": set()}  # type: ignore[var-annotated]
        for grant in access.grants(settings, role):
            key = "group" if grant.resource == "group" else grant.operation
            if key in found:
                found[key].add("inputs" if grant.name in inputs else grant.name)
        assert listed[role] == [found["READ"], found["WRITE"], found["group"], found["DESCRIBE"]], role
    assert {spec.name for spec in plan(settings)} >= {name for cells in listed.values() for name in cells[1]} - {
        "inputs"
    }
