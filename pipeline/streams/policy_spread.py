"""The Faust agent that writes what stands on ``control`` to those who act on it: every policy into every partition of
``signals``, as control records, and what people say about incidents into every partition of ``anomalies``, as said
records.

There the score and correlate chains read them in the order of the log, between values and anomalies, so that a replay
of the log and a restart see them at the same place. One agent does both, for of a consumer group one member reads the
topic.

Guarantee: idempotent by the offset on ``control``: chains drop what they heard before. When the agent starts it writes
all that is live once more, so that nothing is lost by a crash between reading and writing, and a shard that starts
with nothing knows it too. What is none of ours goes whole to the dead-letter topic.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import faust

from pipeline.codecs import policy_event, policy_history, said_record
from pipeline.flow.dead_letter import dead_letter
from pipeline.policies import Control
from pipeline.policies.control import SaidControl
from pipeline.records.message import Headers
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
    anomalies = app.topic(settings.topic("anomalies"), **raw)
    letters = app.topic(settings.topic("dead-letter"), **raw)

    async def write(target: faust.types.TopicT[bytes], value: bytes, headers: Headers) -> None:
        """Returns when the broker has it in every partition."""
        partitions = range(settings.partitions(target.get_topic_name()))
        sent = [await target.send(value=value, headers=list(headers), partition=number) for number in partitions]
        await asyncio.gather(*sent)

    async def spread(control: Control) -> None:
        await write(signals, *policy_event.encode_control(control))

    async def spread_said(control: SaidControl) -> None:
        await write(anomalies, *said_record.encode_control(control))

    async def pass_over(event: faust.types.EventT[bytes], message: "_Received", reason: str, error: ValueError) -> None:
        telemetry.drops.labels("score", reason).inc()
        extra = place(event.message, role="score", reason=reason)
        words = "A record of %s at offset %d is passed over: %s"
        log.warning(words, source.get_topic_name(), message.offset, error, extra=extra)
        letter = dead_letter(message, "control", str(event.message.partition), reason, str(error))
        await (await letters.send(key=letter.key, value=letter.value, headers=list(letter.headers)))
        telemetry.dead_letters.labels("score", settings.topic("control")).inc()

    @app.agent(source, name=f"{settings.topic_prefix}policies")
    async def spread_policies(events: faust.Stream[bytes]) -> None:
        """calm.control → calm.signals and calm.anomalies, every partition."""
        everything = await control_topic.read(settings)
        if everything.end:
            await spread(everything.control())
        for part in everything.said_controls():
            await spread_said(part)
        async for event in events.events():
            message = _Received.of(event.message)
            if policy_history.is_history(message.key):
                continue
            try:
                if said_record.is_kind(message.key):
                    said = said_record.decode(message.key, message.value, message.offset)
                    await spread_said(SaidControl(said.offset + 1, (said,)))
                else:
                    change = policy_event.decode(message.key, message.value, message.offset)
                    await spread(Control(change.offset + 1, (change,)))
            except policy_event.BadPolicy as error:
                await pass_over(event, message, "bad_policy", error)
            except said_record.BadSaid as error:
                await pass_over(event, message, error.reason, error)


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
