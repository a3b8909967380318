"""How incidents of policies in the shadow differ from those that are live, incident by incident.

An incident has the same id in both where its first member is the same. Guarantee: an incident that is in one of them
only is always said; what came before the first one in the shadow is left out, for the shadow may not have been there.
"""

from collections.abc import Mapping

from pipeline.cli.incident_states import Body

#: What is compared of those that are in both, and how it is called.
_COMPARED = {
    "state": "",
    "severity": "",
    "onset_time": "since ",
    "member_count": "signals ",
    "resolved_time": "until ",
}


def difference(tried: Body, live: Body | None) -> str:
    """What is different in the live one, in words."""
    if live is None:
        return "only in the shadow"
    found = [f"{word}{live.get(name)}" for name, word in _COMPARED.items() if live.get(name) != tried.get(name)]
    return f"there {', '.join(found)}" if found else "the same"


def not_in_shadow(live: Mapping[str, Body], tried: Mapping[str, Body]) -> list[Body]:
    """Live incidents that the shadow does not have, from its first one on; all where it has none."""
    first = min((str(body.get("onset_time", "")) for body in tried.values()), default="")
    return [body for id_, body in live.items() if id_ not in tried and str(body.get("onset_time", "")) >= first]
