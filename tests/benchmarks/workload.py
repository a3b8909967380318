"""The points that every benchmark sends: who sends them, their values, and where they deviate.

Guarantee: the same workload and seed give the same bytes, in order of event time within each partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOSTS_PER_SERVICE = 10
FAULTY_HOSTS = 4
LEVEL_FACTOR = 10.0
NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """Some signals of one environment stand at ten times their level from one event time to another (ms)."""

    environment: int
    from_ms: int
    until_ms: int


@dataclass(frozen=True)
class Workload:
    """Signals of services on hosts; a service, its hosts and its partition belong to one environment."""

    signals: int
    partitions: int = 4
    environments: int = 250
    faults: tuple[Fault, ...] = ()
    seed: int = 7

    def environment_name(self, environment: int) -> str:
        return f"env-{environment:03d}"

    @property
    def environments_used(self) -> int:
        return min(self.environments, self.signals // HOSTS_PER_SERVICE)

    @cached_property
    def service(self) -> Ints:
        """(signals,)"""
        return np.arange(self.signals) // HOSTS_PER_SERVICE

    @cached_property
    def environment(self) -> Ints:
        """(signals,)"""
        return self.service % self.environments

    @cached_property
    def of_partition(self) -> list[Ints]:
        """The signals of each partition, in the order in which they send."""
        return [np.flatnonzero(self.service % self.partitions == p) for p in range(self.partitions)]

    @cached_property
    def tails(self) -> list[bytes]:
        """What follows the value in the JSON of each signal."""
        hosts = (np.arange(self.signals) % HOSTS_PER_SERVICE).tolist()
        return [
            b',"attributes":{"service.name":"svc-%04d","host.name":"h%02d","deployment.environment.name":"env-%03d"}}'
            % (service, host, environment)
            for service, host, environment in zip(self.service.tolist(), hosts, self.environment.tolist(), strict=True)
        ]

    @cached_property
    def levels(self) -> Floats:
        """(signals,)"""
        return np.random.default_rng(self.seed).uniform(10.0, 100.0, self.signals)

    @cached_property
    def _fault_span(self) -> tuple[Ints, Ints]:
        """(signals,), (signals,): from and until, both 0 where nothing ever deviates."""
        begins, ends = np.zeros(self.signals, np.int64), np.zeros(self.signals, np.int64)
        for fault in self.faults:
            faulty = np.flatnonzero(self.environment == fault.environment)[:FAULTY_HOSTS]
            begins[faulty], ends[faulty] = fault.from_ms, fault.until_ms
        return begins, ends

    def deviates(self, signals: Ints, times_ms: Ints) -> npt.NDArray[np.bool_]:
        begins, ends = self._fault_span
        return (times_ms >= begins[signals]) & (times_ms < ends[signals])

    def points(self, signals: Ints, times_ms: Ints, noise: np.random.Generator) -> list[bytes]:
        """One JSON point per row; shapes (rows,)."""
        values = self.levels[signals] * (1.0 + NOISE * noise.standard_normal(signals.size))
        values = np.where(self.deviates(signals, times_ms), LEVEL_FACTOR * values, values)
        seconds, millis = np.divmod(times_ms, 1000)
        tails = self.tails
        return [
            b'{"ts":%d.%03d,"name":"http.active","value":%.2f%b' % (second, milli, value, tails[signal])
            for second, milli, value, signal in zip(
                seconds.tolist(), millis.tolist(), values.tolist(), signals.tolist(), strict=True
            )
        ]

    def rounds(self, start_ms: int, rounds: int, round_ms: int = 1000) -> Iterator[tuple[int, Ints, list[bytes]]]:
        """One point a signal in every round: (partition, event times in ms, points), round by round."""
        noise = np.random.default_rng(self.seed + 1)
        spread = [np.arange(of.size) * round_ms // max(of.size, 1) for of in self.of_partition]
        for number in range(rounds):
            for partition, signals in enumerate(self.of_partition):
                times_ms = start_ms + round_ms * number + spread[partition]
                yield partition, times_ms, self.points(signals, times_ms, noise)

    def expected_scopes(self) -> set[str]:
        return {self.environment_name(fault.environment) for fault in self.faults}
