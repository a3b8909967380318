"""What the records of ``calm.control`` about incidents have in common: JSON of a bounded size under a key with a kind.

Guarantee: anything else raises ValueError that says what is wrong; nothing else is raised, whatever the bytes.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

_json = msgspec.json.Encoder()
_Value = TypeVar("_Value")

#: Bytes of the value of a record: what the limits of its parts allow, and no more is read.
MOST_BYTES = 128 * 2**10


def encode(form: Mapping[str, Any]) -> bytes:
    return _json.encode(form)


def read(key: bytes | None, value: bytes | None, wanted: str, of: Callable[[Any], _Value]) -> tuple[str, _Value | None]:
    """The key as text, and what the value says; None without a value. ``wanted`` is the form of the key, as
    ``silence/<id>``. Raises ValueError."""
    prefix, parts = wanted.partition("/")[0] + "/", wanted.count("/")
    try:
        text = (key or b"").decode()
        if not text.startswith(prefix) or text.count("/") != parts or not all(text.split("/")):
            raise ValueError(f"the key is {text[:200]!r}; it must be {wanted}")
        if value is None:
            return text, None
        if len(value) > MOST_BYTES:
            raise ValueError(f"it has {len(value)} bytes; at most {MOST_BYTES} are read")
        return text, of(msgspec.json.decode(value))
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from error


def refuse_other_key(key: str, named: str) -> None:
    """Raises ValueError where a value belongs under another key."""
    if key != named:
        raise ValueError(f"the key is {key[:200]!r}, but what it holds is {named!r}")
