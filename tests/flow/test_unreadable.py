"""What the chains cannot read: foreign records become dead letters, foreign states are refused by name."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pipeline.codecs import columns
from pipeline.codecs.registry import input_codec
from pipeline.flow.chain import Chain, UnreadableState
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.records import Snapshot
from tests.timeline import Record

CONFIG = FlowConfig(sources=("points/0",), signal_partitions=1, anomaly_partitions=1)
CHAINS = {
    "ingest": lambda: IngestChain("points/0", input_codec("json_points", CONFIG.limits), CONFIG),
    "score": lambda: ScoreChain(3, CONFIG),
    "correlate": lambda: CorrelateChain(2, CONFIG),
}


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> Chain:
    return CHAINS[request.param]()


@pytest.mark.parametrize("value", [None, b"", b"nonsense", columns.encode(["signals/9"], {}), columns.encode(7, {})])
def test_what_is_no_block_on_signals_becomes_a_dead_letter(value: bytes | None) -> None:
    output = CHAINS["score"]().apply([Record(41, 0, b"k", value)])
    (letter,) = output.records
    headers = dict(letter.headers)
    assert (letter.topic, letter.value, letter.key) == ("dead-letter", value, b"k")
    assert (headers["calm_topic"], headers["calm_partition"], headers["calm_offset"]) == (b"signals", b"3", b"41")
    assert headers["calm_reason"] == b"undecodable"
    assert output.counts == {("drop", "undecodable"): 1}


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"id": 1}'])
def test_what_is_no_anomaly_on_anomalies_becomes_a_dead_letter(value: bytes | None) -> None:
    headers = (("calm_type", b"anomaly"), ("calm_source", b"signals/0"), ("calm_sequence", b"0"))
    output = CHAINS["correlate"]().apply([Record(41, 0, None, value, headers)])
    (letter,) = output.records
    found = dict(letter.headers)
    assert (letter.value, found["calm_topic"], found["calm_partition"]) == (value, b"anomalies", b"2")
    assert (found["calm_offset"], found["calm_reason"]) == (b"41", b"undecodable")
    assert output.counts == {("drop", "undecodable"): 1}


def test_a_state_of_another_version_is_refused_by_name(chain: Chain) -> None:
    snapshot = chain.snapshot(full=True).keep()
    with pytest.raises(UnreadableState, match=f"has version 'older/0'; this worker reads '{snapshot.version[:5]}"):
        chain.restore(replace(snapshot, version="older/0"))


@pytest.mark.parametrize("head", [b"", b"\xff", msgspec.msgpack.encode([1]), msgspec.msgpack.encode({"a": 1})])
def test_a_damaged_state_is_refused_by_name(chain: Chain, head: bytes) -> None:
    with pytest.raises(UnreadableState, match="is damaged"):
        chain.restore(replace(chain.snapshot(full=True).keep(), head=head))


@pytest.mark.parametrize(
    "change",
    [{"blocks": {}}, {"blocks": {"incident/x": b"", "fast/0": b"", "signals/0": b"\xff", "distributions": b"\xff"}}],
)
@pytest.mark.parametrize("name", ["score", "correlate"])
def test_a_state_with_damaged_or_missing_parts_is_refused_by_name(name: str, change: dict[str, Any]) -> None:
    chain = CHAINS[name]()
    snapshot: Snapshot = chain.snapshot(full=True).keep()
    parts = ("incident/x",) if name == "correlate" else ("fast/0", "signals/0", "distributions")
    for part in parts:
        with pytest.raises(UnreadableState, match="is damaged"):
            CHAINS[name]().restore(replace(snapshot, names=(part,), **change))


def test_an_untouched_chain_restores_its_own_snapshot(chain: Chain) -> None:
    snapshot = chain.snapshot(full=True).keep()
    chain.restore(snapshot)
    assert chain.snapshot(full=True).keep() == snapshot
