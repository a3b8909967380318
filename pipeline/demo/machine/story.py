"""The demo from start to end, read top to bottom: set up, learn, disturb twice, sum up, judge.

Guarantee: it takes at most ``TOTAL_SECONDS`` (apart from ``keep``), leaves nothing behind (killed with SIGKILL no
process, but a folder with the logs), and says 0 only when every check of ``judge`` passed.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from pipeline.demo.machine import judge
from pipeline.demo.machine.disturbances import BURNER, WRITER, Disturbance
from pipeline.demo.machine.judge import Sought, Trial
from pipeline.demo.machine.watch import MachineWatch
from pipeline.demo.screen import Screen
from pipeline.demo.stack import forget_environment
from pipeline.demo.transitions import Transition, within_reach

TOTAL_SECONDS = 175.0
_ENDING_SECONDS = 8.0  # kept for the summary and for stopping everything
_HOLD_SECONDS = 3.0  # how long a disturbance goes on after its incident opened
_CALM_SECONDS = 20.0  # how long to wait, before a disturbance, until other incidents are out of reach
_TRIAL_SECONDS = 40.0  # what a disturbance needs from its start to its resolved incident
_LONGER_WINDOWS = 3  # of warm-up than a signal needs: the first window has no rates, and the last must be closed


@dataclass(frozen=True, slots=True)
class Options:
    """warm_up_seconds: None is as long as a signal needs before it can be judged."""

    disturb: bool = True
    keep: bool = False
    warm_up_seconds: float | None = None
    memory_limit_bytes: int = 512 * 2**20


async def tell(options: Options, screen: Screen) -> int:
    """Run the demo; returns the exit code. Raises DemoFailed, BrokerError or TopicError when it cannot go on."""
    with tempfile.TemporaryDirectory(prefix="calmstream-demo-", ignore_cleanup_errors=True) as folder:
        story = _Story(options, screen, Path(folder))
        try:
            return await story.tell()
        finally:
            await story.end()


class _Story:
    def __init__(self, options: Options, screen: Screen, folder: Path) -> None:
        self._options = options
        self._screen = screen
        self._started = time.time()
        self._stop_by = self._started + TOTAL_SECONDS - _ENDING_SECONDS
        self._passed_over = forget_environment()
        self._watch = MachineWatch(folder, self._told)
        self._disturbances = [Disturbance(BURNER), Disturbance(WRITER)]
        self._held: list[Transition] | None = None  # while a disturbance goes on: what was told meanwhile

    async def tell(self) -> int:
        await self._set_up()
        await self._warm_up()
        trials = [await self._trial(place, each) for place, each in enumerate(self._disturbances, 1)]
        await self._sum_up(trials)
        checks = judge.judge(trials, self._watch.transitions)
        passed = all(check.passed for check in checks)
        self._screen.heading("Verdict")
        self._screen.verdict(checks)
        self._screen.line(
            f"\n{'All checks passed' if passed else 'A check failed'} after {self._elapsed():.0f} s.", "bold"
        )
        if self._options.keep:
            with suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
                await self._keep()
        return 0 if passed else 1

    async def end(self) -> None:
        for each in self._disturbances:
            await each.end()
        await self._watch.stop()

    # -- the parts, in order -------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        screen, stack = self._screen, self._watch.stack
        memory = psutil.virtual_memory().total / 2**30
        screen.heading(f"Calmstream watches this machine: {psutil.cpu_count()} CPUs, {memory:.1f} GiB of memory")
        if self._passed_over:
            screen.line(
                f"  The demo passes over these settings of your environment: {', '.join(self._passed_over)}", "dim"
            )
        for each in self._disturbances:
            await each.launch()
        began = time.time()
        await stack.start_broker()
        screen.done(f"embedded broker on {stack.broker.bootstrap}, in memory, topics created", time.time() - began)
        began = time.time()
        with screen.waiting("the worker starts"):
            await stack.start_worker()
        screen.done(f"calmstream worker, process {stack.worker_pid}: ingest, score, correlate", time.time() - began)
        self._start_watch()

    def _start_watch(self) -> None:
        self._watch.start({each.pid: each.kind.name for each in self._disturbances})
        self._screen.done("watched every second, as OTLP metrics: CPU, memory, disk, network, and these processes:")
        self._screen.listing(f"{name} {pid}" for name, pid in self._watch.host.processes)

    async def _warm_up(self) -> None:
        settings, watch = self._watch.stack.settings, self._watch
        windows = settings.detection.min_history_windows + _LONGER_WINDOWS
        seconds = self._options.warm_up_seconds or windows * settings.time.window_seconds
        began = time.time()
        self._screen.heading(
            f"Learning what is normal: {seconds:.0f} s, in windows of {settings.time.window_seconds:g} s"
        )
        with self._screen.progress("warm-up", seconds) as progress:

            def over() -> bool:
                progress.at(time.time() - began, f"{watch.points} points")
                return time.time() - began >= seconds

            await watch.until(over, began + seconds)
        metrics = await watch.stack.metrics()
        seen = f"{metrics.get('calmstream_signals', 0):.0f} signals from {watch.points} points"
        self._screen.done(seen, time.time() - began)
        for name, why in watch.host.missing.items():
            self._screen.line(f"      without {name}: {why}", "dim")

    async def _trial(self, place: int, disturbance: Disturbance) -> Trial:
        kind, screen, watch = disturbance.kind, self._screen, self._watch
        screen.heading(f"Disturbance {place}: {kind.name} (process {disturbance.pid}) {kind.does}")
        await self._calm(trials_left=len(self._disturbances) + 1 - place)
        sought = Sought(watch.host.instance(disturbance.pid), kind.metric, kind.attributes)
        self._held = []
        began = time.time()
        if self._options.disturb:
            await disturbance.start()
            screen.line("  0.0 s  it starts")
        else:
            screen.line("  0.0 s  it does not start: a run without disturbances")
        trial = Trial(kind.name, sought, began, began)
        with screen.waiting("waiting for the incident"):
            await watch.until(lambda: bool(self._of(trial)), self._by(began + judge.OPEN_WITHIN_SECONDS))
            if found := self._of(trial):
                screen.opened(found[0], time.time() - began)
                await watch.until(lambda: False, self._by(time.time() + _HOLD_SECONDS))
        if self._options.disturb:
            await disturbance.stop()
        trial = replace(trial, ended=time.time())
        screen.line(f"{trial.ended - began:5.1f} s  it is over" + ("" if found else ", and no incident opened"))
        if found:
            await self._resolved(trial)
        self._tell_others(trial)
        return trial

    async def _resolved(self, trial: Trial) -> None:
        with self._screen.waiting("waiting for the end of the incident"):
            by = self._by(trial.ended + judge.RESOLVE_WITHIN_SECONDS)
            await self._watch.until(lambda: bool(self._of(trial, "resolved")), by)
        now = time.time()
        for transition in self._of(trial, "resolved"):
            self._screen.resolved(transition, now - trial.began, now - trial.ended)
            return
        self._screen.line(f"{now - trial.began:5.1f} s  the incident is still open")

    async def _calm(self, trials_left: int) -> None:
        """Wait until nothing that begins now would join an incident that is open, or until time is short."""
        settings, watch = self._watch.stack.settings, self._watch
        reach = (settings.incidents.join_windows + 1) * settings.time.window_seconds

        def calm() -> bool:
            return not within_reach(watch.transitions, time.time(), reach)

        if not calm():
            self._screen.line("         first, another incident that began just now goes out of reach", "dim")
            spare = self._stop_by - trials_left * _TRIAL_SECONDS
            with self._screen.waiting("waiting"):
                await watch.until(calm, min(time.time() + _CALM_SECONDS, spare))

    async def _sum_up(self, trials: Sequence[Trial]) -> None:
        """What was seen, and how long it took."""
        metrics = await self._watch.stack.metrics()
        transitions = self._watch.transitions
        incidents = {t.incident for t in transitions}
        ours = {incident for trial in trials for incident in judge.of_trial(trial, transitions)}
        points = (
            f"{metrics.get('calmstream_points_total', 0):.0f}, of {metrics.get('calmstream_signals', 0):.0f} signals"
        )
        anomalies = metrics.get('calmstream_anomalies_total{transition="opened"}', 0)
        facts = [
            ("points", points),
            ("windows scored", f"{metrics.get('calmstream_windows_closed_total', 0):.0f}"),
            ("anomalies", f"{anomalies:.0f}"),
            ("incidents", f"{len(incidents)}: {len(ours)} of the disturbances, {len(incidents - ours)} other"),
        ]
        cpu = Sought("", "system.cpu.utilization")
        is_in = any(t.rank(cpu) for t in transitions if t.incident in ours)
        facts.append(("host CPU", "was in one of them" if is_in else "did not stand out enough to be in one"))
        facts += self._latencies(trials)
        self._screen.heading("Summary")
        self._screen.facts(facts)

    def _latencies(self, trials: Sequence[Trial]) -> list[tuple[str, str]]:
        transitions = self._watch.transitions
        lateness = self._watch.stack.settings.time.allowed_lateness_seconds
        found = []
        if waits := [t.received - t.decided for t in transitions]:
            median = f"{statistics.median(waits):.1f} s (median) to the incident received"
            found.append(("from a window's end", f"{median}, {lateness:g} s of it allowed lateness"))
        starts = [(trial, first) for trial in trials for first in self._of(trial)[:1]]
        if starts:
            each = ", ".join(f"{first.received - trial.began:.1f} s ({trial.name})" for trial, first in starts)
            found.append(("from a disturbance's start", f"{each} to the incident received"))
        return found

    async def _keep(self) -> None:
        """Go on until somebody ends it; the broker keeps everything in memory, so it is restarted at a limit."""
        screen, watch, limit = self._screen, self._watch, self._options.memory_limit_bytes
        screen.line(f"\nWatching on, with at most {limit / 2**20:.0f} MiB for the broker. Ctrl-C ends it.", "bold")
        while True:
            await watch.until(lambda: (watch.stack.broker.memory_bytes() or 0) > limit, float("inf"))
            screen.line(f"  The broker holds everything in memory and has reached {limit / 2**20:.0f} MiB.")
            screen.line("  Broker and worker start anew, empty: what is normal is learnt again.")
            await watch.stop()
            await watch.stack.start_broker()
            await watch.stack.start_worker()
            self._start_watch()

    # -- small things --------------------------------------------------------------------------------------------

    def _told(self, transition: Transition) -> None:
        if self._held is None:
            self._screen.other(transition)
        else:
            self._held.append(transition)  # it may yet become the incident of the disturbance

    def _tell_others(self, trial: Trial) -> None:
        """Show what was told during a disturbance of incidents that are not its own."""
        own = judge.of_trial(trial, self._watch.transitions)
        for transition in self._held or ():
            if transition.incident not in own:
                self._screen.other(transition)
        self._held = None

    def _of(self, trial: Trial, what: str | None = None) -> list[Transition]:
        """The transitions of the incidents of this disturbance."""
        incidents = judge.of_trial(trial, self._watch.transitions)
        return [
            t
            for t in self._watch.transitions
            if t.incident in incidents and t.received >= trial.began and what in (None, t.what) and t.rank(trial.sought)
        ]

    def _by(self, wanted: float) -> float:
        return min(wanted, self._stop_by)

    def _elapsed(self) -> float:
        return time.time() - self._started
