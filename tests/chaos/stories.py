"""What is sent in a run, as messages with event times of their own, so that two runs can be compared.

``metrics``: points of 32 signals, with faults, disorder, repeats and points that come too late. ``everything``: fewer
of them, and logs, traces, events and changes too. Each also as ``repeated``: now and then the producer sends again what
it sent last, as one does that ended before it knew that its messages had arrived. What is on the input topics is then
another content, and is compared with an undisturbed run on that content.
"""

import functools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.records import US
from tests.streams import every_input
from tests.streams.every_input import ERROR, FORMATS, INFO, START, Line, Request, Sent, event, logs, points, trace

PARTITIONS = 4
#: Of ``metrics``.
SIGNALS = 32
SECONDS = 230
#: Event time of the last points of ``metrics``: everything before it is complete.
END = START + SECONDS + 120
_SECONDS = 160
_END = START + _SECONDS + 120
NAMES = ("metrics", "everything")


@dataclass(frozen=True)
class Story:
    """``seconds`` of it are told at a steady pace; then comes a message on every partition of an event time so late
    that everything before is complete when the last stage has come to ``done``."""

    name: str
    formats: dict[str, str]
    lateness_seconds: int
    seconds: int
    done: float
    messages: tuple[Sent, ...]


@functools.cache
def story(name: str, *, repeated: bool = False) -> Story:
    """One of NAMES; always the same within a process."""
    if name == "metrics":
        messages, formats, lateness, seconds, end = _metrics(), {"points": "json_points"}, 2, SECONDS, END
    else:
        messages, formats, lateness, seconds, end = _everything(), FORMATS, 30, _SECONDS, _END
    told = tuple(again_and_again(messages) if repeated else messages)
    return Story(name, formats, lateness, seconds, end - lateness - 10, told)


def again_and_again(messages: Iterable[Sent]) -> Iterator[Sent]:
    """Now and then the last few, up to some hundred, once more, in the same order and on the same partitions."""
    dice = random.Random(11)
    sent: list[Sent] = []
    for message in messages:
        sent.append(message)
        yield message
        if dice.random() < 0.003:
            yield from sent[-dice.choice((1, 3, 30, 300)) :]


def load(
    seconds: int = SECONDS, signals: int = SIGNALS, trouble: int = 150, seed: int = 7
) -> Iterator[tuple[int, int, bytes]]:
    """(second, partition, message): one signal in eight has a fault, from ``trouble`` plus its number on."""
    rng = np.random.default_rng(seed)
    total = np.zeros(signals)
    for second in range(seconds):
        for i in range(signals):
            value = 40 + rng.normal()
            if i % 8 == 3 and trouble + i <= second < trouble + 30 + i:
                value += 50
            total[i] += value
            late = 30 * int(rng.integers(0, 300) == 0)
            point = {
                "ts": START + second - (1.5 * int(rng.integers(0, 4) == 0) + late) * (i % 2 == 0),
                "name": "load",
                "kind": "counter" if i % 2 else "gauge",
                "value": round(float(total[i] if i % 2 else value), 6),
                "attributes": {"service.name": f"s{i}", "deployment.environment.name": f"env{i % 5}"},
            }
            for _ in range(1 + int(rng.integers(0, 60) == 0)):
                yield second, int(rng.integers(0, PARTITIONS)), json.dumps(point).encode()


def _metrics() -> Iterator[Sent]:
    for second, partition, message in load():
        yield Sent(second, "points", partition, message)
    for partition in range(PARTITIONS):
        last = {"ts": END, "name": "end", "value": 1, "attributes": {"service.name": "end"}}
        yield Sent(END - START, "points", partition, json.dumps(last).encode())


def _everything() -> Iterator[Sent]:
    """No partition of any topic is silent for long, for the silence of logs, traces, events and changes counts."""
    dice = random.Random(5)
    of_load = iter([*load(_SECONDS, signals=20, trouble=60), (_SECONDS, 0, b"")])
    waiting = next(of_load)
    for second in range(_SECONDS):
        while waiting[0] == second:
            yield Sent(second, "points", waiting[1], waiting[2])
            waiting = next(of_load)
        for topic, message in _told(second, dice):
            for _ in range(2 if topic == "otlp_spans" and dice.random() < 0.1 else 1):
                yield Sent(second, topic, dice.randrange(PARTITIONS), message)
        yield from (Sent(second, topic, second % PARTITIONS, value) for topic, value in _signs_of_life(second))
    for partition in range(PARTITIONS):
        yield from (Sent(_END - START, topic, partition, message) for topic, message in every_input.last(_END))


def _told(second: int, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    """The shop and its cart, whose payments fail more and more often in the middle of the story."""
    yield from points(second)
    yield "otlp_logs", logs(Line(second, "shop", INFO, f"order {1000 + second} placed"))
    trouble = 90 <= second < 115
    if second % 6 == 5 or trouble:
        yield "otlp_logs", logs(Line(second, "cart", ERROR, f"payment of {second} refused by 10.0.0.{second}"))
    if second % 10 == 3:
        yield "events", event(second, "config.reload", "shop", f"reload {second}")
    if second == 84:
        yield "changes", every_input.deployed(START + second)
    slow = 5 if trouble else 1
    page, call, answer, query = (slow * (us - dice.randrange(us // 8)) for us in (140_000, 80_000, 50_000, 20_000))
    one = Request(second, second * US, page, call, answer, query, failed=second % 4 == 1)
    yield from (("otlp_spans", message) for message in trace(one))


def _signs_of_life(second: int) -> Iterator[tuple[str, bytes]]:
    """Of a service that has nothing else to tell, on every partition in turn."""
    yield "otlp_logs", logs(Line(second, "pulse", INFO, "still here"))
    yield "events", event(second, "pulse", "pulse", "still here")
    change = {"ts": START + second, "kind": "config", "entity": {"service.name": "pulse"}}
    yield "changes", json.dumps(change).encode()
    one = Request(1_000_000 + second, second * US, 4_000, 3_000, 2_000, 1_000, failed=False)
    yield from (("otlp_spans", message) for message in trace(one))
