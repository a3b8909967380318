"""Who calls whom: an edge of the service graph, as spans show it."""

from dataclasses import dataclass
from enum import StrEnum


class EdgeKind(StrEnum):
    """By what the called side is reached. ``CALL`` is any request that waits for an answer."""

    CALL = "call"
    MESSAGE = "message"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Edge:
    """``client`` and ``server`` are workloads of one scope; a server that sends no spans of its own has the name that
    its client calls it by (``database:postgresql/orders``). Times are event times of the oldest and newest call, and
    ``calls`` how many there were, as far as the writer knows."""

    scope: str
    client: str
    server: str
    kind: EdgeKind
    first_us: int
    last_us: int
    calls: int

    @property
    def key(self) -> tuple[str, str, str, EdgeKind]:
        """What tells edges apart."""
        return self.scope, self.client, self.server, self.kind
