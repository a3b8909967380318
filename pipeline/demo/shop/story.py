"""The shop's demo from start to end, read top to bottom: set up, learn, deploy, find, roll back, sum up, judge.

Guarantee: it takes at most ``TOTAL_SECONDS`` (apart from ``keep``), leaves nothing behind (killed with SIGKILL no
process, but a folder with the logs), and says 0 only when every check of ``judge`` passed.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.demo.screen import Screen
from pipeline.demo.shop import judge
from pipeline.demo.shop.announcement import Predicate, announcement
from pipeline.demo.shop.judge import Release
from pipeline.demo.shop.processes import Shop
from pipeline.demo.shop.shoppers import Shoppers
from pipeline.demo.shop.town import BAD, FRONTEND, VERSIONS, Deployment
from pipeline.demo.stack import Stack, forget_environment
from pipeline.demo.transitions import Transition
from pipeline.demo.watch import Watch
from pipeline.demo.writing import writer

CONFIG = Path(__file__).with_name("config.yaml")
TOTAL_SECONDS = 230.0
VISITS_PER_SECOND = 18.0
_ENDING_SECONDS = 8.0  # kept for the summary and for stopping everything
_HOLD_SECONDS = 5.0  # how long the bad version goes on after its incident opened
_EVIDENCE_SECONDS = 10.0  # how much longer, at most, until the incident has what it is judged by
_LONGER_WINDOWS = 8  # of warm-up than a signal needs: processes that have just started are slow, and have no rates


@dataclass(frozen=True, slots=True)
class Options:
    """warm_up_seconds: None is as long as a signal needs before it can be judged."""

    deploy: bool = True
    keep: bool = False
    warm_up_seconds: float | None = None
    memory_limit_bytes: int = 512 * 2**20
    seed: int = 0


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
        self._folder = folder
        self._started = time.time()
        self._stop_by = self._started + TOTAL_SECONDS - _ENDING_SECONDS
        self._passed_over = forget_environment()
        self._watch = Watch(Stack(folder, CONFIG), self._told)
        self._shop: Shop | None = None
        self._shoppers: Shoppers | None = None
        self._held: list[Transition] | None = None  # while the bad version is there: what was told meanwhile

    async def tell(self) -> int:
        self._screen.heading("Calmstream watches a shop of six services")
        if self._passed_over:
            names = ", ".join(self._passed_over)
            self._screen.line(f"  The demo passes over these settings of your environment: {names}", "dim")
        await self._set_up()
        await self._warm_up()
        release = await self._release(BAD)
        await self._sum_up(release)
        checks = judge.judge(release, self._watch.transitions)
        passed = all(check.passed for check in checks)
        self._screen.heading("Verdict")
        self._screen.verdict(checks)
        self._screen.line(
            f"\n{'All checks passed' if passed else 'A check failed'} after {time.time() - self._started:.0f} s.",
            "bold",
        )
        if self._options.keep:
            with suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
                await self._keep()
        return 0 if passed else 1

    async def end(self) -> None:
        if self._shop is not None:
            await self._shop.stop()
            self._shop = None
        await self._watch.stop()

    # -- the parts, in order -------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        screen, stack = self._screen, self._watch.stack
        began = time.time()
        await stack.start_broker()
        screen.done(f"embedded broker on {stack.broker.bootstrap}, in memory, topics created", time.time() - began)
        began = time.time()
        self._shop = Shop(self._folder, stack.broker.bootstrap, self._options.seed)
        with screen.waiting("the worker and the shop start"):
            await asyncio.gather(stack.start_worker(), self._shop.start())
        screen.done(f"calmstream worker, process {stack.worker_pid}; the shop:", time.time() - began)
        screen.listing(f"{name} {VERSIONS[name]} ({pid})" for name, pid in self._shop.pids.items())
        self._shoppers = Shoppers(self._shop.ports[FRONTEND], VISITS_PER_SECOND, self._options.seed)
        self._watch.begin(self._shoppers.run(), check=self._shop.check)
        screen.done(f"shoppers: {VISITS_PER_SECOND:g} visits a second, as chance has it")

    async def _warm_up(self) -> None:
        settings, shoppers = self._watch.stack.settings, self._open()[1]
        windows = settings.detection.min_history_windows + _LONGER_WINDOWS
        seconds = self._options.warm_up_seconds or windows * settings.time.window_seconds
        began = time.time()
        self._screen.heading(
            f"Learning what is normal: {seconds:.0f} s, in windows of {settings.time.window_seconds:g} s"
        )
        with self._screen.progress("warm-up", seconds) as progress:

            def over() -> bool:
                progress.at(time.time() - began, f"{shoppers.seen.requests} visits, {shoppers.seen.failed} failed")
                return time.time() - began >= seconds

            await self._watch.until(over, began + seconds)
        metrics = await self._watch.stack.metrics()
        points, signals = (metrics.get(f"calmstream_{name}", 0) for name in ("points_total", "signals"))
        self._screen.done(f"{signals:.0f} signals from {points:.0f} points", time.time() - began)

    async def _release(self, bad: Deployment) -> Release:
        """The bad version, until its incident is known, and the way back."""
        screen, options = self._screen, self._options
        fault = f"{bad.fault.delay_seconds * 1000:.0f} ms slower, {bad.fault.error_share:.0%} of its work fails"
        screen.heading(f"Deployment: {bad.service} {bad.version} in place of {bad.before} ({fault})")
        self._held = []
        began = time.time()
        if options.deploy:
            began = await self._replace(bad, "deployed")
            screen.line(f"  0.0 s  it replaces {bad.before}, and is announced on {self._changes}")
        else:
            screen.line("  0.0 s  it is not deployed: a run without a change")
        release = Release(bad, began, began)
        found = await self._found(release)
        undone = await self._replace(bad.undone(), "rolledback") if options.deploy else time.time()
        release = Release(bad, began, undone)
        screen.line(f"{undone - began:5.1f} s  rolled back" + ("" if found else ", and no incident named it"))
        if found:
            await self._resolved(release)
        self._tell_others(release)
        return release

    async def _found(self, release: Release) -> bool:
        """Wait for the incident, and until it has what it is judged by."""
        screen, watch = self._screen, self._watch
        with screen.waiting("waiting for the incident"):
            by = self._by(release.deployed + judge.OPEN_WITHIN_SECONDS)
            if not await watch.until(lambda: bool(self._of(release)), by):
                return False
            opened = time.time()
            screen.opened(self._of(release)[-1], opened - release.deployed)
            await watch.until(lambda: False, self._by(opened + _HOLD_SECONDS))
            await watch.until(lambda: self._is_complete(release), self._by(opened + _HOLD_SECONDS + _EVIDENCE_SECONDS))
        newest = self._of(release)[-1]
        screen.known(newest, judge.evidence(newest), time.time() - release.deployed)
        return True

    async def _resolved(self, release: Release) -> None:
        with self._screen.waiting("waiting for the end of the incident"):
            by = self._by(release.rolled_back + judge.RESOLVE_WITHIN_SECONDS)
            await self._watch.until(lambda: bool(self._of(release, "resolved")), by)
        now = time.time()
        for transition in self._of(release, "resolved"):
            self._screen.resolved(transition, now - release.deployed, now - release.rolled_back)
            return
        self._screen.line(f"{now - release.deployed:5.1f} s  the incident is still open")

    async def _sum_up(self, release: Release) -> None:
        """What was seen, and how long it took."""
        metrics = await self._watch.stack.metrics()
        transitions, seen = self._watch.transitions, self._open()[1].seen
        lateness = self._watch.stack.settings.time.allowed_lateness_seconds
        signals = metrics.get("calmstream_signals", 0)
        anomalies = metrics.get('calmstream_anomalies_total{transition="opened"}', 0)
        facts = [
            ("visits", f"{seen.requests}, of which {seen.failed} failed and {seen.turned_away} were turned away"),
            ("an answer took", f"{statistics.median(seen.seconds) * 1000:.0f} ms (median)" if seen.seconds else "-"),
            ("points", f"{metrics.get('calmstream_points_total', 0):.0f}, of {signals:.0f} signals"),
            ("windows scored", f"{metrics.get('calmstream_windows_closed_total', 0):.0f}"),
            ("anomalies", f"{anomalies:.0f}"),
            ("incidents", f"{len({t.incident for t in transitions})}"),
        ]
        if waits := [t.received - t.decided for t in transitions]:
            median = f"{statistics.median(waits):.1f} s (median) to the incident received"
            facts.append(("from a window's end", f"{median}, {lateness:g} s of it allowed lateness"))
        if named := self._of(release):
            facts.append(
                ("from the deployment", f"{named[0].received - release.deployed:.1f} s to the incident received")
            )
        self._screen.heading("Summary")
        self._screen.facts(facts)

    async def _keep(self) -> None:
        """Go on until somebody ends it; the broker keeps everything in memory, so it is restarted at a limit."""
        screen, watch, limit = self._screen, self._watch, self._options.memory_limit_bytes
        screen.line(f"\nWatching on, with at most {limit / 2**20:.0f} MiB for the broker. Ctrl-C ends it.", "bold")
        while True:
            await watch.until(lambda: (watch.stack.broker.memory_bytes() or 0) > limit, float("inf"))
            screen.line(f"  The broker holds everything in memory and has reached {limit / 2**20:.0f} MiB.")
            screen.line("  Broker, worker and shop start anew, empty: what is normal is learnt again.")
            await self.end()
            await self._set_up()

    # -- small things --------------------------------------------------------------------------------------------

    @property
    def _changes(self) -> str:
        return self._watch.stack.settings.topic("changes")

    async def _replace(self, deployment: Deployment, predicate: Predicate) -> float:
        """Deploy and announce it; returns when the process was replaced."""
        at = await self._open()[0].deploy(deployment)
        key, value, headers = announcement(deployment, predicate, at)
        async with writer(self._watch.stack.settings) as producer:
            await producer.send_and_wait(self._changes, value, key=key, headers=headers)
        return at

    def _open(self) -> tuple[Shop, Shoppers]:
        assert self._shop is not None, "the shop was not started"
        assert self._shoppers is not None
        return self._shop, self._shoppers

    def _told(self, transition: Transition) -> None:
        if self._held is None:
            self._screen.other(transition)
        else:
            self._held.append(transition)  # it may yet become the incident of the deployment

    def _tell_others(self, release: Release) -> None:
        """Show what was told meanwhile of incidents that are not that of the deployment."""
        own = {t.incident for t in self._of(release)}
        for transition in self._held or ():
            if transition.incident not in own:
                self._screen.other(transition)
        self._held = None

    def _of(self, release: Release, what: str | None = None) -> list[Transition]:
        its = judge.of_release(release, self._watch.transitions)
        return [t for t in its if what in (None, t.what)]

    def _is_complete(self, release: Release) -> bool:
        return any(release.is_evidence(change) for t in self._of(release) for change in judge.evidence(t))

    def _by(self, wanted: float) -> float:
        return min(wanted, self._stop_by)
