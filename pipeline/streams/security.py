"""Turns ``settings.broker`` into what every Kafka client of ours is given: transport security and credentials.

Guarantee: the broker's certificate and host name are always checked, and credentials go over TLS only. Passwords and
keys are read when this is called, a token for each connection; what cannot be read or used ends in a
ConfigurationError that names the setting, and no secret.
"""

import asyncio
import inspect
import pkgutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from pipeline.settings import BrokerSettings, ConfigurationError


class NoToken(KafkaError):
    """There is no token for a new connection; the message says why. aiokafka tries again where it tries at all."""


class Token(AbstractTokenProvider):
    """Gives aiokafka the token for each connection, from a file or a function of the user's."""

    def __init__(self, broker: BrokerSettings) -> None:
        self._setting = "oauth_token_file" if broker.oauth_token_file else "oauth_provider"
        self._source = broker.oauth_token_file or broker.oauth_provider
        self._seconds = broker.request_timeout_seconds
        if broker.oauth_token_file:
            _content(broker.oauth_token_file, "broker.oauth_token_file")
        else:
            self._function = _provider(broker.oauth_provider)

    async def token(self) -> str:
        """Raises NoToken."""
        given = self._from_file() if self._setting == "oauth_token_file" else await self._from_function()
        if not isinstance(given, str):
            raise self._none(f"returned {type(given).__name__}, and must return the token as text")
        if (
            not given
            or not given.isascii()
            or any(not character.isprintable() or character == " " for character in given)
        ):
            raise self._none("gave something that is no token: it is empty, or has spaces or other characters in it")
        return given

    def _from_file(self) -> str:
        try:
            return _content(self._source, "broker.oauth_token_file").decode("utf-8", "replace").strip()
        except ConfigurationError as error:
            raise NoToken(str(error)) from None

    async def _from_function(self) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                if inspect.iscoroutinefunction(self._function):
                    return await self._function()
                given = await asyncio.to_thread(self._function)
                return await given if inspect.isawaitable(given) else given
        except TimeoutError:
            raise self._none(f"gave no token within {self._seconds:g} s") from None
        except Exception as error:  # whatever a user's function raises; its text may hold a secret
            raise self._none(f"raised {type(error).__name__}") from None

    def _none(self, why: str) -> NoToken:
        return NoToken(f"broker.{self._setting}: {self._source} {why}")


class _Bearer(conn.OAuthAuthenticator):
    """aiokafka (0.14) passes over what Kafka says of a token that it refuses, and goes on as if it were taken. By the
    standard the client answers with one byte and then is told."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if self._token_sent and payload:
            return b"\x01", True
        answer: tuple[bytes, bool] | None = await super().step(payload)
        return answer


def options(broker: BrokerSettings) -> dict[str, Any]:
    """Arguments for any client of aiokafka. Raises ConfigurationError."""
    given: dict[str, Any] = {"security_protocol": broker.security_protocol}
    if broker.security_protocol != "PLAINTEXT":
        given["ssl_context"] = tls(broker)
    if broker.security_protocol == "SASL_SSL":
        given["sasl_mechanism"] = broker.sasl_mechanism
        if broker.sasl_mechanism == "OAUTHBEARER":
            conn.OAuthAuthenticator = _Bearer
            given["sasl_oauth_token_provider"] = Token(broker)
        else:
            given |= {"sasl_plain_username": broker.username, "sasl_plain_password": broker.read_password()}
    return given


def credentials(broker: BrokerSettings) -> Any:
    """The same for Faust's own clients. Raises ConfigurationError.

    The TLS context stands in the credentials themselves: given to the app, Faust would send them in clear text.
    """
    from faust import auth  # not at the top: the command line does without Faust

    given = options(broker)
    if broker.security_protocol == "PLAINTEXT":
        return None
    if broker.security_protocol == "SSL":
        return auth.SSLCredentials(given["ssl_context"])
    if broker.sasl_mechanism == "OAUTHBEARER":
        return auth.OAuthCredentials(oauth_cb=given["sasl_oauth_token_provider"], ssl_context=given["ssl_context"])
    return auth.SASLCredentials(
        username=given["sasl_plain_username"],
        password=given["sasl_plain_password"],
        mechanism=given["sasl_mechanism"],
        ssl_context=given["ssl_context"],
    )


def who(broker: BrokerSettings) -> str:
    """Whom Kafka takes us for, in words."""
    if broker.username:
        return f"user {broker.username!r} ({broker.sasl_mechanism})"
    if broker.sasl_mechanism:
        return (
            f"the token of broker.{'oauth_token_file' if broker.oauth_token_file else 'oauth_provider'} (OAUTHBEARER)"
        )
    if broker.tls_certificate_file:
        return f"the certificate {broker.tls_certificate_file} (mutual TLS)"
    return f"a client without credentials ({broker.security_protocol})"


def tls(broker: BrokerSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the authorities of the CA file or of this machine. Raises ConfigurationError."""
    context = ssl.create_default_context()
    if broker.tls_ca_file:
        authorities = _content(broker.tls_ca_file, "broker.tls_ca_file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody yet; checks certificates and names
        try:
            context.load_verify_locations(cadata=authorities.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError):
            raise ConfigurationError(
                f"broker.tls_ca_file: {broker.tls_ca_file} holds no certificate in PEM form"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.tls_certificate_file:
        _show_our_certificate(context, broker)
    return context


def _show_our_certificate(context: ssl.SSLContext, broker: BrokerSettings) -> None:
    _content(broker.tls_certificate_file, "broker.tls_certificate_file")
    _content(broker.tls_key_file, "broker.tls_key_file")
    password = broker.read_key_password()
    try:
        # Without a function OpenSSL would ask for the password on the terminal.
        context.load_cert_chain(broker.tls_certificate_file, broker.tls_key_file, lambda: password)
    except (ssl.SSLError, ValueError, OSError):
        raise ConfigurationError(
            f"broker.tls_certificate_file, broker.tls_key_file: {broker.tls_certificate_file} and "
            f"{broker.tls_key_file} are not a certificate and its private key in PEM form, or the key has another "
            "password than the one of broker.tls_key_password_file or CALMSTREAM_BROKER__TLS_KEY_PASSWORD"
        ) from None


def _content(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{setting}: the file {path} cannot be read: {error.strerror}") from None


def _provider(name: str) -> Callable[[], Any]:
    """The function that ``package.module:function`` names."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise ConfigurationError(f"broker.oauth_provider: {name!r} is not of the form package.module:function")
    try:
        found = pkgutil.resolve_name(name)  # the one import of a name that a user gives
    except AttributeError:
        raise ConfigurationError(f"broker.oauth_provider: the module {module} has no {function}") from None
    except Exception as error:  # whatever a user's module raises while it is imported
        raise ConfigurationError(
            f"broker.oauth_provider: the module {module} cannot be imported: {type(error).__name__}: {error}"
        ) from None
    if not callable(found):
        raise ConfigurationError(f"broker.oauth_provider: {name} is no function but {type(found).__name__}")
    return found
