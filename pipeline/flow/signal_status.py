"""What a checkpoint of the score chain says of each signal: its state, its newest window, what is expected next.

Guarantee: read by the chain's own ``restore``, so that it fails by name on a checkpoint of another version; the
checkpoint is not changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors import Scores, State
from detectors.layout import ALIGN, FAST, HIGH, LAST, LEAST, LOW, MOST, OFFSET, SCALE, SLOW
from detectors.together import COLD
from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import US, Kind, Signal, Snapshot
from pipeline.scoring import episodes as episodes_of
from pipeline.scoring.catalogue import VACANT
from pipeline.scoring.episodes import SILENT_INTERVALS
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer

Condition = Literal["anomalous", "cold", "silent", "warm"]

#: Histograms are watched through the signals derived from them (rate, mean, quantiles).
_NOT_SCORED = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA, Kind.SHARE)


#: What of a row's baseline is shown.
_BASELINE = {
    "level": SLOW,
    "recent": FAST,
    "error": SCALE,
    "usually_from": LOW,
    "usually_to": HIGH,
    "least": LEAST,
    "most": MOST,
    "offset": OFFSET,
}


@dataclass(frozen=True, slots=True)
class SignalStatus:
    """One signal. Times are event times in microseconds; a number that is not known is NaN.

    ``windows`` with data were seen so far, the newest ended at ``seen_us`` (0 = none), ``interval_us`` is their usual
    distance. ``expected``, ``lower`` and ``upper`` are of the next window. ``baseline`` is the detector's own state, by
    name. ``anomalous_since_us`` is the onset of the open episode. ``policy`` is the version of what is in force for it,
    ``rules`` what that says, ``given_by`` which policy said each key of it, ``policies`` the version of all policies.
    ``threshold`` is the surprise from which the next window would be unlikely. Of ``needed`` windows that must pass
    before any is judged ``seen`` have, inherited ones among them. ``closed_us``: the checkpoint has all windows up to
    then, which are ``window_us`` long.
    """

    signal: Signal
    partition: int
    condition: Condition
    windows: int
    seen_us: int
    interval_us: int
    last_value: float
    expected: float
    lower: float
    upper: float
    baseline: dict[str, float]
    anomalous_since_us: int | None
    watermark_us: int
    detector: str
    policy: str
    rules: DetectorPolicy
    given_by: Mapping[str, str]
    policies: str
    threshold: float
    seen: int
    needed: int
    closed_us: int
    window_us: int


def signal_statuses(snapshot: Snapshot, partition: int, config: FlowConfig) -> Iterator[SignalStatus]:
    """Every scored signal of the shard ``partition`` of ``calm.signals``. Raises UnreadableState."""
    chain = ScoreChain(partition, config)
    chain.restore(snapshot)
    scorer, watermark_us = chain.scorer, max(chain.watermark_us(), chain.closed_us)
    arrays, episodes = scorer.table.groups["detector"], scorer.table.groups["episodes"]
    core, ahead = arrays["core"], _ahead(scorer, watermark_us)
    thresholds = episodes_of.needed(episodes, every := np.arange(scorer.table.rows), scorer.rules_of(every))
    given_by: dict[int, Mapping[str, str]] = {}
    own = scorer.table.groups["counts"]["seen"]  # the detector counts what an heir has inherited, too
    for row, signal in enumerate(scorer.catalogue.signals):
        if signal == VACANT or signal.kind in _NOT_SCORED:
            continue
        windows = int((arrays["seen"] if signal.name == ENTITY_SIGNAL else own)[row])
        seen_us = int(episodes["seen_us"][row])
        interval_us = int(episodes["interval_us"][row]) or config.window_of(signal.kind)
        known = windows > 0 and signal.name != ENTITY_SIGNAL  # of a derived signal only the episodes are kept here
        resolved = chain.policies.resolve(signal)
        needed = COLD if signal.name == ENTITY_SIGNAL else resolved.policy.min_history_windows
        if id(resolved) not in given_by:
            given_by[id(resolved)] = _given_by(chain.policies, signal)
        yield SignalStatus(
            signal=signal,
            partition=partition,
            condition=_condition(
                is_open=bool(episodes["open"][row]),
                cold=arrays["seen"][row] < needed or core[row, ALIGN] > 0.0,
                silent=watermark_us - seen_us > SILENT_INTERVALS * interval_us,
            ),
            windows=windows,
            seen_us=seen_us,
            interval_us=interval_us,
            last_value=float(core[row, LAST]) if known else float("nan"),
            expected=float(ahead.expected[row]) if known else float("nan"),
            lower=float(ahead.lower[row]) if known else float("nan"),
            upper=float(ahead.upper[row]) if known else float("nan"),
            baseline={name: float(core[row, at]) for name, at in _BASELINE.items()},
            anomalous_since_us=int(episodes["onset_us"][row]) if episodes["open"][row] else None,
            watermark_us=watermark_us,
            detector=scorer.detector.version,
            policy=resolved.version,
            rules=resolved.policy,
            given_by=given_by[id(resolved)],
            policies=chain.policies.version,
            threshold=float(thresholds[row]),
            seen=int(arrays["seen"][row]),
            needed=needed,
            closed_us=chain.closed_us,
            window_us=int(scorer.table.groups["given"]["window_us"][row]),
        )


def _given_by(policies: PolicyTable, signal: Signal) -> Mapping[str, str]:
    """Key of a DetectorPolicy → version of the policy that said it, for keys that are not of the base."""
    found: dict[str, str] = {}
    for policy in policies.policies:
        if policy.matches(signal):
            found |= dict.fromkeys(policy.own, policy.version)
            if "alert_budget" in policy.own:
                found["threshold_surprise"] = policy.version  # it takes a fixed threshold away
    return found


def _ahead(scorer: Scorer, watermark_us: int) -> Scores:
    """What is expected of the next window of every row. A window is scored before it is learned, so any value brings
    that out."""
    window_us = scorer.table.groups["given"]["window_us"]
    state = State(scorer.detector.version, scorer.table.groups["detector"]).take(slice(0, window_us.size))
    found = Scores(*(np.full(window_us.size, np.nan) for _ in range(4)))
    for length in np.unique(window_us[: scorer.table.rows]).tolist():
        mask = window_us == length
        next_us = (watermark_us // length + 1) * length
        scores = scorer.detector.step(state, np.zeros(mask.size), mask, next_us / US, scorer.options())
        for name in ("expected", "lower", "upper"):
            getattr(found, name)[mask] = getattr(scores, name)[mask]
    return found


def _condition(*, is_open: bool, cold: bool, silent: bool) -> Condition:
    if is_open:
        return "anomalous"
    if cold:
        return "cold"
    return "silent" if silent else "warm"
