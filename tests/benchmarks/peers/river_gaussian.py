"""A river GaussianScorer per signal, fed by a bare aiokafka consumer; every point is scored and learned.

Guarantee: no window, no checkpoint and no output, so the figure is the detector's and the decoder's alone.
"""

import asyncio
from collections import defaultdict
from contextlib import aclosing

import arguments
import draining
import msgspec
from river.anomaly import GaussianScorer


class Point(msgspec.Struct):
    """The part of a point that a detector per signal needs."""

    name: str
    value: float
    attributes: dict[str, str]


async def main() -> None:
    told = arguments.parse(__doc__)
    meter = arguments.Meter(told.points, told.seconds)
    decode = msgspec.json.Decoder(list[Point] if told.batched else Point).decode
    scorers: defaultdict[tuple[str, ...], GaussianScorer] = defaultdict(GaussianScorer)
    async with aclosing(draining.fetched(told.bootstrap, told.topic)) as batches:
        async for messages in batches:
            meter.start()
            for message in messages:
                decoded = decode(message.value)
                for point in decoded if told.batched else (decoded,):
                    scorer = scorers[point.name, *point.attributes.values()]
                    scorer.score_one(None, point.value)
                    scorer.learn_one(None, point.value)
                    meter.points += 1
            if meter.over():
                break
    meter.report()


asyncio.run(main())
