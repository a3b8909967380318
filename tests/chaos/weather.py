"""The faults of a broker, one after the other, while runs use it."""

import threading
import time
from collections.abc import Sequence

from tests.chaos.schedules import CRASH, RESTART, Fault
from tests.kafka.server import KafkaServer

#: After a fault workers may still be at finding their broker.
_CLEARING_SECONDS = 15.0


class Weather:
    """Tells whether a fault is under way or has just been."""

    def __init__(self, server: KafkaServer, faults: Sequence[Fault]) -> None:
        self._server = server
        self._faults = faults
        self._cleared_at = 0.0
        self.diary: list[str] = []
        self.broken = threading.Event()
        """The broker could not be brought back."""

    @property
    def is_calm(self) -> bool:
        return self.was_calm_at(time.monotonic())

    def was_calm_at(self, moment: float) -> bool:
        """Has it been calm since then, by the monotonic clock?"""
        return moment >= self._cleared_at

    def go_through(self, over: threading.Event) -> None:
        """All of it, from now on; ``over`` ends it early."""
        started = time.monotonic()
        for fault in self._faults:
            if over.wait(max(started + fault.at - time.monotonic(), 0.0)):
                return
            self._cleared_at = float("inf")
            self._note(f"{fault.what} begins")
            try:
                self._strike(fault, over)
            except BaseException:
                self.broken.set()
                raise
            self._cleared_at = time.monotonic() + _CLEARING_SECONDS
            self._note(f"{fault.what} is over")

    def _note(self, what: str) -> None:
        self.diary.append(f"{time.strftime('%H:%M:%S')} broker: {what}")

    def _strike(self, fault: Fault, over: threading.Event) -> None:
        if fault.what == RESTART:
            self._server.restart()
        elif fault.what == CRASH:
            self._server.kill()
            over.wait(fault.seconds)
            self._server.start()
        else:
            self._server.pause()
            over.wait(fault.seconds)
            self._server.resume()
