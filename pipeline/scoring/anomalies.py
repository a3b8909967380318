"""Transitions of episodes as Anomaly records.

Guarantee: the id is made from scope, signal and onset, so the same episode has the same id in every run; everything
else follows from the state of its row.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from detectors.layout import LEAST, MOST
from pipeline.policies import Resolved
from pipeline.records import Anomaly, Signal
from pipeline.scoring import reasons

Array = npt.NDArray[Any]
#: Set of an episode that the false-discovery filter took for a false one.
UNDISCOVERED = 1 << 8
_KNOWN = 100  # windows after which an heir of others is judged by its own


@dataclass(frozen=True, slots=True)
class Judge:
    """By what a transition was decided: the detector's version, and the surprise from which a window was unlikely."""

    detector: str
    threshold: float


def describe(
    row: int,
    transition: str,
    step_us: int,
    signal: Signal,
    resolved: Resolved,
    groups: Mapping[str, dict[str, Array]],
    judge: Judge,
    ending: str = "",
    felt: bool | None = None,
) -> Anomaly:
    """One transition of the episode of a row; ``ending`` is why it ended, where that needs saying, ``felt`` whether
    callers of the workload feel something."""
    state = groups["episodes"]
    onset, last = int(state["onset_us"][row]), int(state["last_us"][row])
    return Anomaly(
        id=anomaly_id(signal, onset),
        revision=int(state["revision"][row]),
        transition=transition,
        signal=signal,
        step_us=step_us,
        onset_us=onset,
        last_seen_us=last,
        end_us=last if transition == "ended" else None,
        peak_us=int(state["peak_us"][row]),
        value=float(state["peak_value"][row]),
        expected=float(state["peak_expected"][row]),
        lower=float(state["peak_lower"][row]),
        upper=float(state["peak_upper"][row]),
        surprise=float(state["peak"][row]),
        windows=int(state["unlikely"][row]),
        why=_why(row, groups, ending),
        detector=judge.detector,
        policy=resolved.version,
        owner=resolved.owner,
        owner_budget=resolved.owner_budget,
        discovered=not int(state["why"][row]) & UNDISCOVERED,
        threshold=judge.threshold,
        false_discovery_rate=resolved.policy.false_discovery_rate,
        excess=_excess(float(state["excess"][row])),
        slo=resolved.policy.slo,
        silent=bool(state["silent"][row]),
        felt=True if int(state["why"][row]) & reasons.FELT else felt,
    )


def _excess(sum_over_time: float) -> float | None:
    return sum_over_time if math.isfinite(sum_over_time) else None


def _why(row: int, groups: Mapping[str, dict[str, Array]], ending: str) -> str:
    state, core = groups["episodes"], groups["detector"]["core"][row]
    value, expected = float(state["peak_value"][row]), float(state["peak_expected"][row])
    if int(state["why"][row]) & reasons.RARE and not state["silent"][row]:
        said = reasons.of_rarity(int(state["why"][row]), float(state["peak"][row]))
        return f"{said}; {ending}" if ending else said
    if state["silent"][row]:
        said = f"no data for {value:.0f} windows; usually at most {expected:.0f} between data"
    else:
        said = reasons.words(
            int(state["why"][row]), value, expected, int(state["peak_us"][row]), float(core[LEAST]), float(core[MOST])
        )
    seen, own = int(groups["detector"]["seen"][row]), int(groups["counts"]["seen"][row])
    if 0 < own < min(seen, _KNOWN):
        said = f"{said}; seen for {own} windows only, so judged by others like it"
    return f"{said}; {ending}" if ending else said


def anomaly_id(signal: Signal, onset_us: int) -> str:
    """The same for the same episode in every run."""
    text = f"{signal.scope}|{signal.id}|{onset_us}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
