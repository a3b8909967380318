"""Why a worker ends: each reason with the exit code that docs/operations.md lists."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of ``calmstream worker``."""

    CLEAN = 0
    FAILED = 1
    CONFIGURATION = 2
    TOPICS = 3
    BROKER_LOST = 4
    LOOP_BLOCKED = 5
    STATE_UNREADABLE = 6
    SHUTDOWN_TOO_LONG = 7
    REFUSED = 8


class WorkerExit(Exception):
    """Ends the worker with a code; the message is for the person who reads the log."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
