"""``calmstream incidents ack|resolve|reopen|merge|split``: what somebody wants done with an incident.

Guarantee: an order is written once, and only where it fits the incident as it is now.
"""

from collections.abc import Callable
from typing import Annotated, Any, cast

import typer

from pipeline.cli.incident_states import Body, is_open, newest_states
from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.quieting import Author, DryRun, Yes, author_of, long_over, now_us, refused, time_us
from pipeline.cli.running import refrain, run
from pipeline.cli.terminal import moment, plain, say, several
from pipeline.policies.detector import PolicyError
from pipeline.policies.orders import REASONS, Action, Order, Reason
from pipeline.policies.said import id_of
from pipeline.records import NO_TIME

Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of the incident.")]
Comment = Annotated[str, typer.Option(help="What the others need to know.")]
At = Annotated[str | None, typer.Option(help="Event time from which on it counts; else as soon as it is heard.")]
#: What is wrong with an order for incidents as they are; empty where it fits.
_Check = Callable[[dict[str, Body]], str]


def ack(
    incident: Incident,
    comment: Comment = "",
    at: At = None,
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Say that you look at an incident."""
    _order("ack", incident, {"comment": comment}, _wants_open(incident), at, author, config, bootstrap)


def resolve(
    incident: Incident,
    reason: Annotated[str, typer.Option(help=f"Why: {', '.join(REASONS)}. With other say it in --comment.")],
    comment: Comment = "",
    at: At = None,
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Resolve an incident, though some of it may go on.

    **fixed**: it was mended. **expected**: it was real and known beforehand. **false_alarm**: nothing was wrong.
    **new_normal**: this is how it is from now on. **duplicate**: another incident tells it. **other**: see the comment.
    """
    changes = {"comment": comment, "reason": cast(Reason, reason)}
    _order("resolve", incident, changes, _wants_open(incident), at, author, config, bootstrap)


def reopen(
    incident: Incident,
    comment: Comment = "",
    at: At = None,
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Open an incident again that was resolved."""

    def check(states: dict[str, Body]) -> str:
        state = str(states[incident]["state"])
        if is_open(states[incident]):
            return f"{incident} is {state}: there is nothing to reopen"
        return "" if state == "resolved" else f"{incident} is {state}; only what is resolved is reopened"

    _order("reopen", incident, {"comment": comment}, check, at, author, config, bootstrap)


def merge(
    incident: Incident,
    into: Annotated[str, typer.Option(help="Id of the incident that it goes into.")],
    comment: Comment = "",
    at: At = None,
    author: Author = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Make an incident part of another one of the same scope: its members go there, and it is over."""

    def check(states: dict[str, Body]) -> str:
        if wrong := _wants_open(incident)(states):
            return wrong
        if into not in states:
            return _missing(into)
        if wrong := _wants_open(into)(states):
            return wrong
        one, other = states[incident].get("scope"), states[into].get("scope")
        if one != other:
            return f"{incident} is of scope {one}, {into} of {other}: incidents of one scope are merged"
        members = several(int(states[incident].get("member_count", 0)), "member")
        print(f"merges  {plain(incident)} ({plain(states[incident].get('title', ''))}), {members},")
        print(f"into    {plain(into)} ({plain(states[into].get('title', ''))})")
        return ""

    changes = {"comment": comment, "into": into}
    ask = ("Merge them?", dry_run, yes)
    _order("merge", incident, changes, check, at, author, config, bootstrap, ask)


def split(
    incident: Incident,
    member: Annotated[
        list[str], typer.Option("--member", "-m", help="Id of an anomaly, or of a signal, in it; several times.")
    ],
    comment: Comment = "",
    at: At = None,
    author: Author = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Take members out of an incident: they become an incident of their own."""
    chosen: list[str] = []

    def check(states: dict[str, Body]) -> str:
        if wrong := _wants_open(incident)(states):
            return wrong
        members = {str(each["anomaly_id"]): each for each in states[incident].get("members", ())}
        for asked in member:
            found = [key for key, each in members.items() if asked in (key, each["signal"]["id"])]
            if not found:
                return f"{incident} has no member {asked}; calmstream incidents show {incident} lists them"
            chosen.extend(found)
        if len(set(chosen)) >= int(states[incident].get("member_count", 0)):
            return f"that is all of {incident}; leave at least one member in it"
        for key in dict.fromkeys(chosen):
            signal = members[key]["signal"]
            print(f"splits out  {plain(key)}  {plain(signal['name'])} of {plain(signal['workload'])}")
        return ""

    ask = ("Split them out?", dry_run, yes)
    _order("split", incident, {"comment": comment, "members": chosen}, check, at, author, config, bootstrap, ask)


def _wants_open(incident: str) -> _Check:
    def check(states: dict[str, Body]) -> str:
        return "" if is_open(states[incident]) else f"{incident} is {states[incident]['state']} already"

    return check


def _missing(incident: str) -> str:
    return f"No incident has the id {incident}; calmstream incidents lists them."


def _order(
    action: Action,
    incident: str,
    changes: dict[str, Any],
    check: _Check,
    at: str | None,
    author: str | None,
    config: Any,
    bootstrap: Any,
    ask: tuple[str, bool, bool] | None = None,
) -> None:
    """Write an order, when it fits and was agreed to. Ends with the exit code."""
    now, effective = now_us(), NO_TIME if at is None else time_us("--at", at)
    who = author_of(author)

    def made() -> Order:
        content = [f"{name}={value}" for name, value in sorted(changes.items())]
        id_ = id_of(action, incident, who, now, *content)
        given = {**changes, "members": tuple(changes.get("members", ()))}
        try:
            return Order(id_, action, incident, who, now, effective, **given)
        except PolicyError as error:
            raise refused(error) from None

    if action != "split":
        made()  # what is wrong with it by itself is said before anybody is asked
    raise typer.Exit(run(_give(settings_of(config, bootstrap), incident, check, made, ask)))


async def _give(
    settings: Any, incident: str, check: _Check, made: Callable[[], Order], ask: tuple[str, bool, bool] | None
) -> int:
    from pipeline.streams import control_topic

    states = await newest_states(settings)
    wrong = check(states) if incident in states else _missing(incident)
    if wrong:
        say(wrong)
        return 1
    order = made()
    if ask is not None and (code := refrain(ask[0], dry_run=ask[1], yes=ask[2])) is not None:
        return code
    everything = await control_topic.read(settings)
    await control_topic.say(settings, [order], forget=long_over(everything.said, now_us()))
    when = "as soon as it is heard" if order.effective_us == NO_TIME else f"from {moment(order.effective_us)} on"
    print(f"ordered  {order.action}  {plain(incident)}  {when}; calmstream incidents show tells what came of it")
    return 0
