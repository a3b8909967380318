"""What the chains need to know, as one frozen value; the rim makes it from the settings."""

from dataclasses import dataclass, field

from pipeline.codecs.series_table import Limits
from pipeline.policies import DetectorPolicy, Policy
from pipeline.policies.roles import GivenRoles
from pipeline.records import US, Kind


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Times in microseconds; ``sources`` are the input partitions (``topic/partition``) that feed ``calm.signals``.

    ``policy`` is the base of all policies, ``policies`` are those of the configuration; live ones come in the log.
    ``shadow``: policies in the shadow count too, and incidents are marked so (see flow.shadow).
    """

    sources: tuple[str, ...]
    signal_partitions: int
    anomaly_partitions: int
    window_us: int = 10 * US
    window_us_by_kind: dict[Kind, int] = field(default_factory=dict)
    lateness_us: int = 5 * US
    correction_us: int = 600 * US  # an anomaly that is over may turn out wrong for so long; 0: none does
    max_future_us: int = 300 * US
    max_past_us: int = 86_400 * US
    scope_attributes: tuple[str, ...] = ("deployment.environment.name", "k8s.cluster.name")
    limits: Limits = field(default_factory=Limits)
    policy: DetectorPolicy = field(default_factory=DetectorPolicy)
    policies: tuple[Policy, ...] = ()
    roles: GivenRoles = field(default_factory=GivenRoles)
    #: Input partitions of spans and of log lines, which feed ``calm.spans`` and ``calm.logs``, and how many these have.
    span_sources: tuple[str, ...] = ()
    line_sources: tuple[str, ...] = ()
    span_partitions: int = 1
    line_partitions: int = 1
    ttl_us: int = 8 * 86_400 * US  # event time for which a signal of which nothing comes is remembered
    instance_ttl_us: int = 86_400 * US  # the same for a signal of one instance
    #: Points that a score shard keeps while they wait for other sources. None for any number, where nobody can read
    #: them again: a replay reads all sources together, by time.
    most_held_rows: int | None = None
    most_held_bytes: int | None = None  # the same of spans and lines in a join shard, in about what they take
    trace_wait_us: int = 10 * US  # event time until a trace is taken as whole
    join_us: int = 60 * US
    resolve_us: int = 30 * US
    habits: bool = True  # incidents that usually pass, or are frequent or regular, are held back until they are worse
    reopen_us: int = 900 * US  # after its end an incident comes back with its signals for so long
    shadow: bool = False

    def window_of(self, kind: Kind) -> int:
        """Length of the windows of signals of this kind; shares are told with the distributions beside them, and sparse
        deltas are deltas where nothing else is said."""
        kind = Kind.HISTOGRAM_DELTA if kind is Kind.SHARE else kind
        if kind is Kind.SPARSE_DELTA and kind not in self.window_us_by_kind:
            kind = Kind.DELTA
        return self.window_us_by_kind.get(kind, self.window_us)

    def join_shards(self) -> tuple[str, ...]:
        """Names of the shards that make signals of spans and lines, and so feed ``calm.signals`` too."""
        spans = [f"spans/{partition}" for partition in range(self.span_partitions)] if self.span_sources else []
        lines = [f"logs/{partition}" for partition in range(self.line_partitions)] if self.line_sources else []
        return (*spans, *lines)

    def signal_shards(self) -> tuple[str, ...]:
        """Names of the shards that feed ``calm.anomalies``."""
        return tuple(f"signals/{partition}" for partition in range(self.signal_partitions))
