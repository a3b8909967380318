"""Policies as bytes: JSON on ``calm.control``, and control records in the log of ``calm.signals``.

On ``calm.control`` the key is ``policy/<name>`` and a record without a value removes the policy. A *control record* is
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
KEY_PREFIX = "policy/"
#: Header of a control record.
CONTROL = ("calm_type", b"control")


class BadPolicy(ValueError):
    """A record that is no policy of ours; the message says what is wrong with it."""


def key_of(name: str) -> bytes:
    return f"{KEY_PREFIX}{name}".encode()


def encode(policy: Policy) -> bytes:
    """The value of a record of ``calm.control``."""
    return _json.encode(form_of(policy))


def decode(key: bytes | None, value: bytes | None, offset: int) -> Change:
    """A record of ``calm.control``. Raises BadPolicy."""
    try:
        written = (key or b"").decode()
        if not written.startswith(KEY_PREFIX) or written == KEY_PREFIX:
            raise ValueError(f"the key is {written!r}; it must be {KEY_PREFIX}<name>")
        name = written.removeprefix(KEY_PREFIX)
        policy = None if value is None else policy_of(msgspec.json.decode(value))
        if policy is not None and policy.name != name:
            raise ValueError(f"the key is {written!r}, but the name is {policy.name!r}")
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadPolicy(f"not a policy: {error}") from error
    return Change(offset, name, policy)


def is_control(headers: Headers) -> bool:
    """Is this record of ``calm.signals`` a control record?"""
    return any(name == CONTROL[0] and value == CONTROL[1] for name, value in headers)


def encode_control(control: Control) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers of a control record."""
    changes = [[one.offset, one.name, None if one.policy is None else form_of(one.policy)] for one in control.changes]
    return _json.encode({"end": control.end, "complete": control.complete, "changes": changes}), (CONTROL,)


def decode_control(value: bytes | None) -> Control:
    """Raises BadPolicy."""
    try:
        found = msgspec.json.decode(value or b"", type=_Control)
        changes = tuple(
            Change(offset, name, None if form is None else policy_of(form)) for offset, name, form in found.changes
        )
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadPolicy(f"not a control record: {error}") from error
    return Control(found.end, changes, found.complete)


class _Control(msgspec.Struct):
    end: int
    complete: bool
    changes: list[tuple[int, str, dict[str, Any] | None]]
