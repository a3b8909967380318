"""Maintenance windows as bytes on ``calm.control``: the key is ``maintenance/<id>``; without a value it is taken away.

Guarantee: what is read is what was written; anything else, whatever its bytes, raises BadMaintenance and nothing else.
"""

from pipeline.codecs import said_value
from pipeline.policies.control import MAINTENANCE, Said
from pipeline.policies.maintenance import Maintenance
from pipeline.policies.said_forms import maintenance_form, maintenance_of


class BadMaintenance(ValueError):
    """A record that is no maintenance window of ours; the message says what is wrong with it."""


def key_of(id_: str) -> bytes:
    return f"{MAINTENANCE}{id_}".encode()


def encode(window: Maintenance) -> bytes:
    """The value of a record of ``calm.control``."""
    return said_value.encode(maintenance_form(window))


def decode(key: bytes | None, value: bytes | None, offset: int) -> Said:
    """A record of ``calm.control``. Raises BadMaintenance."""
    try:
        found, what = said_value.read(key, value, "maintenance/<id>", maintenance_of)
        if what is not None:
            said_value.refuse_other_key(found, f"{MAINTENANCE}{what.id}")
    except ValueError as error:
        raise BadMaintenance(f"not a maintenance window: {error}") from error
    return Said(offset, found, what)
