"""A bytewax dataflow: Kafka in, decode, key by signal, an exponentially weighted mean per signal as keyed state.

Guarantee: one worker thread, no recovery store, and a sink that throws everything away.
"""

import os
from collections.abc import Iterable

import arguments
import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

ALPHA = 0.1
told = arguments.parse(__doc__)
meter = arguments.Meter(told.points, told.seconds)


class Point(msgspec.Struct):
    """The part of a point that a mean per signal needs."""

    name: str
    value: float
    attributes: dict[str, str]


decode = msgspec.json.Decoder(list[Point] if told.batched else Point).decode


class Nothing(StatelessSinkPartition):
    """Counts what comes out and ends the process when that is enough."""

    def write_batch(self, items: list[tuple[str, float]]) -> None:
        meter.points += len(items)
        if meter.over():
            meter.report()
            os._exit(0)  # a dataflow that tails a topic has no end of its own


class Discard(DynamicSink):
    """A sink with one Nothing per worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Nothing:
        return Nothing()


def keyed(batch: Iterable[KafkaSourceMessage]) -> list[tuple[str, float]]:
    meter.start()
    decoded = [decode(message.value) for message in batch]
    points = [point for array in decoded for point in array] if told.batched else decoded
    return [("|".join((point.name, *point.attributes.values())), point.value) for point in points]


def learn(level: float | None, value: float) -> tuple[float, float]:
    level = value if level is None else level + ALPHA * (value - level)
    return level, level


flow = Dataflow("ewma")
messages = op.input("in", flow, KafkaSource([told.bootstrap], [told.topic], batch_size=10_000))
values = op.flat_map_batch("key", messages, keyed)
levels = op.stateful_map("learn", values, learn)
op.output("out", levels, Discard())
run_main(flow)
