"""CDEvents (v0.3 to v0.6) → records.Change.

Guarantee: a pure function of the event. Messages about one run (of a pipeline, a build, a deployment), one proposed
change or one ticket have the same id, as long as its source and subject stay the same; everything else has that of the
event. Version and entity come from ``artifactId`` (a purl), ``environment`` and the subject's id, of which the last
part counts (``/dev/production/cart``, ``daemonset/cart``); OpenTelemetry's names in ``customData`` go before them.
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.codecs import package_url
from pipeline.codecs.described import cut, flat, lenient, object_at, split, text_at
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, ChangeKind, ChangePhase

SOURCE = "cdevents"

_TYPE = re.compile(r"dev\.cdevents\.(?P<subject>[a-z]+)\.(?P<predicate>[a-z]+)(?:\.\d.*)?")
#: Of others: ``dev.cdeventsx.<tool>-<subject>.<predicate>.<version>``.
_CUSTOM = re.compile(r"dev\.cdeventsx\.(?P<subject>[\w-]+)\.(?P<predicate>[\w-]+)(?:\.\d.*)?")
_SERVICE: Mapping[str, ChangeKind] = {
    "deployed": "deployment",
    "upgraded": "deployment",
    "rolledback": "rollback",
    "removed": "removal",
}
_SUBJECTS: Mapping[str, ChangeKind] = {
    "deployment": "deployment",
    "targetrollout": "deployment",
    "environment": "config",
    "migration": "config",
    "change": "code",
    "branch": "code",
    "repository": "code",
}
#: Words in the subjects of other tools.
_WORDS: Mapping[str, ChangeKind] = {
    "canary": "canary",
    "experiment": "experiment",
    "flag": "flag",
    "scaling": "scaling",
    "scale": "scaling",
    "config": "config",
    "rollback": "rollback",
    "deployment": "deployment",
}
_PHASES: Mapping[str, ChangePhase] = {"queued": "planned", "started": "started", "abandoned": "failed"}
#: Of a proposed change, all before it is merged.
_BEFORE_MERGE = frozenset(("created", "updated", "reviewed"))
#: Subjects with a life of their own: what is told of one of them is one change.
_LIVES = frozenset(("change", "build", "pipelinerun", "taskrun", "testcaserun", "testsuiterun", "ticket", "incident"))
_RUNS = frozenset(("deployment", "targetrollout", "migration", "reconciliation"))
_GOOD = frozenset(("", "success", "pass", "passed", "succeeded"))
_KUBERNETES = frozenset(("deployment", "statefulset", "daemonset", "job", "cronjob"))


def is_cdevent(found: Mapping[str, Any]) -> bool:
    """Has this JSON object the context and subject of a CDEvent?"""
    return text_at(dict(found), "context", "type").startswith("dev.cdevents") and isinstance(found.get("subject"), dict)


def change_of(found: Mapping[str, Any], limits: Limits) -> Change:
    """Raises BadPoint."""
    context, subject = object_at(found, "context"), object_at(found, "subject")
    content, custom = object_at(found, "subject", "content"), object_at(found, "customData")
    type_ = text_at(context, "type")
    parts = _TYPE.fullmatch(type_) or _CUSTOM.fullmatch(type_)
    if parts is None or not text_at(subject, "id") or not text_at(context, "id"):
        raise BadPoint("bad_change", f"not a CDEvent: {type_[:64]!r} needs context.id and subject.id")
    about, predicate = parts["subject"], parts["predicate"]
    package = package_url.read(text_at(content, "artifactId"))
    named, others = split(flat(custom))
    others |= flat(
        {
            "cdevents.type": type_,
            "cdevents.source": text_at(context, "source"),
            "cdevents.outcome": text_at(content, "outcome"),
            "cdevents.pipeline": text_at(content, "pipelineName"),
            "vcs.repository.name": text_at(content, "repository", "id"),
            "artifact.id": text_at(content, "artifactId"),
        }
    )
    entity = _entity(about, subject, content, package.name) | named
    title = f"{about} {_subject_name(about, subject)} {predicate}"
    return Change(
        id=_id(about, context, subject),
        effective_us=moment_us(context.get("timestamp"), "context.timestamp"),
        kind=_kind(about, predicate),
        phase=_phase(about, predicate, text_at(content, "outcome").lower()),
        entity=lenient(entity, limits),
        source=SOURCE,
        version=cut(package.version, limits.max_attribute_bytes),
        title=cut(f"{title} {package.version}".rstrip(), limits.max_attribute_bytes),
        url=cut(text_at(content, "url") or text_at(content, "uri"), limits.max_attribute_bytes),
        author=cut(text_at(content, "user") or text_at(content, "creator"), limits.max_attribute_bytes),
        chain=cut(text_at(context, "chainId"), limits.max_attribute_bytes),
        attributes=lenient(others, limits),
    )


def _kind(about: str, predicate: str) -> ChangeKind:
    if about == "service":
        return _SERVICE.get(predicate, "other")
    if about in _SUBJECTS:
        return _SUBJECTS[about]
    words = re.split(r"[-_]", about.lower())
    return next((kind for word, kind in _WORDS.items() if word in words or f"feature{word}" in words), "other")


def _phase(about: str, predicate: str, outcome: str) -> ChangePhase:
    if about == "change" and predicate in _BEFORE_MERGE:
        return "planned"
    if outcome not in _GOOD:
        return "failed"
    return _PHASES.get(predicate, "finished")


def _entity(about: str, subject: Mapping[str, Any], content: Mapping[str, Any], artifact: str) -> dict[str, str]:
    """Whose change it is, as far as its vocabulary says: of builds, tickets and proposed changes it says nothing."""
    found = {"deployment.environment.name": _environment(about, subject, content)}
    if about == "service":
        parts = [part for part in text_at(dict(subject), "id").split("/") if part]
        kind = parts[-2].lower() if len(parts) > 1 else ""
        found[f"k8s.{kind}.name" if kind in _KUBERNETES else "service.name"] = _subject_name(about, subject)
    elif about in _RUNS:
        service = text_at(dict(content), "service", "id")
        found["service.name"] = package_url.last_part(service) or artifact
    return flat(found)


def _environment(about: str, subject: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    if about == "environment":
        return text_at(dict(content), "name") or _subject_name(about, subject)
    environment = object_at(dict(content), "environment")
    return text_at(environment, "name") or package_url.last_part(text_at(environment, "id"))


def _subject_name(about: str, subject: Mapping[str, Any]) -> str:
    written = text_at(dict(subject), "id")
    return package_url.read(written).name if about == "service" or written.startswith("pkg:") else written


def _id(about: str, context: Mapping[str, Any], subject: Mapping[str, Any]) -> str:
    source = text_at(dict(context), "source")
    if about in _LIVES or about in _RUNS:
        return f"{(text_at(dict(subject), 'source') or source).rstrip('/')}/{about}/{text_at(dict(subject), 'id')}"
    return f"{source.rstrip('/')}/{text_at(dict(context), 'id')}"
