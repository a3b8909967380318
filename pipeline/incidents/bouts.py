"""The present bout of an incident: its members since all of it last rested.

An incident that returns may start elsewhere this time, and after another change. Where it starts, what changed before
it and what its title says are those of the present bout, of one that is over those of the last; how bad it is, and for
whom, those of all.

Guarantee: a pure function of the members. An incident that never rested for longer than is asked is one bout.
"""

from collections.abc import Collection

from pipeline.records import Member

#: So many times as long as what is near in time must a rest be.
RESTS = 2
_FAR_US = 2**62


def present(members: Collection[Member], rest_us: int) -> list[Member]:
    """Those of the newest bout, in the order of their onsets: from the last rest of more than ``rest_us`` on."""
    order = sorted(members, key=lambda member: (member.anomaly.onset_us, member.anomaly.id))
    first, until_us = 0, -_FAR_US
    for place, member in enumerate(order):
        if member.anomaly.onset_us > until_us + rest_us:
            first = place
        end_us = member.anomaly.end_us
        until_us = max(until_us, _FAR_US if end_us is None else end_us)
    return order[first:]
