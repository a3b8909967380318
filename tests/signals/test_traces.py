"""Spans joined: parents, self times and buckets, against the obvious way."""

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.signals import traces
from pipeline.signals.traces import Spans

Told = tuple[int, int, int, int, int]  # trace, span, parent, start, length

#: Few ids and short times, so that much meets.
told = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(0, 5), st.integers(0, 30), st.integers(0, 20)),
    max_size=25,
)


def spans_of(rows: list[Told]) -> Spans:
    table = np.array(rows, np.int64).reshape(-1, 5)
    trace = np.stack([table[:, 0], table[:, 0] % 2], axis=1).astype(np.uint64)
    ids = table[:, 1:3].astype(np.uint64)
    none = np.zeros(len(rows), np.bool_)
    return Spans(trace, ids[:, 0], ids[:, 1], table[:, 3], table[:, 3] + table[:, 4], none, table[:, 1])


def distinct(rows: list[Told]) -> Spans:
    spans = spans_of(rows)
    keep = traces.first_of_each(spans)
    return Spans(*(getattr(spans, field.name)[keep] for field in fields(Spans)))


@given(told)
def test_of_spans_that_came_twice_the_one_that_ended_first_stays(rows: list[Told]) -> None:
    found = distinct(rows)
    ends: dict[tuple[int, int], int] = {}
    for trace, span, _, start, length in rows:
        ends[trace, span] = min(ends.get((trace, span), 10**9), start + length)
    kept = zip(found.trace[:, 0].tolist(), found.span.tolist(), strict=True)
    assert dict(zip(kept, found.end_us.tolist(), strict=True)) == ends


@given(told, st.randoms(use_true_random=False))
def test_the_order_in_which_spans_come_does_not_matter(rows: list[Told], dice: object) -> None:
    shuffled = rows[:]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    ours, theirs = distinct(rows), distinct(shuffled)
    np.testing.assert_array_equal(ours.span, theirs.span)
    np.testing.assert_array_equal(ours.end_us, theirs.end_us)


@given(told)
@settings(deadline=None)
def test_parents_are_those_of_the_same_trace_with_that_id(rows: list[Told]) -> None:
    spans = distinct(rows)
    keys = [(int(trace[0]), int(span)) for trace, span in zip(spans.trace, spans.span, strict=True)]
    expected = []
    for (trace, own), parent in zip(keys, spans.parent.tolist(), strict=True):
        known = (trace, parent) in keys and parent not in (0, own)
        expected.append(keys.index((trace, parent)) if known else -1)
    assert traces.parents(spans).tolist() == expected


@given(told)
@settings(deadline=None)
def test_self_time_is_what_no_child_covers(rows: list[Told]) -> None:
    spans = distinct(rows)
    parent = traces.parents(spans)
    times = list(zip(spans.start_us.tolist(), spans.end_us.tolist(), strict=True))
    expected = []
    for place, (start, end) in enumerate(times):
        inside = [times[child] for child in np.flatnonzero(parent == place)]
        expected.append(sum(not any(a <= moment < b for a, b in inside) for moment in range(start, end)))
    assert traces.self_times(spans, parent).tolist() == expected


def test_no_spans_have_no_parents_and_no_times() -> None:
    assert traces.parents(spans_of([])).size == 0
    assert traces.self_times(spans_of([]), np.empty(0, np.int64)).size == 0


@given(st.lists(st.integers(0, 2**62), min_size=1))
def test_a_duration_lies_in_its_bucket(durations: list[int]) -> None:
    us, bounds = np.array(durations, np.int64), traces.bucket_bounds()
    bucket = traces.bucket_of(us)
    assert (us / 1e6 <= bounds[bucket] * (1 + 1e-9)).all()
    above = bucket > 0
    assert (us[above] / 1e6 > bounds[bucket[above] - 1] * (1 - 1e-9)).all()
    assert np.isinf(bounds[-1])
