"""A log of lines or of spans from three sources, in which each may be far behind the others, and what is made of it.

Sources are silent together for a while, and wake. What they send is in disorder, comes twice, or too late.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.codecs import line_block, signal_block, span_block
from pipeline.records import US, Entity, LineBlock, Peer, SignalBlock, SpanBlock, SpanKind, SpanShape
from tests.flow.simulation import Log, LogRecord

START = 1_700_000_000
SOURCES = ("in/0", "in/1", "in/2")
#: Seconds in which all send; in between they are silent.
AWAKE = (range(0, 60), range(75, 150), range(170, 175))
CART, SHOP = Entity("prod", "service:cart", "c1", "1.2.0"), Entity("prod", "service:shop", "s1")
_SHAPES = (
    SpanShape(0, SpanKind.SERVER, "GET /", ""),
    SpanShape(0, SpanKind.CLIENT, "GET", ""),
    SpanShape(1, SpanKind.SERVER, "GET /cart", ""),
    SpanShape(1, SpanKind.CLIENT, "SELECT carts", "sqlite/carts", Peer.DATABASE),
)
_LINES = ("order {} placed", "cart {} opened by {}", "took {} ms", "no connection to 10.0.0.{}")


@dataclass(frozen=True)
class Sent:
    """What one source sends at once: times of rows in microseconds, and the numbers that they are made of."""

    source: str
    number: int
    time_us: tuple[int, ...]
    made_of: tuple[int, ...]
    progress_us: int
    idle: bool = False


def fill(log: Log, topic: str, seed: int, *, one_after_the_other: bool) -> None:
    """The story in one partition."""
    dice = random.Random(seed)
    told = {source: list(_of_source(source, dice)) for source in SOURCES}
    encode = {"logs": _lines, "spans": _spans}[topic]
    for _ in AWAKE:
        parts = {source: _up_to_silence(sent) for source, sent in told.items()}
        for sent in _in_turn(parts, dice, one_after_the_other=one_after_the_other):
            log.append(topic, 0, None, encode(sent))
            if dice.random() < 0.02:
                log.append(topic, 0, None, encode(sent))  # its writer was restarted
    log.append(topic, 0, None, b"{nonsense")


def _of_source(source: str, dice: random.Random) -> Iterator[Sent]:
    number, progress_us = 0, 0
    for seconds in AWAKE:
        for second in seconds:
            if dice.random() < 0.2:
                continue
            late = dice.choice((0, 0, 0, 0, 1, 3, 9))
            times = [(START + second - late) * US + dice.randrange(US) for _ in range(dice.randrange(1, 6))]
            progress_us = max(progress_us, *times)
            made_of = tuple(dice.randrange(1000) for _ in times)
            yield Sent(source, number, tuple(times), made_of, progress_us)
            number += 1
        yield Sent(source, number, (), (), progress_us, idle=True)


def _up_to_silence(sent: list[Sent]) -> list[Sent]:
    """What comes next of a source, its word that nothing comes for now last."""
    last = next(at for at, each in enumerate(sent) if each.idle)
    part = sent[: last + 1]
    del sent[: last + 1]
    return part


def _in_turn(parts: dict[str, list[Sent]], dice: random.Random, *, one_after_the_other: bool) -> Iterator[Sent]:
    while left := [source for source in sorted(parts, key=lambda _: dice.random()) if parts[source]]:
        many = 10_000 if one_after_the_other else dice.choice((1, 3, 40))
        part = parts[left[0]]
        yield from part[:many]
        del part[:many]


def _lines(sent: Sent) -> bytes:
    made_of = sent.made_of
    return line_block.encode(
        LineBlock(
            source=sent.source,
            start=sent.number,
            end=sent.number + (not sent.idle),
            progress_us=sent.progress_us,
            idle=sent.idle,
            entities=(CART, SHOP),
            entity=np.array([each % 2 for each in made_of], np.uint32),
            time_us=np.array(sent.time_us, np.int64),
            severity=np.array([17 if each % 7 == 0 else 9 for each in made_of], np.uint8),
            offset=np.full(len(made_of), sent.number, np.int64),
            body=[_LINES[each % 4].format(each, "é" * (each % 50)) for each in made_of],
            trace_id=[each.to_bytes(16) if each % 3 else b"" for each in made_of],
        )
    )


def _spans(sent: Sent) -> bytes:
    """Of few traces, so that their spans come from all sources; of what a trace has each number is one span."""
    end_us = np.array(sent.time_us, np.int64)
    shape = [each % 4 for each in sent.made_of]
    trace = [at // (2 * US) * 4 + each // 4 % 4 for at, each in zip(sent.time_us, sent.made_of, strict=True)]
    return span_block.encode(
        SpanBlock(
            source=sent.source,
            start=sent.number,
            end=sent.number + (not sent.idle),
            progress_us=sent.progress_us,
            idle=sent.idle,
            entities=(SHOP, CART),
            shapes=_SHAPES,
            shape=np.array(shape, np.uint32),
            trace=np.array([[7, each] for each in trace], np.uint64).reshape(-1, 2),
            span=np.array([each + 1 for each in shape], np.uint64),
            parent=np.array(shape, np.uint64),
            start_us=end_us - np.array([1000 * (1 + each) for each in sent.made_of], np.int64),
            end_us=end_us,
            failed=np.array([each % 5 == 0 for each in sent.made_of], np.bool_),
            offset=np.full(len(shape), sent.number, np.int64),
            links=np.empty((0, 4), np.uint64),
        )
    )


# -- what is made of it ------------------------------------------------------------------------------------------------


def signals(log: Log) -> dict[tuple[int, int], object]:
    """By partition and number of the message: its rows, and up to when it is complete. A repeat must be the same, and
    nothing may come of a window that was said to be complete."""
    found: dict[tuple[int, int], object] = {}
    for partition, records in _of_topic(log, "signals"):
        complete_us, news = 0, -1
        for block in (signal_block.decode(record.value or b"") for record in records):
            if block.end > block.start:
                rows = _rows(block)
                assert found.setdefault((partition, block.start), rows) == rows
                if block.start > news:
                    news = block.start
                    assert all(time_us >= complete_us for time_us in block.time_us.tolist())
            complete_us = max(complete_us, block.progress_us)
    return found


def _rows(block: SignalBlock) -> object:
    histograms = {at: (point.count, point.sum, point.counts.tolist()) for at, point in block.histograms.items()}
    starts = None if block.start_us is None else block.start_us.tolist()
    columns = (block.ids[block.signal].tolist(), block.time_us.tolist(), block.value.tolist(), starts)
    return columns, histograms, block.progress_us


def rests(log: Log) -> set[tuple[int, int, int]]:
    """Where it was said that nothing comes for now: partition, messages told until then, and event time."""
    blocks = [
        (partition, signal_block.decode(record.value or b""))
        for partition, records in _of_topic(log, "signals")
        for record in records
    ]
    return {(partition, block.end, block.progress_us) for partition, block in blocks if block.idle}


def others(log: Log) -> dict[tuple[str, int], list[object]]:
    """What is written to other topics, in order and without repeats."""
    found = {}
    for (topic, partition), records in log.partitions.items():
        if topic in ("log-templates", "topology", "anomalies", "dead-letter"):
            told: Sequence[object] = [(record.key, record.value, record.headers) for record in records]
            found[topic, partition] = list(dict.fromkeys(told))
    return found


def written(log: Log) -> list[bytes]:
    """Messages with rows, to the byte."""
    values = [record.value or b"" for _, records in _of_topic(log, "signals") for record in records]
    return [value for value in values if (block := signal_block.decode(value)).end > block.start]


def _of_topic(log: Log, wanted: str) -> list[tuple[int, list[LogRecord]]]:
    found = [(partition, records) for (topic, partition), records in log.partitions.items() if topic == wanted]
    return sorted(found, key=lambda each: each[0])
