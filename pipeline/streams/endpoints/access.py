"""Who may read the worker's endpoints: a bearer token or a name with a password, and TLS.

Guarantee: what was given is compared in a time that does not depend on how much of it is right. Secrets are read when
the worker starts, and stand in no message.
"""

import base64
import binascii
import hmac
import ssl
from typing import Literal

from pipeline.settings import ConfigurationError, HttpSettings

Verdict = Literal["", "no_credentials", "wrong_credentials"]

_REALM = 'realm="calmstream"'


class Access:
    """The credentials that are asked for; none if the settings have none. Raises ConfigurationError."""

    def __init__(self, settings: HttpSettings) -> None:
        self._token = settings.read_token().encode()
        self._user = f"{settings.username}:{settings.read_password()}".encode() if settings.username else b""

    @property
    def asked(self) -> bool:
        return bool(self._token or self._user)

    @property
    def challenges(self) -> list[str]:
        """Values of WWW-Authenticate."""
        bearer = [f"Bearer {_REALM}"] if self._token else []
        return bearer + ([f'Basic {_REALM}, charset="UTF-8"'] if self._user else [])

    def judge(self, authorization: str | None) -> Verdict:
        """What is wrong with the header ``Authorization`` of a request; empty if nothing is."""
        if not self.asked:
            return ""
        if authorization is None:
            return "no_credentials"
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._token:
            right = hmac.compare_digest(_bytes(given.strip()), self._token)
        elif scheme.lower() == "basic" and self._user:
            right = hmac.compare_digest(_decoded(given.strip()), self._user)
        else:
            right = False
        return "" if right else "wrong_credentials"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(given: str) -> bytes:
    try:
        return base64.b64decode(_bytes(given), validate=True)
    except binascii.Error:
        return b""


def tls(settings: HttpSettings) -> ssl.SSLContext | None:
    """What the endpoints speak TLS with, 1.2 or newer; None where they do not. Raises ConfigurationError."""
    if not settings.tls_certificate_file:
        return None
    password = settings.read_key_password()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    files = f"http.tls_certificate_file {settings.tls_certificate_file} and http.tls_key_file {settings.tls_key_file}"
    try:
        # A function, so that OpenSSL never asks at a terminal.
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file, password=lambda: password)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{files} cannot be used: {error.reason or 'they are no PEM files, or the password of the key is wrong'}; "
            "both must be PEM, the key that of the first certificate, and http.tls_key_password its password"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{files} cannot be read: {error.strerror}") from None
    return context
