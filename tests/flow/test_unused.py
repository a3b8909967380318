"""What ingest remembers of series, resources and shapes saves work and nothing else: it may forget them at any time,
and does where most are of no use any more."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import line_block, signal_block, span_block
from pipeline.codecs.registry import INPUT_CODECS, LINE_CODECS, SPAN_CODECS, input_codec
from pipeline.flow.ingest import IngestChain
from pipeline.flow.inputs import ingest_chain
from pipeline.flow.unused import STRETCH_US, Unused
from pipeline.records import NO_TIME, US, HistogramPoint, Output, Signal
from tests.flow import ingesting
from tests.fuzz.feeding import CONFIG, SOURCE, Sent
from tests.fuzz.seeds import SECONDS, SEEDS
from tests.timeline import Record

DAY = 86_400
FORMATS = [*INPUT_CODECS, *LINE_CODECS, *SPAN_CODECS]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_whenever_a_codec_forgets_what_is_written_is_the_same(name: str, data: st.DataObject) -> None:
    messages = data.draw(st.lists(st.sampled_from([*SEEDS[name], b"nonsense"]), max_size=10))
    batches = [0, *sorted(data.draw(st.lists(st.integers(0, len(messages)), max_size=6))), len(messages)]
    forgets = data.draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))
    free, kept = (told(name, messages, batches, each) for each in (forgets, [False] * len(batches)))
    assert free == kept
    assert messages == [] or kept[1]


def told(
    name: str, messages: Sequence[bytes], batches: Sequence[int], forgets: Sequence[bool]
) -> tuple[list[Any], Any, list[Any]]:
    """Rows, what was counted, and dead letters; before some of the batches everything is forgotten."""
    chain, out = ingest_chain(name, SOURCE, CONFIG), Output()
    script = iter(forgets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unused, "are_most", lambda *_: next(script))
        for begin, end in pairwise(batches):
            out.add(chain.apply([Sent(messages[at], offset=at) for at in range(begin, end)]))
    out.add(chain.flush())
    return sorted(_rows(out), key=repr), out.counts, [record for record in out.records if record.topic == "dead-letter"]


def _rows(out: Output) -> Iterator[tuple[Any, ...]]:
    """Of every block, what it is of instead of its number; a signal must have been described by then."""
    described: dict[tuple[int | None, int], Signal] = {}
    for record in out.records:
        value = record.value or b""
        if record.topic == "signals":
            signals = signal_block.decode(value)
            described |= {(record.partition, signal.id): signal for signal in signals.described}
            what = [described[record.partition, number] for number in signals.ids[signals.signal].tolist()]
            start_us = signals.start_us if signals.start_us is not None else signals.time_us * 0
            spread = [_numbers(signals.histograms.get(row)) for row in range(signals.rows)]
            columns = signals.time_us, signals.value, start_us, signals.offset
            yield from zip(
                [record.partition] * signals.rows, what, *map(np.ndarray.tolist, columns), spread, strict=True
            )
        elif record.topic == "logs":
            lines = line_block.decode(value)
            who = [lines.entities[number] for number in lines.entity.tolist()]
            numbers = (lines.time_us, lines.severity, lines.offset)
            yield from zip(who, *map(np.ndarray.tolist, numbers), lines.body, lines.trace_id, strict=True)
        elif record.topic == "spans":
            spans = span_block.decode(value)
            shapes = [spans.shapes[number] for number in spans.shape.tolist()]
            kinds = [(spans.entities[one.resource], one.kind, one.operation, one.peer, one.peer_kind) for one in shapes]
            ids = (spans.trace, spans.span, spans.parent, spans.start_us, spans.end_us, spans.failed, spans.offset)
            yield from zip(kinds, *map(np.ndarray.tolist, ids), strict=True)


def _numbers(point: HistogramPoint | None) -> Any:
    return point and (point.count, point.sum, point.bounds.tolist(), point.counts.tolist())


def pods(days: int, new: int, stay: int) -> list[Record]:
    """An hour is a message: so many services that stay, and pods of which each day has so many new ones."""
    found = []
    for hour in range(24 * days):
        names = [f"s{number}" for number in range(stay)]
        names += [f"pod-{hour // 24}-{number}" for number in range(new)]
        points = [ingesting.point(3600 * hour, attributes={"service.name": name}) for name in names]
        found.append(ingesting.message(hour, *points, record_at=3600 * hour))
    return found


def through(messages: Sequence[Record]) -> tuple[Output, list[int], int]:
    """What is written, how much the codec knew after each message, and how often it forgot."""
    codec, out, known = input_codec("json_points", ingesting.CONFIG.limits), Output(), []
    chain = IngestChain("points/0", codec, ingesting.CONFIG)
    for message in messages:
        out.add(chain.apply([message]))
        out.add(chain.flush())
        known.append(len(codec.table.index))
    return out, known, codec.table.generation


def test_series_of_which_nothing_came_for_days_are_forgotten_and_no_row_changes() -> None:
    messages = pods(days=14, new=20, stay=3)
    bound, known, forgot = through(messages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.flow.unused.STRETCH_US", 1000 * DAY * US)
        free, all_known, never = through(messages)
    assert (all_known[-1], never) == (14 * 20 + 3, 0)
    assert 2 <= forgot <= 4
    assert max(known) <= 7 * 20 + 3  # of three stretches, and what came in the day in which one ends
    assert ingesting.rows(bound) == ingesting.rows(free)
    assert bound.counts == free.counts


def test_what_comes_once_a_day_is_never_forgotten() -> None:
    once = [message for message in pods(days=14, new=1, stay=20) if message.offset % 24 == 5]
    _, known, forgot = through(once)
    assert (known[-1], forgot) == (14 + 20, 0)


def test_a_stretch_says_whether_most_was_not_used_in_it() -> None:
    unused = Unused()
    assert not unused.are_most(10, NO_TIME)
    unused.use(np.arange(10))
    assert not unused.are_most(10, SECONDS * US)  # nobody knows what was before
    unused.use(np.array([2, 3, 3, 7]))
    assert not unused.are_most(10, SECONDS * US + 1)
    assert unused.are_most(10, SECONDS * US + STRETCH_US)
    unused.use(np.array([0, 1, 4, 5, 8]))
    assert not unused.are_most(10, SECONDS * US + 2 * STRETCH_US)  # half is not most
    assert unused.are_most(10, SECONDS * US + 3 * STRETCH_US)
    unused.begin_anew()
    assert not unused.are_most(0, SECONDS * US + 4 * STRETCH_US)
