"""The access control lists that we document are exactly what is needed: Kafka's own log of what it allowed and denied
says so, after workers with one role each have done all that their roles do."""

import asyncio
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from typing import get_args

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupCoordinatorNotAvailableError
from typer.testing import CliRunner

from pipeline.cli.root import app as calmstream
from pipeline.policies.form import policy_of
from pipeline.settings import Role, Settings, load
from pipeline.streams import access, clients, control_topic, groups, topics
from pipeline.streams.exits import Exit
from tests.security.server import SecureKafka
from tests.streams.every_input import PARTITIONS, SECONDS, START, Sent, messages, resource
from tests.streams.telemetry_run import TelemetryRun
from tests.worker_process import WorkerProcess

ROLES = get_args(Role)
PREFIX = "least."
#: User, Allowed or Denied, operation, kind of resource, its name.
Audit = set[tuple[str, str, str, str, str]]
POLICY = {"name": "carts", "match": ["owner=carts"], "detection": {"alert_budget": 0.001}}
_AUDIT = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ "
    r"on resource = (\w+):LITERAL:(\S+) for request = (\w+)"
)
#: What people and programs that are no workers do; those with a test of their own are left out.
VERBS = (
    ("reader", "incidents"),
    ("look", "signals"),
    ("look", "dead-letter", "list"),
    ("look", "state", "inspect"),
    ("look", "topics", "check"),
    ("operate", "policy", "remove", "carts"),
    ("admin", "topics", "create"),
)
#: Read by the first or second stage; no message of theirs is like this.
_DAMAGED = ("points", "logs", "spans", "signals", "anomalies")


@dataclass
class Setup:
    """One set of topics, and a user for each role."""

    server: SecureKafka
    run: TelemetryRun

    def environment(self, user: str) -> dict[str, str]:
        as_user = self.server.with_password("PLAIN", user)
        return self.run.environment() | {f"CALMSTREAM_{key}": value for key, value in as_user.items()}

    def settings(self, user: str) -> Settings:
        broker = {
            key.removeprefix("BROKER__").lower(): to for key, to in self.server.with_password("PLAIN", user).items()
        }
        plain = self.run.settings()
        inputs = [source.model_dump() for source in plain.inputs]
        return load(
            overrides={"topic_prefix": PREFIX, "broker": broker, "topics": {"partitions": PARTITIONS}, "inputs": inputs}
        )

    def worker(self, role: str) -> WorkerProcess:
        arguments = ("worker", "--roles", role)
        return WorkerProcess(self.environment(role), directory=self.run.directory, arguments=arguments, name=role)

    def audit(self) -> Audit:
        """What Kafka said of our users: user, Allowed or Denied, operation, resource, name."""
        text = self.server.log_path.read_text(errors="replace")
        lines = (found.groups() for found in _AUDIT.finditer(text))
        return {
            (user, said, operation, resource.lower(), name)
            for user, said, operation, resource, name, _ in lines
            if user in access.ROLES
        }


@pytest.fixture(scope="module")
def setup(secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """Topics made by ``admin``, who is one of those that are tested."""
    setup = Setup(secure_kafka, TelemetryRun(secure_kafka, PREFIX, tmp_path_factory.mktemp("least")))
    for user in access.ROLES:
        asyncio.run(secure_kafka.grant(user, access.grants(setup.settings(user), user)))
    asyncio.run(topics.create(setup.settings("admin")))
    return setup


@pytest.fixture(scope="module")
def audit(setup: Setup) -> Audit:
    """Workers with one role each do everything, are stopped in the middle, and go on from their checkpoints."""
    asyncio.run(control_topic.write(setup.settings("operate"), [policy_of(POLICY)]))
    story = told()
    half = len(story) // 2
    with ExitStack() as stack:
        workers = started(setup, stack, ("score", "correlate"))
        setup.run.send(story[:half])
        asyncio.run(damage(setup))
        last = workers["correlate"]
        last.wait_until(lambda: setup.run.is_at(last, 5), "in the middle", within_seconds=120)
        stopped(workers)
        workers = started(setup, stack, ("correlate", "score"))
        setup.run.send(story[half:])
        setup.run.wait_until_through(workers["correlate"])
        last = workers["correlate"]
        last.wait_until(lambda: bool(setup.run.read("incidents.state")), "done with the newest state of incidents")
        stopped(workers)
    asyncio.run(produced(setup))
    for user, *verb in VERBS:
        page = CliRunner(env=setup.environment(user)).invoke(calmstream, verb)
        assert page.exit_code in (0, 1), f"calmstream {' '.join(verb)} as {user}: {page.output}"
    return setup.audit()


async def produced(setup: Setup) -> None:
    """A program that sends telemetry."""
    writer = await clients.start_writer(setup.settings("producer"), idempotent=True)
    await writer.send_and_wait(f"{PREFIX}points", b"{}", partition=0)
    await writer.stop()


def told() -> list[Sent]:
    """The story, and a queue that is too long twice; its owner may start one incident only."""
    lengths = {second: 95 if second % 36 in range(20, 24) else 10 for second in range(SECONDS // 2)}
    return sorted(
        [*messages(), *(queue(second, length) for second, length in lengths.items())], key=attrgetter("second")
    )


def queue(second: int, length: int) -> Sent:
    attributes = resource("cart") | {"owner": "carts"}
    point = {"ts": START + second + 0.7, "name": "queue", "value": length, "attributes": attributes}
    return Sent(second, "points", 0, json.dumps(point).encode())


def started(setup: Setup, stack: ExitStack, agents: tuple[str, str]) -> dict[str, WorkerProcess]:
    """One worker for each role. The first of the two with ordinary agents leads their group, and looks at the topics of
    both when the second has come."""
    workers = {role: setup.worker(role) for role in ROLES}
    first, second = agents
    for worker in workers.values():
        stack.callback(worker.kill)
    for role in (*(role for role in ROLES if role not in agents), first):
        workers[role].start()
    workers[first].wait_ready(120)
    workers[first].wait_until(lambda: agents_in(setup) == 1, "in the group", within_seconds=120)
    workers[second].start()
    for worker in workers.values():
        worker.wait_ready(120)
    workers[second].wait_until(lambda: agents_in(setup) == 2, "in the group", within_seconds=120)
    return workers


def agents_in(setup: Setup) -> int:
    """How many members the agents' group has."""
    try:
        return len(asyncio.run(groups.members(setup.run.settings(), [f"{PREFIX}{access.AGENTS}"])))
    except GroupCoordinatorNotAvailableError:
        return 0  # nobody has asked this broker for a group yet


def stopped(workers: dict[str, WorkerProcess]) -> None:
    for worker in workers.values():
        assert worker.stop() == Exit.CLEAN, worker.log()


async def damage(setup: Setup) -> None:
    """What no role can use, so that each writes a dead letter."""
    async with AIOKafkaProducer(bootstrap_servers=setup.server.bootstrap) as producer:
        for topic in _DAMAGED:
            await producer.send_and_wait(f"{PREFIX}{topic}", b"{nonsense", partition=0)
        await producer.send_and_wait(f"{PREFIX}control", b"{nonsense", b"policy/broken", partition=0)


def test_nothing_else_is_tried(audit: Audit) -> None:
    assert {user for user, *_ in audit} == {*ROLES, *(user for user, *_ in VERBS), "producer"}
    assert sorted(line for line in audit if line[1] == "Denied") == []


@pytest.mark.parametrize("role", ROLES)
def test_everything_that_is_granted_is_used(role: str, setup: Setup, audit: Audit) -> None:
    used = {
        (resource, name, operation)
        for user, said, operation, resource, name in audit
        if (user, said) == (role, "Allowed")
    }
    granted = {(each.resource, each.name, each.operation) for each in access.grants(setup.settings(role), role)}
    assert granted - used == set()
    assert {each for each in used - granted if each[2] != "DESCRIBE"} == set()
