"""Many schedules on one broker, each compared with an undisturbed run on the same input.

A run is right when its input topics hold what was sent, every message once and in order; when the incident transitions
(id, revision, content) and the scored windows are those of an undisturbed run on that content; and when no revision
jumps or comes again with another content. The undisturbed runs are ``calmstream worker`` commands in calm weather, and
those of metrics also give what ``calmstream replay`` gives of their input topic, for which nothing ever ran at all.

Up to five runs with the same weather are held at once, each with its own topics, groups and workers.
"""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.crew import Crew, Stop
from tests.chaos.fault_run import FaultRun, Result
from tests.chaos.schedules import FEED_SECONDS, Schedule, schedule, weather_of
from tests.chaos.stories import story
from tests.chaos.weather import Weather
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerFailed, WorkerProcess

#: One in so many runs has workers that are commands of their own, and not forks.
REAL_EVERY = 20


@dataclass(frozen=True)
class Outcome:
    """What came of a schedule: a line of the results. ``ended``: codes of workers that ended by themselves.
    ``diary``: what was really done and when, of a run that was not right."""

    seed: int
    ok: bool
    differs: list[str]
    story: str
    repeated: bool
    layout: list[str]
    actions: list[str]
    transitions: int
    windows: int
    points: int
    seconds: float
    stops: list[Stop]
    ended: list[int]
    diary: list[str]

    def line(self) -> str:
        return json.dumps(asdict(self))


class Campaign:
    """Runs on one server; logs of what went wrong stay in ``directory``."""

    def __init__(self, server: KafkaServer, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._undisturbed: dict[tuple[str, bool], FaultRun] = {}
        self._expected: dict[tuple[str, bool], Result] = {}

    def go(self, seeds: Iterable[int], done: Callable[[Outcome], None]) -> list[Outcome]:
        """All of them; ``done`` is told of each when its group is over."""
        outcomes = []
        for _, group in groupby(seeds, weather_of):
            plan = [schedule(seed) for seed in group]
            self.undisturbed({(each.story, each.repeated) for each in plan})
            for outcome in self._together(plan):
                done(outcome)
                outcomes.append(outcome)
        return outcomes

    def undisturbed(self, wanted: Iterable[tuple[str, bool]]) -> None:
        """Hold the undisturbed runs that are wanted and were not yet."""
        missing = sorted(set(wanted) - self._expected.keys())
        with ThreadPoolExecutor(2) as pool:
            for key, run, result in pool.map(self._held, missing):
                self._undisturbed[key], self._expected[key] = run, result

    def of(self, name: str, *, repeated: bool = False) -> tuple[FaultRun, Result]:
        """The undisturbed run of a story."""
        self.undisturbed([(name, repeated)])
        return self._undisturbed[name, repeated], self._expected[name, repeated]

    def _held(self, key: tuple[str, bool]) -> tuple[tuple[str, bool], FaultRun, Result]:
        name, repeated = key
        told = story(name, repeated=repeated)
        prefix = f"undisturbed.{name}.{'repeated' if repeated else 'once'}."
        run = FaultRun(self._server.bootstrap, prefix, self._place(prefix), told).create()
        with WorkerProcess(run.settings(), directory=run.directory, command=True) as worker:
            run.feed(0.0)
            run.wait_until_through(worker)
        result = run.result()
        if name == "metrics":
            _same_as_replay(run, result)
        return key, run, result

    def _together(self, plan: Sequence[Schedule]) -> list[Outcome]:
        """Runs with the same weather, at the same time. The feed begins when the last worker is ready."""
        weather = Weather(self._server, plan[0].weather)
        over = threading.Event()
        barrier = threading.Barrier(len(plan) + 1)
        with ThreadPoolExecutor(len(plan) + 1) as pool:
            runs = [pool.submit(self._one, each, weather, barrier) for each in plan]
            try:
                barrier.wait(300)
                weather.go_through(over)
            except threading.BrokenBarrierError:
                pass  # a run could not begin; its outcome says why
            return [run.result() for run in runs]

    def _one(self, plan: Schedule, weather: Weather, barrier: threading.Barrier) -> Outcome:
        started = time.monotonic()
        told = story(plan.story, repeated=plan.repeated)
        run = FaultRun(self._server.bootstrap, f"chaos{plan.seed}.", self._place(f"seed-{plan.seed}"), told)
        crew = Crew(plan, run, weather, real=plan.seed % REAL_EVERY == REAL_EVERY - 1)
        found = Result({}, {}, 0)
        try:
            self._disturb(crew, barrier)
            found = run.result()
            differs = found.differences(self._expected[plan.story, plan.repeated])
            if run.input() != run.sent():
                differs.append("the input topics hold something else than was sent")
        except Exception as error:
            barrier.abort()
            differs = [f"{type(error).__name__}: {error}"]
        finally:
            crew.kill()
        if not differs:
            self._forget(run)
        return Outcome(
            plan.seed, not differs, differs, plan.story, plan.repeated, list(plan.layout), plan.words(),
            len(found.incidents), len(found.windows), found.points, round(time.monotonic() - started, 1),
            crew.stops, crew.ended, sorted(weather.diary + crew.diary) if differs else [],
        )  # fmt: skip

    def _disturb(self, crew: Crew, barrier: threading.Barrier) -> None:
        crew.run.create()
        crew.start()
        crew.wait_ready()
        barrier.wait(300)
        with ThreadPoolExecutor(1) as pool:
            fed = pool.submit(crew.run.feed, FEED_SECONDS, crew.schedule.stalls)
            crew.act()
            while not fed.done():
                crew.wait(0.5)
            fed.result()
        crew.wait_until_through()
        crew.stop()

    def _place(self, name: str) -> Path:
        path = self._directory / name.rstrip(".")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def last_words(self, seed: int, lines: int = 40) -> str:
        """How the logs of a run that was not right end."""
        logs = sorted((self._directory / f"seed-{seed}").glob("*.log"))
        ends = [(log, log.read_text(errors="replace").splitlines()[-lines:]) for log in logs]
        return "\n".join(f"{log.name} of seed {seed} ends with:\n" + "\n".join(end) for log, end in ends)

    def _forget(self, run: FaultRun) -> None:
        """A run that was right leaves nothing."""
        asyncio.run(_delete_topics(run))
        shutil.rmtree(run.directory, ignore_errors=True)


def _same_as_replay(run: FaultRun, result: Result) -> None:
    replayed = {(data["id"], data["revision"]): data for data in run.replay("points")}
    if replayed != {key: json.loads(value) for key, value in result.incidents.items()}:
        raise WorkerFailed(f"replay of {run.prefix}points gives other incidents than the worker that was not disturbed")


async def _delete_topics(run: FaultRun) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=run.bootstrap)
    await admin.start()
    try:
        ours = [topic for topic in await admin.list_topics() if topic.startswith(run.prefix)]
        await admin.delete_topics(ours)
    finally:
        await admin.close()
