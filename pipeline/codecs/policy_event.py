"""Policies as bytes: JSON on ``calm.control``, and control records in the log of ``calm.signals``.

On ``calm.control`` the key is ``policy/<name>``, or ``policy-shadow/<name>`` for one that is only tried in the shadow,
and a record without a value removes the policy: a policy is promoted by writing the same value under the other key. A
*control record* is
one or several of those with their offsets there, as written into every partition of ``calm.signals``; the header
``calm_type`` tells it from a block of values.

Guarantee: what is read is what was written; anything else raises BadPolicy.
"""

from typing import Any

import msgspec

from pipeline.policies import Change, Control, Policy
from pipeline.policies.form import form_of, policy_of
from pipeline.records.message import Headers

_json = msgspec.json.Encoder()

#: What keys on ``calm.control`` start with.
KEY_PREFIX, SHADOW_KEY_PREFIX = "policy/", "policy-shadow/"
#: Header of a control record.
CONTROL = ("calm_type", b"control")


class BadPolicy(ValueError):
    """A record that is no policy of ours; the message says what is wrong with it."""


def key_of(name: str, *, shadow: bool = False) -> bytes:
    return f"{SHADOW_KEY_PREFIX if shadow else KEY_PREFIX}{name}".encode()


def encode(policy: Policy) -> bytes:
    """The value of a record of ``calm.control``."""
    return _json.encode(form_of(policy))


def decode(key: bytes | None, value: bytes | None, offset: int) -> Change:
    """A record of ``calm.control``. Raises BadPolicy."""
    try:
        written = (key or b"").decode()
        shadow = written.startswith(SHADOW_KEY_PREFIX)
        prefix = SHADOW_KEY_PREFIX if shadow else KEY_PREFIX
        name = written.removeprefix(prefix)
        if not written.startswith(prefix) or not name:
            raise ValueError(f"the key is {written!r}; it must be {KEY_PREFIX}<name> or {SHADOW_KEY_PREFIX}<name>")
        policy = None if value is None else policy_of(msgspec.json.decode(value))
        if policy is not None and policy.name != name:
            raise ValueError(f"the key is {written!r}, but the name is {policy.name!r}")
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadPolicy(f"not a policy: {error}") from error
    return Change(offset, name, policy, shadow)


def is_control(headers: Headers) -> bool:
    """Is this record of ``calm.signals`` a control record?"""
    return any(name == CONTROL[0] and value == CONTROL[1] for name, value in headers)


def encode_control(control: Control) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers of a control record."""
    live = _rows(control, shadow=False)
    written: dict[str, Any] = {"end": control.end, "complete": control.complete, "changes": live}
    if tried := _rows(control, shadow=True):
        written["shadow"] = tried
    return _json.encode(written), (CONTROL,)


def _rows(control: Control, *, shadow: bool) -> list["_Row"]:
    chosen = [one for one in control.changes if one.shadow == shadow]
    return [(one.offset, one.name, None if one.policy is None else form_of(one.policy)) for one in chosen]


def decode_control(value: bytes | None) -> Control:
    """Raises BadPolicy."""
    try:
        found = msgspec.json.decode(value or b"", type=_Control)
        rows = [*((row, False) for row in found.changes), *((row, True) for row in found.shadow)]
        changes = [
            Change(offset, name, None if form is None else policy_of(form), shadow)
            for (offset, name, form), shadow in rows
        ]
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadPolicy(f"not a control record: {error}") from error
    return Control(found.end, tuple(sorted(changes, key=lambda one: one.offset)), found.complete)


#: Offset, name, form.
_Row = tuple[int, str, dict[str, Any] | None]


class _Control(msgspec.Struct):
    end: int
    complete: bool
    changes: list[_Row]
    shadow: list[_Row] = []
