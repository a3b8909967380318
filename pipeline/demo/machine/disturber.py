"""A child process of the demo that does nothing until told to burn a core or to write to disk: ``start``, ``stop``.

Guarantee: one piece of work lasts at most ``MOST_SECONDS``, and the process ends when its standard input closes, which
happens when the demo ends, in whatever way. The writer forces every piece to disk before the next, so that nothing is
left to write when it stops; its file holds at most ``FILE_BYTES``, has no name, and is gone with the process.
"""

import os
import select
import sys
import tempfile
import time
from collections.abc import Callable

MOST_SECONDS = 40.0
PIECE_BYTES = 2**20
FILE_BYTES = 64 * 2**20
PIECES_PER_SECOND = 8

Work = Callable[[], None]


def burner() -> Work:
    """Work that uses one core for about a millisecond."""

    def burn() -> None:
        for _ in range(20_000):
            pass

    return burn


def writer() -> Work:
    """Work that writes one piece to disk and then waits until the next is due."""
    file = tempfile.TemporaryFile(dir=_disk())  # noqa: SIM115 (open as long as the process lives)
    piece = os.urandom(PIECE_BYTES)  # no file system makes it smaller
    at, due = 0, 0.0

    def write() -> None:
        nonlocal at, due
        os.pwrite(file.fileno(), piece, at)
        os.fsync(file.fileno())
        at = (at + PIECE_BYTES) % FILE_BYTES
        due = max(due + 1 / PIECES_PER_SECOND, time.monotonic())
        _told(due - time.monotonic())

    return write


def _disk() -> str:
    """A folder on a real disk: one where the kernel counts what this process writes. A folder in memory is none."""
    for folder in (tempfile.gettempdir(), "/var/tmp", os.path.expanduser("~"), os.getcwd()):
        try:
            if _is_counted(folder):
                return folder
        except OSError:
            continue  # not there, or not ours to write to
    raise SystemExit("no folder was found where the kernel counts what a process writes to disk")


def _is_counted(folder: str) -> bool:
    before = _bytes_written()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(os.urandom(PIECE_BYTES))
        file.flush()
        os.fsync(file.fileno())
        return _bytes_written() - before >= PIECE_BYTES


def _bytes_written() -> int:
    with open("/proc/self/io") as counters:
        return next(int(line.split()[1]) for line in counters if line.startswith("write_bytes"))


def _told(within_seconds: float) -> bool:
    """Whether something stands on the standard input, or it was closed."""
    return bool(select.select([sys.stdin], [], [], max(within_seconds, 0.0))[0])


def main(kind: str) -> None:
    """Obey orders until the input closes; each is answered with one line."""
    work = {"burner": burner, "writer": writer}[kind]()
    print("ready", flush=True)
    while order := sys.stdin.readline():
        if order.strip() == "start":
            print("started", flush=True)
            until = time.monotonic() + MOST_SECONDS
            while time.monotonic() < until and not _told(0):
                work()
            print("stopped", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # the demo ends
