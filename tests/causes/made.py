"""Vitals and calls for tests, in few words."""

from pipeline.causes.vitals import Sign, Vitals
from pipeline.records import Edge, EdgeKind

#: When calls began that were always there.
LONG_AGO = -(10**12)


def slow(entity: str, excess: float, z: float = 8.0, requests: float = 100.0, end_us: int = 60) -> Vitals:
    """A workload with so many request-seconds beyond its usual 40 ms."""
    seconds = 0.04 + max(excess, 0.0) / (requests if requests == requests else 1.0)
    return Vitals(entity, end_us, requests, latency=Sign("latency", z, excess, seconds, 0.04))


def failing(entity: str, excess: float, z: float = 8.0, requests: float = 100.0, end_us: int = 60) -> Vitals:
    """A workload with so many failed requests beyond the usual."""
    return Vitals(entity, end_us, requests, errors=Sign("errors", z, excess, excess / requests, 0.001))


def calls(*pairs: str, since_us: int = LONG_AGO) -> list[Edge]:
    """``"a b"``: a calls b."""
    ends = [pair.split() for pair in pairs]
    return [Edge("prod", client, server, EdgeKind.CALL, since_us, 60, 1) for client, server in ends]
