"""Earlier states of policies as bytes: JSON on ``calm.control``, beside the policies themselves.

The key is ``policy-history/<name>``. Workers pass such a record over: what is in force stands under the key of the
policy alone.

Guarantee: what is read is what was written; anything else raises BadHistory.
"""

from typing import Any

import msgspec

from pipeline.policies.form import form_of, policy_of
from pipeline.policies.history import Earlier, History

KEY_PREFIX = b"policy-history/"
_json = msgspec.json.Encoder()


class BadHistory(ValueError):
    """A record that is no history of a policy; the message says what is wrong with it."""


class _State(msgspec.Struct):
    policy: dict[str, Any] | None
    until_us: int
    author: str
    why: str


def is_history(key: bytes | None) -> bool:
    """Is this a record of ``calm.control`` that tells earlier states?"""
    return (key or b"").startswith(KEY_PREFIX)


def encode(history: History) -> tuple[bytes, bytes]:
    """Key and value."""
    states = [
        _State(None if each.policy is None else form_of(each.policy), each.until_us, each.author, each.why)
        for each in history.states
    ]
    return KEY_PREFIX + history.name.encode(), _json.encode(states)


def decode(key: bytes, value: bytes) -> History:
    """Raises BadHistory."""
    try:
        states = msgspec.json.decode(value, type=list[_State])
        found = [
            Earlier(None if each.policy is None else policy_of(each.policy), each.until_us, each.author, each.why)
            for each in states
        ]
        return History(key.removeprefix(KEY_PREFIX).decode(), tuple(found))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadHistory(f"not a history of a policy: {error}") from error
