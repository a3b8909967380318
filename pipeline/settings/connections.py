"""How the broker is reached, and how our own endpoints are: addresses, transport security, credentials.

Guarantee: a combination that would send credentials in clear text is refused. Secrets come from the environment or
from a file that a setting names, and are never shown.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.settings.errors import ConfigurationError
from pipeline.settings.sections import Section

#: Settings that hold a secret themselves: not taken from the YAML file.
SECRETS = (
    "broker.password",
    "broker.tls_key_password",
    "http.password",
    "http.token",
    "http.tls_key_password",
)
_SASL_ONLY = ("sasl_mechanism", "username", "password", "password_file", "oauth_token_file", "oauth_provider")
_TLS_ONLY = ("tls_ca_file", "tls_certificate_file", "tls_key_file", "tls_key_password", "tls_key_password_file")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class BrokerSettings(Section):
    """How to reach Kafka. Names as in Kafka's own clients, where they have one."""

    bootstrap: str = Field("localhost:9092", description="host:port of one or more brokers, separated by commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = Field("", description="a file that holds the password; read anew by every client")
    oauth_token_file: str = Field("", description="a file that holds the token, as Kubernetes keeps one up to date")
    oauth_provider: str = Field("", description="package.module:function, which returns the token")
    tls_ca_file: str = Field("", description="PEM; without it the authorities of this machine")
    tls_certificate_file: str = Field("", description="PEM, for mutual TLS")
    tls_key_file: str = ""
    tls_key_password: SecretStr = SecretStr("")
    tls_key_password_file: str = ""
    idempotence: Literal["required", "if-available"] = Field(
        "required", description="refuse a broker without idempotent producing, or go on without it and say so"
    )
    session_timeout_seconds: float = Field(10.0, ge=1, description="a worker silent for longer loses its partitions")
    request_timeout_seconds: float = Field(20.0, ge=1)
    lost_after_seconds: float = Field(
        40.0, ge=5, description="a broker that does not answer for longer ends the worker"
    )

    @field_validator("security_protocol", mode="before")
    @classmethod
    def _never_in_clear_text(cls, given: Any) -> Any:
        if given == "SASL_PLAINTEXT":
            raise ValueError(
                "SASL_PLAINTEXT would send credentials and telemetry in clear text and is refused; give the broker a "
                "TLS listener and set SASL_SSL"
            )
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.security_protocol == "SASL_SSL":
            self._refuse_incomplete_sasl()
        elif given := _given(self, _SASL_ONLY):
            raise ValueError(
                f"{', '.join(given)}: only used with security_protocol SASL_SSL, and it is {self.security_protocol}; "
                "set it to SASL_SSL, or take the credentials out"
            )
        if self.security_protocol == "PLAINTEXT" and (given := _given(self, _TLS_ONLY)):
            raise ValueError(
                f"{', '.join(given)}: only used with TLS, and security_protocol is PLAINTEXT, which is clear text; "
                "set it to SSL or SASL_SSL"
            )
        _refuse_halves(self)
        return self

    def _refuse_incomplete_sasl(self) -> None:
        if not self.sasl_mechanism:
            raise ValueError("sasl_mechanism: SASL_SSL needs one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER")
        token = _given(self, ("oauth_token_file", "oauth_provider"))
        named = _given(self, ("username", "password", "password_file"))
        if self.sasl_mechanism == "OAUTHBEARER":
            if len(token) != 1 or named:
                raise ValueError("OAUTHBEARER needs either oauth_token_file or oauth_provider, and no password")
        elif token or not self.username or len(named) != 2:
            raise ValueError(
                f"{self.sasl_mechanism} needs username, and either password_file or the environment variable "
                "CALMSTREAM_BROKER__PASSWORD, and no token"
            )

    def read_password(self) -> str:
        """The password as it is now. Raises ConfigurationError."""
        return _secret(self.password, self.password_file, "broker.password_file")

    def read_key_password(self) -> str:
        """The password of the private key, empty where it has none. Raises ConfigurationError."""
        return _secret(self.tls_key_password, self.tls_key_password_file, "broker.tls_key_password_file")


class HttpSettings(Section):
    """The worker's own endpoints: /live, /ready, /metrics, /config."""

    host: str = "127.0.0.1"
    port: int = Field(6066, ge=0, le=65535)
    token: SecretStr = SecretStr("")
    token_file: str = Field("", description="a file that holds the bearer token")
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    tls_certificate_file: str = Field("", description="PEM, the certificate and those above it")
    tls_key_file: str = ""
    tls_key_password: SecretStr = SecretStr("")
    tls_key_password_file: str = ""
    clear_text_credentials: bool = Field(
        False, description="take credentials without TLS from other machines: only behind a proxy that ends TLS"
    )
    max_connections: int = Field(100, ge=1)
    max_header_bytes: int = Field(16_384, ge=1024)
    max_request_bytes: int = Field(65_536, ge=1024)
    request_timeout_seconds: float = Field(10.0, gt=0, description="for a whole request to come, and for its answer")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _refuse_halves(self)
        if bool(self.username) != bool(_given(self, ("password", "password_file"))):
            raise ValueError("username and a password (password_file or CALMSTREAM_HTTP__PASSWORD) go together")
        for secret in ("token", "password"):
            if len(_given(self, (secret, f"{secret}_file"))) == 2:
                raise ValueError(f"{secret} and {secret}_file are both given; give one")
        asked = _given(self, ("token", "token_file", "username"))
        if asked and not self.tls_certificate_file and self.host not in _LOOPBACK and not self.clear_text_credentials:
            raise ValueError(
                f"{', '.join(asked)}: credentials would come in clear text to {self.host}; give tls_certificate_file "
                "and tls_key_file, or set clear_text_credentials where a proxy in front ends TLS"
            )
        return self

    def read_token(self) -> str:
        """The bearer token as it is now, empty where none is asked for. Raises ConfigurationError."""
        return _secret(self.token, self.token_file, "http.token_file")

    def read_password(self) -> str:
        """The password as it is now, empty where none is asked for. Raises ConfigurationError."""
        return _secret(self.password, self.password_file, "http.password_file")

    def read_key_password(self) -> str:
        """The password of the private key, empty where it has none. Raises ConfigurationError."""
        return _secret(self.tls_key_password, self.tls_key_password_file, "http.tls_key_password_file")


def _given(section: Section, names: tuple[str, ...]) -> list[str]:
    values = {name: getattr(section, name) for name in names}
    return [
        name for name, value in values.items() if (value.get_secret_value() if isinstance(value, SecretStr) else value)
    ]


def _refuse_halves(section: Section) -> None:
    pair = _given(section, ("tls_certificate_file", "tls_key_file"))
    if len(pair) == 1:
        raise ValueError(f"{pair[0]} is given alone; tls_certificate_file and tls_key_file go together")
    passwords = _given(section, ("tls_key_password", "tls_key_password_file"))
    if passwords and not pair:
        raise ValueError(f"{passwords[0]} is given without tls_key_file")
    if len(passwords) == 2:
        raise ValueError("tls_key_password and tls_key_password_file are both given; give one")


def read_secret_file(path: str, setting: str) -> str:
    """A secret that stands in a file. Raises ConfigurationError."""
    return _secret(SecretStr(""), path, setting)


def _secret(value: SecretStr, path: str, setting: str) -> str:
    """From the file where one is named; the end of its last line is not part of it."""
    if not path:
        return value.get_secret_value()
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{setting}: the file {path} cannot be read: {reason}") from None
    if not text:
        raise ConfigurationError(f"{setting}: the file {path} is empty")
    return text
