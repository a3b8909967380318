"""Why an incident is as it is, or is missing: what the chain knew in the minutes of each fault not judged right.

Guarantee: a pure function of what the chains wrote.
"""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pipeline.codecs import score_block
from pipeline.flow.score import ScoreChain
from pipeline.records import Produced, Signal
from pipeline.scoring import episodes
from tests.benchmarks.shop_faults.by_chains import Line
from tests.benchmarks.shop_faults.judge import Judgement, Verdict
from tests.benchmarks.shop_faults.schedule import Schedule
from tests.benchmarks.shop_faults.story import START

_MOST = 25
#: Of each fault the scores of so many seconds from its start on.
_LOOK_SECONDS = 240.0


class Near:
    """The highest surprise of each signal in the first minutes of each fault, and what would have been needed.

    Made before the story is told: it listens to what the chains of a line write.
    """

    def __init__(self, line: Line, schedule: Schedule) -> None:
        self._faults = schedule.faults
        self._signals: dict[int, Signal] = {}
        self._highest: dict[int, dict[int, tuple[float, ...]]] = {fault.number: {} for fault in schedule.faults}
        for chain in line.chains.values():
            inner = getattr(chain, "inner", chain)
            if isinstance(inner, ScoreChain):
                inner.scorer.catalogue.heard = self._hear
        line.listen = self._listen

    def _hear(self, signal: Signal) -> None:
        self._signals[signal.id] = signal

    def _listen(self, record: Produced) -> None:
        if record.topic != "scores":
            return
        block = score_block.decode(record.value or b"")
        at = block.end_us / 1e6 - START
        for fault in self._faults:
            if fault.start <= at <= min(fault.end, fault.start + _LOOK_SECONDS):
                highest = self._highest[fault.number]
                columns = (block.surprise, block.threshold, block.value, block.expected, block.verdict)
                for id_, *row in zip(block.ids.tolist(), *(each.tolist() for each in columns), strict=True):
                    if row[0] > max(2.0, highest.get(id_, (0.0,))[0]):
                        highest[id_] = (*row, at - fault.start)

    def words(self, number: int) -> Iterator[str]:
        """The most surprising signals of a fault."""
        found = sorted(self._highest[number].items(), key=lambda each: -each[1][0])
        for id_, (surprise, needed, value, expected, verdict, after) in found[:_MOST]:
            signal = self._signals.get(id_)
            who = signal.label() if signal else f"{id_:x}"
            whose = f"{signal.workload} {signal.instance}".strip() if signal else ""
            bits = [name for bit, name in _VERDICTS.items() if int(verdict) & bit]
            yield (
                f"  {surprise:5.1f} of {needed:.1f} after {after:.0f} s: {whose} {who} "
                f"{value:.4g} for {expected:.4g} {' '.join(bits)}"
            )


_VERDICTS = {
    episodes.FORCED: "forced",
    episodes.RESTS: "rests",
    episodes.WAS_OPEN: "was open",
    episodes.OPENS: "opens",
    episodes.ENDS: "ends",
    episodes.COLD: "cold",
}


def explanation(line: Line, judgement: Judgement, near: Near) -> Iterator[str]:
    """Lines for people."""
    anomalies = [json.loads(record.value or b"") for record in line.written["anomalies"] if is_anomaly(record)]
    for verdict in judgement.verdicts:
        if verdict.top_1 is False or verdict.change is False or verdict.false:
            yield from _of(verdict, anomalies)
            yield "the most surprising signals of its first minutes, and what was needed:"
            yield from near.words(verdict.fault.number)
    for episode in judgement.false:
        yield f"\n== false: {episode.incident} opened {_clock(episode.opened)}: {episode.transitions[0].body['title']}"
        yield from _members(episode.transitions[-1].body)
    yield f"\ncounts: { {' '.join(key): number for key, number in sorted(line.counts.items())} }"


def _of(verdict: Verdict, anomalies: Iterable[dict[str, Any]]) -> Iterator[str]:
    fault = verdict.fault
    begin, end = START + fault.start, START + fault.end
    place = f"{fault.place} {fault.pods or ''}"
    yield f"\n== {fault.number} {fault.kind} at {place} {fault.size}, {_clock(begin)} to {_clock(end)}"
    yield f"named {verdict.named}, wanted {sorted(fault.causes())}; changes {list(verdict.changes[:3])}"
    opened = [each for each in anomalies if begin - 10.0 <= _seconds(each["onset_time"]) <= end + 60.0]
    newest = {each["id"]: each for each in opened}
    yield f"{len(newest)} anomalies with an onset in it:"
    for each in sorted(newest.values(), key=lambda one: -one["surprise"])[:_MOST]:
        yield "  " + _words(each)
    if verdict.episode:
        body = verdict.episode.last(end).body
        yield "candidates:"
        for cause in body["root_cause_candidates"]:
            yield f"  {cause['score']:.2f} {cause['entity']} {cause['signal']} {cause['evidence']}"


def _members(body: Any) -> Iterator[str]:
    for member in body["members"][:_MOST]:
        yield "  " + _words(member) + f" [{member['joined_by']}]"


def _words(each: dict[str, Any]) -> str:
    signal, expected = each["signal"], each["expected"]["value"]
    attributes = {name: value for name, value in signal["attributes"].items()}
    who = f"{signal['workload']} {signal.get('instance', '')}".strip()
    return (
        f"{_clock(_seconds(each['onset_time']))} {each['surprise']:5.1f} {who} {signal['name']} {attributes} "
        f"{each['observed']:.4g} for {expected:.4g} {each['why'][:90]}"
    )


def is_anomaly(record: Any) -> bool:
    """Is it no edge, change or progress?"""
    return dict(record.headers).get("calm_type") == b"anomaly"


def _seconds(text: Any) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at))
