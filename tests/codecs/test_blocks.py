"""Blocks on calm.signals and calm.scores: nothing is lost on the way, and damage is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import columns, score_block, signal_block
from pipeline.codecs.columns import DamagedFrame
from pipeline.records import NO_TIME, HistogramPoint, Kind, ScoreBlock, Signal, SignalBlock

T = 1_700_000_000_000_000
TEXT = st.text(max_size=6)
SIGNALS = st.builds(
    Signal,
    st.integers(0, 2**64 - 1),
    TEXT,
    TEXT,
    st.sampled_from(Kind),
    TEXT,
    TEXT,
    TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)
FLOATS = st.floats(allow_nan=False)


@st.composite
def blocks(draw: st.DrawFn) -> SignalBlock:
    described = tuple(draw(st.lists(SIGNALS, max_size=3)))
    rows = draw(st.integers(0, 6))
    ids = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4)) if rows else []
    start = draw(st.sampled_from([0, 7, 10**12]))

    def ints(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)), np.int64)

    value = np.array(draw(st.lists(FLOATS, min_size=rows, max_size=rows)), np.float64)
    histograms = {}
    for row in draw(st.sets(st.integers(0, rows - 1))) if rows else ():
        bounds = np.array([*sorted(draw(st.sets(st.floats(-1e9, 1e9), max_size=3))), np.inf])
        histograms[row] = HistogramPoint(float(value[row]), draw(FLOATS), bounds, np.arange(bounds.size, dtype=float))
    late = np.array([rows - 1], np.uint32) if rows and draw(st.booleans()) else None
    return SignalBlock(
        source="calm.points/3",
        start=start,
        end=start + 100,
        progress_us=draw(st.sampled_from([NO_TIME, T])),
        idle=draw(st.booleans()),
        described=described,
        ids=np.array(ids, np.uint64),
        signal=ints(0, max(len(ids) - 1, 0)).astype(np.uint32),
        time_us=ints(-T, T),
        value=value,
        offset=start + ints(0, 2**33),
        start_us=ints(0, T) if draw(st.booleans()) and rows else None,
        late=late,
        histograms=histograms,
        late_us=np.array([T - 5]) if late is not None and draw(st.booleans()) else None,
    )


def plain(value: Any) -> Any:
    """Comparable: arrays as their type and list, records as dicts."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, SignalBlock | ScoreBlock | HistogramPoint):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return value


@given(blocks())
def test_a_signal_block_comes_back_as_it_was(block: SignalBlock) -> None:
    assert plain(signal_block.decode(signal_block.encode(block))) == plain(block)


def block_of(rows: int, signals: int) -> SignalBlock:
    local = np.arange(rows, dtype=np.uint32) % signals
    ints = np.arange(rows, dtype=np.int64)
    ids = np.arange(signals, dtype=np.uint64)
    return SignalBlock("in/0", 5, 5 + rows, T, False, (), ids, local, T + ints, ints / 7, 5 + ints)


@pytest.mark.parametrize("signals", [1, 0xFFFF, 0x10000])
def test_any_number_of_signals_fits_in_a_block(signals: int) -> None:
    block = block_of(0x10001, signals)
    assert signal_block.decode(signal_block.encode(block)).signal.tolist() == block.signal.tolist()


def test_a_row_takes_22_bytes_beside_the_signals_of_its_block() -> None:
    small, large = (len(signal_block.encode(block_of(rows, 10))) for rows in (1000, 2000))
    assert large - small <= 22 * 1000 + 8


@given(st.lists(SIGNALS, max_size=4))
def test_descriptions_of_signals_come_back_as_they_were(signals: list[Signal]) -> None:
    assert signal_block.decode_signals(signal_block.encode_signals(signals)) == signals


def histogram_block() -> SignalBlock:
    point = HistogramPoint(3.0, 4.0, np.array([1, 2, np.inf]), np.array([1.0, 1, 1]))
    signal = Signal(2**63 + 5, "m", "s", Kind.HISTOGRAM, "prod", "service:a", "pod", (("a", "b"),))
    return SignalBlock(
        source="in/0",
        start=5,
        end=9,
        progress_us=T,
        idle=False,
        described=(signal,),
        ids=np.array([signal.id], np.uint64),
        signal=np.array([0, 0], np.uint32),
        time_us=np.array([T, T + 1]),
        value=np.array([1.0, 3.0]),
        offset=np.array([5, 6]),
        start_us=np.array([0, T - 9]),
        late=np.array([1], np.uint32),
        histograms={1: point},
    )


def score_of(rows: int) -> ScoreBlock:
    floats = np.arange(rows, dtype=np.float64)
    ids, ints = np.arange(rows, dtype=np.uint64) + 2**63, np.arange(rows, dtype=np.int64)
    needed, verdict = floats.astype(np.float32), ints.astype(np.uint8)
    return ScoreBlock(
        T, ids, T + ints, ints.astype(np.uint32), *([floats] * 5), ints % 2 == 1, needed, verdict, "policies@0"
    )


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_a_score_block_comes_back_as_it_was(rows: int) -> None:
    block = score_of(rows)
    assert plain(score_block.decode(score_block.encode(block))) == plain(block)


def test_a_block_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(DamagedFrame, match="not a block of 'signals/2'"):
        signal_block.decode(score_block.encode(score_of(3)))
    with pytest.raises(DamagedFrame, match="not a block of 'scores/2'"):
        score_block.decode(signal_block.encode(histogram_block()))
    with pytest.raises(DamagedFrame, match="not a block of 'signals/2'"):
        signal_block.decode(columns.encode(None, {}))


@pytest.mark.parametrize(
    "change",
    [
        {"time_us": np.array([T])},
        {"signal": np.array([0, 7], np.uint32)},
        {"late": np.array([2], np.uint32)},
        {"late_us": np.array([T, T])},
        {"start_us": np.array([0])},
    ],
)
def test_a_signal_block_whose_columns_do_not_fit_each_other_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DamagedFrame, match="is damaged"):
        signal_block.decode(signal_block.encode(replace(histogram_block(), **change)))


def test_a_score_block_whose_columns_do_not_fit_each_other_is_refused() -> None:
    with pytest.raises(DamagedFrame, match="is damaged"):
        score_block.decode(score_block.encode(replace(score_of(3), value=np.zeros(2))))


FRAMES = {
    signal_block.decode: signal_block.encode(histogram_block()),
    score_block.decode: score_block.encode(score_of(2)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(st.sampled_from(list(FRAMES)), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3))
def test_whatever_bytes_are_changed_a_block_is_read_or_refused(decode: Any, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(FRAMES[decode])
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        decode(bytes(damaged))
    except DamagedFrame:
        pass  # the other right answer
