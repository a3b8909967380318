"""A schedule of faults in a simulated shop, and what incidents said: ``python -m tests.benchmarks.shop_faults``.

Guarantee: stdout gets one JSON line for each fault, for each incident that belongs to none, and a summary, and nothing
else. The exit code is 1 where a figure is below what it must be (precision and recall .9, first cause and suspected
change .8), else 0.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.shop_faults import by_chains, by_worker
from tests.benchmarks.shop_faults.explain import Near, explanation
from tests.benchmarks.shop_faults.judge import Episode, Judgement, Transition, Verdict, judge
from tests.benchmarks.shop_faults.schedule import KINDS, Fault, Schedule, drawn
from tests.benchmarks.shop_faults.story import START, VISITS_PER_SECOND, Felt, Story, where

#: A surge is too much for the shop where shoppers fare so much worse than before it.
_SLOWER, _MORE_FAILED = 2.0, 0.02


def main() -> int:
    told = _arguments()
    kinds = told.only or KINDS
    schedule = drawn(told.seed, warm_up=told.warm_up * 60.0, kinds=kinds, of_each=told.of_each)
    story = Story(schedule, told.seed, told.visits)
    began = time.monotonic()
    line = by_chains.Line() if told.in_process else None
    near = Near(line, schedule) if line and told.explain else None
    transitions = by_chains.run(story, line) if line else by_worker.run(story)
    saturated = frozenset(_saturated(story))
    judgement = judge(schedule.faults, transitions, START, saturated=saturated, warm_up=schedule.warm_up)
    if told.keep:
        told.keep.write_text("".join(json.dumps([each.decided, each.body]) + "\n" for each in transitions))
    for fault in _lines(story, judgement):
        print(json.dumps(fault), flush=True)
    print(json.dumps(_summary(told.seed, schedule, transitions, judgement, time.monotonic() - began)), flush=True)
    if line and near:
        for text in explanation(line, judgement, near):
            print(text, file=sys.stderr)
    return 0 if judgement.is_good() else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.shop_faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-process", action="store_true", help="without broker and worker: the chains alone")
    parser.add_argument("--only", action="append", choices=KINDS, help="faults of this kind alone; may be repeated")
    parser.add_argument("--of-each", type=int, default=2, help="faults of each kind")
    parser.add_argument("--warm-up", type=float, default=90.0, help="minutes before the first quiet stretch")
    parser.add_argument("--visits", type=float, default=VISITS_PER_SECOND, help="visits of shoppers a second")
    parser.add_argument("--explain", action="store_true", help="with --in-process: what the chain knew, on stderr")
    parser.add_argument("--keep", type=Path, help="a file for all transitions of incidents, as JSON lines")
    return parser.parse_args()


def _saturated(story: Story) -> Iterable[int]:
    for fault in story.schedule.faults:
        before, during = _felt(story, fault)
        if not fault.is_fault and (during.p95 > _SLOWER * before.p95 or during.failed > before.failed + _MORE_FAILED):
            yield fault.number


def _felt(story: Story, fault: Fault) -> tuple[Felt, Felt]:
    return story.felt(fault.start - 330.0, fault.start - 10.0), story.felt(fault.start, fault.end)


def _lines(story: Story, judgement: Judgement) -> Iterable[dict[str, Any]]:
    for verdict in judgement.verdicts:
        before, during = _felt(story, verdict.fault)
        yield _line(verdict) | {"shoppers": {"before": _words(before), "during": _words(during)}}
    of_verdicts = [each for verdict in judgement.verdicts for each in verdict.false]
    for episode in judgement.false:
        if not any(episode is each for each in of_verdicts):
            yield {"kind": "no fault", **_episode(episode)}


def _line(verdict: Verdict) -> dict[str, Any]:
    fault, episode = verdict.fault, verdict.episode
    return {
        "fault": fault.number,
        "kind": fault.kind,
        "where": where(fault),
        "size": {name: round(value, 3) for name, value in fault.size.items()},
        "start": _clock(START + fault.start),
        "seconds": round(fault.end - fault.start),
        "found": episode is not None,
        "delay_seconds": None if verdict.delay is None else round(verdict.delay, 1),
        "top_1": verdict.top_1,
        "named": verdict.named,
        "change": verdict.change,
        "changes": list(verdict.changes[:3]),
        "incident": _episode(episode, START + fault.end) if episode else None,
        "false": [_episode(each) for each in verdict.false],
    }


def _episode(episode: Episode, before: float = float("inf")) -> dict[str, Any]:
    last = episode.last(before)
    return {
        "incident": episode.incident,
        "onset": _clock(episode.onset),
        "opened": _clock(episode.opened),
        "ended": _clock(episode.transitions[-1].decided) if episode.transitions[-1].what == "resolved" else None,
        "transitions": [each.what for each in episode.transitions],
        "severity": last.body["severity"],
        "title": last.body["title"],
        "members": last.body["member_count"],
        "workloads": sorted(last.workloads()),
        "candidates": [
            {"entity": each["entity"], "signal": each["signal"], "score": round(each["score"], 2)}
            for each in last.body["root_cause_candidates"][:3]
        ],
    }


def _summary(
    seed: int, schedule: Schedule, transitions: list[Transition], judgement: Judgement, seconds: float
) -> dict[str, Any]:
    figures = {name: None if value is None else round(value, 3) for name, value in judgement.figures().items()}
    return {
        "name": "incidents.shop_faults",
        "seed": seed,
        **figures,
        "faults": sum(fault.is_fault for fault in schedule.faults),
        "incidents": judgement.true + len(judgement.false),
        "false_incidents": len(judgement.false),
        "incidents_in_warm_up": sum(
            each.what == "opened" and each.decided < START + schedule.warm_up for each in transitions
        ),
        "innocent_changes": len(schedule.innocent),
        "transitions": len(transitions),
        "hours": round(schedule.seconds / 3600.0, 2),
        "took_seconds": round(seconds),
        "good": judgement.is_good(),
    }


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at))


def _words(felt: Felt) -> str:
    return f"{felt.visits:.1f}/s, p50 {felt.p50:.2f} s, p95 {felt.p95:.2f} s, {felt.failed:.1%} failed"


if __name__ == "__main__":
    sys.exit(main())
