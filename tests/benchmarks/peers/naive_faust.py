"""Faust as its tutorial shows it: an agent over Records that writes a Table (with its changelog) for every event.

Guarantee: one worker, the in-memory store, and an exponentially weighted mean per signal.
"""

import logging
import os
import tempfile

import arguments
import faust

ALPHA = 0.1
told = arguments.parse(__doc__)
meter = arguments.Meter(told.points, told.seconds)


class Point(faust.Record, serializer="json"):
    """One point as it comes."""

    ts: float
    name: str
    value: float
    attributes: dict[str, str]


app = faust.App(
    f"naive-faust-{os.getpid()}",
    broker=f"kafka://{told.bootstrap}",
    store="memory://",
    datadir=tempfile.mkdtemp(prefix="naive-faust-"),
    topic_disable_leader=True,
    topic_partitions=4,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)
points = app.topic(told.topic, **({"value_serializer": "json"} if told.batched else {"value_type": Point}))
levels = app.Table("levels", default=float, partitions=4)


def learn(point: Point) -> None:
    signal = "|".join((point.name, *point.attributes.values()))
    levels[signal] += ALPHA * (point.value - levels[signal])
    meter.points += 1


@app.agent(points)
async def agent(stream: faust.Stream) -> None:
    async for event in stream:
        meter.start()
        for point in map(Point.from_data, event) if told.batched else (event,):
            learn(point)
        if meter.over():
            meter.report()
            os._exit(0)  # Faust's own shutdown is slow and is not part of the figure


logging.disable(logging.INFO)  # faust would make, and throw away, debug records for every event
faust.Worker(app, loglevel="warning", quiet=True, redirect_stdouts=False).execute_from_commandline()
