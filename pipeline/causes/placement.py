"""Nodes whose instances are in trouble more than those elsewhere: what runs side by side suffers together.

Guarantee: a pure function of what is given; ties go by name. A node is told of only where instances of at least two
workloads suffer on it while others of the same workloads, elsewhere, do not.

If it did not matter where instances run, then of the u unusual ones among the n of a workload so many would be among
the a on a node as the hypergeometric distribution says. p is the probability of at least as many, over all workloads
together (the exact test of a common effect in strata; Mantel and Haenszel 1959, one-sided). Workloads of which all, or
none, are unusual say nothing, and so callers that wait for others do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, exp, log

import numpy as np

from pipeline.records import OnNode, Placement

_LEAST_WORKLOADS = 2
#: Instances of a workload with which still is counted; of more a part says as much.
_MOST_INSTANCES = 500


@dataclass(frozen=True, slots=True)
class Crowd:
    """``unusual`` of ``of`` instances on a node, of ``workloads``; the same of those workloads' instances elsewhere.
    ``strength`` is ln(1/p), less ln(how many nodes were compared), in nats. ``explains``: which part of their trouble
    the node explains, by workload: that of their unusual instances which run on it, as surely as it stands out."""

    node: str
    workloads: int
    unusual: int
    of: int
    elsewhere: int
    of_elsewhere: int
    strength: float
    explains: Mapping[str, float]

    def words(self) -> str:
        """For people."""
        rest = f"{self.elsewhere} of {self.of_elsewhere} of the same workloads elsewhere"
        return f"{self.unusual} of {self.of} instances of {self.workloads} workloads on it are unusual, {rest}"


def crowds(placements: Mapping[str, Placement]) -> dict[str, Crowd]:
    """By node; ``placements`` by workload."""
    on: dict[str, list[tuple[str, Placement, OnNode]]] = {}
    for name in sorted(placements):
        placement = placements[name]
        if 0 < placement.unusual < placement.instances <= _MOST_INSTANCES:
            for each in placement.nodes:
                on.setdefault(each.node, []).append((name, placement, each))
    found = {}
    for node, parts in on.items():
        if len(parts) >= _LEAST_WORKLOADS and (strength := _strength(parts) - log(len(on))) > 0.0:
            unusual, of = sum(each.unusual for *_, each in parts), sum(each.of for *_, each in parts)
            rest = [sum(whole.unusual for _, whole, _ in parts), sum(whole.instances for _, whole, _ in parts)]
            sure = 1.0 - exp(-strength)
            explains = {name: sure * each.unusual / whole.unusual for name, whole, each in parts}
            found[node] = Crowd(node, len(parts), unusual, of, rest[0] - unusual, rest[1] - of, strength, explains)
    return found


def _strength(parts: list[tuple[str, Placement, OnNode]]) -> float:
    """ln(1/p) of so many unusual instances on a node."""
    chances = np.ones(1)
    for _, whole, each in parts:
        chances = np.convolve(chances, _hypergeometric(whole.instances, whole.unusual, each.of))
    p = float(chances[sum(each.unusual for *_, each in parts) :].sum())
    return -log(max(p, 1e-300))


def _hypergeometric(instances: int, unusual: int, on_node: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The probability that 0, 1, … of those on a node are unusual."""
    ways = comb(instances, on_node)
    most = min(unusual, on_node)
    return np.array([comb(unusual, x) * comb(instances - unusual, on_node - x) / ways for x in range(most + 1)])
