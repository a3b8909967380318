"""The upper bound: aiokafka fetches every message and nothing is done with it (an array of points is decoded).

Guarantee: the figure is what is left to a Python consumer before it does any work of its own.
"""

import asyncio
from contextlib import aclosing

import arguments
import draining
import msgspec


async def main() -> None:
    told = arguments.parse(__doc__)
    meter = arguments.Meter(told.points, told.seconds)
    decode = msgspec.json.Decoder(list[dict]).decode
    async with aclosing(draining.fetched(told.bootstrap, told.topic)) as batches:
        async for messages in batches:
            meter.start()
            meter.points += sum(len(decode(m.value)) for m in messages) if told.batched else len(messages)
            if meter.over():
                break
    meter.report()


asyncio.run(main())
