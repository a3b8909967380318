"""The file that keeps states: what was written is read, and anything else is named."""

import struct
import zlib
from pathlib import Path

import msgspec
import pytest

from pipeline.records import Snapshot
from pipeline.streams.state import state_file
from pipeline.streams.state.state_file import DamagedFile, Kept
from tests.cli.person import invoke
from tests.states import kept

STATES = [
    Kept(
        "score", "calm.signals/0", Snapshot("score/1", 17, b"head", {"a": b"x" * 1000, "b": b""}, ("a", "b"), full=True)
    ),
    Kept("ingest", "points/3", Snapshot("ingest/1", 0, b"", {}, (), full=True)),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kept.state"
    assert state_file.write(path, STATES) == 2
    return path


def everything(path: Path) -> list[Kept]:
    return list(state_file.read(path)[1])


def test_what_was_written_is_read(file: Path) -> None:
    assert everything(file) == STATES
    assert state_file.read(file)[0] == kept.CURRENT


def test_its_bytes_are_those_that_its_description_says(file: Path) -> None:
    content = file.read_bytes()
    line, rest = content[:19], content[19:]
    assert line == b"calmstream state 1\n"
    found = []
    while rest:
        packed, unpacked, check = struct.unpack("<QQI", rest[:20])
        assert zlib.crc32(rest[20 : 20 + packed]) == check
        found.append(zlib.decompress(rest[20 : 20 + packed]))
        assert len(found[-1]) == unpacked
        rest = rest[20 + packed :]
    about, first, _ = map(msgspec.msgpack.decode, found)
    assert about == {"written_by": kept.CURRENT}
    assert first == {
        "role": "score",
        "shard": "calm.signals/0",
        "version": "score/1",
        "offset": 17,
        "head": b"head",
        "blocks": {"a": b"x" * 1000, "b": b""},
    }


def test_a_file_that_is_there_is_not_written_over_and_no_half_of_one_is_left(file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        state_file.write(file, STATES)
    assert file.read_bytes() == before

    def broken() -> object:
        yield STATES[0]
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        state_file.write(tmp_path / "half.state", broken())  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.state"]


def test_damage_anywhere_is_named(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(DamagedFile):
            everything(file)
    ends = set()
    for at in range(len(whole)):
        file.write_bytes(whole[:at])
        try:
            ends.add(len(everything(file)))
        except DamagedFile:
            continue
    assert ends == {0, 1}  # cut between two states


def test_more_bytes_than_it_says_are_not_unpacked(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(10**7))
    frame = struct.pack("<QQI", len(packed), 100, zlib.crc32(packed)) + packed
    (path := tmp_path / "bomb.state").write_bytes(b"calmstream state 1\n" + frame)
    with pytest.raises(DamagedFile, match="does not hold the 100 bytes that it says"):
        everything(path)


def test_inspect_needs_no_broker_for_a_file_and_says_what_is_wrong(file: Path) -> None:
    settings = {"CALMSTREAM_INPUTS": '[{"topic": "points", "format": "json_points"}]'}
    done = invoke(settings, "state", "inspect", "--file", str(file))
    assert done.returncode == 6
    assert "score calm.signals/0: state of signals/0 has version 'score/1'; this worker reads 'score/" in done.stderr
    assert "calmstream state reset --role score --partition 0" in done.stderr
    assert "ingest points/3: state of points/3 is damaged" in done.stderr
    file.write_bytes(b"something else")
    done = invoke(settings, "state", "inspect", "--file", str(file))
    assert done.returncode == 1
    assert "it does not begin with 'calmstream state 1'" in done.stderr
