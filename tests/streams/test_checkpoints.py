"""Checkpoints cut into records: wherever a writer is cut off, and whoever else writes, a complete one is found.

Pieces are a few bytes long here, so that small states already have several of them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.chain import UnreadableState
from pipeline.records import Snapshot
from pipeline.streams.state import checkpoints
from pipeline.streams.state.checkpoints import Record, Writer, newest, other_epochs

SHARD = "calm.signals/1"
PIECE_BYTES = 4

#: The parts of a state at one offset.
State = dict[str, bytes]
STATES = st.lists(
    st.dictionaries(st.sampled_from(["rows0", "rows1", "slow0", "late"]), st.binary(max_size=3 * PIECE_BYTES)),
    min_size=1,
    max_size=6,
)


@pytest.fixture(autouse=True, scope="module")
def short_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "PIECE_BYTES", PIECE_BYTES)
        yield


def snapshot(offset: int, state: State, before: State | None = None) -> Snapshot:
    """The state at an offset; with ``before`` only what has changed since."""
    blocks = {name: data for name, data in state.items() if before is None or before.get(name) != data}
    return Snapshot("test/1", offset, b"head %d" % offset, blocks, tuple(state), full=before is None)


def write(writer: Writer, content: Snapshot) -> list[Record]:
    """The records of one checkpoint in the order in which the shard service writes them."""
    return [*writer.parts(content), writer.manifest(content), *writer.obsolete(content)]


def put(live: dict[bytes, bytes], records: Sequence[Record]) -> None:
    for key, value in records:
        if value is None:
            live.pop(key, None)
        else:
            live[key] = value


def assert_is(found: Snapshot | None, offset: int, state: State) -> None:
    assert found is not None
    assert (found.version, found.offset, found.head) == ("test/1", offset, b"head %d" % offset)
    assert dict(found.blocks) == state
    assert set(found.names) == set(state)
    assert found.full


def test_no_records_are_no_checkpoint() -> None:
    assert newest(SHARD, {}) is None


@given(STATES)
def test_a_crash_between_any_two_records_leaves_the_previous_checkpoint_whole(states: list[State]) -> None:
    live: dict[bytes, bytes] = {}
    writer = Writer(SHARD, "epoch")
    for offset, state in enumerate(states):
        before = states[offset - 1] if offset else None
        done = offset - 1
        for key, value in write(writer, snapshot(offset, state, before)):
            put(live, [(key, value)])
            if key.endswith(b"|manifest"):
                done = offset
            if done >= 0:
                assert_is(newest(SHARD, live), done, states[done])
            else:
                assert newest(SHARD, live) is None


@given(STATES)
def test_a_new_writer_takes_over_whatever_the_cut(states: list[State]) -> None:
    """The second epoch is cut off after every record in turn; the first one's checkpoint counts until its own does."""
    live: dict[bytes, bytes] = {}
    first = Writer(SHARD, "first")
    for offset, state in enumerate(states):
        put(live, write(first, snapshot(offset, state, states[offset - 1] if offset else None)))
    last = len(states) - 1
    records = [*write(Writer(SHARD, "second"), snapshot(last + 1, states[0])), *other_epochs(SHARD, "second", live)]
    manifest = next(at for at, (key, _) in enumerate(records) if key.endswith(b"|manifest"))
    for at, record in enumerate(records):
        put(live, [record])
        assert_is(newest(SHARD, live), *((last + 1, states[0]) if at >= manifest else (last, states[last])))
    assert all(b"|first|" not in key for key in live)


class Worker:
    """A writer that restores, then saves at ever greater offsets; each step writes one record."""

    def __init__(self, epoch: str, live: dict[bytes, bytes], states: list[State]) -> None:
        self._live = live
        self._states = states
        self._epoch = epoch

    def steps(self) -> Iterator[None]:
        found = newest(SHARD, self._live)
        older = other_epochs(SHARD, self._epoch, self._live)
        writer = Writer(SHARD, self._epoch)
        before = None
        for offset in range(found.offset + 1 if found else 0, len(self._states)):
            content = snapshot(offset, self._states[offset], before)
            yield from self._write(writer.parts(content))
            yield from self._write([writer.manifest(content)])
            yield from self._write([*writer.obsolete(content), *older])
            before, older = self._states[offset], []

    def _write(self, records: list[Record]) -> Iterator[None]:
        for record in records:
            put(self._live, [record])
            yield


@given(STATES, st.lists(st.integers(0, 2), max_size=150))
def test_writers_that_do_not_know_of_each_other_leave_a_complete_checkpoint(
    states: list[State], turns: list[int]
) -> None:
    """A chain gives the same state at the same offset in every worker, so any complete one is right."""
    live: dict[bytes, bytes] = {}
    workers = [Worker(f"epoch{i}", live, states).steps() for i in range(3)]
    made = False
    for turn in turns:
        next(workers[turn], None)
        made = made or any(key.endswith(b"|manifest") for key in live)
        found = newest(SHARD, live)
        assert (found is not None) == made
        if found is not None:
            assert_is(found, found.offset, states[found.offset])


def test_a_part_is_written_to_two_slots_in_turn() -> None:
    writer = Writer(SHARD, "epoch")
    keys = []
    for offset in range(4):
        (key, _), *_ = write(writer, snapshot(offset, {"rows": bytes([offset])}, {"rows": b""}))
        keys.append(key)
    assert all(one != other for one, other in pairwise(keys))
    assert len(set(keys)) == 2


def test_a_part_that_did_not_change_is_not_written_again() -> None:
    writer = Writer(SHARD, "epoch")
    live: dict[bytes, bytes] = {}
    state = {"rows": b"abc", "slow": b"def"}
    put(live, write(writer, snapshot(0, state)))
    state2 = state | {"rows": b"xyz"}
    records = write(writer, snapshot(1, state2, state))
    assert len(records) == 2
    put(live, records)
    assert_is(newest(SHARD, live), 1, state2)


def test_large_parts_are_cut_into_records_that_a_broker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PIECE_BYTES", 900_000)
    live: dict[bytes, bytes] = {}
    writer = Writer(SHARD, "epoch")
    before: State | None = None
    for offset, size in enumerate([900_000, 900_001, 2_500_000, 0, 10, 1_800_001]):
        state = {"rows": bytes([offset + 1]) * size}
        records = write(writer, snapshot(offset, state, before))
        assert len(records) == max(1, -(-size // 900_000)) + 1
        assert max(len(value or b"") for _, value in records) <= 900_008
        put(live, records)
        assert_is(newest(SHARD, live), offset, state)
        before = state


@given(STATES)
def test_parts_that_left_the_state_leave_nothing_behind(states: list[State]) -> None:
    writer = Writer(SHARD, "epoch")
    live: dict[bytes, bytes] = {}
    states = [*states, {}]
    for offset, state in enumerate(states):
        put(live, write(writer, snapshot(offset, state, states[offset - 1] if offset else None)))
    assert list(live) == [f"{SHARD}|epoch|manifest".encode()]


def test_other_epochs_are_those_of_this_shard_only() -> None:
    keys = [b"t/1|a|manifest", b"t/1|b|rows|0|0", b"t/1|own|manifest", b"t/10|a|manifest", b"other/1|a|manifest"]
    assert other_epochs("t/1", "own", keys) == [(b"t/1|a|manifest", None), (b"t/1|b|rows|0|0", None)]


def test_shards_that_share_a_partition_do_not_see_each_other() -> None:
    live: dict[bytes, bytes] = {}
    put(live, write(Writer("points/1", "a"), snapshot(7, {"rows": b"of points"})))
    put(live, write(Writer("otlp_metrics/1", "b"), snapshot(9, {"rows": b"of otlp"})))
    put(live, other_epochs("points/1", "new", live))
    assert newest("points/1", live) is None
    assert_is(newest("otlp_metrics/1", live), 9, {"rows": b"of otlp"})


def test_records_that_are_not_ours_are_passed_over() -> None:
    live = {b"\xff\xfe": b"?", b"": b"", b"hello": b"world", b"x|y|manifest": b"z"}
    put(live, write(Writer(SHARD, "epoch"), snapshot(3, {"rows": b"abc"})))
    assert_is(newest(SHARD, live), 3, {"rows": b"abc"})


def saved() -> dict[bytes, bytes]:
    live: dict[bytes, bytes] = {}
    put(live, write(Writer(SHARD, "epoch"), snapshot(3, {"rows": b"0123456789", "slow": b"abc"})))
    return live


@pytest.mark.parametrize("key", [key for key in saved() if not key.endswith(b"|manifest")])
def test_a_lost_or_foreign_piece_is_refused_with_the_name_of_the_shard(key: bytes) -> None:
    for value in (None, b"", b"short", (9).to_bytes(8, "little") + b"0123"):
        damaged = saved()
        put(damaged, [(key, value)])
        with pytest.raises(
            UnreadableState,
            match=rf"no checkpoint of {SHARD} is complete .*calmstream state reset --role ROLE --partition 1",
        ):
            newest(SHARD, damaged)


def test_a_manifest_of_another_layout_is_refused_with_both_layouts() -> None:
    live = saved()
    key = f"{SHARD}|epoch|manifest".encode()
    live[key] = msgspec.msgpack.encode([2, *msgspec.msgpack.decode(live[key])[1:]])
    with pytest.raises(UnreadableState, match="checkpoint layout 2, this worker reads 1"):
        newest(SHARD, live)


@pytest.mark.parametrize(
    "wrong", [[], [1], "text", 1, None, {"a": 1}, [1, "v", 0, 1, b"", []], [1, "v", "0", 1, b"", {}]]
)
def test_a_manifest_of_another_form_is_refused(wrong: object) -> None:
    live = saved()
    live[f"{SHARD}|epoch|manifest".encode()] = msgspec.msgpack.encode(wrong)
    with pytest.raises(UnreadableState, match=SHARD):
        newest(SHARD, live)


@given(st.data())
def test_a_damaged_manifest_is_refused_or_read_but_never_breaks_the_reader(data: st.DataObject) -> None:
    live = saved()
    key = f"{SHARD}|epoch|manifest".encode()
    whole = bytearray(live[key])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    live[key] = bytes(whole[: data.draw(st.integers(at + 1, len(whole)))])
    with contextlib.suppress(UnreadableState):
        newest(SHARD, live)


def test_one_whole_checkpoint_counts_although_another_is_damaged() -> None:
    live = saved()
    put(live, write(Writer(SHARD, "later"), snapshot(8, {"rows": b"later"})))
    del live[f"{SHARD}|later|rows|0|1".encode()]
    assert_is(newest(SHARD, live), 3, {"rows": b"0123456789", "slow": b"abc"})
