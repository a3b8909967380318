"""The workers of a run and what a schedule does to them, with somebody who starts again what ends by itself.

Guarantee: SIGTERM ends a worker within 20 seconds, at whatever moment it comes, or ``Broken`` is raised; so it is for
an exit code that docs/operations.md does not give for what happened.
"""

import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.streams.exits import Exit
from tests.chaos import schedules
from tests.chaos.fault_run import FaultRun
from tests.chaos.schedules import ALL_ROLES, Action, Schedule
from tests.chaos.weather import Weather
from tests.worker_process import WorkerProcess

STOP_SECONDS = 20.0
_THROUGH_SECONDS = 150.0
_TEND_SECONDS = 0.3
_STILL_SECONDS = 5.0
#: By the signal itself: it came before the command line was there to take it, and the log has no word of that start.
_TERMINATED = -15
_ERROR = re.compile(r"^ *\w+(Error|Exit)\b")
_FRAME = re.compile(r'^ *File "([^"]+)", line \d+')
_OURS = ("/pipeline/", "/detectors/")
#: What a broker that is away explains.
_EXPLAINED = (
    "KafkaError",
    "OSError",
    "TimeoutError",
    "ConnectionError",
    "CancelledError",
    "WorkerExit",
    "NodeNotReadyError",
)


class Broken(AssertionError):
    """A worker did what it must not."""


@dataclass(frozen=True)
class Stop:
    """A SIGTERM: when it came, how long the end took, and the exit code."""

    when: str
    seconds: float
    code: int


@dataclass
class Crew:
    """Workers by number; one more may join for a while. ``real``: as commands, not as forks."""

    schedule: Schedule
    run: FaultRun
    weather: Weather
    real: bool = False
    workers: list[WorkerProcess] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    _seen: dict[str, float] = field(default_factory=dict)  # when each worker was seen to live last
    _began: dict[str, str] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)
    _never: threading.Event = field(default_factory=threading.Event)

    def note(self, what: str) -> None:
        """What was really done, and when."""
        self.diary.append(f"{time.strftime('%H:%M:%S')} {what}")

    def start(self) -> None:
        self.workers = [self._worker(f"{number}", roles) for number, roles in enumerate(self.schedule.layout)]
        for worker in self.workers:
            self._start(worker)

    def wait_ready(self) -> None:
        for worker in self.workers:
            worker.wait_ready(120)

    def act(self) -> None:
        """Do what the schedule says."""
        started = time.monotonic()
        for action in self.schedule.actions:
            self.wait(started + action.at - time.monotonic())
            self.note(f"now: {action}")
            self._do(action, self.workers[action.which])

    def wait_until_through(self) -> None:
        deadline = time.monotonic() + _THROUGH_SECONDS
        while not self.run.is_through(self.workers):
            if time.monotonic() > deadline:
                raise Broken(f"the workers were not done with the story within {_THROUGH_SECONDS:.0f} s after its end")
            self.wait(_TEND_SECONDS)

    def stop(self) -> None:
        """SIGTERM to all, with a broker that is there: everything is saved, and they say so."""
        for worker in self.workers:
            self._stop(worker, "at the end")
        for worker in self.workers:
            if found := mistake(worker.log(), calm=not self.schedule.weather):
                raise Broken(f"{worker.log_path} has a traceback: {found}")

    def kill(self) -> None:
        for worker in self.workers:
            worker.kill()

    def _do(self, action: Action, worker: WorkerProcess) -> None:
        match action.what:
            case schedules.KILL:
                self._kill([worker], action.seconds)
            case schedules.KILL_ALL:
                self._kill(self.workers, action.seconds)
            case schedules.LONG_PAUSE | schedules.SHORT_PAUSE:
                self._pause(worker, action.seconds)
            case schedules.LEAVE | schedules.LEAVE_IN_FAULT:
                self._leave(worker, action)
            case schedules.LEAVE_AT_START:
                self._leave_at_start(worker, action)
            case schedules.COME_AND_GO:
                self._come_and_go(action)

    def _kill(self, workers: list[WorkerProcess], seconds: float) -> None:
        for worker in workers:
            worker.kill()
        self._wait_without(workers, seconds)
        for worker in workers:
            self._start(worker)

    def _pause(self, worker: WorkerProcess, seconds: float) -> None:
        self._tend()  # one that has just ended by itself could not be paused
        worker.pause()
        self._wait_without([worker], seconds)
        worker.resume()

    def _leave(self, worker: WorkerProcess, action: Action) -> None:
        self._stop(worker, action.what)
        self._wait_without([worker], action.seconds)
        self._start(worker)

    def _leave_at_start(self, worker: WorkerProcess, action: Action) -> None:
        worker.kill()
        self._start(worker)
        self._wait_without([worker], action.seconds)
        self._stop(worker, action.what)
        self._start(worker)

    def _come_and_go(self, action: Action) -> None:
        one_more = self._start(self._worker(f"more{action.at:.1f}", ALL_ROLES))
        try:
            self.wait(action.seconds)
            self._stop(one_more, action.what)
        finally:
            one_more.kill()

    def _stop(self, worker: WorkerProcess, when: str) -> None:
        """Codes: in order; or, while its broker was away, that it was lost or that there was no time to save."""
        calm = self._calm_for(worker)
        started = time.monotonic()
        code = worker.stop(within_seconds=2 * STOP_SECONDS)
        stop = Stop(when, round(time.monotonic() - started, 2), code)
        self.note(f"{worker.name} ended with {code} after SIGTERM and {stop.seconds} s")
        self.stops.append(stop)
        allowed = {int(Exit.CLEAN)}
        if not (calm and self.weather.is_calm):
            allowed |= {int(Exit.BROKER_LOST), int(Exit.SHUTDOWN_TOO_LONG)}
        if self._began.get(worker.name) == worker.log():
            allowed.add(_TERMINATED)
        if code not in allowed:
            raise Broken(f"{worker.name} ended with {code} after SIGTERM ({when}); {worker.log_path}")
        if stop.seconds > STOP_SECONDS:
            raise Broken(f"{worker.name} ended {stop.seconds} s after SIGTERM ({when}); {worker.log_path}")

    def _calm_for(self, worker: WorkerProcess) -> bool:
        """Has it nothing to complain of: now, or, if it ended before anybody asked it to, since it was seen last?"""
        return self.weather.is_calm if worker.pid is not None else self.weather.was_calm_at(self._seen[worker.name])

    def _start(self, worker: WorkerProcess) -> WorkerProcess:
        self._began[worker.name] = worker.log()
        self._seen[worker.name] = time.monotonic()
        worker.start()
        self.note(f"{worker.name} is started: process {worker.pid}")
        return worker

    def _wait_without(self, workers: list[WorkerProcess], seconds: float) -> None:
        """Nobody starts these meanwhile."""
        names = {worker.name for worker in workers}
        self._away |= names
        self.wait(seconds)
        self._away -= names

    def wait(self, seconds: float) -> None:
        """Tend the workers meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._never.wait(min(left, _TEND_SECONDS))
            self._tend()

    def _tend(self) -> None:
        """Start again who has lost the broker; nothing else is a reason to end. It ended since somebody looked last."""
        now = time.monotonic()
        for worker in self.workers:
            if worker.name in self._away:
                continue
            if worker.pid is not None:
                self._seen[worker.name] = now
                continue
            code = worker.wait_end()
            self.ended.append(code)
            self.note(f"{worker.name} ended by itself with {code}")
            if code != Exit.BROKER_LOST or self.weather.was_calm_at(self._seen[worker.name]):
                raise Broken(f"{worker.name} ended by itself with {code}; {worker.log_path}")
            self._never.wait(_STILL_SECONDS)
            self._start(worker)

    def _worker(self, name: str, roles: str) -> WorkerProcess:
        arguments = ("worker", "--roles", roles)
        place = Path(self.run.directory)
        return WorkerProcess(self.run.settings(), directory=place, arguments=arguments, name=name, command=self.real)


def mistake(log: str, *, calm: bool) -> str:
    """A traceback that nothing explains: any in calm weather; in other, an error that was raised in a line of ours, for
    libraries raise whatever they like where a connection is gone. Empty if none."""
    lines = log.splitlines()
    frame, began = "", 0
    for number, line in enumerate(lines):
        if line.lstrip().startswith("Traceback"):
            frame, began = "", number
            if calm:
                return " / ".join(lines[number : number + 30])
        elif found := _FRAME.match(line):
            frame = found[1]
        elif _ERROR.match(line) and any(room in frame for room in _OURS):
            if not any(name in line for name in _EXPLAINED):
                return " / ".join(lines[began : number + 1])
            frame = ""
    return ""
