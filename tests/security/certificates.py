"""Certificates made for one run: an authority, a broker's, a client's, and those of a stranger.

The names follow what they are: ``ca`` signed ``broker`` (for ``localhost`` only) and ``client``; ``other_ca`` signed
``stranger``. Private keys are PKCS#8; that of the client has a password.
"""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_PASSWORD = "the password of the client's key"
#: The common name of the client's certificate.
CLIENT = "mutual"


@dataclass(frozen=True)
class Certificates:
    """PEM files below ``directory``, by what they hold."""

    directory: Path

    def __getattr__(self, name: str) -> Path:
        return self.directory / f"{name}.pem"


def make(directory: Path) -> Certificates:
    """Write all of them."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    other.cert_pem.write_to_path(directory / "other_ca.pem")
    broker = authority.issue_cert("localhost")
    _write(directory, "broker", broker, NoEncryption())
    client = authority.issue_cert("worker@calmstream.test", common_name=CLIENT)
    _write(directory, "client", client, BestAvailableEncryption(KEY_PASSWORD.encode()))
    _write(directory, "stranger", other.issue_cert("worker@calmstream.test", common_name=CLIENT), NoEncryption())
    both = (directory / "broker_key.pem").read_bytes() + (directory / "broker.pem").read_bytes()
    (directory / "broker_both.pem").write_bytes(both)
    return Certificates(directory)


def _write(directory: Path, name: str, made: trustme.LeafCert, protection: KeySerializationEncryption) -> None:
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    (directory / f"{name}_key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    chain = b"".join(part.bytes() for part in made.cert_chain_pems)
    (directory / f"{name}.pem").write_bytes(chain)
