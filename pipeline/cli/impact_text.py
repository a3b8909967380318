"""Who suffers from an incident, in words, from its event.

Guarantee: an event of another version of ours, which says nothing of it or says it otherwise, gives nothing and fails
nothing.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.cli.incident_states import Body
from pipeline.cli.terminal import plain


def impacted_told(body: Body) -> Iterator[tuple[dict[str, Any], str]]:
    """Each entry with its words; these are not escaped yet."""
    for each in _entries(body):
        signal = f" ({each['signal']})" if each.get("signal") else ""
        sure = "" if each.get("felt") else "likely "
        lost = each.get("lost")
        loss = f"; {lost['words']}" if isinstance(lost, dict) and lost.get("words") else ""
        yield each, f"{sure}{each['role']} of {each['entity']}{signal}: {each.get('why', '')}{loss}"


def impacted_words(body: Body) -> Iterator[str]:
    """A line for each, to be shown."""
    yield from (plain(words) for _, words in impacted_told(body))


def impacted_in_short(body: Body) -> list[str]:
    """``users`` or ``business``, of those who feel it, each once."""
    return sorted({plain(each["role"]) for each in _entries(body) if each.get("felt")})


def _entries(body: Body) -> Iterator[dict[str, Any]]:
    found = body.get("impacted")
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("entity"), str):
            yield each
