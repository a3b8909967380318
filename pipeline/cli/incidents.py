"""``calmstream incidents``: what is going on, and each transition as it comes; below it what people do with them."""

import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from pipeline.cli import incident_orders, incident_show
from pipeline.cli.impact_text import impacted_in_short, impacted_words
from pipeline.cli.incident_states import Body, body_of, is_open, newest, newest_states, topic_of
from pipeline.cli.options import Bootstrap, Config, seconds_of, settings_of
from pipeline.cli.running import run
from pipeline.cli.shadow_difference import difference, not_in_shadow
from pipeline.cli.terminal import (
    MOST_CHARACTERS,
    SEVERITY_STYLES,
    TRANSITION_STYLES,
    cell,
    console,
    deviation,
    json_text,
    number,
    plain,
    say,
    several,
    short,
    table,
    unit_of,
)
from pipeline.records import iso, to_us

#: Members shown of each incident.
_MEMBERS = 3

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown", subcommand_metavar="[COMMAND] [ARGS]...")


@app.callback()
def incidents(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay, and print each transition as it comes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")] = False,
    only_open: Annotated[bool, typer.Option("--open", help="Leave out what is resolved.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Of the resolved ones only those with news in the last 30s, 15m, 1h, 2d.")
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="What policies in the shadow make of it, and how what is live differs."),
    ] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the incidents: each one's newest state, or with --follow what is open and then every transition. The
    commands below look at one, and do something with it.

    An event whose revision is not above the last one of its incident is a repeat and is left out. The JSON objects are
    described in docs/schema/incident.json.
    """
    if context.invoked_subcommand is not None:
        if follow or as_json or only_open or shadow or (since, config, bootstrap) != (None, None, None):
            raise typer.BadParameter(f"options of {context.invoked_subcommand} stand behind its name")
        return
    least = "" if since is None else iso(max(to_us(time.time() - seconds_of(since)), 0))
    view = _View(as_json=as_json, only_open=only_open, least=least)
    settings = settings_of(config, bootstrap)
    if follow:
        raise typer.Exit(run(_follow(settings, view, looks_back=since is not None, topic=topic_of(shadow=shadow))))
    raise typer.Exit(run(_list_shadow(settings, view) if shadow else _list(settings, view)))


class _View:
    """What is printed of the incidents, and how. ``least``: RFC 3339 time of the oldest end that matters."""

    def __init__(self, *, as_json: bool, only_open: bool, least: str) -> None:
        self._as_json = as_json
        self._only_open = only_open
        self._least = least
        self._console = console()

    @property
    def is_json(self) -> bool:
        return self._as_json

    def wants(self, body: Body) -> bool:
        return is_open(body) or (not self._only_open and body["updated_time"] >= self._least)

    def table(self, bodies: Iterable[Body], beside: Mapping[str, str] | None = None) -> None:
        """All of them at once, the newest first; ``beside``: what is to be said of some, by id."""
        chosen = sorted(filter(self.wants, bodies), key=lambda body: (body["updated_time"], body["id"]), reverse=True)
        if self._as_json:
            for body in chosen:
                self.transition(body)
            return
        more = [] if beside is None else ["live"]
        shown = table("state", "severity", "since", "last news", ">signals", "impacted", "what", "id", *more)
        rows = 0
        for body in chosen:
            try:
                shown.add_row(*_row(body), *(cell((beside or {}).get(body["id"], "–")) for _ in more))
                rows += 1
            except (KeyError, TypeError, ValueError) as error:
                _not_ours(body, error)
        if rows:
            self._console.print(shown)
        else:
            say("No incidents." if not chosen else "No incidents that can be shown.")

    def transition(self, body: Body) -> None:
        """One of them, as news."""
        if not self.wants(body):
            return
        if self._as_json:
            print(json_text(body), flush=True)
            return
        try:
            lines = list(_lines(body))
        except (KeyError, TypeError, ValueError) as error:
            _not_ours(body, error)
            return
        for line in lines:
            self._console.print(line, soft_wrap=True)


async def _list(settings: Any, view: _View) -> int:
    view.table((await newest_states(settings)).values())
    return 0


async def _list_shadow(settings: Any, view: _View) -> int:
    """What the shadow has, what is live of it, and what is live and not there."""
    tried, live = await newest_states(settings, shadow=True), await newest_states(settings)
    view.table(tried.values(), {id_: difference(body, live.get(id_)) for id_, body in tried.items()})
    missing = [body for body in not_in_shadow(live, tried) if view.wants(body)]
    if missing and not view.is_json:
        say(f"\nLive, and not in the shadow: {several(len(missing), 'incident')}")
        view.table(missing)
    return 0


async def _follow(settings: Any, view: _View, *, looks_back: bool, topic: str) -> int:
    """What is open now (or was resolved lately, for one who looks back), then every transition that comes after."""
    from pipeline.streams.reading import open_reader

    events, state = settings.topic(topic), settings.topic(f"{topic}.state")
    async with open_reader(settings, events, state) as reader:
        places = await reader.ends(events)  # before the state is read: what comes meanwhile is seen there or here
        known = await newest(reader, state)
        for body in sorted(known.values(), key=lambda body: str(body["updated_time"])):
            if is_open(body) or looks_back:
                view.transition(body)
        revisions = {key: body["revision"] for key, body in known.items()}
        say(f"Following {events} on {settings.broker.bootstrap}; stop with Ctrl-C.")
        async for records in reader.onward(places):
            for record in records:
                news = body_of(record)
                if news is not None and news["revision"] > revisions.get(news["id"], 0):
                    revisions[news["id"]] = news["revision"]
                    view.transition(news)
    return 0


def _not_ours(body: Body, error: Exception) -> None:
    say(f"incident {body['id']} cannot be shown, its event is not like docs/schema/incident.json: {error!r}")


def _row(body: Body) -> list[Text]:
    severity, state = plain(body["severity"]), plain(body["state"])
    return [
        cell(state, TRANSITION_STYLES.get(state, "")),
        cell(severity, SEVERITY_STYLES.get(severity, "")),
        cell(short(body["onset_time"])),
        cell(short(body["updated_time"])),
        cell(body["member_count"]),
        cell(", ".join(impacted_in_short(body)) or "–"),
        cell(body["title"]),
        cell(body["id"]),
    ]


def _lines(body: Body) -> Iterable[Text]:
    """A headline, and a line for each of the first members."""
    transition, severity = plain(body["transition"]), plain(body["severity"])
    yield Text.assemble(
        short(body["updated_time"]),
        "  ",
        (f"{transition:<12}", TRANSITION_STYLES.get(transition, "")),
        "  ",
        (f"{severity:<8}", SEVERITY_STYLES.get(severity, "")),
        "  ",
        plain(body["title"], MOST_CHARACTERS),
        (f"  [{plain(body['id'])} r{body['revision']:d}]", "dim"),
    )
    if transition in ("resolved", "withdrawn"):
        since, until = short(body["onset_time"]), short(body["resolved_time"] or "")
        by = f", by {plain(body['by'])}" if body.get("by") else ""
        yield Text(f"    from {since} to {until}: {plain(body['close_reason'])}{by}")
        return
    if body.get("by"):
        yield Text(f"    by {plain(body['by'])}: {plain(body['comment'] or '–', MOST_CHARACTERS)}")
    for member in body["members"][:_MEMBERS]:
        yield _member(member)
    if (more := body["member_count"] - min(len(body["members"]), _MEMBERS)) > 0:
        yield Text(f"    … and {more} more")
    yield from (Text(f"    {plain(words, MOST_CHARACTERS)}") for words in impacted_words(body))
    for cause in (body.get("root_cause_candidates") or [])[:1]:
        why = f": {plain(cause['evidence'][0], MOST_CHARACTERS)}" if cause["evidence"] else ""
        yield Text(f"    likely starts at {plain(cause['entity'], MOST_CHARACTERS)}{why}")


def _member(member: Body) -> Text:
    """What deviates, by how much from what was expected, since when."""
    signal, expected = member["signal"], member["expected"]
    attributes = ", ".join(f"{name}={value}" for name, value in signal["attributes"].items())
    what = f"{signal['name']}{{{attributes}}}" if attributes else signal["name"]
    who = f"{signal['workload']} {signal['instance']}".strip()
    unit = unit_of(signal["unit"])
    band = f"{number(expected['lower'])} … {number(expected['upper'])}"
    off = deviation(member["observed"], expected["value"])
    end = f" until {short(member['end_time'])}" if member["end_time"] else ""
    return Text.assemble(
        "    ",
        plain(f"{what} of {who}", MOST_CHARACTERS),
        ": ",
        (f"{number(member['observed'])}{plain(unit)}", "bold"),
        plain(f", expected {number(expected['value'])}{unit} ({band}), {off}"),
        f", since {short(member['onset_time'])}{end}",
    )


app.command("show")(incident_show.show)
app.command("ack")(incident_orders.ack)
app.command("resolve")(incident_orders.resolve)
app.command("reopen")(incident_orders.reopen)
app.command("merge")(incident_orders.merge)
app.command("split")(incident_orders.split)
