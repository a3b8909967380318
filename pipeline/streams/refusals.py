"""Says who refused whom, and why: Kafka our credentials, we its certificate, or Kafka an operation.

aiokafka tells only its log why it could not connect, so ``of_connections`` connects once more and looks. Guarantee:
what is said holds no secret, and ends in a WorkerExit with the code of a refusal.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.settings import BrokerSettings, Settings
from pipeline.streams import security
from pipeline.streams.exits import Exit, WorkerExit

#: What an asyncio loop says that has ended, as that of a crashed consumer of Faust has.
_CLOSED = "Event loop is closed"
#: For all brokers together.
_SECONDS = 5.0

#: Loggers of services that crash because of what ends a worker.
_TELLERS = (
    "pipeline.streams.shard",
    "pipeline.streams.watchdog",
    "pipeline.streams.endpoints.pages",
    "pipeline.streams.agents_group",
    "faust.agents.actor",
    "faust.transport.consumer",
    "faust.transport.drivers.aiokafka",
)
_NOT_ALLOWED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)


def tell_once() -> None:
    """What ends a worker is said in one line: keep mode and Faust from telling it again, with tracebacks, and from
    telling that they could not stop in an orderly way what has crashed."""
    for name in _TELLERS:
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    if not record.exc_info:
        return True
    told = [*(record.args if isinstance(record.args, tuple) else ()), record.exc_info[1]]
    return not any(isinstance(part, (WorkerExit, *_NOT_ALLOWED)) or str(part) == _CLOSED for part in told)


def of_operation(error: BaseException, settings: Settings) -> WorkerExit | None:
    """What Kafka does not allow us to do, if it is that."""
    found = error
    while found is not None and not isinstance(found, _NOT_ALLOWED):
        found = found.__cause__ or found.__context__  # type: ignore[assignment]
    if found is None:
        return None
    text = (
        f"Kafka at {settings.broker.bootstrap} does not allow {_what(found)} to {security.who(settings.broker)}; "
        "calmstream topics acls shows what each role needs"
    )
    return WorkerExit(Exit.REFUSED, text)


def _what(error: BaseException) -> str:
    name = next((part for part in error.args if isinstance(part, str | set | frozenset)), "")
    names = ", ".join(sorted(name)) if isinstance(name, set | frozenset) else name
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return f"an operation on the topic {names}" if names else "an operation on a topic"
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return f"READ of the group {names}" if names else "READ of a group"
    if isinstance(error, errors.TransactionalIdAuthorizationFailed):
        return "a transaction"
    return "an operation on the cluster (idempotent producing needs WRITE on any topic)"


async def of_connections(settings: Settings, how: Mapping[str, Any]) -> WorkerExit | None:
    """Why no connection comes about, if somebody refuses: asks each broker of ``broker.bootstrap`` in turn.

    ``how``: from ``clients.connection``. A broker that says nothing refuses nothing; it is not waited for long.
    """
    options = {name: value for name, value in how.items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(_SECONDS):
            for host, port, _ in collect_hosts(settings.broker.bootstrap, randomize=False):
                try:
                    connection = await create_conn(host, port, **options)
                    try:
                        await connection.send(MetadataRequest([]))
                    finally:
                        connection.close()
                except (KafkaError, OSError) as error:
                    if refused := _explained(settings.broker, f"{host}:{port}", error):
                        return refused
    except TimeoutError:
        pass
    return None


def _explained(broker: BrokerSettings, where: str, error: Exception) -> WorkerExit | None:
    if isinstance(error, security.NoToken):
        return WorkerExit(Exit.REFUSED, str(error.args[0]))
    if isinstance(error, errors.SaslAuthenticationFailed | errors.IllegalSaslStateError):
        said = next((f": {part}" for part in error.args if isinstance(part, str) and part), "")
        return WorkerExit(Exit.REFUSED, f"Kafka at {where} refuses {security.who(broker)}{said}")
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        text = f"Kafka at {where} does not offer {broker.sasl_mechanism}; set broker.sasl_mechanism to what it offers"
        return WorkerExit(Exit.REFUSED, text)
    reason = error if isinstance(error, OSError) else error.__cause__
    if isinstance(reason, ssl.SSLError):
        return WorkerExit(Exit.REFUSED, _explained_tls(broker, where, reason))
    if isinstance(reason, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | EOFError):
        return WorkerExit(
            Exit.BROKER_LOST,
            f"the broker at {where} ends the connection before it has answered; does that listener want another "
            f"broker.security_protocol than {broker.security_protocol}?",
        )
    return None


def _explained_tls(broker: BrokerSettings, where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = "broker.tls_ca_file must hold the authority that signed it"
        if "mismatch" in error.verify_message.lower():
            mend = "a name that stands in it must be in broker.bootstrap, and in advertised.listeners of the broker"
        return f"the certificate of the broker at {where} is not accepted: {error.verify_message.rstrip('.')}; {mend}"
    if "alert" in str(error).lower():
        shown = security.who(broker) if broker.tls_certificate_file else "a client without a certificate"
        mend = "broker.tls_certificate_file must hold one that it accepts"
        return f"Kafka at {where} refuses {shown}: {error.reason}; {mend}"
    return f"the broker at {where} does not speak TLS as we do: {error.reason or error}; is this its TLS listener?"
