"""A file that keeps the states of shards, for people and for support.

Guarantee: what is read is what was written, or DamagedFile says so; reading runs nothing and takes no more memory than
the file says. All numbers are little-endian, whatever the machine.

Layout: the line ``calmstream state 1``, then frames. A frame is the length of its bytes (uint64), their length when
unpacked (uint64), their CRC-32 (uint32), and the bytes: msgpack, compressed with zlib. The first frame is a map that
says where the file comes from: ``written_by`` (version of Calmstream). Each other one is the state of a shard, a map:
``role``, ``shard`` (topic/partition), ``version`` (of the state's layout), ``offset`` (where its topic is to be read
on), ``head`` (bytes) and ``blocks`` (name → bytes), the last two as in the checkpoint.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pipeline.records import Snapshot

_MAGIC = b"calmstream state 1\n"
_FRAME = struct.Struct("<QQI")


class DamagedFile(ValueError):
    """The file is not one of ours, or is damaged; the message says where."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The state of one shard; ``shard`` is topic/partition."""

    role: str
    shard: str
    snapshot: Snapshot


class _Form(msgspec.Struct):
    role: str
    shard: str
    version: str
    offset: int
    head: bytes
    blocks: dict[str, bytes]


def write(path: Path, states: Iterable[Kept]) -> int:
    """Write a new file; how many states it keeps. Raises FileExistsError, and leaves no half of a file."""
    with path.open("xb") as file:
        try:
            file.write(_MAGIC)
            _write(file, {"written_by": version("calmstream")})
            number = 0
            for kept in states:
                _write(file, _form(kept))
                number += 1
        except BaseException:
            path.unlink()
            raise
    return number


def read(path: Path) -> tuple[str, Iterator[Kept]]:
    """The version of Calmstream that wrote the file, and the states. Raises DamagedFile, also while it is read on."""
    frames = _frames(path)
    about = next(frames, None)
    if not isinstance(about, dict) or not isinstance(about.get("written_by"), str):
        raise DamagedFile(f"{path} does not say what wrote it")
    return about["written_by"], (_kept(path, content) for content in frames)


def _form(kept: Kept) -> _Form:
    taken = kept.snapshot
    blocks = {name: taken.blocks[name] for name in taken.names}
    return _Form(kept.role, kept.shard, taken.version, taken.offset, taken.head, blocks)


def _kept(path: Path, content: Any) -> Kept:
    try:
        form = msgspec.convert(content, _Form)
    except msgspec.ValidationError as error:
        raise DamagedFile(f"{path} holds something that is no state: {error}") from error
    state = Snapshot(form.version, form.offset, form.head, form.blocks, tuple(form.blocks), full=True)
    return Kept(form.role, form.shard, state)


def _write(file: BinaryIO, content: Any) -> None:
    unpacked = msgspec.msgpack.encode(content)
    packed = zlib.compress(unpacked, 9)
    file.write(_FRAME.pack(len(packed), len(unpacked), zlib.crc32(packed)))
    file.write(packed)


def _frames(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedFile(
                f"{path} is no file of calmstream state export: it does not begin with 'calmstream state 1'"
            )
        size = path.stat().st_size
        while head := file.read(_FRAME.size):
            at = file.tell()
            if len(head) < _FRAME.size or at + _FRAME.unpack(head)[0] > size:
                raise DamagedFile(f"{path} is cut off at byte {size}")
            packed_size, unpacked_size, check = _FRAME.unpack(head)
            packed = file.read(packed_size)
            if zlib.crc32(packed) != check:
                raise DamagedFile(f"{path} is damaged between byte {at} and {at + packed_size}")
            yield _unpacked(path, at, packed, unpacked_size)


def _unpacked(path: Path, at: int, packed: bytes, size: int) -> Any:
    try:
        unpacked = zlib.decompressobj().decompress(packed, size + 1)
        if len(unpacked) == size:
            return msgspec.msgpack.decode(unpacked)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise DamagedFile(f"{path} is damaged at byte {at}: {error}") from error
    raise DamagedFile(f"{path} is damaged at byte {at}: it does not hold the {size} bytes that it says")
