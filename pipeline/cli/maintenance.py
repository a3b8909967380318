"""``calmstream maintenance add|list|expire``: work that is announced, once or again and again."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from pipeline.cli import quieting, zones
from pipeline.cli.options import Bootstrap, Config, seconds_of, settings_of
from pipeline.cli.quieting import Author, Comment, DryRun, Everything, Id, Json, Match, Yes
from pipeline.cli.running import run
from pipeline.cli.terminal import moment
from pipeline.policies.control import MAINTENANCE
from pipeline.policies.detector import PolicyError
from pipeline.policies.maintenance import DAYS, MOST_RECURRING_US, Maintenance, Recurrence
from pipeline.policies.said import id_of
from pipeline.policies.said_forms import clock, day_of_week, maintenance_form
from pipeline.records import to_us

app = typer.Typer(
    help="Announce work, once or recurring: incidents of what is worked on are held back meanwhile.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

#: Times of a window that recurs which are shown.
_SHOWN = 3


@app.command("add")
def add(
    match: Match,
    comment: Comment,
    lasts: Annotated[str | None, typer.Option("--for", help="How long it lasts, each time: 30m, 2h, 1d.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Its beginning, or of all of it; else now.")] = None,
    until: Annotated[str | None, typer.Option(help="Its end, or of all of it; else ten years from then.")] = None,
    at: Annotated[str | None, typer.Option(help="It recurs, at this time of day by the zone's clocks: 02:30.")] = None,
    zone: Annotated[str | None, typer.Option(help="The time zone of --at: Europe/Berlin, UTC.")] = None,
    days: Annotated[str | None, typer.Option(help="Only on these days of the week: sat,sun or mon-fri.")] = None,
    month_days: Annotated[
        str | None, typer.Option(help="Only on these days of the month: 1,15 or 1..7; -1 is the last.")
    ] = None,
    author: Author = None,
    id_: Id = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Hold back the incidents all of whose members every condition means, while work goes on. Shows what that is now.

    With `--at` it recurs: each day, or where `--days` and `--month-days` are given, where both fit. The first Sunday of
    each month: `--days sun --month-days 1..7`. A time of day that the clocks skip is counted from the offset before;
    one that they show twice is the first; `--for` is time that passes, whatever clocks do.

    `calmstream maintenance add service.name=db --at 02:30 --for 1h --zone Europe/Berlin --days sun --comment backup`
    """
    now = quieting.now_us()
    starts = now if since is None else quieting.time_us("--from", since)
    if at is None:
        if zone or days or month_days:
            raise typer.BadParameter("--zone, --days and --month-days are for a window that recurs; give --at too")
        if (lasts is None) == (until is None):
            raise typer.BadParameter("say when it ends: --for 2h, or --until TIME")
        expires = quieting.time_us("--until", until) if until else starts + to_us(seconds_of(lasts or ""))
    else:
        expires = quieting.time_us("--until", until) if until else starts + MOST_RECURRING_US
    who, matchers = quieting.author_of(author), quieting.matchers_of(match)
    try:
        recurs = None if at is None else _recurrence(at, lasts, zone, days, month_days, starts, expires)
        name = id_ if id_ is not None else id_of("maintenance", match, who, comment, now)
        window = Maintenance(name, matchers, who, comment, now, starts, expires, recurs)
    except PolicyError as error:
        raise quieting.refused(error) from None
    settings = settings_of(config, bootstrap)
    key, words = f"{MAINTENANCE}{window.id}", _words(window, now)
    raise typer.Exit(run(quieting.add(settings, key, window, words, dry_run=dry_run, yes=yes)))


def _recurrence(
    at: str, lasts: str | None, zone: str | None, days: str | None, month_days: str | None, starts: int, expires: int
) -> Recurrence:
    """Raises PolicyError, BadParameter."""
    if lasts is None:
        raise typer.BadParameter("say how long it lasts each time: --for 1h")
    if zone is None:
        raise typer.BadParameter("say by which clocks: --zone Europe/Berlin, or --zone UTC")
    try:
        offsets = zones.offsets_of(zone, max(starts, 0), min(expires, starts + MOST_RECURRING_US))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error)) from None
    seconds = seconds_of(lasts)
    return Recurrence(
        clock("--at", at),
        int(seconds) if seconds == int(seconds) else -1,
        zone,
        offsets,
        tuple(_days_of_week(days)) if days else (),
        tuple(_days_of_month(month_days)) if month_days else (),
    )


def _days_of_week(text: str) -> Iterator[int]:
    """``sat,sun`` or ``mon-fri``, also ``fri-mon``."""
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        begin = day_of_week("--days", first)
        end = day_of_week("--days", last) if last else begin
        yield from ((begin + number) % len(DAYS) for number in range((end - begin) % len(DAYS) + 1))


def _days_of_month(text: str) -> Iterator[int]:
    """``1,15``, ``-1`` or ``1..7``."""
    for part in text.split(","):
        found = re.fullmatch(r"\s*(-?\d{1,2})(?:\.\.(-?\d{1,2}))?\s*", part)
        if found is None:
            raise typer.BadParameter(f"--month-days has {part!r}; write 1,15 or 1..7, and -1 for the last day")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise typer.BadParameter(f"--month-days has {part!r}, which ends before it begins")
        yield from range(first, last + 1)


def _words(window: Maintenance, now_us: int) -> str:
    head = f"maintenance {window.id} of {window.author}:"
    if window.recurs is None:
        return f"{head} from {moment(window.starts_us)} until {moment(window.expires_us)} (event time)"
    times = [f"{moment(begin)} to {moment(end)}" for begin, end in _next_times(window, now_us)]
    ends = f"the last one before {moment(window.expires_us)}"
    return f"{head} next {', '.join(times)}; {ends}" if times else f"{head} never, for no day fits before its end"


def _next_times(window: Maintenance, at_us: int) -> Iterator[tuple[int, int]]:
    begin = at_us if window.active(at_us) else window.next_change_us(at_us)
    for _ in range(_SHOWN):
        end = None if begin is None else window.until_us(begin)
        if begin is None or end is None:
            return
        yield begin, end
        begin = window.next_change_us(end)


@app.command("list")
def show(
    everything: Everything = False, as_json: Json = False, config: Config = None, bootstrap: Bootstrap = None
) -> None:
    """Show the maintenance windows that are open or still to come."""
    settings: Any = settings_of(config, bootstrap)
    raise typer.Exit(
        run(quieting.show(settings, MAINTENANCE, maintenance_form, everything=everything, as_json=as_json))
    )


@app.command("expire")
def expire(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of maintenance windows.")],
    author: Author = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """End maintenance windows for good, now. What they held back and still goes on is told."""
    settings, who = settings_of(config, bootstrap), quieting.author_of(author)
    raise typer.Exit(run(quieting.expire(settings, MAINTENANCE, ids, who, dry_run=dry_run, yes=yes)))
