"""Titles and texts that people configure: ``${name}`` stands for something of the incident.

Guarantee: names are checked when the template is made, nothing in it is executed, and what is put in is one line
without anything that a screen would obey. Escaping for a destination's own markup is that destination's.
"""

import string
from dataclasses import dataclass

from pipeline.records.escaping import plain
from pipeline.sinks.protocol import Incident

_MOST_CHARACTERS = 500
_MOST_NAMED = 5

TITLE = "${title}"
BODY = "${severity} ${state} since ${onset}. Affected: ${affected}. Cause: ${cause}. Why so severe: ${why}"

NAMES = (
    "id", "revision", "transition", "state", "severity", "scope", "title", "onset", "detected", "resolved", "why",
    "affected", "cause", "changes", "members", "close_reason", "by", "comment",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """The two texts of a destination. Raises ValueError that names the text and the name that is wrong."""

    title: str = TITLE
    body: str = BODY

    def __post_init__(self) -> None:
        for key in ("title", "body"):
            template = string.Template(getattr(self, key))
            if not template.is_valid():
                raise ValueError(f"{key}: a $ must be followed by a name in braces, as ${{title}}; write $$ for a $")
            if unknown := sorted(set(template.get_identifiers()) - set(NAMES)):
                raise ValueError(f"{key}: nothing is named {', '.join(unknown)}; there are {', '.join(NAMES)}")

    def title_of(self, incident: Incident) -> str:
        return string.Template(self.title).substitute(fields(incident))

    def body_of(self, incident: Incident) -> str:
        return string.Template(self.body).substitute(fields(incident))


def fields(incident: Incident) -> dict[str, str]:
    """Every name and what stands for it."""
    causes, changes = incident.get("root_cause_candidates") or (), incident.get("changes") or ()
    found = {
        **{name: incident.get(name) for name in NAMES},
        "onset": incident.get("onset_time"),
        "detected": incident.get("detected_time"),
        "resolved": incident.get("resolved_time"),
        "why": _listed(incident.get("severity_reasons") or ()),
        "affected": _listed(incident.get("affected") or ()),
        "cause": causes[0].get("entity") if causes else "not known",
        "changes": _listed([change.get("title") or change.get("kind") or "" for change in changes]),
        "members": incident.get("member_count"),
    }
    return {name: "" if value is None else plain(value, _MOST_CHARACTERS) for name, value in found.items()}


def _listed(texts: list[str] | tuple[str, ...]) -> str:
    more = len(texts) - _MOST_NAMED
    return "; ".join(map(str, texts[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
