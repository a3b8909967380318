"""Writes ``docs/metrics.md`` from the registry of a worker: python -m tests.docs.metrics

Guarantee: every metric of the registry is on the page once, by the name that Prometheus shows, and nothing else is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.telemetry import Telemetry
from tests.docs.pages import DOCS

PAGE = DOCS / "metrics.md"

#: What a label stands for, and how many values it can have.
LABELS = {
    "role": "`ingest`, `join-logs`, `join-spans`, `score`, `correlate` or `deliver`; `shadow-copy`, `shadow-score` and "
    "`shadow-correlate` of the role `shadow`",
    "topic": "a topic that the configuration names, or one of our own",
    "partition": "a partition's number, or topic/number where the meaning says so",
    "reason": "one of those in [operations.md](operations.md#reasons-of-drops); of refused requests one of a fixed few",
    "transition": "a transition of an [anomaly](schema/anomaly.json) or of an [incident](incidents.md#its-life)",
    "sink": "a sink that the configuration names",
    "outcome": "`delivered`, `summarised`, `failed` (tried again) or `refused` (for good)",
    "version": "the version of this worker",
}

_TOP = """\
# Metrics

<!-- Made from the registry of pipeline/telemetry.py: python -m tests.docs.metrics. A test fails when it is stale. -->

What a worker's `/metrics` tells Prometheus. [operations.md](operations.md#metrics) says how to read them,
[deploy/prometheus/alerts.yaml](../deploy/prometheus/alerts.yaml) when somebody should look.

Every sample carries the labels `job` and `instance` that Prometheus adds. A metric with labels of its own has no sample
before there is something of that kind; those from which a first loss would go unseen stand at 0 from the start.

What is counted of telemetry is added up once for each batch of messages that a role has worked on, never for each
point, line or span: the code that reads them knows no metrics, it returns counts. Rare things that come one by one are
counted one by one: an incident's latency with its record, a policy or a foreign incident that is refused, a request to
the endpoints that is refused.
"""

_PROCESS = """\
## The process

As every Prometheus client exports them, on Linux.
"""


@dataclass(frozen=True)
class Described:
    """A metric as Prometheus shows it; ``samples`` are the names that its samples have."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """By the ending of the name, as the conventions want it."""
        stem = self.name.removesuffix("_total")
        for ending, unit in (
            ("_timestamp_seconds", "seconds since 1970"),
            ("_seconds", "seconds"),
            ("_bytes", "bytes"),
        ):
            if stem.endswith(ending):
                return "seconds since 1970" if stem == "process_start_time_seconds" else unit
        return ""

    @property
    def samples(self) -> tuple[str, ...]:
        if self.type == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def described(telemetry: Telemetry) -> list[Described]:
    """Every metric of the registry, in the order in which they were registered."""
    return [metric for collector in telemetry.registry._collector_to_names for metric in _of(collector)]


def _of(collector: object) -> Iterator[Described]:
    labels = tuple(getattr(collector, "_labelnames", ()))
    describe = getattr(collector, "describe", None) or getattr(collector, "collect", None)
    assert describe is not None
    for family in describe():
        if family.type == "info":
            told = tuple(label for metric in collector.collect() for label in metric.samples[0].labels)  # type: ignore[attr-defined]
            yield Described(f"{family.name}_info", "gauge", told, family.documentation)
        else:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield Described(name, family.type, labels, family.documentation)


def page() -> str:
    """The whole page."""
    metrics = described(Telemetry())
    ours = [metric for metric in metrics if metric.name.startswith("calmstream_")]
    others = [metric for metric in metrics if metric not in ours]
    used = [label for label in LABELS if any(label in metric.labels for metric in ours)]
    label_rows = "".join(f"| `{label}` | {LABELS[label]} |\n" for label in used)
    labels = f"## Labels\n\nNo label takes a value from telemetry.\n\n| label | values |\n|---|---|\n{label_rows}"
    return "\n".join([_TOP, f"## Calmstream\n\n{_table(ours)}", f"{_PROCESS}\n{_table(others)}", labels])


def _table(metrics: list[Described]) -> str:
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.unit} | "
        f"{metric.meaning} |\n"
        for metric in metrics
    ]
    return "| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"Written: {PAGE}")
