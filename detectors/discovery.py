"""False-discovery control across the signals of one watermark step, and over steps: which p-values stand together.

Guarantee: what is discovered is a subset of p ≤ rate, it grows with the rate, and which signal stands where does not
matter: the filter may only remove. Of the discoveries of one step, the expected share of false ones is at most the
rate:

- ``benjamini_hochberg``: for p-values that are independent or positively dependent (PRDS), such as signals of one fleet
  under common load. Benjamini and Hochberg, JRSS B 57 (1995); Benjamini and Yekutieli, Annals of Statistics 29 (2001).
- ``benjamini_yekutieli``: for any dependence, at a level lower by 1 + 1/2 + … + 1/n (the 2001 paper).

At ten thousand steps a week that is not enough: where nothing is wrong, each step has a false discovery with
probability ``rate``. ``OnlineDiscovery`` holds the rate over steps.

A p that is NaN is no test: it is neither discovered nor counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from detectors.protocol import Floats, Mask, State, StateVersionError


def _refuse(p: Floats, rate: float) -> None:
    if not 0.0 < rate < 1.0:
        raise ValueError(f"a false-discovery rate lies between 0 and 1, not at {rate}")
    if p.ndim != 1 or bool(((p < 0.0) | (p > 1.0)).any()):
        raise ValueError("p-values are one axis of numbers from 0 to 1 (NaN: no test)")


def _step_up(p: Floats, level: float) -> Mask:
    """p ≤ level·k/n for the largest k so that k of the n p-values are that small."""
    tests = np.count_nonzero(~np.isnan(p))
    small = np.sort(p[p <= level])
    stands = np.flatnonzero(small * tests <= level * np.arange(1, small.size + 1))
    if not stands.size:
        return np.zeros(p.shape, np.bool_)
    found: Mask = p <= small[stands[-1]]
    return found


def benjamini_hochberg(p: Floats, rate: float) -> Mask:
    """Discoveries among p (n,) at a false-discovery rate, for independent or positively dependent p-values."""
    _refuse(p, rate)
    return _step_up(p, rate)


def benjamini_yekutieli(p: Floats, rate: float) -> Mask:
    """Discoveries among p (n,) at a false-discovery rate, whatever the dependence."""
    _refuse(p, rate)
    tests = np.count_nonzero(~np.isnan(p))
    return _step_up(p, rate / float(np.sum(1.0 / np.arange(1, tests + 1)))) if tests else np.zeros(p.shape, np.bool_)


def discovered(p: Floats, rate: float, any_dependence: bool = False) -> Mask:
    """Discoveries (n,) of one step: ``benjamini_hochberg``, or ``benjamini_yekutieli`` where dependence may be any."""
    return benjamini_yekutieli(p, rate) if any_dependence else benjamini_hochberg(p, rate)


@dataclass(frozen=True, slots=True)
class OnlineDiscovery:
    """False-discovery control over the steps of a shard, for batches of p-values, in constant memory.

    Step t is tested at its own level α_t ≤ ``rate``. Levels are paid from an allowance of rate·(1 − d) a step and from
    a credit that each step with discoveries earns (``rate``), of which a share ``pace`` is spent a step; both are
    forgotten by d = 1 − 1/``memory`` a step, so that Σ d^(t−s)·α_s ≤ rate·(1 + Σ d^(t−s)·[step s discovered]).

    Guarantee: with F_s the share of false ones among the discoveries of step s, E Σ d^(t−s)·F_s ≤ rate·(1 + E Σ
    d^(t−s)·[step s discovered]): of the steps in memory that say something, at most ``rate`` is false, give or take
    one step. It holds where the p-values of a step, given the steps before, are PRDS (with ``any_dependence``: always):
    then E[F_s | before] ≤ α_s; sum, and use the bound above. The step is the unit, so that a burst of false discoveries
    that hang together counts once, and an outage over many signals costs the level of one step.

    After: Foster and Stine, JRSS B 70 (2008), alpha-investing; Ramdas, Yang, Wainwright and Jordan, "Online control of
    the false discovery rate with decaying memory" (NIPS 2017); Zrnic, Jiang, Ramdas and Jordan, "The power of batching
    in multiple hypothesis testing" (AISTATS 2020). Row i of the state is shard i; 24 bytes a shard.
    """

    rate: float = 0.1
    memory: float = 10_080.0
    pace: float = 0.05
    any_dependence: bool = False

    version: ClassVar[str] = "discovery/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {"credit": np.float64, "steps": np.int64, "active": np.int64}

    def __post_init__(self) -> None:
        _refuse(np.empty(0), self.rate)
        if not (self.memory >= 1.0 and 0.0 <= self.pace <= 1.0):
            raise ValueError(f"memory is at least 1 step and pace from 0 to 1, not {self.memory} and {self.pace}")

    def empty(self, shards: int) -> State:
        return State(self.version, {name: np.zeros(shards, dtype) for name, dtype in self.fields.items()})

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not of online discovery."""
        if state.version != self.version or state.arrays.keys() != self.fields.keys():
            raise StateVersionError(
                f"state of version {state.version} with {sorted(state.arrays)} cannot be read by {self.version}, "
                f"which needs {sorted(self.fields)}"
            )

    def level(self, state: State, shard: int) -> float:
        """α_t of the shard's next step."""
        return min(self.rate / self.memory + self.pace * float(state.arrays["credit"][shard]), self.rate)

    def step(self, state: State, shard: int, p: Floats) -> Mask:
        """Discoveries (n,) of a step of one shard, whose state is changed; a step without tests changes nothing."""
        _refuse(p, self.rate)
        if not np.count_nonzero(~np.isnan(p)):
            return np.zeros(p.shape, np.bool_)
        level, arrays = self.level(state, shard), state.arrays
        found = discovered(p, level, self.any_dependence)
        spent = level - self.rate / self.memory
        rest = max(float(arrays["credit"][shard]) - spent, 0.0)
        arrays["credit"][shard] = (1.0 - 1.0 / self.memory) * (rest + self.rate * bool(found.any()))
        arrays["steps"][shard] += 1
        arrays["active"][shard] += bool(found.any())
        return found
