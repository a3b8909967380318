"""Holds the sources below a root against the table; every deviation is one readable line."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.architecture.purity import impurities
from tests.architecture.sources import Source
from tests.architecture.table import MEANINGLESS, ROOMS, Room

_TABLE = "tests/architecture/table.py"
_PROJECT = ("detectors", "pipeline")


def deviations(root: Path, rooms: Mapping[str, Room] = ROOMS) -> list[str]:
    """Empty when all is well."""
    found: list[str] = []
    sources = _sources(root)
    for source in sources:
        found += _meaningless_names(source)
        if source.room == "pipeline":
            found += _imports_of_the_package(source)
        elif source.room in rooms:
            found += _imports(source, rooms)
            found += _reaching_out(source) if rooms[source.room].inner else ()
    unlisted = sorted({source.room for source in sources} - rooms.keys() - {"pipeline"})
    found += [f"pipeline/{room}: the room {room} is not in {_TABLE}; add its row with a reason" for room in unlisted]
    return found


def existing_rooms(root: Path) -> set[str]:
    """Rooms that have a source file."""
    return {source.room for source in _sources(root)} - {"pipeline"}


def _sources(root: Path) -> list[Source]:
    return [Source(root, path) for top in _PROJECT for path in sorted((root / top).rglob("*.py"))]


def _meaningless_names(source: Source) -> Iterator[str]:
    for part in source.path.with_suffix("").parts:
        if part in MEANINGLESS:
            yield f"{source.path}: the name {part} does not say what is inside; name it after what it holds"


def _imports_of_the_package(source: Source) -> Iterator[str]:
    for imported in source.imports():
        yield f"{source.path}:{imported.line}: imports {imported.module}; the package itself imports nothing"


def _imports(source: Source, rooms: Mapping[str, Room]) -> Iterator[str]:
    room = rooms[source.room]
    for imported in source.imports():
        where = f"{source.path}:{imported.line}"
        if imported.module is None:
            yield f"{where}: imports a module whose name is made at run time; write the name out"
            continue
        top = imported.module.split(".")[0]
        if top in _PROJECT:
            target = _room_of(imported.module)
            if target != source.room and target not in room.project:
                belongs = f"of the room {target}" if target in rooms else f"{target!r} is no room in {_TABLE}"
                yield f"{where}: imports {imported.module} ({belongs}); {_may(source.room, room)}"
        elif top not in sys.stdlib_module_names and not _below(imported.module, room.third_party):
            yield f"{where}: imports {imported.module} (third party); {_may(source.room, room)}"


def _reaching_out(source: Source) -> Iterator[str]:
    for it in impurities(source):
        room = f"the inner room {source.room}"
        yield f"{source.path}:{it.line}: {it.what}; {room} does not reach for {it.reaches_for}"


def _room_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "detectors" or len(parts) == 1 else parts[1]


def _below(module: str, allowed: frozenset[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def _may(name: str, room: Room) -> str:
    project = "any room" if room.project >= ROOMS.keys() else ", ".join(sorted(room.project)) or "no other room"
    third_party = ", ".join(sorted(room.third_party)) or "nothing"
    return f"{name} may import {project}; of third parties {third_party}"
