"""Silences as bytes on ``calm.control``: the key is ``silence/<id>``; a record without a value takes it away.

Guarantee: what is read is what was written; anything else, whatever its bytes, raises BadSilence and nothing else.
"""

from pipeline.codecs import said_value
from pipeline.policies.control import SILENCE, Said
from pipeline.policies.said_forms import silence_form, silence_of
from pipeline.policies.silence import Silence


class BadSilence(ValueError):
    """A record that is no silence of ours; the message says what is wrong with it."""


def key_of(id_: str) -> bytes:
    return f"{SILENCE}{id_}".encode()


def encode(silence: Silence) -> bytes:
    """The value of a record of ``calm.control``."""
    return said_value.encode(silence_form(silence))


def decode(key: bytes | None, value: bytes | None, offset: int) -> Said:
    """A record of ``calm.control``. Raises BadSilence."""
    try:
        found, what = said_value.read(key, value, "silence/<id>", silence_of)
        if what is not None:
            said_value.refuse_other_key(found, f"{SILENCE}{what.id}")
    except ValueError as error:
        raise BadSilence(f"not a silence: {error}") from error
    return Said(offset, found, what)
