"""How people write a policy (a mapping, in YAML or JSON) ⇄ Policy.

Guarantee: ``policy_of(form_of(policy)) == policy``; whatever is not a policy raises PolicyError, naming the key and the
right form.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.policies.detector import PolicyError, there_are
from pipeline.policies.matcher import Matcher, parse
from pipeline.policies.table import Policy
from pipeline.records import NO_TIME, iso, to_us

KEYS = ("name", "match", "priority", "effective_at", "detection")

#: Event times are from the epoch to the end of the year 9999.
LAST_US = to_us(253_402_300_799)


def policy_of(written: Any) -> Policy:
    """The policy that a mapping says. Raises PolicyError."""
    if not isinstance(written, Mapping):
        raise PolicyError("policy", f"is {written!r}; it must be a mapping with the keys {', '.join(KEYS)}")
    if unknown := sorted(str(key) for key in written if key not in KEYS):
        raise PolicyError(unknown[0], f"is not a key of a policy; {there_are(unknown[0], KEYS)}")
    for key in ("name", "match", "detection"):
        if key not in written:
            raise PolicyError(key, _MISSING[key])
    detection = written["detection"]
    if not isinstance(detection, Mapping):
        raise PolicyError("detection", f"is {detection!r}; it must be a mapping, for instance {{alert_budget: 0.1}}")
    return Policy(
        name=written["name"],
        match=matchers_of(written["match"]),
        changes={str(key): value for key, value in detection.items()},
        priority=written.get("priority", 0),
        effective_us=time_of("effective_at", written.get("effective_at")),
    )


def faults_of(written: Any) -> list[PolicyError]:
    """Everything that is wrong with what would be a policy, key by key; nothing where it is one."""
    whole = _fault(written)
    if whole is None or not isinstance(written, Mapping):
        return [whole] if whole else []
    parts: list[Mapping[str, Any]] = [{key: written[key]} for key in written if key not in ("match", "detection")]
    match, detection = written.get("match", []), written.get("detection", _DETECTION)
    parts += [{"match": match}] if not isinstance(match, list | tuple) else []
    parts += [{"detection": {key: detection[key]}} for key in detection] if isinstance(detection, Mapping) else []
    found = [_fault({**_GOOD, **{str(key): value for key, value in part.items()}}) for part in parts]
    found += [
        _fault({key: value for key, value in _GOOD.items() if key != name}) for name in _GOOD if name not in written
    ]
    if isinstance(match, list | tuple):
        found += [_matcher_fault(f"match.{number}", text) for number, text in enumerate(match)]
    return [fault for fault in found if fault] or [whole]


def _fault(written: Any) -> PolicyError | None:
    try:
        policy_of(written)
    except PolicyError as error:
        return error
    return None


def _matcher_fault(key: str, written: Any) -> PolicyError | None:
    try:
        _matcher(key, written)
    except PolicyError as error:
        return error
    return None


def form_of(policy: Policy) -> dict[str, Any]:
    """A policy as one would write it, with nothing but what JSON has."""
    written: dict[str, Any] = {"name": policy.name, "match": [str(matcher) for matcher in policy.match]}
    if policy.priority:
        written["priority"] = policy.priority
    if policy.effective_us != NO_TIME:
        written["effective_at"] = iso(policy.effective_us)
    changes = policy.changes.items()
    return written | {"detection": {key: list(value) if isinstance(value, tuple) else value for key, value in changes}}


_DETECTION = {"direction": "up"}
_GOOD: Mapping[str, Any] = {"name": "a", "match": [], "detection": _DETECTION}

_MISSING = {
    "name": "is missing; give the policy a name of its own",
    "match": "is missing; list the conditions that all must hold, for instance [service.name=cart], or [] for every "
    "signal",
    "detection": "is missing; say what is to be different, for instance {alert_budget: 0.1}",
}


def matchers_of(written: Any) -> tuple[Matcher, ...]:
    """The conditions of ``match``. Raises PolicyError."""
    if not isinstance(written, list | tuple):
        raise PolicyError("match", f"is {written!r}; it must be a list, for instance [service.name=cart]")
    return tuple(_matcher(f"match.{number}", text) for number, text in enumerate(written))


def _matcher(key: str, written: Any) -> Matcher:
    if not isinstance(written, str) or ("=" not in written and "!~" not in written):
        raise PolicyError(key, f"is {written!r}; write name=value, name!=value or name=~regex")
    try:
        found = parse(written)
    except ValueError as error:
        raise PolicyError(key, f"is refused: {error}") from None
    assert isinstance(found, Matcher)
    return found


def time_of(key: str, written: Any) -> int:
    """Epoch seconds, RFC 3339 text, or what YAML makes of such a text → microseconds; NO_TIME for nothing. Raises
    PolicyError."""
    if written is None:
        return NO_TIME
    try:
        if isinstance(written, str):
            written = datetime.fromisoformat(written)
        if isinstance(written, datetime):
            moment = written if written.tzinfo else written.replace(tzinfo=UTC)
            found = int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
        elif isinstance(written, bool) or not isinstance(written, int | float) or not math.isfinite(written):
            raise ValueError
        else:
            found = to_us(written)
        if not 0 <= found <= LAST_US:
            raise ValueError
    except (ValueError, OverflowError):
        wanted = "write 2026-01-31T14:00:00Z, or seconds since the epoch"
        raise PolicyError(key, f"is {written!r}; {wanted}") from None
    return found
