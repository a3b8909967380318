"""The access control lists that we document are exactly what is needed: Kafka's own log of what it allowed and denied
says so, after workers with one role each have done all that their roles do, and people all that they may.

The same workers were sent secrets, and have some: what they wrote, logged and answered shows none.
"""

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from threading import Thread
from typing import get_args

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupCoordinatorNotAvailableError
from typer.testing import CliRunner

from pipeline.cli.root import app as calmstream
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.policies.form import policy_of
from pipeline.records import US
from pipeline.settings import Role, Settings, load
from pipeline.streams import access, clients, control_topic, groups, topics
from pipeline.streams.broker_process import LOOPBACK
from pipeline.streams.exits import Exit
from pipeline.streams.topic_table import OUTPUTS
from tests.benchmarks.load import create_topic
from tests.flow.secrets import SECRET as TOLD
from tests.security.server import SECRET, SecureKafka
from tests.streams.every_input import (
    FORMATS,
    INFO,
    PARTITIONS,
    SECONDS,
    START,
    Line,
    Sent,
    event,
    logs,
    messages,
    resource,
)
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
#: What people and programs that are no workers do; those with a test of their own are left out. The last two change
#: what is saved, which they do while no worker runs.
VERBS = (
    ("reader", "incidents"),
    ("look", "signals"),
    ("look", "dead-letter", "list"),
    ("look", "state", "inspect"),
    ("look", "topics", "check"),
    ("look", "incidents", "--shadow"),
    ("look", "signal", "show", "queue"),
    ("look", "why", "queue"),
    ("look", "why", "INCIDENT"),
    ("operate", "policy", "remove", "carts"),
    ("admin", "topics", "create"),
    ("admin", "state", "reset", "--role", "join-logs", "--yes"),
    ("admin", "topics", "grow", f"{PREFIX}points={2 * PARTITIONS}", f"{PREFIX}signals={2 * PARTITIONS}", "--yes"),
)
#: What it matches is TOLD, but says so in other words.
RULES = json.dumps([{"value": r"hunter[0-9]\w+"}])
#: Shows its settings and metrics only with this.
TOKEN = "a-token-that-nobody-else-has"
#: Read by the first or second stage; no message of theirs is like this.
_DAMAGED = ("points", "logs", "spans", "signals", "anomalies", "shadow.anomalies")


@dataclass
class Setup:
    """One set of topics, and a user for each role."""

    server: SecureKafka
    run: TelemetryRun
    refuses: str  # an address that takes nothing
    answers: dict[str, bytes] = field(default_factory=dict)

    def environment(self, user: str) -> dict[str, str]:
        changes = self.server.with_password("PLAIN", user) | {"REDACTION__RULES": RULES}
        changes |= {"SINKS": json.dumps(self.sinks())}
        if user == "ingest":  # which reads what others send as they send it
            changes |= {"HTTP__TOKEN": TOKEN, "WORKER__LOG_LEVEL": "DEBUG"}
        return self.run.environment() | {f"CALMSTREAM_{key}": value for key, value in changes.items()}

    def sinks(self) -> list[dict[str, str]]:
        """One that takes everything, and one that takes nothing, so that there are dead letters."""
        return [
            {"name": "bus", "type": "cdevents", "topic": f"{PREFIX}cdevents"},
            {"name": "wall", "type": "alertmanager_webhook", "url": self.refuses},
        ]

    def settings(self, user: str) -> Settings:
        broker = {
            key.removeprefix("BROKER__").lower(): to for key, to in self.server.with_password("PLAIN", user).items()
        }
        plain = self.run.settings()
        inputs = [source.model_dump() for source in plain.inputs]
        named = {"topic_prefix": PREFIX, "broker": broker, "topics": {"partitions": PARTITIONS}}
        return load(overrides={**named, "inputs": inputs, "sinks": self.sinks()})

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
def setup(secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """Topics made by ``admin``, who is one of those that are tested."""
    run = TelemetryRun(secure_kafka, PREFIX, tmp_path_factory.mktemp("least"))
    with refusing() as address:
        yield made(Setup(secure_kafka, run, address))


@contextmanager
def refusing() -> Iterator[str]:
    """The address of a destination that refuses everything for good."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_error(400)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Refuse) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_port}/"
        server.shutdown()
        thread.join()


def made(setup: Setup) -> Setup:
    """With what each user may do, and with topics."""
    for user in access.ROLES:
        asyncio.run(setup.server.grant(user, access.grants(setup.settings(user), user)))
    asyncio.run(create_topic(setup.server.bootstrap, f"{PREFIX}cdevents", 1))
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
        asyncio.run(send_secrets(setup))
        setup.run.send(story[half:])
        setup.run.wait_until_through(workers["correlate"])
        last = workers["correlate"]
        last.wait_until(lambda: bool(setup.run.read("incidents.state")), "done with the newest state of incidents")
        deliver = workers["deliver"]
        deliver.wait_until(lambda: has_delivered(deliver), "done with an incident", within_seconds=120)
        setup.answers |= {path: answer(workers["ingest"], path) for path in ("/config", "/metrics", "/ready")}
        stopped(workers)
    asyncio.run(produced(setup))
    incident = setup.run.read("incidents")[0].key.decode()
    for user, *verb in VERBS:
        words = [incident if word == "INCIDENT" else word for word in verb]
        page = CliRunner(env=setup.environment(user)).invoke(calmstream, words)
        assert page.exit_code == 0, f"calmstream {' '.join(words)} as {user}: {page.output}"
    return setup.audit()


def answer(worker: WorkerProcess, path: str) -> bytes:
    """What an endpoint says to whoever has the token."""
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{worker.port}{path}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=10) as said:
        return bytes(said.read())


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
    """In the order of the data, each when it has read all that those before it wrote."""
    for role, worker in workers.items():
        if role not in ("ingest", "deliver"):
            worker.wait_until(lambda worker=worker: has_read_all(worker), "at the end of its topics")  # type: ignore[misc]
        assert worker.stop() == Exit.CLEAN, worker.log()


def has_read_all(worker: WorkerProcess) -> bool:
    lags = [lag for name, lag in worker.metrics().items() if name.startswith("calmstream_lag_messages{")]
    return bool(lags) and not any(lags)


def has_delivered(worker: WorkerProcess) -> bool:
    """Something to the one sink, and nothing to the other?"""
    metrics = worker.metrics()
    wanted = ('{outcome="delivered",sink="bus"}', '{outcome="refused",sink="wall"}')
    return all(metrics.get(f"calmstream_deliveries_total{labels}") for labels in wanted)


async def damage(setup: Setup) -> None:
    """What no role can use, so that each writes a dead letter."""
    async with AIOKafkaProducer(bootstrap_servers=setup.server.bootstrap) as producer:
        for topic in _DAMAGED:
            await producer.send_and_wait(f"{PREFIX}{topic}", b"{nonsense", partition=0)
        await producer.send_and_wait(f"{PREFIX}control", b"{nonsense", b"policy/broken", partition=0)


async def send_secrets(setup: Setup) -> None:
    """Something of every input with the secret in it, and something that nobody can use."""
    at = SECONDS / 2
    point = {"ts": START + at, "name": "load", "value": 40, "attributes": resource("cart") | {"user": TOLD}}
    begin_us, secret = int((START + at) * US), {"user": TOLD}
    call = span(f"charge {TOLD}", bytes(15) + b"\xee", bytes(7) + b"\xee", begin_us, begin_us + 1000, attributes=secret)
    change = {"ts": START + at, "kind": "config", "entity": {"service.name": "cart"}, "title": f"for {TOLD}"}
    sent = [
        ("points", json.dumps(point).encode()),
        ("otlp_logs", logs(Line(int(at), "shop", INFO, f"order of {TOLD} placed"))),
        ("otlp_spans", traces_request(resource_spans(resource("shop") | secret, [call]))),
        ("events", event(at, "login", "shop", f"{TOLD} came")),
        ("changes", json.dumps(change).encode()),
        *((topic, f"{{nonsense {TOLD}".encode()) for topic in FORMATS),
    ]
    async with AIOKafkaProducer(bootstrap_servers=setup.server.bootstrap) as producer:
        for topic, value in sent:
            name, headers = f"{PREFIX}{topic}", [("user", TOLD.encode())]
            await producer.send_and_wait(name, value, TOLD.encode(), partition=0, headers=headers)


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


def test_no_topic_log_or_answer_shows_a_secret_that_was_sent_or_set(setup: Setup, audit: Audit) -> None:
    shown = {row.name: everything_in(setup, row.name) for row in OUTPUTS}
    shown |= {path.name: path.read_bytes() for path in setup.run.directory.glob("*.log")} | setup.answers
    secrets = [text.encode() for text in (TOLD, SECRET, TOKEN)]
    assert [(where, text) for where, found in shown.items() for text in secrets if text in found] == []
    redacted = {where for where, found in shown.items() if b"[redacted]" in found}
    assert redacted >= {"signals", "logs", "spans", "log-templates", "anomalies", "dead-letter", "score.state"}
    assert b"DEBUG" in shown["ingest.log"]
    config = json.loads(setup.answers["/config"])
    assert (config["broker"]["password"], config["http"]["token"]) == ("***", "***")


def everything_in(setup: Setup, topic: str) -> bytes:
    """Values, keys and headers of all records."""
    parts = []
    for record in setup.run.read(topic):
        parts += [record.value or b"", record.key or b""]
        parts += [part for name, value in record.headers for part in (name.encode(), value or b"")]
    return b"\n".join(parts)
