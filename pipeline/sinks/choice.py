"""Which incidents a destination is for.

Guarantee: an incident of a shadow policy is for nobody. A condition on ``id``, ``scope``, ``severity`` or ``state`` is
about the incident; any other holds where a member's signal has it (``!=``: where every member's has).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.policies.matcher import Matcher
from pipeline.sinks.protocol import Incident

SEVERITIES = ("warning", "error", "critical")
_OWN = frozenset({"id", "scope", "severity", "state"})


@dataclass(frozen=True)
class Choice:
    """At least this severe, and all matchers hold."""

    severity: str = "warning"
    matchers: Sequence[Matcher] = ()

    def wants(self, incident: Incident) -> bool:
        """Is it for this destination?"""
        if incident.get("shadow"):
            return False
        if SEVERITIES.index(incident["severity"]) < SEVERITIES.index(self.severity):
            return False
        return all(_holds(matcher, incident) for matcher in self.matchers)


def _holds(matcher: Matcher, incident: Incident) -> bool:
    if matcher.name in _OWN:
        return matcher.accepts(str(incident[matcher.name]))
    signals = [member["signal"] for member in incident["members"]]
    values = [str(signal.get(matcher.name) or signal["attributes"].get(matcher.name, "")) for signal in signals]
    return (all if matcher.operator == "!=" else any)(map(matcher.accepts, values))
