"""Where the saved states are, and how they are written and read.

``<version>/<role>.state`` is a file of ``calmstream state export``; ``<version>/rest.log`` has what stood in the log
behind the states' offsets, msgpack in zlib: (topic, partition, offset, timestamp, key, value, headers) of each record.
"""

import zlib
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import msgspec

from pipeline.records import Snapshot
from pipeline.streams.state import state_file
from tests.memory_run import Logged, MemoryRun, Place
from tests.states import story

DIRECTORY = Path(__file__).parent
CURRENT = version("calmstream")
ROLES = ("ingest", "join-logs", "join-spans", "score", "correlate")
_Rest = list[tuple[str, int, int, int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]]


def versions() -> list[str]:
    """All of which there are saved states."""
    return sorted(path.parent.name for path in DIRECTORY.glob("*/rest.log"))


def save(directory: Path) -> None:
    """Tell the story up to its middle, and keep what is saved there."""
    directory.mkdir(exist_ok=True)
    run = MemoryRun(story.settings())
    story.tell(run, 0, story.SAVED_AT)
    saved = run.save()
    for role in ROLES:
        (path := directory / f"{role}.state").unlink(missing_ok=True)
        of_role = [(at, snapshot) for at, snapshot in saved.items() if run.role[at[0]] == role]
        state_file.write(path, [state_file.Kept(role, f"{topic}/{number}", one) for (topic, number), one in of_role])
    rest: _Rest = [
        (*at, told.offset, told.timestamp, told.key, told.value, told.headers)
        for at, snapshot in saved.items()
        for told in run.rest(at, snapshot.offset)
    ]
    (directory / "rest.log").write_bytes(zlib.compress(msgspec.msgpack.encode(rest), 9))


def states(directory: Path) -> dict[Place, Snapshot]:
    """What is kept of a version, by topic and partition."""
    found = {}
    for role in ROLES:
        written_by, kept = state_file.read(directory / f"{role}.state")
        assert written_by == directory.name
        for one in kept:
            topic, _, partition = one.shard.rpartition("/")
            found[topic, int(partition)] = one.snapshot
    return found


def rest(directory: Path) -> dict[Place, list[Logged]]:
    """What stood in the log behind the offsets of the states."""
    found: dict[Place, list[Logged]] = defaultdict(list)
    packed = zlib.decompress((directory / "rest.log").read_bytes())
    for topic, partition, offset, timestamp, key, value, headers in msgspec.msgpack.decode(packed, type=_Rest):
        found[topic, partition].append(Logged(offset, timestamp, key, value, headers))
    return found
