"""The configuration that the shop is watched with, and messages as a broker or a chain takes them.

Guarantee: everything as shipped, except that the broker is the embedded one, that an input has one partition, as a
shop of this size would have it, and how long a pause must be before it is taken for one. The story is told much faster
than time passes, so that a moment in which this machine is busy would be minutes of silence; nothing in it is late, and
delays are told with the shipped lateness.
"""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.shop_faults import changes
from tests.benchmarks.shop_faults.story import START, Story
from tests.benchmarks.shop_faults.telling import Sent

INPUTS = ("otlp_metrics", "otlp_logs", "otlp_spans", "calm.changes", "calm.points", "calm.events")
#: Inputs to which nobody writes.
UNUSED = ("calm.points", "calm.events")
WINDOW_SECONDS, LATENESS_SECONDS = 10.0, 5.0
#: What is decided in so much time before the end of a story is not counted: nothing comes that would close it.
LAST_SECONDS = 120.0
_STRETCH_SECONDS, _PAUSE_SECONDS = 20.0, 30.0


def settings(bootstrap: str = "localhost:9092") -> dict[str, Any]:
    """What the configuration file says."""
    return {
        "broker": {"bootstrap": bootstrap, "idempotence": "if-available", "session_timeout_seconds": 5},
        "topics": {"partitions_by_topic": dict.fromkeys(INPUTS, 1)},
        "time": {
            "window_seconds": WINDOW_SECONDS,
            "allowed_lateness_seconds": _PAUSE_SECONDS,
            "idle_sparse_seconds": _PAUSE_SECONDS,
            "idle_seconds": 900.0,
        },
    }


def stretches(story: Story) -> Iterator[tuple[float, list[Sent]]]:
    """The messages of some event time at once, and up to when, in seconds from the start. Somebody else's change, of
    another environment, ends each of them: it says how far time is on a topic on which hardly anything comes."""
    held: list[Sent] = []
    until = START
    for now, sent in story.batches():
        held += sent
        if now >= until + _STRETCH_SECONDS or now >= START + story.schedule.seconds:
            yield now - START, [*held, changes.elsewhere(now)]
            held, until = [], now
