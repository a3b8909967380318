"""What the chains wrote of one signal or incident, read for people: windows, anomalies, incidents, suppressions.

Guarantee: nothing is changed on the broker. Events that were written again count once, by id and revision; a record
that is none of ours is said and passed over.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.cli.signals import status_table, statuses
from pipeline.cli.terminal import console, plain, say

#: Score blocks looked through for the windows of a signal: beyond, it has been silent for long.
BLOCKS_LOOKED_AT = 5000

Body = dict[str, Any]


async def signal_named(settings: Any, which: str) -> Any | None:
    """The status of the one signal with this id or name; None, and what to do, where there is none or more than one."""
    every = [status async for status in statuses(settings)]
    found = [status for status in every if f"{status.signal.id:016x}" == which.lower()]
    found = found or [status for status in every if status.signal.name == which]
    if not found:
        say(f"No signal has the name or id {which}; calmstream signals lists them all.")
        return None
    if len(found) > 1:
        say(f"{len(found)} signals have the name {which}; say which one by its id:")
        console().print(status_table(found[:50]))
        return None
    return found[0]


async def windows_of(settings: Any, status: Any, enough: Callable[[list[Any]], bool], first: int = 20) -> list[Any]:
    """The newest windows (flow.window_reasons.SeenWindow) of a signal, newest first, until they are ``enough``, or as
    many as there are; the first ``first`` blocks are fetched at once. A block that was sent again counts once."""
    from pipeline.codecs import columns, score_block
    from pipeline.flow.window_reasons import seen_window
    from pipeline.streams.reading import open_reader

    topic, looked_at = settings.topic("scores"), 0
    found: dict[int, Any] = {}
    async with open_reader(settings, topic) as reader:
        async for record in reader.backwards(topic, status.partition, first):
            looked_at += 1
            try:
                block = score_block.decode(record.value or b"")
            except columns.DamagedFrame as error:
                say(f"{topic}/{record.partition} offset {record.offset} passed over: {plain(error)}")
                continue
            row = int(block.ids.searchsorted(status.signal.id))
            if row < block.ids.size and int(block.ids[row]) == status.signal.id:
                found.setdefault(block.end_us, seen_window(block, row))
            if looked_at >= BLOCKS_LOOKED_AT or enough(list(found.values())):
                break
    return [found[end_us] for end_us in sorted(found, reverse=True)]


async def anomalies_about(settings: Any, texts: Iterable[str]) -> dict[str, list[Body]]:
    """Anomalies in whose events one of the texts (ids of signals or of anomalies) stands: by id, by revision."""
    from pipeline.codecs import anomaly_event

    def decode(record: Any) -> Body | None:
        if dict(record.headers).get("calm_type") != b"anomaly":
            return None
        anomaly = anomaly_event.decode(record).anomaly
        return None if anomaly is None else anomaly_event.body(anomaly)

    return await _events(settings, "anomalies", texts, decode)


async def incidents_about(settings: Any, texts: Iterable[str], *, topic: str = "incidents") -> dict[str, list[Body]]:
    """Incidents in whose events one of the texts (ids; an empty one is in all) stands: by id, by revision."""
    from pipeline.codecs import incident_event

    return await _events(settings, topic, texts, incident_event.decode)


async def suppressions_about(settings: Any, texts: Iterable[str]) -> dict[str, list[Body]]:
    """Suppressions in whose events one of the texts (ids) stands: by id of the anomaly, by revision."""
    from pipeline.codecs import suppression_event

    return await _events(settings, "suppressions", texts, suppression_event.decode)


async def _events(
    settings: Any, name: str, texts: Iterable[str], decode: Callable[[Any], Body | None]
) -> dict[str, list[Body]]:
    from pipeline.streams.reading import open_reader

    topic, needles = settings.topic(name), [text.encode("utf-8", "replace") for text in texts]
    found: dict[str, dict[int, Body]] = {}
    async with open_reader(settings, topic) as reader:
        async for records in reader.everything(topic):
            for record in records:
                if record.value is None or not any(needle in record.value for needle in needles):
                    continue
                try:
                    body = decode(record)
                    if body is not None:
                        found.setdefault(str(body["id"]), {}).setdefault(int(body["revision"]), body)
                except (ValueError, KeyError, TypeError) as error:
                    say(f"{topic}/{record.partition} offset {record.offset} passed over: {plain(error)}")
    return {id_: [events[revision] for revision in sorted(events)] for id_, events in found.items()}
