"""What the verbs for silences and for maintenance windows share: who says it, what it means now, and how it is written.

Guarantee: nothing is written before it was shown what it means now and that was agreed to (``--yes``).
"""

import getpass
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pipeline.cli.incident_states import is_open, newest_states, signals_of
from pipeline.cli.options import seconds_of
from pipeline.cli.running import refrain
from pipeline.cli.signals import statuses
from pipeline.cli.terminal import cell, console, json_text, moment, plain, say, several, table
from pipeline.policies.control import ORDER, Said
from pipeline.policies.detector import PolicyError
from pipeline.policies.matcher import Matcher, parse
from pipeline.policies.said import SEVERITY, Holding, means
from pipeline.records import US, to_us

Match = Annotated[
    list[str],
    typer.Argument(
        metavar="CONDITION...",
        help="name=value, name!=value or name=~regex, which must all hold: of entity, workload, instance, scope, name, "
        "severity, or any attribute.",
    ),
]
Comment = Annotated[str, typer.Option(help="Why, for whoever wonders later.")]
Author = Annotated[str | None, typer.Option(help="Who says it; else the user of this machine.", show_default=False)]
Id = Annotated[str | None, typer.Option("--id", help="Its name; else one is made. The same name replaces it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line, as it stands on calm.control.")]
Everything = Annotated[bool, typer.Option("--all", help="Those that are over too.")]

#: What is over for so long is taken off calm.control when somebody writes there; orders after so long.
_KEPT_US, _ORDERS_KEPT_US = 30 * 86_400 * US, 90 * 86_400 * US
#: Incidents and signals that are shown of what is meant.
_SHOWN = 20


def now_us() -> int:
    return to_us(time.time())


def author_of(given: str | None) -> str:
    """Who says it. Raises BadParameter where nobody can be found."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise typer.BadParameter("this machine does not know your name; give --author NAME") from None


def time_us(option: str, text: str) -> int:
    """RFC 3339, seconds since 1970, or from now: ``+2h``, ``-15m``. Raises BadParameter."""
    try:
        if text[:1] in ("+", "-"):
            away = seconds_of(text[1:])
            return now_us() + to_us(away if text[0] == "+" else -away)
        if text.replace(".", "", 1).isdigit():
            return to_us(float(text))
        found = datetime.fromisoformat(text)
        return to_us((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        right = "write 2026-01-31T14:00:00Z, seconds since 1970, or +2h"
        raise typer.BadParameter(f"{option} is {text!r}, which is no time; {right}") from None


def matchers_of(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Raises BadParameter."""
    found = []
    for text in texts:
        try:
            matcher = parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if not isinstance(matcher, Matcher):
            raise typer.BadParameter(f"{text!r} is no condition; write name=value, name!=value or name=~regex")
        found.append(matcher)
    return tuple(found)


def refused(error: PolicyError) -> typer.BadParameter:
    """What a value says of itself, as a wrong argument."""
    return typer.BadParameter(str(error))


# -- writing -----------------------------------------------------------------------------------------------------------


async def add(settings: Any, key: str, what: Any, words: str, *, dry_run: bool, yes: bool) -> int:
    """Show what it means now, ask, write it."""
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    print(plain(words))
    if any(one.key == key for one in everything.said):
        print(f"It takes the place of the {plain(key)} that is there.")
    await preview(settings, what)
    if (code := refrain("Add it?", dry_run=dry_run, yes=yes)) is not None:
        return code
    await control_topic.say(settings, [what], forget=long_over(everything.said, now_us()))
    print(f"added  {plain(key)}")
    return 0


async def expire(settings: Any, prefix: str, ids: Sequence[str], author: str, *, dry_run: bool, yes: bool) -> int:
    """End some early: what they held back and still goes on is told then."""
    from pipeline.streams import control_topic

    everything, at_us = await control_topic.read(settings), now_us()
    there = {one.key.removeprefix(prefix): one.what for one in everything.said if one.key.startswith(prefix)}
    running = {id_: what for id_, what in there.items() if not is_over(what, at_us)}
    if missing := [id_ for id_ in ids if id_ not in running]:
        over = "is over already" if missing[0] in there else "is not there"
        say(f"{prefix}{missing[0]} {over}; there are: {', '.join(sorted(running)) or 'none'}.")
        return 1
    for id_ in ids:
        print(f"expires  {plain(prefix + id_)}  {plain(_means(running[id_]))}")
    question = "End it, so that what goes on is told?" if len(ids) == 1 else "End them, so that what goes on is told?"
    if (code := refrain(question, dry_run=dry_run, yes=yes)) is not None:
        return code
    ended: list[Any] = [running[id_].expired(at_us, author) for id_ in dict.fromkeys(ids)]  # type: ignore[union-attr]
    await control_topic.say(settings, ended, forget=long_over(everything.said, at_us))
    for id_ in dict.fromkeys(ids):
        print(f"expired  {plain(prefix + id_)}  at event time {moment(at_us)}")
    return 0


def long_over(said: Iterable[Said], at_us: int) -> list[str]:
    """Keys that nobody asks for any more."""
    found = []
    for one in said:
        what: Any = one.what
        last, kept = (what.created_us, _ORDERS_KEPT_US) if one.key.startswith(ORDER) else (what.expires_us, _KEPT_US)
        if last < at_us - kept:
            found.append(one.key)
    return found


def is_over(what: Any, at_us: int) -> bool:
    return not what.active(at_us) and what.next_change_us(at_us) is None


# -- looking -----------------------------------------------------------------------------------------------------------


async def preview(settings: Any, what: Holding) -> None:
    """Open incidents and signals that it means as of now."""
    found = [body for body in (await newest_states(settings)).values() if is_open(body)]
    found.sort(key=lambda body: str(body["updated_time"]), reverse=True)
    _show_incidents([(body, *_members(what, body)) for body in found])
    match = tuple(matcher for matcher in what.match if matcher.name != SEVERITY)
    meant = [status async for status in statuses(settings) if means(match, status.signal)]
    counts = Counter(status.condition for status in meant)
    summary = ", ".join(f"{count} {condition}" for condition, count in sorted(counts.items()))
    print(f"It means {several(len(meant), 'signal')}{f': {summary}' if summary else ''}.")
    for status in sorted(meant, key=lambda status: (status.condition != "anomalous", status.signal.label()))[:_SHOWN]:
        print(f"  {plain(status.signal.label())} of {plain(status.signal.entity)}: {status.condition}")
    if len(meant) > _SHOWN:
        print(f"  … and {len(meant) - _SHOWN} more")


def _members(what: Holding, body: dict[str, Any]) -> tuple[int, int]:
    """How many of the members that are written out are meant, and how many members there are."""
    severity = str(body.get("severity", ""))
    return sum(what.matches(signal, severity) for signal in signals_of(body)), int(body.get("member_count", 0))


def _show_incidents(found: Sequence[tuple[dict[str, Any], int, int]]) -> None:
    meant = [(body, some, every) for body, some, every in found if some]
    print(f"Of {several(len(found), 'open incident')} it means {len(meant)}.")
    for body, some, every in meant[:_SHOWN]:
        how = "held back" if some == every else f"told as before: only {some} of {several(every, 'member')} meant"
        print(f"  {plain(body['id'])} ({plain(body.get('title', ''))}): {how}")
    if len(meant) > _SHOWN:
        print(f"  … and {len(meant) - _SHOWN} more")


async def show(settings: Any, prefix: str, form_of: Any, *, everything: bool, as_json: bool) -> int:
    """Those that are there, first what is active."""
    from pipeline.streams import control_topic

    found, at_us = await control_topic.read(settings), now_us()
    for wrong in found.broken_said:
        say(f"passed over: {wrong}")
    listed: list[Any] = [one.what for one in found.said if one.key.startswith(prefix)]
    listed = [what for what in listed if everything or not is_over(what, at_us)]
    listed.sort(key=lambda what: (is_over(what, at_us), not what.active(at_us), what.expires_us, what.id))
    if as_json:
        for what in listed:
            print(json_text(form_of(what)))
        return 0
    if not listed:
        say(f"No {_NAMES[prefix]}.")
        return 0
    shown = table("id", "state", "means", "comment", "author", "ends")
    for what in listed:
        words = (what.id, _state(what, at_us), _means(what), what.comment, what.author, moment(what.expires_us))
        shown.add_row(*(cell(word) for word in words))
    console().print(shown)
    return 0


_NAMES = {"silence/": "silences", "maintenance/": "maintenance windows"}


def _state(what: Any, at_us: int) -> str:
    by = f", by {what.expired_by}" if what.expired_by else ""
    if what.active(at_us):
        return f"active until {moment(what.until_us(at_us))}"
    following = what.next_change_us(at_us)
    return f"over{by}" if following is None else f"next at {moment(following)}"


def _means(what: Any) -> str:
    return ", ".join(str(matcher) for matcher in what.match)
