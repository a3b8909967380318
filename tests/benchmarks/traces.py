"""How fast decoded spans become rates, failures, durations, calls and edges, on one core, beside a plain join.

Guarantee: figures are processor time of one thread, medians over repeats, of all spans once through the ingest chain
and the join chain of one shard, windows and records included; ``with_decoding`` has the codec before them. The plain
join is what anybody would write first: a dict of all spans, sums and sorted durations by operation, and calls; it gives
the same calls, or the run fails. Everything is made up with a fixed seed.
"""

import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.registry import SpanCodec
from pipeline.codecs.series_table import Limits
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest_spans import SpanIngestChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.records import US, Message, SpanColumns, SpanKind
from tests.benchmarks.decode import Record
from tests.benchmarks.run import Run, RunFailed

SPANS = "traces.spans_per_second"
FIGURES = (SPANS,)
TARGET = 80_000

_START = 1_700_000_000
_SERVICES, _ROUTES, _SECONDS, _TRACES_A_SECOND = 20, 10, 40, 300
#: What a trace has of them: a page, two calls of other services with an answer and a query each, and work in between.
SPANS_A_TRACE = 10
_MESSAGES_AT_ONCE = 10
_CONFIG = FlowConfig(sources=(), signal_partitions=4, anomaly_partitions=4, lateness_us=US, span_sources=("spans/0",))

Calls = Counter[tuple[str, str]]
#: Trace, span, parent, service, operation with its kind, start, end, failed, what is called by name.
Plain = tuple[bytes, bytes, bytes, str, str, int, int, bool, str]


def figures(run: Run, wanted: set[str]) -> None:
    if SPANS not in wanted:
        return
    batches = list(batched())
    codec = OtlpSpans(Limits())
    decoded = [codec.decode(batch) for batch in batches]
    spans = sum(columns.span.size for columns in decoded)
    plain = [row for batch in batches for row in plain_rows(batch)]
    taken: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.thread_time()
        done = work()
        taken[name].append(time.thread_time() - start)
        return done

    for _ in range(run.repeats + 1):  # the first one compiles
        timed("codec", lambda: [codec.decode(batch) for batch in batches])
        blocks = timed("ingest", lambda: ingested(Decoded(codec, decoded), batches))
        join = timed("join", partial(joined, blocks))
        _, calls = timed("plain_join", lambda: joined_plainly(plain))
        if calls_of(join) != calls:
            raise RunFailed(f"{SPANS}: the calls are not those of the plain join")
    median = {name: statistics.median(times[1:]) for name, times in taken.items()}
    ours = median["ingest"] + median["join"]
    run.emit(
        SPANS,
        spans / ours,
        "spans/s",
        {"plain_join": spans / median["plain_join"]},
        target=TARGET,
        with_decoding=round(spans / (ours + median["codec"])),
        ingest_alone=round(spans / median["ingest"]),
        join_alone=round(spans / median["join"]),
        spans=spans,
    )


class Decoded:
    """A codec that decoded everything before."""

    def __init__(self, codec: OtlpSpans, columns: Sequence[SpanColumns]) -> None:
        self._columns = iter(columns)
        self.resources, self.shapes, self.generation = codec.resources, codec.shapes, codec.generation

    def decode(self, messages: Sequence[Message]) -> SpanColumns:
        return next(self._columns)


def ingested(codec: SpanCodec, batches: Sequence[Sequence[Record]]) -> list[bytes]:
    """Blocks of spans, of one partition."""
    chain = SpanIngestChain("spans/0", codec, _CONFIG)
    found = []
    for batch in batches:
        output = chain.apply(batch)
        output.add(chain.flush())
        found += [record.value or b"" for record in output.records]
    return found


def joined(blocks: Sequence[bytes]) -> SpanJoinChain:
    chain = SpanJoinChain(0, _CONFIG)
    for offset, value in enumerate(blocks):
        chain.apply([Record(value, offset)])
        chain.flush()
    return chain


def calls_of(chain: SpanJoinChain) -> Calls:
    return Counter({(edge.client, edge.server): edge.calls for edge in chain.edges})


def joined_plainly(spans: Sequence[Plain]) -> tuple[dict[tuple[str, str], tuple[int, int, float]], Calls]:
    """Count, failures and p95 by operation; calls by workloads. Everything at once, without windows or repeats."""
    known = {(trace, own): service for trace, own, _, service, *_ in spans}
    answered = set()
    calls: Calls = Counter()
    done: dict[tuple[str, str], list[int]] = defaultdict(list)
    failures: Counter[tuple[str, str]] = Counter()
    for trace, _, parent, service, operation, start_us, end_us, failed, _ in spans:
        done[service, operation].append(end_us - start_us)
        if failed:
            failures[service, operation] += 1
        caller = known.get((trace, parent))
        if caller is not None and caller != service:
            calls[caller, service] += 1
            answered.add((trace, parent))
    for trace, own, _, service, _, _, _, _, peer in spans:
        if peer and (trace, own) not in answered:
            calls[service, peer] += 1
    red = {}
    for key, took in done.items():
        took.sort()
        red[key] = len(took), failures[key], took[int(0.95 * len(took))] / 1e6
    return red, calls


# -- spans ----------------------------------------------------------------------------------------------------------


def batched() -> Iterator[list[Record]]:
    """Messages as a shard fetches them: every service sends each second what has ended; at last one that closes all."""
    held: list[Record] = []
    for offset, (second, value) in enumerate(_messages()):
        held.append(Record(value, offset, second * 1000))
        if len(held) == _MESSAGES_AT_ONCE:
            yield held
            held = []
    yield held


def _messages() -> Iterator[tuple[int, bytes]]:
    rng = random.Random(1)
    for second in range(_START, _START + _SECONDS):
        spans: dict[int, list[Span]] = defaultdict(list)
        for number in range(_TRACES_A_SECOND):
            for service, one in _trace(rng, second * US + number * 1000):
                spans[service].append(one)
        yield from ((second + 1, _message(service, found)) for service, found in sorted(spans.items()))
    end = _START + _SECONDS + 60
    yield end, _message(0, [span("end", b"\xff" * 16, b"\xff" * 8, end * US, end * US)])


def _message(service: int, spans: list[Span]) -> bytes:
    return traces_request(
        resource_spans({"service.name": f"s{service}", "service.instance.id": f"s{service}-1"}, spans)
    )


def _trace(rng: random.Random, at_us: int) -> Iterator[tuple[int, Span]]:
    """Spans with their services; a page of a hundred milliseconds."""
    trace = rng.randbytes(16)
    page, second, third = rng.sample(range(_SERVICES), 3)
    failed = rng.random() < 0.02

    def one(service: int, name: str, parent: bytes, begin: int, took: int, kind: SpanKind, **more: str) -> bytes:
        own = rng.randbytes(8)
        attributes = {key.replace("_", "."): value for key, value in more.items()}
        status = 2 if failed and kind is SpanKind.SERVER else 0
        found.append(
            (service, span(name, trace, own, at_us + begin, at_us + begin + took, parent=parent, kind=kind,
                           attributes=attributes, status=status))
        )  # fmt: skip
        return own

    found: list[tuple[int, Span]] = []
    root = one(page, f"GET /pages/{'abcdefghij'[rng.randrange(_ROUTES)]}", b"", 0, 100_000, SpanKind.SERVER)
    one(page, "render", root, 80_000, rng.randrange(10_000, 20_000), SpanKind.INTERNAL)
    for place, service in enumerate((second, third)):
        begin = 5_000 + 40_000 * place
        call = one(page, "GET", root, begin, 30_000, SpanKind.CLIENT)
        route = "abcdefghij"[rng.randrange(_ROUTES)]
        answer = one(service, f"GET /things/{route}", call, begin + 1000, 28_000, SpanKind.SERVER)
        one(service, "think", answer, begin + 2000, rng.randrange(1000, 9000), SpanKind.INTERNAL)
        one(service, "SELECT things", answer, begin + 12_000, rng.randrange(1000, 9000), SpanKind.CLIENT,
            db_system_name="sqlite", db_namespace=f"d{service}")  # fmt: skip
    yield from found


def plain_rows(batch: Sequence[Record]) -> Iterator[Plain]:
    """The spans of messages as plain tuples."""
    for message in batch:
        for resource in TracesData.FromString(message.value).resource_spans:
            service = f"service:{resource.resource.attributes[0].value.string_value}"
            for made in resource.scope_spans[0].spans:
                told = {pair.key: pair.value.string_value for pair in made.attributes}
                peer = f"database:sqlite/{told['db.namespace']}" if told else ""
                times = made.start_time_unix_nano // 1000, made.end_time_unix_nano // 1000
                ids = made.trace_id, made.span_id, made.parent_span_id
                yield *ids, service, f"{made.kind} {made.name}", *times, made.status.code == 2, peer
