"""``calmstream silence add|list|expire``: what nobody wants to be told for a while."""

from typing import Annotated, Any

import typer

from pipeline.cli import quieting
from pipeline.cli.options import Bootstrap, Config, seconds_of, settings_of
from pipeline.cli.quieting import Author, Comment, DryRun, Everything, Id, Json, Match, Yes
from pipeline.cli.running import run
from pipeline.cli.terminal import moment
from pipeline.policies.control import SILENCE
from pipeline.policies.detector import PolicyError
from pipeline.policies.said import id_of
from pipeline.policies.said_forms import silence_form
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME, to_us

app = typer.Typer(
    help="Hold back incidents for a while: what goes on when it ends is told then.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("add")
def add(
    match: Match,
    comment: Comment,
    lasts: Annotated[str | None, typer.Option("--for", help="How long: 30m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: RFC 3339, seconds since 1970, or +2h.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From when; else at once.")] = None,
    author: Author = None,
    id_: Id = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Hold back the incidents all of whose members every condition means. Shows what that is now, and asks.

    Nothing is lost: what it means is watched as ever, every incident that is held back says by which silence, and what
    still goes on when it ends is told then. `docs/incidents.md` has the details.

    `calmstream silence add service.name=cart severity=warning --for 2h --comment "new disks"`
    """
    now, starts = quieting.now_us(), NO_TIME if since is None else quieting.time_us("--from", since)
    if (lasts is None) == (until is None):
        raise typer.BadParameter("say when it ends: --for 2h, or --until TIME")
    begins = max(starts, now) if starts == NO_TIME else starts
    expires = quieting.time_us("--until", until) if until is not None else begins + to_us(seconds_of(lasts or ""))
    who, matchers = quieting.author_of(author), quieting.matchers_of(match)
    try:
        name = id_ if id_ is not None else id_of("silence", match, who, comment, now)
        silence = Silence(name, matchers, who, comment, now, expires, starts)
    except PolicyError as error:
        raise quieting.refused(error) from None
    settings = settings_of(config, bootstrap)
    key, words = f"{SILENCE}{silence.id}", _words(silence)
    raise typer.Exit(run(quieting.add(settings, key, silence, words, dry_run=dry_run, yes=yes)))


def _words(silence: Silence) -> str:
    since = "at once" if silence.starts_us == NO_TIME else f"from {moment(silence.starts_us)}"
    return f"silence {silence.id} of {silence.author}: {since}, until {moment(silence.expires_us)} (event time)"


@app.command("list")
def show(
    everything: Everything = False, as_json: Json = False, config: Config = None, bootstrap: Bootstrap = None
) -> None:
    """Show the silences that are active or still to come."""
    settings: Any = settings_of(config, bootstrap)
    raise typer.Exit(run(quieting.show(settings, SILENCE, silence_form, everything=everything, as_json=as_json)))


@app.command("expire")
def expire(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of silences.")],
    author: Author = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """End silences now. What they held back and still goes on is told."""
    settings, who = settings_of(config, bootstrap), quieting.author_of(author)
    raise typer.Exit(run(quieting.expire(settings, SILENCE, ids, who, dry_run=dry_run, yes=yes)))
