"""No secret is ever told: not in a log, at /config or /metrics, by a verb that fails, or by a refused configuration."""

import json
import logging
import socket
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import ConfigurationError, HttpSettings, Settings, load
from pipeline.settings.connections import SECRETS
from pipeline.settings.shown import shown
from pipeline.streams.broker_process import LOOPBACK, free_port
from pipeline.streams.exits import Exit
from tests.cli.person import invoke
from tests.security import certificates
from tests.worker_process import WorkerProcess

#: One for every setting that holds a secret; nothing else looks like them.
SECRET = {name: f"s3cret-of-{name.replace('.', '-').replace('_', '-')}" for name in SECRETS}
#: That of the private key below opens it.
SECRET["broker.tls_key_password"] = SECRET["http.tls_key_password"] = certificates.KEY_PASSWORD


def told(text: str | bytes) -> list[str]:
    """The secrets in a text."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    return [name for name, secret in SECRET.items() if secret in text]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every secret set, in the environment, beside what it needs; and a broker that is not there."""
    made = certificates.make(tmp_path_factory.mktemp("certificates"))
    given = {
        "BROKER__BOOTSTRAP": f"{LOOPBACK}:{free_port()}",
        "BROKER__SECURITY_PROTOCOL": "SASL_SSL",
        "BROKER__SASL_MECHANISM": "PLAIN",
        "BROKER__USERNAME": "worker",
        "BROKER__TLS_CA_FILE": str(made.ca),
        "BROKER__TLS_CERTIFICATE_FILE": str(made.client),
        "BROKER__TLS_KEY_FILE": str(made.client_key),
        "BROKER__REQUEST_TIMEOUT_SECONDS": "5",
        "BROKER__LOST_AFTER_SECONDS": "5",
        "HTTP__USERNAME": "prometheus",
        "HTTP__TLS_CERTIFICATE_FILE": str(made.client),
        "HTTP__TLS_KEY_FILE": str(made.client_key),
        "WORKER__LOG_LEVEL": "DEBUG",
        "WORKER__SHUTDOWN_SECONDS": "5",
    }
    given |= {name.replace(".", "__").upper(): secret for name, secret in SECRET.items()}
    return {f"CALMSTREAM_{key}": value for key, value in given.items()}


class Refusing:
    """A broker that takes connections and has nothing to say to anyone."""

    def __init__(self) -> None:
        self.listening = socket.create_server((LOOPBACK, 0))
        self.bootstrap = f"{LOOPBACK}:{self.listening.getsockname()[1]}"


@pytest.fixture(scope="module")
def refused(
    everything: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WorkerProcess, dict[str, bytes]]]:
    """A worker that was refused by its broker, and what its endpoints said until then."""
    broker = Refusing()
    with broker.listening:
        settings = {**everything, "CALMSTREAM_BROKER__BOOTSTRAP": broker.bootstrap}
        worker = WorkerProcess(settings, directory=tmp_path_factory.mktemp("refused"))
        worker.start()
        try:
            worker.wait_until(lambda: ask(worker, "/live", None) != b"", "answering")
            said = {path: ask(worker, path, SECRET["http.token"]) for path in ("/config", "/metrics", "/ready")}
            said["wrong"] = ask(worker, "/metrics", "wrong")
            assert worker.wait_end(within_seconds=60) == Exit.BROKER_LOST
            yield worker, said
        finally:
            worker.kill()


def ask(worker: WorkerProcess, path: str, token: str | None) -> bytes:
    """What an endpoint answers, whatever it is; nothing where nobody answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://{LOOPBACK}:{worker.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except OSError:
        return b""


def test_the_log_of_a_worker_at_debug_level_has_none(refused: tuple[WorkerProcess, dict[str, bytes]]) -> None:
    worker, _ = refused
    assert "DEBUG" in worker.log()
    assert "wrong credentials for /metrics" in worker.log()
    assert told(worker.log()) == []


def test_the_endpoints_have_none(refused: tuple[WorkerProcess, dict[str, bytes]]) -> None:
    _, said = refused
    assert json.loads(said["/config"])["broker"]["password"] == "***"
    assert json.loads(said["/config"])["http"]["token"] == "***"
    assert b"calmstream_build_info" in said["/metrics"]
    assert said["wrong"] == b"Unauthorized\n"
    for path, body in said.items():
        assert told(body) == [], path


VERBS = [
    ["topics", "create"],
    ["topics", "check"],
    ["topics", "describe"],
    ["incidents"],
    ["incidents", "--follow", "--json"],
    ["inputs", "check"],
    ["inputs", "tail"],
    ["signals"],
    ["signal", "show", "load"],
    ["dead-letter", "list"],
    ["dead-letter", "show", "0@0"],
    ["dead-letter", "replay", "--all", "--yes"],
    ["policy", "list"],
    ["policy", "remove", "x"],
    ["replay", "--from-topic", "calm.points"],
]


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_a_verb_that_fails_has_none(
    everything: Mapping[str, str], arguments: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        done = invoke(everything, *arguments)
    assert done.returncode == Exit.BROKER_LOST
    assert told(done.stdout + done.stderr + caplog.text) == []


WRONG = [
    {"HTTP__HOST": "0.0.0.0", "HTTP__TLS_CERTIFICATE_FILE": "", "HTTP__TLS_KEY_FILE": ""},
    {"HTTP__TOKEN_FILE": "/nowhere/token"},
    {"HTTP__PORT": "many"},
    {"HTTP__USERNAME": ""},
    {"BROKER__SECURITY_PROTOCOL": "PLAINTEXT"},
    {"BROKER__SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
    {"BROKER__SASL_MECHANISM": "OAUTHBEARER"},
    {"BROKER__PASSWORD_FILE": "/nowhere/password"},
    {"BROKER__SASL_MECHANISM": SECRET["broker.password"]},
    {"HTTP": json.dumps({"token": SECRET["http.token"], "tokenn": SECRET["http.token"]})},
    {"HTTP": '{"token": "' + SECRET["http.token"]},
    {"BROKER__PASSWORDD": SECRET["broker.password"]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_refused_configuration_has_none(everything: Mapping[str, str], wrong: dict[str, str]) -> None:
    settings = {**everything, **{f"CALMSTREAM_{key}": value for key, value in wrong.items()}}
    with pytest.raises(ConfigurationError) as refused:
        invoke(settings, "signals")
    assert told(str(refused.value)) == []
    assert told(repr(refused.value)) == []


@pytest.mark.parametrize(
    "text",
    [
        "http:\n  token: {secret}\n",
        "http: {{token: {secret}\n",
        "http:\n  token: {secret}: {secret}\n",
        "http:\n\ttoken: {secret}\n",
        "http: [{secret}]\n",
        "http: {secret}\n",
        "- {secret}\n",
        "broker: {{password: {secret}, username: x}}\n",
        "http:\n  port: {secret}\n",
    ],
)
def test_a_file_that_holds_one_is_refused_without_saying_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text.format(secret=SECRET["http.token"]))
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path / "config.yaml")
    assert str(tmp_path / "config.yaml") in str(refused.value) or "http" in str(refused.value)
    assert told(str(refused.value)) == []


def test_the_settings_themselves_show_none(everything: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in everything.items():
        monkeypatch.setenv(key, value)
    settings = load()
    assert settings.http.token.get_secret_value() == SECRET["http.token"]
    for text in (repr(settings), str(settings), repr(settings.http), f"{settings.broker}", settings.model_dump_json()):
        assert told(text) == []
    assert told(json.dumps(shown(settings))) == []


@pytest.mark.parametrize("given", [{"port": "x"}, {"username": "x"}, {"token_file": "/x"}])
def test_what_pydantic_itself_says_of_wrong_settings_has_none(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        HttpSettings(token=SECRET["http.token"], **given)  # type: ignore[arg-type]
    assert told(str(refused.value)) == []
    with pytest.raises(ValidationError) as refused:
        Settings(http={"token": SECRET["http.token"], **given})  # type: ignore[arg-type]
    assert told(str(refused.value)) == []


def test_every_setting_that_hides_its_value_is_in_the_list_of_secrets() -> None:
    sections = {"broker": Settings().broker, "http": Settings().http}
    hiding = {
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section
        if hasattr(value, "get_secret_value")
    }
    assert hiding == set(SECRETS)
