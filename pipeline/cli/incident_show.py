"""``calmstream incidents show INCIDENT``: everything about one incident: its life, members, candidates and orders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.impact_text import impacted_words
from pipeline.cli.incident_states import Body, is_open, newest_states, signals_of, topic_of
from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.quieting import now_us
from pipeline.cli.running import run
from pipeline.cli.terminal import SEVERITY_STYLES, TRANSITION_STYLES, console, json_text, plain, say, several, short
from pipeline.cli.traces import incidents_about
from pipeline.policies.control import ORDER

#: Lists of an incident that are shown as they are, where it has them, and what they are called.
_LISTS = {
    "root_cause_candidates": "where it may start, the likeliest first",
    "suspected_changes": "what changed just before, the likeliest first",
    "affected": "affected",
}


def show(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of the incident.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object, for machines.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="As the policies in the shadow have it.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show one incident: how it is, its transitions, members, candidates for its cause, and what people ordered."""
    raise typer.Exit(run(_show(settings_of(config, bootstrap), incident, as_json=as_json, shadow=shadow)))


async def _show(settings: Any, incident: str, *, as_json: bool, shadow: bool) -> int:
    newest = (await newest_states(settings, shadow=shadow)).get(incident)
    events = (await incidents_about(settings, [incident], topic=topic_of(shadow=shadow))).get(incident, [])
    body = _newest([*events, *([newest] if newest is not None else [])])
    if body is None:
        listing = "calmstream incidents --shadow" if shadow else "calmstream incidents"
        say(f"No incident has the id {incident}; {listing} lists them.")
        return 1
    orders, holding = await _said(settings, body)
    report = {"incident": body, "life": _life(events), "orders": orders, "held_back_by": holding}
    if as_json:
        print(json_text(report))
        return 0
    out = console()
    for line in _lines(report):
        out.print(line, soft_wrap=True)
    return 0


def _newest(bodies: Sequence[Body]) -> Body | None:
    return max(bodies, key=lambda body: int(body["revision"]), default=None)


async def _said(settings: Any, body: Body) -> tuple[list[Body], list[Body]]:
    """Orders for the incident, and the silences and windows that are active now and mean how many of its members."""
    from pipeline.policies.said_forms import order_form
    from pipeline.streams import control_topic

    everything, at_us = await control_topic.read(settings), now_us()
    mine = f"{ORDER}{body['id']}/"
    orders = [order_form(one.what) for one in everything.said if one.key.startswith(mine)]  # type: ignore[arg-type]
    into = [one.what for one in everything.said if getattr(one.what, "into", None) == body["id"]]
    orders += [order_form(order) for order in into]  # type: ignore[arg-type]
    if not is_open(body):
        return orders, []
    signals, severity = list(signals_of(body)), str(body.get("severity", ""))
    holding: list[Any] = [one for one in everything.said if not one.key.startswith(ORDER)]
    active = [one for one in holding if one.what.active(at_us)]
    counts = [(one.key, sum(one.what.matches(signal, severity) for signal in signals)) for one in active]
    return orders, [{"key": key, "members": count} for key, count in counts if count]


def _life(events: Sequence[Body]) -> list[Body]:
    """Each transition, and in words what was new with it where that can be told."""
    from pipeline.flow.outcomes import life_of_incident

    try:
        words = {told.revision: told.words for told in life_of_incident(events)}
    except (KeyError, TypeError, ValueError):  # of another version of ours
        words = {}
    return [
        {
            "time": str(event.get("updated_time", "")),
            "transition": str(event.get("transition", "")),
            "revision": int(event["revision"]),
            "severity": str(event.get("severity", "")),
            "member_count": event.get("member_count"),
            "words": words.get(int(event["revision"]), ""),
        }
        for event in events
    ]


def _lines(report: Mapping[str, Any]) -> Iterator[Text]:
    body = report["incident"]
    state, severity = plain(body["state"]), plain(body.get("severity", ""))
    yield Text(plain(body.get("title", body["id"])), style="bold")
    yield Text.assemble(
        f"{plain(body['id'])}: ",
        (state, TRANSITION_STYLES.get(state, "")),
        ", ",
        (severity, SEVERITY_STYLES.get(severity, "")),
        f", scope {plain(body.get('scope', ''))}, since {short(str(body.get('onset_time', '')))}",
    )
    if body.get("shadow"):
        yield Text("in the shadow: made by policies that are only tried")
    if body.get("close_reason"):
        yield Text(f"closed: {plain(body['close_reason'])}")
    for each in report["held_back_by"]:
        count = several(len(body.get("members", ())), "member")
        yield Text(f"{plain(each['key'])} is active and means {each['members']} of {count}")
    yield from _section("transitions", (_transition(each) for each in report["life"]))
    yield from _section("what people ordered", (_order(each) for each in report["orders"]))
    yield from _section("why it is so severe", (plain(each) for each in _sequence(body.get("severity_reasons"))))
    yield from _section("impacted", impacted_words(body))
    yield from _section(_members_title(body), (_member(each) for each in body.get("members", ())))
    for name, title in _LISTS.items():
        yield from _section(title, (_entry(each) for each in _sequence(body.get(name))))
    for name in ("changes", "events"):
        yield from _section(f"{name} beside it", (_beside(each, body) for each in _sequence(body.get(name))))
    yield from _section("what the past says", _past(body))


def _section(title: str, lines: Iterator[str]) -> Iterator[Text]:
    found = list(lines)
    if found:
        yield Text("")
        yield Text(f"{title}:")
        yield from (Text(f"  {line}") for line in found)


def _transition(told: Body) -> str:
    count = several(int(told["member_count"] or 0), "member")
    head = f"{short(told['time'])}  r{told['revision']} {plain(told['transition'])}, {plain(told['severity'])}, {count}"
    return f"{head}: {plain(told['words'])}" if told["words"] else head


def _order(form: Body) -> str:
    given = {"reason": "", "into": "into ", "effective_at": "from ", "comment": ""}
    more = [f"{prefix}{plain(form[name])}" for name, prefix in given.items() if form.get(name)]
    more += [f"members {', '.join(plain(each) for each in form['members'])}"] if form.get("members") else []
    told = f": {', '.join(more)}" if more else ""
    who = f"{plain(form['action'])} of {plain(form['incident'])} by {plain(form['author'])}"
    return f"{short(form['created'])}  {who}{told}"


def _members_title(body: Body) -> str:
    shown, count = len(body.get("members", ())), int(body.get("member_count", 0))
    cut = f", of which {shown} are written out" if count > shown else ""
    return f"{several(count, 'member')}{cut}"


def _member(member: Any) -> str:
    from pipeline.flow.outcomes import member_words

    try:
        return f"{plain(member['anomaly_id'])}  {plain(member_words(member, None))}"
    except (KeyError, TypeError, ValueError):  # of another version of ours
        return _entry(member)


def _beside(happened: Any, body: Body) -> str:
    from pipeline.flow.outcomes import beside_words

    try:
        return plain(beside_words(happened, body))
    except (KeyError, TypeError, ValueError):
        return _entry(happened)


def _past(body: Body) -> Iterator[str]:
    from pipeline.flow.outcomes import past_words

    try:
        yield from (plain(words) for words in [*past_words(body)])
    except (KeyError, TypeError, ValueError):  # of another version of ours
        names = ("flapping", "rarity", "suppressed_counts", "similar_past")
        yield from (f"{name}: {_entry(body[name])}" for name in names if body.get(name))


def _entry(value: Any) -> str:
    """Whatever an event holds, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(name)} {_entry(each)}" for name, each in value.items() if each not in (None, "", []))
    if isinstance(value, list | tuple):
        return "; ".join(_entry(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
