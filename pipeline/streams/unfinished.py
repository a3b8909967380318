"""What a process that does not end still waits for, in lines for its log: a line a task, with where it stands.

Guarantee: works from any thread, whatever the event loop does; waits for no lock, changes nothing, and says no more
than ``MOST_LINES`` lines.
"""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

MOST_LINES = 20
_MOST_NAMES = 5
_MOST_CHARACTERS = 80
#: Of a chain of calls: those next to what it waits for.
_MOST_PLACES = 4
_ROOT = Path(__file__).parents[2]
_OURS = ("pipeline/", "detectors/")
_STOPS = ("stop", "on_stop")


def stopping(label: str) -> str:
    """The name of the task that stops a service."""
    return f"stop of {label}"


def some(names: Collection[str]) -> str:
    """The first few of them."""
    more = len(names) - _MOST_NAMES
    return ", ".join(sorted(names)[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def told(loops: Iterable[asyncio.AbstractEventLoop]) -> list[str]:
    """The tasks that are not done: first those that stop something, then our own. ``loops``: the main thread's, and
    those of others."""
    loops = list(loops)
    found = sorted(Counter(_of(task) for loop in loops for task in asyncio.all_tasks(loop)).items())
    lines = [*_busy(loops[0]), *(line if count == 1 else f"{count} × {line}" for (*_, line), count in found)]
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[: MOST_LINES - 1], f"{more + 1} kinds of tasks more"]


def _of(task: asyncio.Task[Any]) -> tuple[bool, bool, str]:
    """What it is sorted by; the last is its line."""
    frames = list(_frames(task.get_coro()))
    places = [_place(frame) for frame in frames]
    near = [place for place in places if not place.startswith("asyncio/")] or places
    line = f"{_name(task, frames)}, at {' < '.join(near[: -_MOST_PLACES - 1 : -1]) or 'nothing of Python'}"
    stops = any(frame.f_code.co_name in _STOPS for frame in frames)
    return not stops, not any(place.startswith(_OURS) for place in places), line


def _name(task: asyncio.Task[Any], frames: list[FrameType]) -> str:
    """Its own, or that of whose it is and what it does."""
    name = task.get_name()
    if frames and name.startswith(("Task-", "<")):
        own = [frame for frame in frames if frame.f_code.co_name != "_execute_task"] or frames  # mode's, around each
        owner = own[0].f_locals.get("self")
        label = getattr(owner, "label", None) if type(owner).__module__.startswith("pipeline.") else None
        name = own[0].f_code.co_name if owner is None else f"{label or type(owner).__name__}: {own[0].f_code.co_name}"
    return name[:_MOST_CHARACTERS]


def _frames(waiting: Any) -> Iterator[FrameType]:
    """Of a coroutine, of the one that it waits for, and so on."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


def _busy(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Where the main thread is, if its loop is not waiting itself."""
    task = asyncio.current_task(loop)
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if task is None or frame is None:
        return
    places: list[str] = []
    while frame is not None and len(places) < _MOST_PLACES:
        places.append(_place(frame))
        frame = frame.f_back
    yield f"the event loop, which is busy with {task.get_name()[:_MOST_CHARACTERS]}, at {' < '.join(places)}"


def _place(frame: FrameType) -> str:
    """File, line and function; the file without the folders that ours or the libraries are in."""
    path = Path(frame.f_code.co_filename)
    _, found, name = path.as_posix().rpartition("site-packages/")
    if not found:
        name = path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else "/".join(path.parts[-2:])
    return f"{name}:{frame.f_lineno} {frame.f_code.co_name}"
