"""Checkpoints as records of a compacted topic: how a snapshot is cut into records, and which one counts at restore.

Guarantee: whatever survives a crash or a second writer, ``newest`` gives a snapshot that was complete, or none.
Every writer (an *epoch*) has keys of its own, starts with a full checkpoint, and writes each part to one of
two slots in turn, so that the checkpoint before stays whole until the manifest of the next one is written. A manifest
names its parts with the number of the checkpoint that wrote them; a part that does not match makes it void.

Keys: ``<shard>|<epoch>|manifest`` and ``<shard>|<epoch>|<part>|<slot>|<piece>``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from pipeline.flow.chain import UnreadableState, begin_anew
from pipeline.records import LaterBlocks, Snapshot

#: Largest value of one record.
PIECE_BYTES = 900_000
_LAYOUT = 1

Record = tuple[bytes, bytes | None]
#: Layout, version of the state, offset, number of the checkpoint, head, part → (slot, number, pieces).
_Manifest = tuple[int, str, int, int, bytes, dict[str, tuple[int, int, int]]]


class Writer:
    """Cuts the snapshots of one shard into records, for one writer."""

    def __init__(self, shard: str, epoch: str) -> None:
        self._prefix = f"{shard}|{epoch}|"
        self._number = 0
        self._parts: dict[str, tuple[int, int, int]] = {}  # part → slot, checkpoint number, pieces
        self._most_pieces: dict[str, int] = {}  # part → the most that it ever had: what a tombstone must cover

    @property
    def started(self) -> bool:
        """Has this epoch a checkpoint that counts?"""
        return self._number > 0

    def parts(self, snapshot: Snapshot) -> Iterator[Record]:
        """The records of the parts that changed, one after the other; write and acknowledge all of them before the
        manifest."""
        number = self._number + 1
        for name, data in snapshot.blocks.items():
            slot = 1 - self._parts[name][0] if name in self._parts else 0
            pieces = max(1, -(-len(data) // PIECE_BYTES))
            for piece in range(pieces):
                content = data[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]
                yield self._key(name, slot, piece), number.to_bytes(8, "little") + content
            self._parts[name] = (slot, number, pieces)
            self._most_pieces[name] = max(pieces, self._most_pieces.get(name, 0))

    def manifest(self, snapshot: Snapshot) -> Record:
        self._number += 1
        parts = {name: self._parts[name] for name in snapshot.names}
        content = [_LAYOUT, snapshot.version, snapshot.offset, self._number, snapshot.head, parts]
        return f"{self._prefix}manifest".encode(), msgspec.msgpack.encode(content)

    def obsolete(self, snapshot: Snapshot) -> list[Record]:
        """Tombstones of parts that no longer belong to the state; write them after the manifest."""
        gone = self._parts.keys() - set(snapshot.names)
        records: list[Record] = []
        for name in sorted(gone):
            del self._parts[name]
            pieces = self._most_pieces.pop(name)
            records += [(self._key(name, slot, piece), None) for slot in (0, 1) for piece in range(pieces)]
        return records

    def _key(self, name: str, slot: int, piece: int) -> bytes:
        return f"{self._prefix}{name}|{slot}|{piece}".encode()


def newest(shard: str, records: Mapping[bytes, bytes], role: str = "ROLE") -> Snapshot | None:
    """The complete snapshot with the greatest offset among the live records of a state partition.

    Raises UnreadableState when there are manifests of this shard but none that is complete; ``role`` is for its words.
    """
    found: list[tuple[int, int, Snapshot]] = []
    broken: list[str] = []
    for key, value in records.items():
        name, _, rest = key.decode(errors="replace").partition("|")  # a foreign key is nobody's
        if name == shard and rest.endswith("|manifest"):
            epoch = rest.removesuffix("|manifest")
            try:
                snapshot, number = _assemble(f"{shard}|{epoch}|", value, records)
                found.append((snapshot.offset, number, snapshot))
            except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
                broken.append(f"{epoch}: {error!r}")
    if not found and broken:
        raise UnreadableState(f"no checkpoint of {shard} is complete ({'; '.join(broken)}); {begin_anew(role, shard)}")
    return max(found, key=lambda entry: entry[:2])[2] if found else None


def recreated(role: str, shard: str, offset: int, end: int) -> str:
    """In words: a state follows from an offset that its topic does not have."""
    text = f"the state of {shard} follows from offset {offset}, but the topic ends at {end}: it was created anew. "
    if role == "ingest":
        return (
            f"{text}Bring the old topic back, or give the new one another name (inputs): who reads on knows the "
            "offsets of the old one, and would take what is below them for sent again"
        )
    return f"{text}Bring the old topic back, or {begin_anew(role, shard)}"


def shards(keys: Iterable[bytes]) -> set[str]:
    """Whose checkpoints these are."""
    named = [key.decode(errors="replace").split("|") for key in keys]
    return {parts[0] for parts in named if len(parts) == 3 and parts[2] == "manifest"}


def other_epochs(shard: str, epoch: str, keys: Iterable[bytes]) -> list[Record]:
    """Tombstones of what earlier writers of this shard left, what makes it count first; write them once our first
    checkpoint is safe."""
    own = f"{shard}|{epoch}|".encode()
    start = f"{shard}|".encode()
    gone = [key for key in keys if key.startswith(start) and not key.startswith(own)]
    return [(key, None) for key in sorted(gone, key=lambda key: not key.endswith(b"|manifest"))]


def _assemble(prefix: str, manifest: bytes, records: Mapping[bytes, bytes]) -> tuple[Snapshot, int]:
    content: list[Any] = msgspec.msgpack.decode(manifest, type=list)
    if content[:1] != [_LAYOUT]:
        raise ValueError(f"checkpoint layout {content[0] if content else None}, this worker reads {_LAYOUT}")
    _, version, offset, number, head, parts = msgspec.convert(content, _Manifest)
    blocks = {}
    for name, (slot, written, pieces) in parts.items():
        values = [records[f"{prefix}{name}|{slot}|{piece}".encode()] for piece in range(pieces)]
        if any(int.from_bytes(value[:8], "little") != written for value in values):
            raise ValueError(f"part {name} was overwritten")
        blocks[name] = partial(_joined, values)
    return Snapshot(version, offset, head, LaterBlocks(blocks), tuple(parts), full=True), number


def _joined(values: Sequence[bytes]) -> bytes:
    return b"".join(value[8:] for value in values)
