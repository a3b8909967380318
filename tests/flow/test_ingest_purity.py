"""What ingest makes of messages depends on the messages, not on how they are fetched, nor on restarts."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flow.score import ScoreChain
from pipeline.records import Output
from tests.flow.ingesting import CONFIG, PARTITIONS, chain, everything, letters, message, point, rows
from tests.timeline import Record


def mixture(seed: int) -> list[Record]:
    """Messages of all sorts: one point, many, late ones, bad ones."""
    dice = np.random.default_rng(seed)
    found = []
    for offset in range(40):
        now = offset * 3.0
        points = [
            point(now - float(dice.choice([0, 1, 30, 90_000])), int(dice.integers(4)), float(dice.normal()))
            for _ in range(int(dice.integers(0, 4)))
        ]
        if dice.random() < 0.2:
            points.append(point(name=""))
        if dice.random() < 0.2:
            points.append(point(now, ts="2023-11-14T22:13:20Z"))
        broken = b"nonsense" if dice.random() < 0.1 else None
        found.append(message(offset, *points, record_at=now, value=broken))
    return found


@settings(max_examples=60)
@given(st.integers(0, 20), st.lists(st.integers(0, 40), max_size=6), st.lists(st.integers(0, 40), max_size=4))
def test_two_chains_that_are_cut_differently_emit_the_same(seed: int, cuts: list[int], flush_at: list[int]) -> None:
    messages = mixture(seed)
    whole, cut = everything(messages), everything(messages, cuts, flush_at)
    assert sorted(rows(cut)) == sorted(rows(whole))
    assert letters(cut) == letters(whole)
    assert cut.counts == whole.counts


@settings(max_examples=40)
@given(st.integers(0, 20), st.integers(0, 40))
def test_a_restored_chain_goes_on_as_if_it_had_never_stopped(seed: int, stop: int) -> None:
    messages = mixture(seed)
    first, out = chain(), Output()
    out.add(first.apply(messages[:stop]))
    out.add(first.flush())
    second = chain()
    second.restore(first.snapshot(full=True))
    assert first.snapshot(full=True).offset == (messages[stop - 1].offset + 1 if stop else 0)
    out.add(second.apply(messages[stop:]))
    out.add(second.flush())
    whole = everything(messages)
    assert sorted(rows(out)) == sorted(rows(whole))
    assert letters(out) == letters(whole)
    assert out.counts == whole.counts


def score(ingested: Sequence[Output]) -> tuple[dict[tuple[str, str], int], int]:
    """What the score chains count of the blocks, and how many rows they hold or have scored."""
    chains = [ScoreChain(partition, CONFIG) for partition in range(PARTITIONS)]
    total = Output()
    for output in ingested:
        for i, record in enumerate(output.records):
            if record.topic == "signals":
                total.add(chains[record.partition or 0].apply([Record(i, 0, record.key, record.value)]))
    for one in chains:
        total.add(one.drain())
    return dict(total.counts), sum(number for (what, _), number in total.counts.items() if what == "windows")


def test_rows_that_a_restarted_writer_sends_again_are_recognised_however_they_are_cut() -> None:
    messages = [message(i, *(point(i, k, i + k) for k in range(6)), record_at=i) for i in range(60)]
    writer = chain()
    saved = writer.snapshot(full=True)
    before = [writer.apply(messages[:25]), writer.flush(), writer.apply(messages[25:40]), writer.flush()]
    again = chain()
    again.restore(saved)
    after = [again.apply(messages[:33]), again.flush(), again.apply(messages[33:]), again.flush()]
    once = chain()
    undisturbed = [once.apply(messages), once.flush()]
    counts, windows = score([*before, *after])
    assert counts.pop(("notice", "sent_again")) == 40 * 6
    assert (counts, windows) == score(undisturbed)


def test_blocks_after_a_lost_one_are_refused_until_it_comes() -> None:
    messages = [message(i, point(i), record_at=i) for i in range(30)]
    writer, parts = chain(), []
    for start in (0, 10, 20):
        out = writer.apply(messages[start : start + 10])
        out.add(writer.flush())
        parts.append(out)
    counts, _ = score([parts[0], parts[2]])
    assert counts["notice", "gap"] == PARTITIONS
    assert score([parts[0], parts[2], parts[1], parts[2]])[1] == score(parts)[1]


def test_blocks_of_a_log_that_begins_far_from_zero_keep_their_offsets() -> None:
    far = 2**33
    ingest = chain()
    ingest.apply([message(far + i, point(i), record_at=i) for i in range(3)])
    output = ingest.flush()
    assert [row.offset for row in rows(output)] == [far, far + 1, far + 2]
    assert score([output])[0] == {("windows", ""): 1}
