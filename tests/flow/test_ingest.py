"""The ingest chain: one block per out partition, whole messages, judged times, dead letters, limits."""

import pytest

from pipeline.codecs.series_table import Limits
from pipeline.flow.chain import UnreadableState
from pipeline.records import NO_TIME, US, Output, Snapshot
from pipeline.signals.identity import partition_of
from tests.flow.ingesting import PARTITIONS, T, blocks, chain, everything, letters, message, point, rows
from tests.timeline import Record

# Blocks


def test_every_out_partition_gets_a_block_and_every_workload_its_partition() -> None:
    ingest = chain()
    ingest.apply([message(0, *(point(service=i) for i in range(9)))])
    found = blocks(ingest.flush())
    assert [partition for partition, _ in found] == [0, 1, 2]
    for partition, block in found:
        assert {partition_of(signal, PARTITIONS) for signal in block.described} <= {partition}
        assert sorted(signal.id for signal in block.described) == sorted(block.ids.tolist())
        assert (block.source, block.start, block.end, block.idle) == ("points/0", 0, 1, False)
        assert block.progress_us == T * US
    assert sum(block.rows for _, block in found) == 9


def test_a_partition_without_rows_still_hears_how_far_its_source_is() -> None:
    ingest = chain()
    ingest.apply([message(0, point(7), record_at=7)])
    empty = [block for _, block in blocks(ingest.flush()) if not block.rows]
    assert [(block.start, block.end, block.progress_us) for block in empty] == [(0, 1, (T + 7) * US)] * 2


def test_blocks_follow_each_other_without_gap_or_overlap() -> None:
    ingest, found = chain(), []
    for offset in (3, 4, 10, 11):  # offsets may be missing in a log
        ingest.apply([message(offset, point())])
        found += blocks(ingest.flush())
    spans = [(block.start, block.end) for partition, block in found if partition == 0]
    assert spans == [(0, 4), (4, 5), (5, 11), (11, 12)]


def test_a_signal_is_described_once_and_again_after_ten_minutes() -> None:
    ingest, described = chain(), []
    for at in (0, 100, 590, 601, 700):
        ingest.apply([message(at, point(at), record_at=at)])
        described.append(sum(len(block.described) for _, block in blocks(ingest.flush())))
    assert described == [1, 0, 0, 1, 0]


def test_nothing_new_is_not_told_twice() -> None:
    ingest = chain()
    ingest.apply([message(0, point())])
    assert len(ingest.flush().records) == PARTITIONS
    assert ingest.flush().records == []


def test_idleness_is_told_once_and_ends_with_the_next_message() -> None:
    ingest = chain()
    ingest.apply([message(0, point())])
    ingest.flush()
    assert [block.idle for _, block in blocks(ingest.flush(idle=True))] == [True] * PARTITIONS
    assert ingest.flush(idle=True).records == []
    ingest.apply([message(1, point(1), record_at=1)])
    assert [block.idle for _, block in blocks(ingest.flush())] == [False] * PARTITIONS


def test_an_empty_partition_can_be_idle_before_its_first_message() -> None:
    found = blocks(chain().flush(idle=True))
    assert [(block.idle, block.progress_us, block.end) for _, block in found] == [(True, NO_TIME, 0)] * PARTITIONS


def test_a_large_batch_is_cut_into_blocks_of_whole_messages() -> None:
    batch = [message(i, *(point(service=k, value=k) for k in range(900))) for i in range(60)]
    ingest = chain()
    output = ingest.apply(batch)
    output.add(ingest.flush())
    found = blocks(output)
    assert len(found) > PARTITIONS
    for partition in range(PARTITIONS):
        own = [block for at, block in found if at == partition]
        offsets = [set(block.offset.tolist()) for block in own]
        assert set.union(*offsets) == set(range(60))
        assert sum(map(len, offsets)) == 60
        for block in own:
            assert set(block.offset.tolist()) == set(range(block.start, block.end))


def test_one_message_with_more_rows_than_a_block_stays_whole() -> None:
    ingest = chain()
    output = ingest.apply([message(0, *(point(service=i) for i in range(30_000)))])
    output.add(ingest.flush())
    with_rows = [(at, block) for at, block in blocks(output) if block.rows]
    assert [at for at, _ in with_rows] == [0, 1, 2]
    assert sum(block.rows for _, block in with_rows) == 30_000


# Times


def test_progress_is_the_greatest_event_time_but_not_beyond_the_record_time() -> None:
    ingest = chain()
    ingest.apply([message(0, point(5), point(3), record_at=10), message(1, point(200), record_at=20)])
    assert ingest.watermark_us() == (T + 20) * US


def test_late_is_judged_against_the_messages_before_and_not_against_its_own() -> None:
    found = everything(
        [
            message(0, point(100), record_at=100),
            message(1, point(84), point(86), record_at=100),  # windows end at 90; 90 + 5 lies before 100
            message(2, point(96), point(130), point(97), record_at=130),
            message(3, point(114), point(115), record_at=130),
        ]
    )
    late = {row.time_us // US - T: row.late for row in rows(found)}
    # a window [80, 90) is over at 95, so 84 and 86 are late; [110, 120) at 125, so 114 and 115 are
    assert late == {100: False, 84: True, 86: True, 96: False, 130: False, 97: False, 114: True, 115: True}
    assert found.counts["notice", "out_of_order"] == 2


@pytest.mark.parametrize(("progress", "late"), [(94.9, False), (95, True)])
def test_a_window_is_over_when_progress_reaches_its_end_and_the_lateness(progress: float, late: bool) -> None:
    found = everything([message(0, point(progress), record_at=100), message(1, point(89.9), record_at=100)])
    assert [row.late for row in sorted(rows(found), key=lambda row: row.offset)] == [False, late]


@pytest.mark.parametrize(("at", "reason"), [(300, None), (301, "far_future"), (-86_400, None), (-86_401, "far_past")])
def test_times_far_from_the_record_are_refused_and_near_ones_taken(at: float, reason: str | None) -> None:
    found = everything([message(0, point(at), point(0))])
    assert len(rows(found)) == (2 if reason is None else 1)
    assert [dict(letter.headers)["calm_reason"].decode() for letter in letters(found)] == [reason] * (
        reason is not None
    )
    assert {what: number for (kind, what), number in found.counts.items() if kind == "drop"} == (
        {reason: 1} if reason else {}
    )


# Dead letters


def test_a_dead_letter_is_the_original_with_where_it_came_from_and_why() -> None:
    found = everything([message(0, point()), message(41, value=b"nonsense")])
    (letter,) = letters(found)
    assert (letter.value, letter.key) == (b"nonsense", b"key")
    headers = dict(letter.headers)
    assert headers.pop("calm_detail").startswith(b"not a JSON point")
    assert headers == {
        "traceparent": b"00-1",
        "calm_topic": b"points",
        "calm_partition": b"0",
        "calm_offset": b"41",
        "calm_reason": b"undecodable",
    }


def test_a_message_with_several_faults_is_one_dead_letter_with_all_reasons() -> None:
    found = everything([message(0, point(), point(name=""), point(9999), point(kind="x"), point(name=""))])
    (letter,) = letters(found)
    assert dict(letter.headers)["calm_reason"] == b"bad_kind,bad_name,far_future"
    assert len(rows(found)) == 1


def test_dead_letters_come_in_the_order_of_the_input() -> None:
    found = everything([message(7, point(9999)), message(8, value=b"x"), message(9, point(name=""))])
    assert [dict(letter.headers)["calm_offset"] for letter in letters(found)] == [b"7", b"8", b"9"]


def test_a_message_without_a_value_is_a_dead_letter_too() -> None:
    found = everything([Record(0, T * 1000, b"k", None)])
    (letter,) = letters(found)
    assert (letter.value, dict(letter.headers)["calm_reason"]) == (None, b"empty")


# Limits and state


def test_a_full_series_table_starts_over_and_describes_its_signals_again() -> None:
    ingest = chain(limits=Limits(max_series=3))
    found = []
    for offset in range(8):
        out = ingest.apply([message(offset, point(service=offset % 4))])
        out.add(ingest.flush())
        found += rows(out)
    whole = chain()
    out = whole.apply([message(offset, point(service=offset % 4)) for offset in range(8)])
    out.add(whole.flush())
    assert sorted(found) == sorted(rows(out))


def test_rows_held_when_the_table_starts_over_keep_their_signals() -> None:
    ingest, out = chain(limits=Limits(max_series=2)), Output()
    for offset in range(6):
        out.add(ingest.apply([message(offset, point(service=offset), point(service=offset + 100))]))
    out.add(ingest.flush())
    whole = everything([message(i, point(service=i), point(service=i + 100)) for i in range(6)])
    assert sorted(rows(out)) == sorted(rows(whole))


def test_a_state_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(UnreadableState, match="has version 'ingest/0'; this worker reads 'ingest/1'"):
        chain().restore(Snapshot("ingest/0", 0, b"", {}, (), True))
