"""Every Kafka client of ours, Faust's too, is made from the one validated configuration; no broker needed."""

import ast
import inspect
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import app
from pipeline.settings import NOT_SETTINGS, ConfigurationError, Settings, environment_keys, load
from pipeline.streams import clients, security
from tests.docs.pages import code
from tests.security.certificates import KEY_PASSWORD, Certificates

ROOT = Path(__file__).parent.parent.parent
SECRET = "correct horse battery staple"
PASSWORD = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "username": "ann", "password": SECRET}
TOKEN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}

#: Where clients are made.
MAKERS = ("pipeline/streams/clients.py", "pipeline/streams/topics.py", "pipeline/streams/agents_group.py")
#: They speak, without credentials, to a broker that they have started themselves, on loopback.
OF_THEIR_OWN_BROKER = ("pipeline/streams/broker_process.py", "pipeline/demo/shop/exporting.py")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)


def settings_of(**broker: Any) -> Settings:
    return load(overrides={"broker": broker})


# Who makes clients


def test_clients_are_made_where_the_configuration_is_turned_into_them_and_nowhere_else() -> None:
    found = {path for path, _ in constructions(ROOT / "pipeline")}
    assert sorted(found) == sorted((*MAKERS, *OF_THEIR_OWN_BROKER))


def test_every_one_of_them_is_given_the_configuration() -> None:
    for path, call in constructions(ROOT / "pipeline"):
        given = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None]
        if path in MAKERS:
            assert any("connection(settings)" in expression for expression in given), f"{path}:{call.lineno}"


def test_a_planted_client_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("import aiokafka as k\nasync def f():\n    return k.AIOKafkaConsumer('x')\n")
    assert [call.lineno for _, call in constructions(tmp_path)] == [3]


def constructions(folder: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls of a class of aiokafka that connects."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func).startswith("AIOKafka"):
                yield path.relative_to(ROOT if path.is_relative_to(ROOT) else folder).as_posix(), node


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


# What they are given


def test_without_settings_a_client_has_neither_tls_nor_credentials() -> None:
    assert security.options(settings_of().broker) == {"security_protocol": "PLAINTEXT"}
    assert security.credentials(settings_of().broker) is None


@pytest.mark.parametrize("broker", [{"security_protocol": "SSL"}, PASSWORD], ids=["SSL", "SASL_SSL"])
def test_the_broker_s_certificate_and_name_are_always_checked(broker: dict[str, str]) -> None:
    context = clients.connection(settings_of(**broker))["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_is_trusted_instead_of_the_authorities_of_this_machine(made_certificates: Certificates) -> None:
    context = security.tls(settings_of(security_protocol="SSL", tls_ca_file=str(made_certificates.ca)).broker)
    assert len(context.get_ca_certs()) == 1


async def test_faust_s_own_clients_are_given_the_same(made_certificates: Certificates) -> None:
    """A TLS context given to Faust beside credentials without one would end in credentials in clear text."""
    settings = settings_of(**PASSWORD, tls_ca_file=str(made_certificates.ca))
    faust = app.create(settings).app
    consumer = faust.consumer._new_consumer_thread()._create_worker_consumer(faust.transport)
    producer = faust.producer._new_producer()
    try:
        for client in (consumer._client, producer.client):
            assert client._security_protocol == "SASL_SSL"
            assert client._sasl_mechanism == "SCRAM-SHA-512"
            assert (client._sasl_plain_username, client._sasl_plain_password) == ("ann", SECRET)
            assert client._ssl_context.check_hostname
            assert len(client._ssl_context.get_ca_certs()) == 1
    finally:
        await producer.stop()
        await consumer.stop()


async def test_faust_s_own_clients_have_the_token_and_the_certificate_too(
    made_certificates: Certificates, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    bearer = app.create(settings_of(**TOKEN, oauth_token_file=str(token))).app.producer._settings_auth()
    assert bearer["security_protocol"] == "SASL_SSL"
    assert await bearer["sasl_oauth_token_provider"].token() == "abc"
    mutual = app.create(settings_of(**our_certificate(made_certificates))).app.producer._settings_auth()
    assert mutual["security_protocol"] == "SSL"
    assert mutual["ssl_context"].check_hostname


def our_certificate(certificates: Certificates) -> dict[str, str]:
    return {
        "security_protocol": "SSL",
        "tls_certificate_file": str(certificates.client),
        "tls_key_file": str(certificates.client_key),
        "tls_key_password": KEY_PASSWORD,
    }


# The page


@pytest.mark.parametrize("example", [each for each in code("security.md", "yaml") if each.startswith("broker:")])
def test_the_examples_of_the_page_are_taken_as_they_are(example: str, tmp_path: Path) -> None:
    (tmp_path / "calmstream.yaml").write_text(example)
    assert load(tmp_path / "calmstream.yaml").broker.security_protocol in ("SSL", "SASL_SSL")


def test_the_page_s_example_of_a_provider_is_a_function_without_arguments() -> None:
    (example,) = code("security.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "security.md", "exec"), names)
    assert list(inspect.signature(names["for_kafka"]).parameters) == []


# Files


def test_a_password_is_read_anew_by_every_client(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = settings_of(**PASSWORD | {"password": "", "password_file": str(file)})
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        assert clients.connection(settings)["sasl_plain_password"] == password


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        (PASSWORD | {"password": "", "password_file": "{}/none"}, "broker.password_file: the file {}/none cannot be"),
        (TOKEN | {"oauth_token_file": "{}/none"}, "broker.oauth_token_file: the file {}/none cannot be read: No such"),
        ({"security_protocol": "SSL", "tls_ca_file": "{}/none"}, "broker.tls_ca_file: the file {}/none cannot be read"),
        ({"security_protocol": "SSL", "tls_ca_file": "{}/nonsense"}, "{}/nonsense holds no certificate in PEM form"),
        (
            {"security_protocol": "SSL", "tls_certificate_file": "{}/none", "tls_key_file": "{}/nonsense"},
            "broker.tls_certificate_file: the file {}/none cannot be read",
        ),
        (
            {"security_protocol": "SSL", "tls_certificate_file": "{}/nonsense", "tls_key_file": "{}/nonsense"},
            "{}/nonsense and {}/nonsense are not a certificate and its private key",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(broker: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_text(SECRET)
    settings = settings_of(**{name: value.replace("{}", str(tmp_path)) for name, value in broker.items()})
    with pytest.raises(ConfigurationError) as refused:
        clients.connection(settings)
    assert said.replace("{}", str(tmp_path)) in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("password", ["", "another one"], ids=["none", "wrong"])
def test_the_password_of_a_key_must_fit(password: str, made_certificates: Certificates) -> None:
    broker = our_certificate(made_certificates) | {"tls_key_password": password}
    with pytest.raises(ConfigurationError, match="or the key has another password") as refused:
        clients.connection(settings_of(**broker))
    assert not password or password not in str(refused.value)


# Tokens

_PROVIDERS = f'''
calls = []
nothing = None

def plain():
    calls.append(1)
    return f"token-{{len(calls)}}"

async def later():
    return "later"

def number():
    return 7

def spaced():
    return "two words"

def broken():
    raise RuntimeError("{SECRET}")
'''


@pytest.fixture
def providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "our_tokens.py").write_text(_PROVIDERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "our_tokens"
    sys.modules.pop("our_tokens", None)


def provider(name: str) -> Any:
    return clients.connection(settings_of(**TOKEN, oauth_provider=name))["sasl_oauth_token_provider"]


async def test_a_provider_is_asked_for_each_connection(providers: str) -> None:
    source = provider(f"{providers}:plain")
    assert [await source.token() for _ in range(2)] == ["token-1", "token-2"]


async def test_a_provider_may_be_asynchronous(providers: str) -> None:
    assert await provider(f"{providers}:later").token() == "later"


async def test_a_token_file_is_read_for_each_connection(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    source = clients.connection(settings_of(**TOKEN, oauth_token_file=str(file)))["sasl_oauth_token_provider"]
    assert await source.token() == "first"
    file.write_text("second\n")
    assert await source.token() == "second"
    file.unlink()
    with pytest.raises(security.NoToken, match="cannot be read: No such file"):
        await source.token()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("our_tokens", "'our_tokens' is not of the form package.module:function"),
        ("our_tokens:", "is not of the form"),
        ("no_such_module:f", "the module no_such_module cannot be imported: ModuleNotFoundError"),
        ("our_tokens:missing", "the module our_tokens has no missing"),
        ("our_tokens:nothing", "our_tokens:nothing is no function but NoneType"),
    ],
)
@pytest.mark.usefixtures("providers")
def test_a_provider_that_is_none_is_refused_before_anything_is_connected(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"broker\.oauth_provider: ") as refused:
        provider(name)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("number", "our_tokens:number returned int, and must return the token as text"),
        ("spaced", "our_tokens:spaced gave something that is no token"),
        ("broken", "our_tokens:broken raised RuntimeError"),
    ],
)
async def test_what_is_no_token_is_refused_and_what_an_error_says_is_not_repeated(
    name: str, said: str, providers: str
) -> None:
    with pytest.raises(security.NoToken) as refused:
        await provider(f"{providers}:{name}").token()
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)
