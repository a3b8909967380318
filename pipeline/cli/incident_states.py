"""Incidents as they are, read for people: the newest state of each, and the signals in it.

Guarantee: nothing is changed on the broker. A record that is no incident of ours is said and passed over.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.cli.terminal import say

Body = dict[str, Any]

#: States in which an incident is over.
_OVER = frozenset({"resolved", "merged", "withdrawn"})
#: Members that every body has, and their types.
_KINDS = {"id": str, "revision": int, "updated_time": str, "state": str}


def topic_of(*, shadow: bool) -> str:
    """The topic of their transitions, by its short name."""
    return "shadow.incidents" if shadow else "incidents"


def is_open(body: Body) -> bool:
    """Does it go on?"""
    return body["state"] not in _OVER


async def newest_states(settings: Any, *, shadow: bool = False) -> dict[str, Body]:
    """Incident id → body of its highest revision; of the live ones, or of those in the shadow."""
    from pipeline.streams.reading import open_reader

    topic = settings.topic(f"{topic_of(shadow=shadow)}.state")
    async with open_reader(settings, topic) as reader:
        return await newest(reader, topic)


async def newest(reader: Any, topic: str) -> dict[str, Body]:
    """The same from a reader that is open."""
    found: dict[str, Body] = {}
    async for records in reader.everything(topic):
        for record in records:
            if record.value is None:
                found.pop((record.key or b"").decode("utf-8", "replace"), None)
                continue
            body = body_of(record)
            if body is not None and body["revision"] > found.get(body["id"], {"revision": 0})["revision"]:
                found[body["id"]] = body
    return found


def body_of(record: Any) -> Body | None:
    """The incident in a record; None, and a line that says so, for anything else."""
    from pipeline.codecs import incident_event

    try:
        body = incident_event.decode(record)
        wrong = [name for name, kind in _KINDS.items() if not isinstance(body.get(name), kind)]
        if wrong:
            raise ValueError(f"not an incident event: {', '.join(wrong)} missing or of the wrong type")
        return body
    except ValueError as error:
        say(f"{record.topic}/{record.partition} offset {record.offset} passed over: {error}")
        return None


def signals_of(body: Body) -> Iterator[Any]:
    """The signals of the members that are written out; one that is not like ours is passed over."""
    from pipeline.codecs.signal_block import signal_of

    for member in body.get("members", ()):
        try:
            signal = member["signal"]
            flat = [part for pair in sorted(signal["attributes"].items()) for part in pair]
            names = (signal["name"], signal["unit"], signal["kind"], body["scope"])
            yield signal_of((int(signal["id"], 16), *names, signal["workload"], signal["instance"], flat))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
