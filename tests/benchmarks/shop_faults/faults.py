"""How faults begin, go on and end in the simulated shop.

Guarantee: after its end nothing of a fault is left but what it did: restarted pods, rolled back versions.
"""

import random
from collections.abc import Callable, Mapping

from tests.benchmarks.shop_faults import changes, spans
from tests.benchmarks.shop_faults.pods import Pod
from tests.benchmarks.shop_faults.schedule import Fault
from tests.benchmarks.shop_faults.shop import Shop
from tests.benchmarks.shop_faults.telling import Sent
from tests.benchmarks.shop_faults.town import MEMORY_LIMIT, NODE_CORES
from tests.benchmarks.shop_faults.trouble import Trouble

_FAILURES = {
    "bad deploy": "unsupported operand type(s) for +: 'int' and 'NoneType'",
    "flag flip": "the new way answered with nothing",
}


class Faults:
    """``tell`` takes what is announced of changes."""

    def __init__(self, shop: Shop, tell: Callable[[Sent], None]) -> None:
        self._shop = shop
        self._tell = tell
        self._dice = random.Random(f"{shop.dice.random()}/faults")
        self._active: dict[int, Trouble] = {}
        self._before: dict[int, str] = {}

    def begin(self, fault: Fault) -> None:
        """From now on."""
        shop, size = self._shop, fault.size
        match fault.kind:
            case "latency" | "errors" | "cpu hog":
                self._add(fault, _sized(Trouble(fault.pods), size))
            case "memory leak":
                self._add(fault, Trouble(fault.pods, leak=0.62 * MEMORY_LIMIT / size["full_after"]))
            case "crash loop":
                self._add(fault, Trouble(fault.pods))
                for pod in self._pods(fault):
                    self._crash(fault, pod.place)
            case "dependency down":
                shop.down[fault.place] = "silent" if fault.silent else "refused"
            case "noisy neighbour":
                shop.nodes[fault.place].pressure = size["pressure"]
                shop.batch[fault.place] = size["pressure"] * NODE_CORES
            case "flag flip":
                line = "the new way is slow: it asks again" if "delay" in size else ""
                self._add(fault, _sized(Trouble(why=_FAILURES[fault.kind], line=line), size))
                self._tell(changes.flag(fault.place, _flag(fault), "on", "off", shop.clock.now))
            case "bad deploy":
                self._before[fault.number] = shop.versions[fault.place]
                version = _next(shop.versions[fault.place], fault.number)
                self._add(fault, _sized(Trouble(version=version, why=_FAILURES[fault.kind]), size))
                self.deploy(fault.place, version)

    def end(self, fault: Fault) -> None:
        """It is mended."""
        shop = self._shop
        trouble = self._active.pop(fault.number, None)
        if trouble is not None and fault.kind != "bad deploy":
            shop.troubles[fault.place].remove(trouble)
        match fault.kind:
            case "memory leak" | "crash loop":
                for pod in self._pods(fault):
                    if pod.process is not None and fault.kind == "memory leak":
                        shop.crash(pod, "")  # somebody restarts it
                    shop.calm_down(pod)
            case "dependency down":
                del shop.down[fault.place]
            case "noisy neighbour":
                shop.nodes[fault.place].pressure = shop.batch[fault.place] = 0.0
            case "flag flip":
                self._tell(changes.flag(fault.place, _flag(fault), "off", "on", shop.clock.now))
            case "bad deploy":
                self.deploy(fault.place, self._before.pop(fault.number), back=True)

    def deploy(self, service: str, version: str = "", *, back: bool = False) -> None:
        """Roll a version out, and announce it when it is in place."""
        before = self._shop.versions[service]
        version = version or _next(before, 0)
        done = self._shop.roll_out(service, version)
        said = changes.deployed(service, version, before, done, back=back)
        self._shop.clock.at(done, self._tell, said)

    def leak(self, seconds: float) -> None:
        """So much time has passed for memory that leaks."""
        for pod in self._shop.every_pod():
            process = pod.process
            if process is None:
                continue
            for trouble in pod.troubles:
                if trouble.leak and trouble.is_of(pod.place, process.version):
                    process.leaked += trouble.leak * seconds * self._dice.uniform(0.7, 1.3)
            if process.memory_share >= 1.0:
                self._shop.crash(pod, "Memory cgroup out of memory: Killed process")

    def _add(self, fault: Fault, trouble: Trouble) -> None:
        self._active[fault.number] = trouble
        self._shop.troubles[fault.place].append(trouble)

    def _pods(self, fault: Fault) -> list[Pod]:
        pods = self._shop.pods[fault.place]
        return [pod for pod in pods if fault.pods is None or pod.place in fault.pods]

    def _crash(self, fault: Fault, place: int) -> None:
        """Once it lives it crashes after a while, as long as the fault goes on."""
        if fault.number not in self._active:
            return
        pods, clock = self._shop.pods[fault.place], self._shop.clock
        pod = next((each for each in pods if each.place == place), None)
        lives = fault.size["lives"]
        if pod is not None and pod.process is not None and clock.now - pod.process.began > 0.7 * lives:
            pod.process.lines.append(_last_words(clock.now))
            self._shop.crash(pod, "")
        clock.at(clock.now + lives * self._dice.uniform(0.3, 0.6), self._crash, fault, place)


def _sized(trouble: Trouble, size: Mapping[str, float]) -> Trouble:
    """With figures that have the names of its fields."""
    for name, value in size.items():
        setattr(trouble, name, value)
    return trouble


def _last_words(at: float) -> bytes:
    return spans.line(at, 17, "ERROR", "the pool of connections is gone, giving up", b"", b"")


def _flag(fault: Fault) -> str:
    return f"new-{fault.place}-way"


def _next(version: str, number: int) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.{number}"
