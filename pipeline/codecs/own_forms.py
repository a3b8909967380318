"""Our own JSON forms of events and changes (docs/schema/event.json, change.json) ⇄ records.

Guarantee: what is written is read as the same record; anything else that a schema refuses raises BadPoint. Members that
the forms do not have are ignored. Without ``entity``, the attributes that name one by OpenTelemetry's conventions do.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from pipeline.codecs import severity
from pipeline.codecs.described import check_texts, content_id, split, strict, text_within
from pipeline.codecs.line_rows import MOST_BYTES
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, ChangeKind, ChangePhase, Event, iso
from pipeline.records.lines import FATAL
from pipeline.records.signal import Attributes

_KINDS, _PHASES = get_args(ChangeKind), get_args(ChangePhase)
_MOST_SEVERITY = FATAL + 3
_UNLIMITED = Limits(max_attributes=2**31, max_attribute_bytes=2**31)
_FLAG = "feature_flag.key"
#: What a flag serves, the newest name first.
_VARIANTS = ("feature_flag.result.variant", "feature_flag.variant", "feature_flag.result.value")


class _Event(msgspec.Struct, gc=False):
    ts: float | str
    type: str
    id: str | None = None
    entity: dict[str, Any] | None = None
    severity: int | str | None = None
    text: str | None = None
    attributes: dict[str, Any] | None = None


class _Change(msgspec.Struct, gc=False):
    ts: float | str
    kind: str | None = None
    phase: str | None = None
    id: str | None = None
    entity: dict[str, Any] | None = None
    source: str | None = None
    version: str | None = None
    before: str | None = None
    title: str | None = None
    url: str | None = None
    author: str | None = None
    chain: str | None = None
    attributes: dict[str, Any] | None = None


def event_of(found: Mapping[str, Any], limits: Limits) -> Event:
    """Raises BadPoint."""
    try:
        form = msgspec.convert(found, _Event)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadPoint("bad_event", f"not an event: {error}"[:300]) from None
    if not form.type:
        raise BadPoint("bad_event", "type is empty; say what happened, in a word")
    time_us = moment_us(form.ts)
    entity, attributes = _attributes(form.entity, form.attributes, limits)
    text = text_within(form.text or "", MOST_BYTES, limits)
    check_texts(limits, type=form.type, id=form.id or "")
    id_ = form.id or content_id(form.type, str(time_us), text, *_parts(entity), "", *_parts(attributes))
    return Event(id_, time_us, form.type, entity, _severity(form.severity), text, attributes)


def event_form(event: Event) -> dict[str, Any]:
    """The JSON object of an event."""
    return {
        "ts": iso(event.time_us),
        "type": event.type,
        "id": event.id,
        "entity": dict(event.entity),
        "severity": event.severity,
        "text": event.text,
        "attributes": dict(event.attributes),
    }


def change_of(found: Mapping[str, Any], limits: Limits) -> Change:
    """Raises BadPoint."""
    try:
        form = msgspec.convert(found, _Change)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadPoint("bad_change", f"not a change: {error}"[:300]) from None
    effective_us = moment_us(form.ts)
    entity, attributes = _attributes(form.entity, form.attributes, limits)
    given = dict(attributes)
    kind = form.kind or ("flag" if _FLAG in given else "")
    phase = form.phase or "finished"
    if kind not in _KINDS:
        raise BadPoint("bad_change", f"kind is {kind!r}; use one of {', '.join(_KINDS)}")
    if phase not in _PHASES:
        raise BadPoint("bad_change", f"phase is {phase!r}; use one of {', '.join(_PHASES)}")
    version = form.version or ""
    if kind == "flag" and form.version is None:
        version = next((given[name] for name in _VARIANTS if given.get(name)), "")
    texts = {"version": version, "before": form.before or "", "title": form.title or "", "url": form.url or ""}
    texts |= {"author": form.author or "", "chain": form.chain or ""}
    source = form.source or ("json" if form.kind else "opentelemetry")
    check_texts(limits, id=form.id or "", source=source, **texts)
    id_ = form.id or content_id(kind, str(effective_us), version, *_parts(entity), "", *_parts(attributes))
    return Change(id_, effective_us, kind, phase, entity, source, **texts, attributes=attributes)  # type: ignore[arg-type]


def change_form(change: Change) -> dict[str, Any]:
    """The JSON object of a change."""
    return {
        "ts": iso(change.effective_us),
        "kind": change.kind,
        "phase": change.phase,
        "id": change.id,
        "entity": dict(change.entity),
        "source": change.source,
        "version": change.version,
        "before": change.before,
        "title": change.title,
        "url": change.url,
        "author": change.author,
        "chain": change.chain,
        "attributes": dict(change.attributes),
    }


def form_of(happening: Event | Change) -> tuple[str, dict[str, Any]]:
    """``event`` or ``change``, and its JSON object."""
    return ("event", event_form(happening)) if isinstance(happening, Event) else ("change", change_form(happening))


def happening_of(kind: str, form: Mapping[str, Any]) -> Event | Change:
    """The inverse of ``form_of``, for what we wrote ourselves: no limits but its own. Raises BadPoint."""
    return event_of(form, _UNLIMITED) if kind == "event" else change_of(form, _UNLIMITED)


def _attributes(
    entity: dict[str, Any] | None, others: dict[str, Any] | None, limits: Limits
) -> tuple[Attributes, Attributes]:
    """Entity and attributes; the entity from among the attributes where it is not given."""
    attributes = strict(others or {}, limits)
    if entity is not None:
        return strict(entity, limits), attributes
    named, rest = split(dict(attributes))
    return tuple(named.items()), tuple(rest.items())


def _severity(given: int | str | None) -> int:
    if isinstance(given, str):
        number = severity.of_word(given)
        if number:
            return number
    elif given is None or 0 <= given <= _MOST_SEVERITY:
        return given or 0
    raise BadPoint(
        "bad_event", f"severity is {given!r:.64}; give OpenTelemetry's number (1 to 24) or a word such as WARN"
    )


def _parts(attributes: Attributes) -> list[str]:
    return [part for pair in attributes for part in pair]
