"""A shop of workloads that call each other, with roles, for tests of who suffers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from pipeline.flow.signal_roles import SignalRoles
from pipeline.incidents.impact import Impact
from pipeline.incidents.open_incident import Open
from pipeline.policies.roles import GivenRoles, meant_of
from pipeline.records import US, Anomaly, Kind, Member, Signal

#: 12:03:20 UTC.
T = (12 * 3600 + 3 * 60 + 20) * US
ROLES = SignalRoles(
    GivenRoles({"business": (meant_of("name=shop.orders"),), "users": (meant_of("name=probe.seconds"),)})
)


@dataclass(frozen=True)
class Calls:
    """Who calls whom, by name; nothing is known of who is not among them."""

    pairs: tuple[tuple[str, str], ...] = ()

    def callers(self, scope: str, workload: str) -> Sequence[str] | None:
        if not any(workload in pair for pair in self.pairs):
            return None
        return sorted(caller for caller, called in self.pairs if called == workload)


SHOP = Calls((("service:web", "service:cart"), ("service:cart", "service:db"), ("service:jobs", "service:db")))


def signal(workload: str, name: str, unit: str, kind: Kind = Kind.GAUGE, **more: Any) -> Signal:
    digest = blake2b(repr((workload, name, unit, kind, more)).encode("utf-8", "surrogatepass"), digest_size=7)
    number = int.from_bytes(digest.digest(), "big")
    made = Signal(number, name, unit, kind, "prod", f"service:{workload}", "", ())
    return replace(made, **more)


def failing(workload: str, share: float, usual: float = 0.001, **changes: Any) -> Anomaly:
    return of(signal(workload, "traces.operation.failed.share", "1"), share, usual, **changes)


def slow(workload: str, seconds: float = 2.0, **changes: Any) -> Anomaly:
    return of(signal(workload, "traces.operation.duration.p95", "s"), seconds, 0.2, **changes)


def orders(value: float, usual: float, **changes: Any) -> Anomaly:
    return of(signal("shop", "shop.orders", "{order}/s", Kind.COUNTER), value, usual, **changes)


def full(workload: str, value: float = 100.0, **changes: Any) -> Anomaly:
    return of(signal(workload, "connections.used", "%"), value, 40.0, **changes)


def of(what: Signal, value: float, expected: float, *, seconds: float = 30, **changes: Any) -> Anomaly:
    """It began at T, and was so for so long."""
    made = Anomaly(
        id=f"a-{what.id:x}",
        revision=1,
        transition="opened",
        signal=what,
        step_us=T + round(seconds * US),
        onset_us=T,
        last_seen_us=T + round(seconds * US),
        end_us=None,
        peak_us=T,
        value=value,
        expected=expected,
        lower=expected * 0.9,
        upper=expected * 1.1,
        surprise=7.0,
        windows=3,
        why="higher than usual; a shape never seen before",
        detector="x/1",
        policy="default@0",
        excess=(value - expected) * seconds,
    )
    return replace(made, **changes)


def incident(*anomalies: Anomaly, id_: str = "inc-1") -> Open:
    return Open(id_, "prod", T, members={one.id: Member(one, "first member") for one in anomalies})


def impact(calls: Calls = SHOP) -> Impact:
    return Impact(ROLES, calls)


def weighed(*anomalies: Anomaly, calls: Calls = SHOP) -> Open:
    found = incident(*anomalies)
    impact(calls).weigh(found)
    return found
