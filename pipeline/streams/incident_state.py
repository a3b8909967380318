"""The Faust agent that keeps the newest state of every incident on the compacted ``incidents.state`` topic.

Guarantee: idempotent by revision: after a rebalance events may be read again, but a state never falls behind what this
worker wrote before; readers apply the same rule (drop what is not above the last revision).
"""

import logging
from collections import OrderedDict

import faust

from pipeline.codecs import incident_event
from pipeline.settings import Settings
from pipeline.streams.logs import place
from pipeline.telemetry import Telemetry

log = logging.getLogger(__name__)

#: Incidents whose last revision is remembered.
_REMEMBERED = 100_000


def register(app: faust.App, settings: Settings, telemetry: Telemetry) -> None:
    """Add the agent to the app."""
    raw = {"value_type": bytes, "key_type": bytes, "value_serializer": "raw", "key_serializer": "raw"}
    source = app.topic(settings.topic("incidents"), **raw)
    target = app.topic(settings.topic("incidents.state"), **raw)
    revisions: OrderedDict[str, int] = OrderedDict()

    @app.agent(source, name=f"{settings.topic_prefix}incidents.state")
    async def keep_state(events: faust.Stream[bytes]) -> None:
        """calm.incidents → calm.incidents.state."""
        async for event in events.events():
            try:
                data = incident_event.decode(event.message)
                key, revision = str(data["id"]), int(data["revision"])
            except (ValueError, KeyError, TypeError) as error:
                telemetry.drops.labels("correlate", "foreign_incident").inc()
                where = f"{event.message.topic}/{event.message.partition} at offset {event.message.offset}"
                said = "A record of %s is not an incident event of ours and is passed over: %s"
                log.warning(said, where, error, extra=place(event.message, role="correlate", reason="foreign_incident"))
                continue
            if revision <= revisions.get(key, 0):
                continue
            await target.send(key=event.message.key, value=event.message.value)
            revisions[key] = revision
            revisions.move_to_end(key)
            while len(revisions) > _REMEMBERED:
                revisions.popitem(last=False)
