"""Alertmanager's webhook (version 4; Grafana's is the same) → an event of each alert.

Guarantee: a pure function of the object. An alert that is told again has the same id until it is resolved, and once
more then. Labels name the entity by the same rules as those of Prometheus' metrics do, so alert and metrics meet.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.codecs import severity
from pipeline.codecs.described import content_id, flat, lenient, object_at, split, text_at, text_within
from pipeline.codecs.line_rows import MOST_BYTES
from pipeline.codecs.moments import moment_us
from pipeline.codecs.prometheus_names import series_of
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Event, Series

TYPE_PREFIX = "alert."

#: Exporters that tell of others: their alerts are read as metrics of these families are.
_FAMILIES = {
    "kube-state-metrics": "kube_",
    "kubelet": "kube_",
    "cadvisor": "kube_",
    "node-exporter": "node_",
    "node_exporter": "node_",
    "node": "node_",
}
_TEXTS = ("summary", "message", "description")
_NO_TIME = "0001-"  # of an alert that has no end yet


def is_webhook(found: Mapping[str, Any]) -> bool:
    """Is this JSON object a notification of Alertmanager?"""
    return isinstance(found.get("alerts"), list) and ("receiver" in found or "groupKey" in found)


def event_of(alert: Mapping[str, Any], group: str, limits: Limits, received_us: int) -> Event:
    """The event of one of a notification's ``alerts``; ``group`` is its ``groupKey``. Raises BadPoint."""
    labels, annotations = flat(object_at(alert, "labels")), flat(object_at(alert, "annotations"))
    name, status = labels.pop("alertname", ""), text_at(alert, "status") or "firing"
    if not name:
        raise BadPoint("bad_event", "an alert has no label alertname")
    level = labels.pop("severity", "")
    entity, others = _entity(labels)
    starts, ends = text_at(alert, "startsAt"), text_at(alert, "endsAt")
    told = {
        "alert.status": status,
        "alert.severity": level,
        "alert.fingerprint": text_at(alert, "fingerprint"),
        "alert.group": group,
        "alert.started": starts,
        "alert.generator_url": text_at(alert, "generatorURL"),
        "alert.runbook_url": annotations.get("runbook_url", ""),
    }
    fingerprint = told["alert.fingerprint"] or content_id(name, level, *_parts(labels))
    return Event(
        id=f"{fingerprint}/{starts}/{status}",
        time_us=_time_us(ends if status == "resolved" else starts, received_us),
        type=TYPE_PREFIX + name,
        entity=lenient(entity, limits),
        severity=severity.of_word(level),
        text=text_within(next((annotations[key] for key in _TEXTS if key in annotations), ""), MOST_BYTES, limits),
        attributes=lenient(others | flat(told), limits),
    )


def _entity(labels: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    series = series_of(_FAMILIES.get(labels.get("job", ""), ""), labels)
    return split(dict(series.attributes)) if isinstance(series, Series) else ({}, dict(labels))


def _time_us(text: str, received_us: int) -> int:
    return moment_us(text, "startsAt or endsAt") if text and not text.startswith(_NO_TIME) else received_us


def _parts(labels: Mapping[str, str]) -> list[str]:
    return [part for pair in sorted(labels.items()) for part in pair]
