"""Kubernetes Event objects (``v1`` and ``events.k8s.io/v1``) → records.Event of the object that they are about.

Guarantee: a pure function of the object. The same event has one id; an event that Kubernetes counts again has another
one. Whoever wrote the JSON: the API server (also in a watch's envelope), event exporters, and the OpenTelemetry
collector's ``k8sobjects`` receiver.
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.codecs import severity
from pipeline.codecs.described import content_id, flat, lenient, member, object_at, text_at, text_of, text_within
from pipeline.codecs.kubernetes_names import CONTROLLER_ATTRIBUTES, controller_attributes
from pipeline.codecs.line_rows import MOST_BYTES
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Event

#: What comes before the reason in an event's type.
TYPE_PREFIX = "k8s."

_NAME_OF = {**CONTROLLER_ATTRIBUTES, "HorizontalPodAutoscaler": "k8s.hpa.name"}
_CONTAINER = re.compile(r"spec\.(?:initContainers|ephemeralContainers|containers)\{([^{}]+)\}")
_TIMES = (
    ("series", "lastObservedTime"),
    ("lastTimestamp",),
    ("deprecatedLastTimestamp",),
    ("eventTime",),
    ("firstTimestamp",),
    ("deprecatedFirstTimestamp",),
    ("metadata", "creationTimestamp"),
)
_CONTROLLERS = frozenset(CONTROLLER_ATTRIBUTES.values())


def is_event(found: Mapping[str, Any]) -> bool:
    """Is this JSON object an Event? Exporters leave ``kind`` out."""
    return (isinstance(found.get("involvedObject"), dict) or isinstance(found.get("regarding"), dict)) and found.get(
        "kind", "Event"
    ) == "Event"


def event_of(found: Mapping[str, Any], limits: Limits, received_us: int) -> Event:
    """The event; at the time of its message where it has none. Raises BadPoint."""
    reason = text_at(found, "reason")
    if not reason:
        raise BadPoint("bad_event", "the Kubernetes Event has no reason")
    about = object_at(found, "regarding") or object_at(found, "involvedObject")
    text = text_within(text_at(found, "note") or text_at(found, "message"), MOST_BYTES, limits)
    count = text_of(member(found, "series", "count") or found.get("count") or found.get("deprecatedCount"))
    time_us = _time_us(found, received_us)
    entity = object_attributes(about, text_at(found, "source", "host") or text_at(found, "deprecatedSource", "host"))
    if cluster := text_at(found, "clusterName"):
        entity["k8s.cluster.name"] = cluster
    attributes = {
        "k8s.event.reason": reason,
        "k8s.event.action": text_at(found, "action"),
        "k8s.event.count": count,
        "k8s.event.name": text_at(found, "metadata", "name"),
        "k8s.event.uid": text_at(found, "metadata", "uid"),
        "k8s.object.kind": text_at(about, "kind"),
        "k8s.object.name": text_at(about, "name"),
        "k8s.event.source": text_at(found, "reportingController")
        or text_at(found, "reportingComponent")
        or text_at(found, "source", "component"),
    }
    return Event(
        id=event_id(attributes, time_us, text),
        time_us=time_us,
        type=TYPE_PREFIX + reason,
        entity=lenient(entity, limits),
        severity=severity.of_word(text_at(found, "type")),
        text=text,
        attributes=lenient(flat(attributes), limits),
    )


def event_id(attributes: Mapping[str, str], time_us: int, text: str) -> str:
    """Of the Event object and how often it was counted; of the content where it has no uid."""
    uid = attributes.get("k8s.event.uid")
    if uid:
        return f"{uid}/{attributes.get('k8s.event.count') or 1}"
    parts = [part for pair in sorted(attributes.items()) for part in pair]
    return content_id(str(time_us), text, *parts)


def object_attributes(about: Mapping[str, Any], node: str = "") -> dict[str, str]:
    """Resource attributes of the object that an ``involvedObject`` or ``regarding`` names.

    A pod's controller is told from its name, as everywhere else.
    """
    kind, name = text_at(about, "kind"), text_at(about, "name")
    found = {"k8s.namespace.name": text_at(about, "namespace"), "k8s.node.name": node}
    if kind and name:
        found[_NAME_OF.get(kind, f"k8s.{kind.lower()}.name")] = name
        found[f"k8s.{kind.lower()}.uid"] = text_at(about, "uid")
    if container := _CONTAINER.fullmatch(text_at(about, "fieldPath")):
        found["k8s.container.name"] = container[1]
    return flat(add_controller(found))


def add_controller(found: dict[str, str]) -> dict[str, str]:
    """The same attributes, with those of the pod's controller where none is named."""
    pod = found.get("k8s.pod.name")
    if pod and not _CONTROLLERS & found.keys():
        for name, value in controller_attributes(pod, found.get("k8s.node.name", "")):
            found.setdefault(name, value)
    return found


def _time_us(found: Mapping[str, Any], received_us: int) -> int:
    for path in _TIMES:
        if text := text_at(found, *path):
            return moment_us(text, ".".join(path))
    return received_us
