"""The Faust agent that keeps the newest state of every incident on the compacted ``incidents.state`` topic.

Guarantee: idempotent by revision: after a rebalance events may be read again, but a state never falls behind what this
worker wrote before; readers apply the same rule (drop what is not above the last revision).
"""

from collections import OrderedDict

import faust

from pipeline.codecs import incident_event
from pipeline.settings import Settings

#: Incidents whose last revision is remembered.
_REMEMBERED = 100_000


def register(app: faust.App, settings: Settings) -> None:
    """Add the agent to the app."""
    source = app.topic(settings.topic("incidents"), value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")
    target = app.topic(
        settings.topic("incidents.state"), value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw"
    )
    revisions: OrderedDict[str, int] = OrderedDict()

    @app.agent(source, name=f"{settings.topic_prefix}incidents.state")
    async def keep_state(events: faust.Stream[bytes]) -> None:
        """calm.incidents → calm.incidents.state."""
        async for event in events.events():
            data = incident_event.decode(event.message)
            if data["revision"] <= revisions.get(data["id"], 0):
                continue
            await target.send(key=event.message.key, value=event.message.value)
            revisions[data["id"]] = data["revision"]
            revisions.move_to_end(data["id"])
            while len(revisions) > _REMEMBERED:
                revisions.popitem(last=False)
