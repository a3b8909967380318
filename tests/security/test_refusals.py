"""Where one side refuses the other: the exit code, one clear line without a secret, and no worker that waits on."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.root import app as calmstream
from pipeline.settings import NOT_SETTINGS, environment_keys, load
from pipeline.streams import access, clients, topics
from pipeline.streams.access import Grant
from pipeline.streams.exits import Exit, WorkerExit
from tests.security.certificates import Certificates
from tests.security.server import SECRET, SecureKafka, token
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

Changes = dict[str, str]
WRONG = "not the password at all"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)


def refusal(changes: Changes) -> WorkerExit:
    """How a client with these settings ends that looks at the topics."""
    broker = {name.removeprefix("BROKER__").lower(): value for name, value in changes.items()}
    settings = load(overrides={"broker": broker | {"request_timeout_seconds": 20}})
    with pytest.raises(WorkerExit) as refused:
        asyncio.run(topics.describe(settings))
    return refused.value


# Who we are


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password(mechanism: str, secure_kafka: SecureKafka) -> None:
    ended = refusal(secure_kafka.as_user(mechanism) | {"BROKER__PASSWORD": WRONG})
    assert ended.code == Exit.REFUSED
    user = secure_kafka.as_user(mechanism)["BROKER__USERNAME"]
    assert f"Kafka at {secure_kafka.sasl} refuses user '{user}' ({mechanism}): Authentication failed" in str(ended)
    assert WRONG not in str(ended)


def test_an_unknown_user(secure_kafka: SecureKafka) -> None:
    ended = refusal(secure_kafka.with_password("SCRAM-SHA-512", "stranger"))
    assert ended.code == Exit.REFUSED
    assert "refuses user 'stranger' (SCRAM-SHA-512)" in str(ended)


@pytest.mark.parametrize("given", [token(seconds=-100), "nonsense"], ids=["expired", "no token"])
def test_a_token_that_kafka_does_not_take(given: str, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(given)
    ended = refusal(secure_kafka.with_token(tmp_path / "token"))
    assert ended.code == Exit.REFUSED
    assert str(ended) == (
        f"Kafka at {secure_kafka.sasl} refuses the token of broker.oauth_token_file (OAUTHBEARER): "
        '{"status":"invalid_token"}'
    )


def test_a_provider_that_gives_no_token(
    secure_kafka: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_tokens.py").write_text("def number():\n    return 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = secure_kafka.with_token(tmp_path) | {"BROKER__OAUTH_PROVIDER": "no_tokens:number"}
    ended = refusal({name: value for name, value in changes.items() if name != "BROKER__OAUTH_TOKEN_FILE"})
    assert ended.code == Exit.REFUSED
    assert str(ended) == "broker.oauth_provider: no_tokens:number returned int, and must return the token as text"


def test_no_certificate_where_one_is_asked_for(secure_kafka: SecureKafka) -> None:
    changes = {"BROKER__BOOTSTRAP": secure_kafka.mutual, "BROKER__SECURITY_PROTOCOL": "SSL"}
    ended = refusal(secure_kafka.tls() | changes)
    assert ended.code == Exit.REFUSED
    assert f"Kafka at {secure_kafka.mutual} refuses a client without a certificate" in str(ended)


def test_a_certificate_of_an_authority_that_kafka_does_not_know(
    secure_kafka: SecureKafka, made_certificates: Certificates
) -> None:
    stranger = {
        "BROKER__TLS_CERTIFICATE_FILE": str(made_certificates.stranger),
        "BROKER__TLS_KEY_FILE": str(made_certificates.stranger_key),
    }
    changes = {"BROKER__BOOTSTRAP": secure_kafka.mutual, "BROKER__SECURITY_PROTOCOL": "SSL"}
    ended = refusal(secure_kafka.tls() | changes | stranger)
    assert ended.code == Exit.REFUSED
    assert f"refuses the certificate {made_certificates.stranger} (mutual TLS)" in str(ended)


# Who Kafka is


def test_an_authority_that_we_do_not_trust(secure_kafka: SecureKafka, made_certificates: Certificates) -> None:
    changes = secure_kafka.with_password("PLAIN")
    of_this_machine = {name: value for name, value in changes.items() if name != "BROKER__TLS_CA_FILE"}
    for given in (changes | {"BROKER__TLS_CA_FILE": str(made_certificates.other_ca)}, of_this_machine):
        ended = refusal(given)
        assert ended.code == Exit.REFUSED
        assert f"the certificate of the broker at {secure_kafka.sasl} is not accepted: " in str(ended)
        assert "broker.tls_ca_file must hold the authority that signed it" in str(ended)


def test_a_host_name_that_is_not_in_the_certificate(secure_kafka: SecureKafka) -> None:
    elsewhere = secure_kafka.sasl.replace("localhost", "127.0.0.1")
    ended = refusal(secure_kafka.with_password("PLAIN") | {"BROKER__BOOTSTRAP": elsewhere})
    assert ended.code == Exit.REFUSED
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'; a name that stands in it" in str(ended)


@pytest.mark.parametrize(
    "changes_of",
    [
        lambda server: {"BROKER__BOOTSTRAP": server.sasl},
        lambda server: server.tls() | {"BROKER__BOOTSTRAP": server.bootstrap, "BROKER__SECURITY_PROTOCOL": "SSL"},
        lambda server: server.tls() | {"BROKER__BOOTSTRAP": server.sasl, "BROKER__SECURITY_PROTOCOL": "SSL"},
    ],
    ids=["clear text to TLS", "TLS to clear text", "TLS to SASL"],
)
def test_another_protocol_than_the_listener_s(
    changes_of: Callable[[SecureKafka], Changes], secure_kafka: SecureKafka
) -> None:
    ended = refusal(changes_of(secure_kafka))
    assert ended.code == Exit.BROKER_LOST
    assert "does that listener want another broker.security_protocol than" in str(ended)


async def test_a_password_that_was_changed_meanwhile_is_not_taken_for_the_one_that_clients_have(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    """A worker's probe asks as its clients would, or it would not see that they can connect no more."""
    file = tmp_path / "password"
    file.write_text(WRONG)
    broker = secure_kafka.as_user("PLAIN") | {"BROKER__PASSWORD_FILE": str(file)}
    settings = load(overrides={"broker": {name.removeprefix("BROKER__").lower(): to for name, to in broker.items()}})
    as_at_the_start = clients.connection(settings)
    file.write_text(SECRET)
    assert not await clients.answers(settings, 20, as_at_the_start)
    assert await clients.answers(settings, 20)


# What we may do


@dataclass
class Without:
    """A worker whose user has every right of its role but one, on topics of its own."""

    server: SecureKafka
    role: str
    lacks: Grant
    one: OneSignal
    worker: WorkerProcess

    def granted(self) -> list[Grant]:
        return access.grants(self.one.settings(), self.role)

    def log(self) -> str:
        return self.worker.log()


def without(server: SecureKafka, directory: Path, role: str, resource: str, name: str, operation: str) -> Without:
    prefix = f"{role}{operation.lower()}."
    one = OneSignal(server, prefix, directory, server.with_password("PLAIN", "nobody")).create()
    (lacks,) = [
        grant
        for grant in access.grants(one.settings(), role)
        if (grant.resource, grant.name, grant.operation) == (resource, prefix + name, operation)
    ]
    return Without(server, role, lacks, one, one.worker("--roles", role))


@pytest.fixture(scope="module")
def workers(secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Without]]:
    """Started together: one of shards that may not write, one of agents that may not join, one that may do all."""
    directory = tmp_path_factory.mktemp("without")
    found = {
        "topic": without(secure_kafka, directory, "ingest", "topic", "signals", "WRITE"),
        "group": without(secure_kafka, directory, "score", "group", "agents", "READ"),
        "later": without(secure_kafka, directory, "correlate", "group", "agents", "READ"),
    }
    with ExitStack() as stack:
        for name, each in found.items():
            rights = [grant for grant in each.granted() if name == "later" or grant != each.lacks]
            if name == "topic":  # it may look at it, so that it finds out when it writes
                rights.append(Grant("topic", each.lacks.name, "DESCRIBE"))
            asyncio.run(secure_kafka.grant("nobody", rights))
            each.one.send_points(5)
            stack.callback(each.worker.kill)
            each.worker.start()
        yield found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("topic", "does not allow an operation on the topic ingestwrite.signals to user 'nobody' (PLAIN)"),
        ("group", "does not allow READ of the group scoreread.agents to user 'nobody' (PLAIN)"),
    ],
)
def test_a_worker_without_a_right_ends_and_names_what_it_was(name: str, said: str, workers: dict[str, Without]) -> None:
    assert workers[name].worker.wait_end(within_seconds=120) == Exit.REFUSED
    log = workers[name].log()
    assert said in log
    assert "calmstream topics acls shows what each role needs" in log
    assert "Traceback" not in log


def test_a_right_that_is_taken_away_ends_the_worker(workers: dict[str, Without], secure_kafka: SecureKafka) -> None:
    """Faust itself would hear nothing of it, and its agents would do nothing for ever."""
    later = workers["later"]
    later.worker.wait_ready(120)
    asyncio.run(secure_kafka.revoke("nobody", later.lacks))
    assert later.worker.wait_end(within_seconds=120) == Exit.REFUSED
    assert "does not allow READ of the group correlateread.agents to user 'nobody' (PLAIN)" in later.log()
    assert "Traceback" not in later.log()


def test_a_verb_without_a_right_says_so_instead_of_taking_the_topic_for_missing(secure_kafka: SecureKafka) -> None:
    """Kafka leaves what one may not look at out of a list of all topics."""
    asyncio.run(
        topics.create(load(overrides={"topic_prefix": "hidden.", "broker": {"bootstrap": secure_kafka.bootstrap}}))
    )
    environment = {f"CALMSTREAM_{name}": to for name, to in secure_kafka.with_password("PLAIN", "nobody").items()}
    page = CliRunner(env=environment | {"CALMSTREAM_TOPIC_PREFIX": "hidden."}).invoke(calmstream, ["incidents"])
    assert page.exit_code == Exit.REFUSED
    assert "an operation on the topic hidden.incidents.state to user 'nobody' (PLAIN)" in page.output
