"""Is an instance that lives for twenty windows watched? Machines of SMD cut into short lives.

Guarantee: every life is a new instance with signals of its own, scored by the real scorer with shipped settings.
Counted are signals' anomalies in the 4,000 test windows of a machine that have the most events, its lives beginning
every 20 windows. What is known of a life differs:

- *none*: nothing is like it; each life is alone in its scope;
- *fleet*: each life is a workload of its own, and the other machines are running as workloads of the same scope, since
  2,000 windows before the first life;
- *siblings*: all lives are of one workload, whose first instance lived for 2,000 windows of the training part.

The data lie in ``CALMSTREAM_DATA``, as for real normal stretches.
"""

from collections.abc import Sequence
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
MODES = NONE, FLEET, SIBLINGS = "none", "fleet", "siblings"


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
    machines = list(reading.read("smd", [folder]))
    outcomes = {mode: Outcome() for mode in MODES}
    for machine in machines:
        for mode, outcome in outcomes.items():
            live(machine, mode, [other for other in machines if other is not machine], outcome)
        run.say(
            f"  {machine.name}: {', '.join(f'{m} {o.found}/{o.events}' for m, o in outcomes.items())} events so far"
        )
    for name, value in ((RECALL, lambda o: o.found / o.events), (FALSE_ALARMS, lambda o: o.false / o.weeks)):
        if name in wanted:
            others = {mode: value(outcome) for mode, outcome in outcomes.items() if mode != SIBLINGS}
            run.emit(name, value(outcomes[SIBLINGS]), "1", others, events=outcomes[SIBLINGS].events)


def live(machine: Fleet, mode: str, others: Sequence[Fleet], outcome: Outcome) -> None:
    """Run the lives of one machine in one of MODES; ``others`` are the fleet's other machines."""
    begin = _busiest(machine)
    scorer, opened = Scorer(DetectorPolicy(), {}), []
    fleet = [(_born(scorer, each, "", each.name, 1_000 + i), each) for i, each in enumerate(others) if mode == FLEET]
    own = np.empty(0, np.int64)
    for at, row in enumerate([*range(_FIRST_LIFE), *range(begin, begin + _STRETCH)]):
        life = max((at - _FIRST_LIFE) // _LIFE + 1, 0)
        if (at - _FIRST_LIFE) % _LIFE == 0 and (life > 0 or (at == 0 and mode != FLEET)):
            own = _born(scorer, machine, *_place(mode, life), life)
        parts = [(own, machine.values[row][: own.size]), *((rows, each.values[at]) for rows, each in fleet)]
        rows, values = (np.concatenate(both) for both in zip(*parts, strict=True))
        end_us = (at + 1) * machine.window_us
        start = np.full(rows.size, end_us - machine.window_us)
        _, anomalies = scorer.step(end_us, rows, start, start, values, np.ones(rows.size, np.int64))
        mine = [a for a in anomalies if a.signal.name != ENTITY_SIGNAL and a.signal.instance.startswith(machine.name)]
        opened += [row for a in mine if a.transition == "opened"]
    in_part = [(first, last) for first, last in machine.events if first < begin + _STRETCH and last >= begin]
    judged = [row for row in opened if begin <= row < begin + _STRETCH]
    outcome.events += len(in_part)
    outcome.found += sum(any(first <= row <= last for row in judged) for first, last in in_part)
    outcome.false += sum(not any(first <= row <= last for first, last in in_part) for row in judged)
    outcome.weeks += _STRETCH * machine.window_us / _WEEK_US * len(machine.signals)


def _place(mode: str, life: int) -> tuple[str, str]:
    """Scope and workload of a life."""
    return {NONE: (f"life-{life}", "pod"), FLEET: ("", f"life-{life}"), SIBLINGS: ("", "pod")}[mode]


def _busiest(machine: Fleet) -> int:
    """First row of the stretch of the test part that has the most events."""
    starts = range(machine.scored_from, machine.rows - _STRETCH, _LIFE)
    return max(starts, key=lambda at: (sum(at <= first < at + _STRETCH for first, _ in machine.events), -at))


def _born(scorer: Scorer, machine: Fleet, scope: str, workload: str, life: int) -> np.ndarray:
    """The rows of a new instance's signals."""
    return np.array(
        [
            scorer.add(
                Signal(life * 1000 + key, name, "", Kind.GAUGE, scope, workload, f"{machine.name}-{life}", ()),
                machine.window_us,
            )
            for key, name in enumerate(machine.signals)
        ]
    )
