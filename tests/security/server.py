"""Apache Kafka with every way in that we know, and an authorizer that allows nothing unless it is told to.

The listener of ``bootstrap`` is clear text and for the tests' own set-up: who comes that way may do everything.
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from pipeline.streams.access import Grant
from pipeline.streams.broker_process import LOOPBACK, free_port
from tests.kafka.server import LIGHT_JAVA, KafkaServer
from tests.security.certificates import CLIENT, KEY_PASSWORD, Certificates

SECRET = "correct horse battery staple"
#: Users that may do everything, by how they come; the roles' users come by PLAIN and may do what they are granted.
USERS = {"PLAIN": "plain", "SCRAM-SHA-256": "scram256", "SCRAM-SHA-512": "scram512", "OAUTHBEARER": "bearer"}
ROLE_USERS = (
    *("ingest", "join", "score", "correlate", "shadow", "deliver"),
    *("producer", "reader", "look", "operate", "admin", "nobody"),
)

_AUDIT = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"
_MODULES = "org.apache.kafka.common.security"
_CODES: Mapping[str, int] = {"topic": 2, "group": 3}
_OPERATIONS = {
    "READ": 3,
    "WRITE": 4,
    "CREATE": 5,
    "ALTER": 7,
    "DESCRIBE": 8,
    "DESCRIBE_CONFIGS": 10,
    "ALTER_CONFIGS": 11,
}
_LITERAL, _ALLOW = 3, 3


class SecureKafka(KafkaServer):
    """One server; ``mutual`` and ``sasl`` are what clients connect to."""

    def __init__(self, home: Path, certificates: Certificates) -> None:
        scram = [
            f"--add-scram={mechanism}=[name={user},password={SECRET}]"
            for mechanism, user in USERS.items()
            if mechanism.startswith("SCRAM")
        ]
        super().__init__(home, java_options=(*LIGHT_JAVA, _AUDIT), format_arguments=scram)
        self.certificates = certificates
        self._mutual_port, self._sasl_port = free_port(), free_port()
        self.mutual = f"localhost:{self._mutual_port}"
        self.sasl = f"localhost:{self._sasl_port}"

    def properties(self) -> dict[str, str | int]:
        base = super().properties()
        listeners = f"MUTUAL://{LOOPBACK}:{self._mutual_port},SASL://{LOOPBACK}:{self._sasl_port}"
        advertised = f"MUTUAL://{self.mutual},SASL://{self.sasl}"
        everybody = ["ANONYMOUS", CLIENT, *USERS.values()]
        return base | {
            "listeners": f"{base['listeners']},{listeners}",
            "advertised.listeners": f"{base['advertised.listeners']},{advertised}",
            "listener.security.protocol.map": f"{base['listener.security.protocol.map']},MUTUAL:SSL,SASL:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker_both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+),.*$/$1/",
            "listener.name.sasl.sasl.enabled.mechanisms": ",".join(USERS),
            **{f"listener.name.sasl.{name.lower()}.sasl.jaas.config": login for name, login in _logins().items()},
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": ";".join(f"User:{name}" for name in everybody),
        }

    def tls(self) -> dict[str, str]:
        """Settings for a client that trusts this server."""
        return {"BROKER__TLS_CA_FILE": str(self.certificates.ca)}

    def as_certificate(self) -> dict[str, str]:
        """Settings for a client that shows its certificate."""
        return self.tls() | {
            "BROKER__BOOTSTRAP": self.mutual,
            "BROKER__SECURITY_PROTOCOL": "SSL",
            "BROKER__TLS_CERTIFICATE_FILE": str(self.certificates.client),
            "BROKER__TLS_KEY_FILE": str(self.certificates.client_key),
            "BROKER__TLS_KEY_PASSWORD": KEY_PASSWORD,
        }

    def as_user(self, mechanism: str, user: str | None = None) -> dict[str, str]:
        """Settings for a client that has a password, but without it."""
        return self.tls() | {
            "BROKER__BOOTSTRAP": self.sasl,
            "BROKER__SECURITY_PROTOCOL": "SASL_SSL",
            "BROKER__SASL_MECHANISM": mechanism,
            "BROKER__USERNAME": user or USERS[mechanism],
        }

    def with_password(self, mechanism: str, user: str | None = None) -> dict[str, str]:
        return self.as_user(mechanism, user) | {"BROKER__PASSWORD": SECRET}

    def with_token(self, path: Path) -> dict[str, str]:
        settings = self.as_user("OAUTHBEARER") | {"BROKER__OAUTH_TOKEN_FILE": str(path)}
        del settings["BROKER__USERNAME"]
        return settings

    async def grant(self, user: str, grants: list[Grant]) -> None:
        """Write the lists of a user."""
        answer = await self._ask(_Lists([_list_of(user, grant) for grant in grants]))
        assert {each["error_code"] for each in answer["creation_responses"]} <= {0}, answer

    async def revoke(self, user: str, grant: Grant) -> None:
        """Take one of them away."""
        answer = await self._ask(DeleteAclsRequest(*_list_of(user, grant)))
        assert [len(each["matching_acls"]) for each in answer["filter_responses"]] == [1], answer

    async def _ask(self, request: Any) -> dict[str, Any]:
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            answer: dict[str, Any] = (await client.send(client.get_random_node(), request)).to_object()
            return answer
        finally:
            await client.close()


_List = tuple[int, str, int, str, str, int, int]


class _Lists(CreateAclsRequest):
    """Many lists in one request, which costs Kafka as much as one list does; aiokafka's own takes one."""

    def __init__(self, lists: Sequence[_List]) -> None:
        self._lists = lists

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(list(self._lists))


def _list_of(user: str, grant: Grant) -> _List:
    code, operation = _CODES[grant.resource], _OPERATIONS[grant.operation]
    return code, grant.name, _LITERAL, f"User:{user}", "*", operation, _ALLOW


def token(subject: str = USERS["OAUTHBEARER"], seconds: float = 3600) -> str:
    """An unsecured JSON web token, as Kafka takes it where nothing else is configured."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now - 1, "exp": now + seconds})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


def _logins() -> dict[str, str]:
    users = " ".join(f'user_{name}="{SECRET}"' for name in (USERS["PLAIN"], *ROLE_USERS))
    scram = f"{_MODULES}.scram.ScramLoginModule required;"
    bearer = f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required"
    return {
        "PLAIN": f"{_MODULES}.plain.PlainLoginModule required {users};",
        "SCRAM-SHA-256": scram,
        "SCRAM-SHA-512": scram,
        "OAUTHBEARER": f'{bearer} unsecuredLoginStringClaim_sub="broker";',
    }
