"""The Faust agent that writes every policy of ``control`` into every partition of ``signals``, as control records.

There the score chains read them in the order of the log, between the values, so that a replay of the log and a restart
see them at the same place.

Guarantee: idempotent by the offset on ``control``: chains drop what they heard before. When the agent starts it writes
all live policies once more, so that nothing is lost by a crash between reading and writing, and a shard that starts
with nothing knows them too. What is no policy goes whole to the dead-letter topic.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import faust

from pipeline.codecs import policy_event
from pipeline.flow.dead_letter import dead_letter
from pipeline.policies import Control
from pipeline.settings import Settings
from pipeline.streams import control_topic
from pipeline.streams.logs import place
from pipeline.telemetry import Telemetry

log = logging.getLogger(__name__)


def register(app: faust.App, settings: Settings, telemetry: Telemetry) -> None:
    """Add the agent to the app."""
    raw = {"value_type": bytes, "key_type": bytes, "value_serializer": "raw", "key_serializer": "raw"}
    source = app.topic(settings.topic("control"), allow_empty=True, **raw)
    signals = app.topic(settings.topic("signals"), **raw)
    letters = app.topic(settings.topic("dead-letter"), **raw)
    partitions = range(settings.partitions(settings.topic("signals")))

    async def spread(control: Control) -> None:
        """Returns when the broker has it in every partition."""
        value, headers = policy_event.encode_control(control)
        sent = [await signals.send(value=value, headers=list(headers), partition=number) for number in partitions]
        await asyncio.gather(*sent)

    @app.agent(source, name=f"{settings.topic_prefix}policies")
    async def spread_policies(events: faust.Stream[bytes]) -> None:
        """calm.control → calm.signals, every partition."""
        everything = await control_topic.read(settings)
        if everything.end:
            await spread(everything.control())
        async for event in events.events():
            message = _Received.of(event.message)
            try:
                change = policy_event.decode(message.key, message.value, message.offset)
            except policy_event.BadPolicy as error:
                telemetry.drops.labels("score", "bad_policy").inc()
                extra = place(event.message, role="score", reason="bad_policy")
                said = "A record of %s at offset %d is passed over: %s"
                log.warning(said, source.get_topic_name(), message.offset, error, extra=extra)
                letter = dead_letter(message, "control", str(event.message.partition), "bad_policy", str(error))
                await (await letters.send(key=letter.key, value=letter.value, headers=list(letter.headers)))
                telemetry.dead_letters.labels("score", settings.topic("control")).inc()
                continue
            await spread(Control(change.offset + 1, (change,)))


@dataclass(frozen=True, slots=True)
class _Received:
    """A record as Faust gives it, as ``pipeline.records.Message`` asks for it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]

    @classmethod
    def of(cls, message: faust.types.Message) -> "_Received":
        headers = message.headers or ()
        pairs = headers.items() if isinstance(headers, dict) else headers
        milliseconds = round((message.timestamp or 0) * 1000)
        return cls(message.offset, milliseconds, message.key, message.value, tuple(pairs))
