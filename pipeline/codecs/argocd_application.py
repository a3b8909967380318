"""An Argo CD Application, as a notification's webhook sends it → changes of the workloads that its sync touched.

Guarantee: a pure function of the object, at most 64 changes. One sync has one chain, and each workload in it one id,
whether it is told that it runs, succeeded or failed. Argo CD has no body of its own: the template is
``body: '{"app": {{toJson .app}}}'``; the Application alone is read as well. A revision that was deployed before is a
rollback.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.codecs import package_url
from pipeline.codecs.described import cut, flat, lenient, object_at, objects_at, split, text_at
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, ChangeKind, ChangePhase

SOURCE = "argocd"
MOST_CHANGES = 64

_PHASES: Mapping[str, ChangePhase] = {
    "Running": "started",
    "Terminating": "started",
    "Succeeded": "finished",
    "Failed": "failed",
    "Error": "failed",
}
_WORKLOADS = {
    "Deployment": "k8s.deployment.name",
    "StatefulSet": "k8s.statefulset.name",
    "DaemonSet": "k8s.daemonset.name",
    "CronJob": "k8s.cronjob.name",
    "Rollout": "k8s.deployment.name",  # its replica sets are named as those of a Deployment
}
_ENVIRONMENT_LABELS = ("deployment.environment.name", "environment", "env")


def application_in(found: Mapping[str, Any]) -> dict[str, Any]:
    """The Application in a JSON object, or the object itself; empty where there is none."""
    for candidate in (object_at(dict(found), "app"), object_at(dict(found), "application"), dict(found)):
        if isinstance(member_state := object_at(candidate, "status").get("operationState"), dict) and member_state:
            return candidate
    return {}


def changes_of(app: Mapping[str, Any], limits: Limits) -> list[Change]:
    """One for each workload that the sync changed; one for the application where it does not say. Raises BadPoint."""
    state = object_at(app, "status", "operationState")
    name, phase = text_at(app, "metadata", "name"), text_at(state, "phase")
    if not name or phase not in _PHASES:
        raise BadPoint("bad_change", f"an Argo CD Application needs metadata.name and a phase; it is {phase[:64]!r}")
    started = text_at(state, "startedAt")
    effective_us = moment_us(text_at(state, "finishedAt") or started, "status.operationState.finishedAt")
    revision, before = _revisions(app, state)
    namespace = text_at(app, "metadata", "namespace")
    chain = f"argocd/{namespace}/{name}/{started or revision}"
    most = limits.max_attribute_bytes
    found = []
    for entity, workload in _workloads(app, state):
        named = _entity(app) | entity
        found.append(
            Change(
                id=cut(f"{chain}/{workload}" if workload else chain, most),
                effective_us=effective_us,
                kind=_kind(app, revision),
                phase=_PHASES[phase],
                entity=lenient(named, limits),
                source=SOURCE,
                version=cut(_version(app, workload) or revision, most),
                before="" if _version(app, workload) else cut(before, most),
                title=cut(f"sync of {name} to {revision[:12]}", most),
                url=cut(text_at(app, "spec", "source", "repoURL"), most),
                author=cut(text_at(state, "operation", "initiatedBy", "username"), most),
                chain=cut(chain, most),
                attributes=lenient(_attributes(app, state, revision, before), limits),
            )
        )
    return found


def _revisions(app: Mapping[str, Any], state: Mapping[str, Any]) -> tuple[str, str]:
    """The revision of this sync and the one deployed before."""
    revision = (
        text_at(state, "syncResult", "revision")
        or text_at(state, "operation", "sync", "revision")
        or text_at(app, "status", "sync", "revision")
    )
    others = [one for one in _history(app) if one != revision]
    return revision, others[-1] if others else ""


def _history(app: Mapping[str, Any]) -> list[str]:
    return [text for one in objects_at(app, "status", "history") if (text := text_at(one, "revision"))]


def _kind(app: Mapping[str, Any], revision: str) -> ChangeKind:
    history = _history(app)
    if history and history[-1] == revision:
        history.pop()  # this sync
    while history and history[-1] == revision:  # the same once more
        history.pop()
    return "rollback" if revision in history else "deployment"


def _workloads(app: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[tuple[dict[str, str], str]]:
    """Entity and name of each workload that was changed; while it runs, of each that there is."""
    synced = objects_at(state, "syncResult", "resources")
    changed = [one for one in synced if not text_at(one, "message").endswith("unchanged")]
    listed = changed if synced else objects_at(app, "status", "resources")
    found = [one for one in listed if text_at(one, "kind") in _WORKLOADS and text_at(one, "name")]
    for one in found[:MOST_CHANGES]:
        name = text_at(one, "name")
        yield flat({_WORKLOADS[one["kind"]]: name, "k8s.namespace.name": text_at(one, "namespace")}), name
    if not found:
        yield {"service.name": text_at(app, "metadata", "name")}, ""


def _entity(app: Mapping[str, Any]) -> dict[str, str]:
    labels = object_at(app, "metadata", "labels")
    environment = next((text for label in _ENVIRONMENT_LABELS if (text := text_at(labels, label))), "")
    named, _ = split(flat(labels))
    return named | flat(
        {
            "deployment.environment.name": environment,
            "k8s.cluster.name": text_at(app, "spec", "destination", "name"),
            "k8s.namespace.name": text_at(app, "spec", "destination", "namespace"),
        }
    )


def _version(app: Mapping[str, Any], workload: str) -> str:
    """The tag of the workload's image: the one that is called as it is, or the only one."""
    images = object_at(app, "status", "summary").get("images")
    texts = [image for image in images if isinstance(image, str)] if isinstance(images, list) else []
    called = [image for image in texts if _image_name(image) == (workload or text_at(app, "metadata", "name"))]
    chosen = called or (texts if len(texts) == 1 else [])
    return chosen[0].partition("@")[0].rpartition("/")[2].partition(":")[2] if len(chosen) == 1 else ""


def _image_name(image: str) -> str:
    return package_url.last_part(image.partition("@")[0]).partition(":")[0]


def _attributes(app: Mapping[str, Any], state: Mapping[str, Any], revision: str, before: str) -> dict[str, str]:
    return flat(
        {
            "argocd.application": text_at(app, "metadata", "name"),
            "argocd.project": text_at(app, "spec", "project"),
            "argocd.health": text_at(app, "status", "health", "status"),
            "argocd.message": text_at(state, "message"),
            "vcs.ref.head.revision": revision,
            "vcs.ref.base.revision": before,
        }
    )
