"""The simulated shop: its pods and nodes, who is asked, and what a cluster does with pods.

Guarantee: the same seed and the same orders give the same requests, to the byte.
"""

import random
from collections.abc import Generator
from typing import Any

from tests.benchmarks.shop_faults.clock import Answer, Clock
from tests.benchmarks.shop_faults.events import KubernetesEvents
from tests.benchmarks.shop_faults.pods import Node, Pod, Process, hash_of
from tests.benchmarks.shop_faults.serving import REFUSED, Failed, Request, Taken, serve
from tests.benchmarks.shop_faults.town import BATCH, FRONTEND, NODES, SERVICES, VERSIONS, Service
from tests.benchmarks.shop_faults.trouble import Trouble

_LONGEST_BACKOFF = 160.0
_GRACE_SECONDS = 3.0


class Shop:
    """``down`` has the services and databases that cannot be reached, and how: ``refused`` or ``silent``."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = clock
        self.dice = random.Random(f"{seed}/requests")
        self.events = KubernetesEvents(clock, seed)
        self.nodes = {name: Node(name) for name in NODES}
        self.down: dict[str, str] = {}
        self.troubles: dict[str, list[Trouble]] = {name: [] for name in SERVICES}
        self.versions = dict(VERSIONS)
        self.pods: dict[str, list[Pod]] = {name: [] for name in SERVICES}
        self.wanted = {service.name: service.pods for service in SERVICES.values()}
        self.batch: dict[str, float] = dict.fromkeys(NODES, 0.0)  # cores that a job takes beyond the usual, by node
        self._number = 0
        self.leaving: list[Pod] = []  # pods that take no calls any more; who tells of pods takes them out
        self._cluster = random.Random(f"{seed}/cluster")
        self.batch_pods = {node: f"{BATCH}-{hash_of(self._cluster, 9)}-{hash_of(self._cluster, 5)}" for node in NODES}
        self._sets = {name: hash_of(self._cluster, 9) for name in SERVICES}
        for service in SERVICES.values():
            for place in range(service.pods):
                self._begin(self._new(service, place))

    def every_pod(self) -> list[Pod]:
        """In a fixed order."""
        return [pod for pods in self.pods.values() for pod in pods]

    # -- requests ------------------------------------------------------------------------------------------------------

    def visit(self, method: str, route: str, **values: int) -> Answer:
        """A request of a shopper."""
        return self.ask(FRONTEND, method, route, self.dice.randbytes(16), b"", values)

    def ask(self, peer: str, method: str, route: str, trace: bytes, parent: bytes, values: dict[str, int]) -> Answer:
        """A request to any pod of a service that takes calls."""
        answer, down = Answer(self.clock), self.down.get(peer)
        open_ = [pod for pod in self.pods[peer] if pod.open]
        if down == "silent":
            return answer
        process = self.dice.choice(open_).process if open_ else None
        if down == "refused" or process is None or not process.alive:
            answer.give((REFUSED, None))
            return answer
        self.clock.start(serve(Request(self, process, trace, values), method, route, parent, answer))
        return answer

    def side_by_side(self, taken: Taken) -> Answer:
        """Do it beside others; the answer is what it failed with, or None."""
        answer = Answer(self.clock)

        def steps() -> Generator[float | Answer, Any, None]:
            try:
                yield from taken
            except Failed as failed:
                answer.give(failed)
            else:
                answer.give(None)

        self.clock.start(steps())
        return answer

    # -- what a cluster does -------------------------------------------------------------------------------------------

    def roll_out(self, name: str, version: str) -> float:
        """Another version, pod by pod; returns when the last pod has it."""
        self.versions[name] = version
        self._sets[name] = hash_of(self._cluster, 9)
        self.events.tell(f"Scaled up replica set {name}-{self._sets[name]}", "ScalingReplicaSet", deployment=name)
        at = self.clock.now
        for place in sorted({pod.place for pod in self.pods[name]}):
            self.clock.at(at, self._replace, name, place)
            at += self._cluster.uniform(12.0, 20.0)
        return at

    def scale(self, name: str, pods: int) -> None:
        """So many pods."""
        self.wanted[name] = pods
        places = {pod.place for pod in self.pods[name]}
        word = "up" if pods > len(places) else "down"
        text = f"Scaled {word} replica set {name}-{self._sets[name]} to {pods}"
        self.events.tell(text, "ScalingReplicaSet", deployment=name)
        for place in range(len(places), pods):
            self._start(self._new(SERVICES[name], place))
        for pod in [each for each in self.pods[name] if each.place >= pods]:
            self._retire(pod)

    def crash(self, pod: Pod, why: str) -> None:
        """Its process ends; another one begins after a while, and later each time."""
        process = pod.process
        if process is None or pod.gone:
            return
        process.end()
        pod.process = None
        self.clock.at(self.clock.now + self._cluster.uniform(0.5, 2.5), self._close, pod)
        pause = 1.5 if pod.backoff <= 10.0 else pod.backoff / 2
        pod.backoff = min(2 * pod.backoff, _LONGEST_BACKOFF)
        if pause > 5.0:
            self.events.tell("Back-off restarting failed container", "BackOff", pod=pod, warning=True)
        if why:
            self.events.tell(why, "OOMKilling", pod=pod, warning=True)
        self.clock.at(self.clock.now + pause + self._cluster.uniform(1.0, 3.0), self._restart, pod)

    def calm_down(self, pod: Pod) -> None:
        """What made it crash is over: it begins again soon."""
        pod.backoff = 10.0
        if pod.process is None:
            self._restart(pod)

    # -- lives of pods -------------------------------------------------------------------------------------------------

    def _new(self, service: Service, place: int) -> Pod:
        name = f"{service.name}-{self._sets[service.name]}-{hash_of(self._cluster, 5)}"
        node = self.nodes[NODES[(place + sorted(SERVICES).index(service.name)) % len(NODES)]]
        self._number += 1
        pod = Pod(name, service, place, node, self.troubles[service.name], self._number)
        pod.phase = self._cluster.randrange(5)
        self.pods[service.name].append(pod)
        return pod

    def _start(self, pod: Pod) -> None:
        for text, reason in (
            (f"Successfully assigned {pod.name} to {pod.node.name}", "Scheduled"),
            ("Created container", "Created"),
            ("Started container", "Started"),
        ):
            self.events.tell(text, reason, pod=pod)
        self.clock.at(self.clock.now + self._cluster.uniform(3.0, 6.0), self._begin, pod)

    def _begin(self, pod: Pod) -> None:
        if pod.gone or pod.process is not None:
            return
        pod.process = Process(pod, self.versions[pod.service.name], self.clock, self._cluster)
        pod.spent = 0.0
        self.clock.at(self.clock.now + self._cluster.uniform(1.0, 3.0), self._open, pod)

    def _open(self, pod: Pod) -> None:
        """It is ready; one whose place it takes is let go now, and not before."""
        if pod.process is None or pod.gone:
            return
        pod.open = True
        for other in [each for each in self.pods[pod.service.name] if each.place == pod.place and each is not pod]:
            if other.number < pod.number:
                self._retire(other)

    def _close(self, pod: Pod) -> None:
        if pod.process is None:
            pod.open = False

    def _restart(self, pod: Pod) -> None:
        if not pod.gone and pod.process is None:
            pod.restarts += 1
            self.events.tell("Started container", "Started", pod=pod)
            self._begin(pod)

    def _replace(self, name: str, place: int) -> None:
        if any(pod.place == place for pod in self.pods[name]):  # else it was scaled down meanwhile
            self._start(self._new(SERVICES[name], place))

    def _retire(self, pod: Pod) -> None:
        """No calls from now on; what is being answered has some seconds."""
        self.events.tell("Stopping container", "Killing", pod=pod)
        pod.open, pod.gone = False, True
        self.pods[pod.service.name].remove(pod)
        self.leaving.append(pod)
        self.clock.at(self.clock.now + _GRACE_SECONDS, self._end, pod)

    def _end(self, pod: Pod) -> None:
        if pod.process is not None:
            pod.process.end()
