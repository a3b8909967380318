"""Is an instance that lives for twenty windows watched? Machines of SMD cut into short lives of one workload.

Guarantee: every life is a new instance with signals of its own; the first life is long (2,000 windows of the training
part), all others last 20 windows; scored by the real scorer with shipped settings. Counted are signals' anomalies in
the 4,000 test windows with the most events; the same is measured without siblings' baselines, as the peer.

The data lie in ``CALMSTREAM_DATA``, as for real normal stretches.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation import reading
from pipeline.evaluation.labelled import Fleet
from pipeline.policies import DetectorPolicy
from pipeline.records import Kind, Signal
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from tests.benchmarks.normal_stretches import data
from tests.benchmarks.run import Run

RECALL, FALSE_ALARMS = "cold_start.event_recall", "cold_start.false_alarms_per_signal_week"
FIGURES = (RECALL, FALSE_ALARMS)

_FIRST_LIFE, _LIFE, _STRETCH = 2_000, 20, 4_000
_WEEK_US = 604_800_000_000


@dataclass
class Outcome:
    """Of all machines: events and how many were found, false alarms, signal-weeks."""

    events: int = 0
    found: int = 0
    false: int = 0
    weeks: float = 0.0


def figures(run: Run, wanted: set[str]) -> None:
    if not wanted.intersection(FIGURES):
        return
    if not (folder := data() / "smd").is_dir():
        run.say(f"no {folder}, so cold starts are not measured; CALMSTREAM_DATA names the folder with smd/")
        return
    with_siblings, alone = Outcome(), Outcome()
    for machine in reading.read("smd", [folder]):
        live(machine, "pod", with_siblings)
        live(machine, "", alone)
        run.say(f"  {machine.name}: {with_siblings.found}/{with_siblings.events} events so far")
    for name, value in ((RECALL, lambda o: o.found / o.events), (FALSE_ALARMS, lambda o: o.false / o.weeks)):
        if name in wanted:
            run.emit(name, value(with_siblings), "1", {"without_siblings": value(alone)}, events=alone.events)


def live(machine: Fleet, shared: str, outcome: Outcome) -> None:
    """Run the lives of one machine; ``shared`` is the workload's name, an empty one makes every life its own."""
    begin = _busiest(machine)
    rows = [*range(_FIRST_LIFE), *range(begin, begin + _STRETCH)]
    scorer, opened = Scorer(DetectorPolicy(), {}), []
    signals = np.empty(0, np.int64)
    for at, row in enumerate(rows):
        life = max((at - _FIRST_LIFE) // _LIFE + 1, 0)
        if at == 0 or (at >= _FIRST_LIFE and (at - _FIRST_LIFE) % _LIFE == 0):
            signals = _born(scorer, machine, shared, life)
        end_us = (at + 1) * machine.window_us
        start = np.full(signals.size, end_us - machine.window_us)
        _, anomalies = scorer.step(end_us, signals, start, start, machine.values[row], np.ones(signals.size, np.int64))
        opened += [row for a in anomalies if a.transition == "opened" and a.signal.name != ENTITY_SIGNAL]
    in_part = [(first, last) for first, last in machine.events if first < begin + _STRETCH and last >= begin]
    judged = [row for row in opened if begin <= row < begin + _STRETCH]
    outcome.events += len(in_part)
    outcome.found += sum(any(first <= row <= last for row in judged) for first, last in in_part)
    outcome.false += sum(not any(first <= row <= last for first, last in in_part) for row in judged)
    outcome.weeks += _STRETCH * machine.window_us / _WEEK_US * len(machine.signals)


def _busiest(machine: Fleet) -> int:
    """First row of the stretch of the test part that has the most events."""
    starts = range(machine.scored_from, machine.rows - _STRETCH, _LIFE)
    return max(starts, key=lambda at: (sum(at <= first < at + _STRETCH for first, _ in machine.events), -at))


def _born(scorer: Scorer, machine: Fleet, shared: str, life: int) -> np.ndarray:
    """The rows of a new instance's signals."""
    workload = shared or f"life-{life}"
    return np.array(
        [
            scorer.add(
                Signal(life * 1000 + key, name, "", Kind.GAUGE, "", workload, f"pod-{life}", ()), machine.window_us
            )
            for key, name in enumerate(machine.signals)
        ]
    )
