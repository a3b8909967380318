"""GitHub's ``deployment_status`` webhook → records.Change.

Guarantee: a pure function of the body. All statuses of one deployment have one id; the last status is what became of
it. The service is the deployment's ``payload`` (attributes by OpenTelemetry's names), else the repository; the version
is ``payload.version``, else the ref where it reads like a version, else the commit.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.codecs.described import cut, flat, lenient, member, object_at, split, text_at, text_of
from pipeline.codecs.moments import moment_us
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, ChangeKind, ChangePhase

SOURCE = "github"
#: A deployment that another one took the place of; that other one has told already.
SUPERSEDED = "inactive"

_PHASES: Mapping[str, ChangePhase] = {
    "success": "finished",
    "failure": "failed",
    "error": "failed",
    "in_progress": "started",
    "pending": "planned",
    "queued": "planned",
}
_VERSION = re.compile(r"(?:.*[/-])?v?\d+(?:\.\d+)+\S*")


def is_deployment_status(found: Mapping[str, Any]) -> bool:
    """Is this JSON object the body of that webhook?"""
    return isinstance(found.get("deployment_status"), dict) and isinstance(found.get("deployment"), dict)


def change_of(found: Mapping[str, Any], limits: Limits) -> Change:
    """Raises BadPoint."""
    deployment, status = object_at(found, "deployment"), object_at(found, "deployment_status")
    state, number = text_at(status, "state"), deployment.get("id")
    if state not in _PHASES or not isinstance(number, int):
        raise BadPoint(
            "bad_change", f"deployment_status.state is {state[:64]!r}; it must be one of {', '.join(_PHASES)}"
        )
    payload = _payload(deployment)
    named, others = split(flat({name: value for name, value in payload.items() if name != "version"}))
    repository = text_at(found, "repository", "full_name")
    entity = {
        "service.name": text_at(found, "repository", "name"),
        "deployment.environment.name": text_at(status, "environment") or text_at(deployment, "environment"),
    }
    others |= flat(
        {
            "vcs.repository.name": repository,
            "vcs.ref.head.name": text_at(deployment, "ref"),
            "vcs.ref.head.revision": text_at(deployment, "sha"),
            "github.deployment.task": text_at(deployment, "task"),
            "github.deployment.state": state,
        }
    )
    most = limits.max_attribute_bytes
    version = cut(_version(deployment, payload), most)
    title = text_at(deployment, "description") or text_at(status, "description") or f"deployment of {repository}"
    return Change(
        id=f"github/{repository}/{number}",
        effective_us=_time_us(status, deployment),
        kind=_kind(text_at(deployment, "task")),
        phase=_PHASES[state],
        entity=lenient(flat(entity) | named, limits),
        source=SOURCE,
        version=version,
        title=cut(title, most),
        url=cut(text_at(status, "log_url") or text_at(status, "target_url") or text_at(deployment, "url"), most),
        author=cut(text_at(deployment, "creator", "login") or text_at(found, "sender", "login"), most),
        chain=cut(text_at(deployment, "sha"), most),
        attributes=lenient(others, limits),
    )


def _payload(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """An object, or one written as a text."""
    payload = deployment.get("payload")
    if isinstance(payload, str):
        try:
            payload = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, RecursionError):
            payload = {}  # it means something to somebody else
    return payload if isinstance(payload, dict) else {}


def _version(deployment: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    given, ref = text_of(payload.get("version")), text_at(dict(deployment), "ref")
    if given:
        return given
    return ref.rpartition("/")[2] if _VERSION.fullmatch(ref) else text_at(dict(deployment), "sha")


def _kind(task: str) -> ChangeKind:
    if "rollback" in task:
        return "rollback"
    return "canary" if "canary" in task else "deployment"


def _time_us(status: Mapping[str, Any], deployment: Mapping[str, Any]) -> int:
    moments = (
        member(dict(status), "updated_at"),
        member(dict(status), "created_at"),
        member(dict(deployment), "updated_at"),
    )
    return moment_us(next((moment for moment in moments if moment), None), "deployment_status.updated_at")
