"""What signals are to people: as the configuration says, else as their names, units and kinds tell.

Guarantee: depends on the signal and the configuration alone. Answers are remembered for MOST_KNOWN signals at once.
"""

import re

from pipeline.incidents.roles import LATENCY, OTHER, Part
from pipeline.policies.roles import BUSINESS, USERS, GivenRoles
from pipeline.records import Kind, Signal
from pipeline.signals.roles import SECONDS, SignalRole, role_of

MOST_KNOWN = 100_000
#: Words in names of shares without a dimension; a rate is one only where the unit says that it has none.
_SHARES = re.compile(r"ratio|share|percent|fraction", re.IGNORECASE)


class SignalRoles:
    """``given``: what the configuration says."""

    def __init__(self, given: GivenRoles) -> None:
        self._given = given
        self._known: dict[int, Part] = {}

    def of(self, signal: Signal) -> Part:
        found = self._known.get(signal.id)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[signal.id] = self._part(signal)
        return found

    def _part(self, signal: Signal) -> Part:
        told = self._given.golden(signal) or _GOLDEN[role_of(signal)]
        users = self._given.has(USERS, signal)
        if users and told == OTHER and signal.unit in SECONDS and signal.kind is not Kind.COUNTER:
            told = LATENCY
        return Part(told, self._given.has(BUSINESS, signal), users, _is_share(signal))


_GOLDEN = {role: role.value if role is not SignalRole.LOG else OTHER for role in SignalRole}


def _is_share(signal: Signal) -> bool:
    if signal.kind in (Kind.SHARE, Kind.COUNT) or signal.unit == "%":
        return signal.kind is not Kind.COUNT
    if signal.unit not in ("", "1"):
        return False
    rate = signal.unit == "1" and "rate" in signal.name.lower()
    return rate or signal.name.endswith(".above") or _SHARES.search(signal.name) is not None
