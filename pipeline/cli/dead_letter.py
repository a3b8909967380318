"""``calmstream dead-letter list|show|replay``: look at what could not be used, and put it back after a fix."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.dead_letter_text import is_redacted, json_line, letter_table, print_letter, print_summary, short_place
from pipeline.cli.options import Bootstrap, Config, seconds_of, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import console, plain, say, several

app = typer.Typer(
    help="Look at messages that could not be used, and put them back after a fix.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

#: Records of each partition that are looked at unless --since says otherwise.
_LOOKED_AT = 10_000

Topic = Annotated[str | None, typer.Option(help="Only messages that came from this topic.")]
Reason = Annotated[str | None, typer.Option(help="Only messages refused for this reason.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only messages that came from this partition.")]
Since = Annotated[str | None, typer.Option(help="Only what was refused in the last 30s, 15m, 1h, 2d.")]
PLACE_HELP = "partition@offset as list prints it, or topic/partition@offset of the message."


@app.command("list")
def show_list(
    topic: Topic = None,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, the newest.")] = 50,
    summary: Annotated[bool, typer.Option("--summary", help="Counts by topic and reason instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """List what could not be used, the newest first: when, where it came from, why, and whether it was put back.

    Without --since the newest 10,000 records of each partition of the dead-letter topic are looked at.
    """
    wants, since_ms = _wants(topic, reason, partition), _since_ms(since)
    settings = settings_of(config, bootstrap)
    raise typer.Exit(run(_list(settings, wants, since_ms, limit, summary=summary, as_json=as_json)))


@app.command("show")
def show(
    place: Annotated[str, typer.Argument(metavar="PLACE", help=PLACE_HELP)],
    raw: Annotated[bool, typer.Option("--raw", help="Write the bytes of the message to standard output.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the bytes of the message to this file.")] = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show one message that could not be used: why, its headers, and its beginning as text or in hexadecimal."""
    if raw and output is not None:
        raise typer.BadParameter("--raw and --output exclude each other; give one of them")
    if output is not None and not output.resolve().parent.is_dir():
        raise typer.BadParameter(f"--output {output}: there is no directory {output.parent}")
    asked = _place(place)
    raise typer.Exit(run(_show(settings_of(config, bootstrap), asked, raw=raw, output=output)))


@app.command("replay")
def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="PLACE...", help=PLACE_HELP)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the filters choose, instead of places.")] = False,
    topic: Topic = None,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was put back before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be put back, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Put messages back into the partitions that they came from, as they came.

    Only topics that are inputs are written to. A message has a new record time and the header `calm_replayed_from`.
    What was put back before is left out, unless --again is given; what is not whole (cut, or redacted) always is.
    `docs/operations.md` says what becomes of points that are late by then. Exit code 1 if a place that was named is not
    put back.
    """
    if bool(places) == everything:
        raise typer.BadParameter("name places, or choose with --all and filters")
    if places and (topic or reason or since or partition is not None):
        raise typer.BadParameter("--topic, --reason, --partition and --since go with --all; a place needs no filter")
    asked = [_place(text) for text in places or []]
    wants, since_ms = _wants(topic, reason, partition), _since_ms(since)
    settings = settings_of(config, bootstrap)
    if asked:
        wants = _asked_for(settings, asked)
    work = _replay(settings, wants, since_ms, asked, again=again, dry_run=dry_run, yes=yes)
    raise typer.Exit(run(work))


# -- arguments ---------------------------------------------------------------------------------------------------------


def _wants(topic: str | None, reason: str | None, partition: int | None) -> Callable[[Any], bool]:
    def wants(letter: Any) -> bool:
        return (
            (topic is None or letter.origin.topic == topic)
            and (reason is None or reason in letter.reasons())
            and (partition is None or letter.origin.partition == partition)
        )

    return wants


def _since_ms(since: str | None) -> int | None:
    return None if since is None else round((time.time() - seconds_of(since)) * 1000)


def _place(text: str) -> Any:
    from pipeline.streams.dead_letters import Place

    try:
        return Place.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _stands_at(settings: Any, asked: Any, letter: Any) -> bool:
    """Is this the letter at a place, or of the message that came from it?"""
    if asked.topic in ("", settings.topic("dead-letter")):
        return bool(asked[1:] == letter.place[1:])
    return bool(asked == letter.origin)


def _asked_for(settings: Any, asked: list[Any]) -> Callable[[Any], bool]:
    return lambda letter: any(_stands_at(settings, place, letter) for place in asked)


# -- list --------------------------------------------------------------------------------------------------------------


async def _list(
    settings: Any, wants: Callable[[Any], bool], since_ms: int | None, limit: int, *, summary: bool, as_json: bool
) -> int:
    from pipeline.streams.dead_letters import look

    last = _LOOKED_AT if since_ms is None else None
    found = await look(settings, wants, since_ms=since_ms, last=last, most=None if summary else limit)
    for wrong in found.broken:
        say(wrong)
    letters = found.newest_first()
    if summary:
        print_summary(found, letters, as_json=as_json)
    elif as_json:
        for letter in letters[:limit]:
            print(json_line(letter, found))
    elif letters:
        console().print(letter_table(found, letters[:limit]))
    if not letters:
        say("No dead letters.")
    if found.older:
        say(f"{several(found.older, 'older record')} were not looked at; --since 30d looks at those of 30 days")
    return 0


# -- show --------------------------------------------------------------------------------------------------------------


async def _show(settings: Any, asked: Any, *, raw: bool, output: Path | None) -> int:
    from pipeline.streams.dead_letters import Letter, NoLetter, fetch, look, original_headers

    found = await look(settings, _asked_for(settings, [asked]))
    if not found.letters:
        say(
            f"No dead letter stands at {_said(asked)}, and none came from there; calmstream dead-letter list shows all."
        )
        return 1
    letter = found.newest_first()[0]
    record = await fetch(settings, letter.place)
    try:
        if record is None or Letter.of(record) != letter:
            raise NoLetter("it is not there any more")
    except NoLetter as error:
        say(f"{letter.place}: {error}")
        return 1
    if raw or output is not None:
        if is_redacted(letter):
            say(f"{letter.place} is not as it came ({letter.cut})")
        elif letter.cut:
            say(f"{letter.place} was cut ({letter.cut}); these bytes are its beginning")
        return _write(record.value, output)
    print_letter(letter, found.replayed(letter), record, original_headers(record, keep_all=True))
    return 0


def _said(asked: Any) -> str:
    return str(asked) if asked.topic else f"{asked.partition}@{asked.offset}"


def _write(value: bytes | None, output: Path | None) -> int:
    if value is None:
        say("The message has no value.")
        return 1
    if output is None:
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
        return 0
    try:
        output.write_bytes(value)
    except OSError as error:
        say(f"calmstream: {output} cannot be written: {error.strerror}")
        return 1
    print(f"{several(len(value), 'byte')} written to {plain(output)}")
    return 0


# -- replay ------------------------------------------------------------------------------------------------------------


async def _replay(
    settings: Any,
    wants: Callable[[Any], bool],
    since_ms: int | None,
    asked: list[Any],
    *,
    again: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    from pipeline.streams.dead_letters import look

    found = await look(settings, wants, since_ms=since_ms)
    missing = [place for place in asked if not any(_stands_at(settings, place, one) for one in found.letters.values())]
    for place in missing:
        say(f"No dead letter stands at {_said(place)}, and none came from there.")
    chosen = _chosen(settings, found, again=again)
    complete = not asked or (not missing and len(chosen) == len(found.letters))
    if not chosen:
        say("Nothing to put back.")
    elif dry_run:
        for letter in chosen:
            print(f"would go back  {short_place(letter)}  to {plain(letter.origin.topic)}/{letter.origin.partition}")
        print(f"Would put {_where_to(chosen)}.")
    else:
        if not yes:
            typer.confirm(f"Put {_where_to(chosen)}?", abort=True, err=True)
        complete = await _put_back(settings, chosen) and complete
    return 0 if complete else 1


def _chosen(settings: Any, found: Any, *, again: bool) -> list[Any]:
    """What can be put back, the oldest first; says what is left out."""
    from pipeline.streams.dead_letters import inputs_of

    inputs = inputs_of(settings)
    letters = found.newest_first()[::-1]
    foreign = Counter(letter.origin.topic for letter in letters if letter.origin.topic not in inputs)
    for topic, number in foreign.items():
        say(f"{several(number, 'message')} left out: from {topic}, which is no input of this configuration")
    known = [letter for letter in letters if letter.origin.topic in inputs]
    if redacted := [letter for letter in known if is_redacted(letter)]:
        first = f"{redacted[0].origin}, {redacted[0].cut}"
        say(
            f"{several(len(redacted), 'message')} left out: redacted ({first}), so that there is nothing whole to put "
            "back; have the producer send it again"
        )
    if cut := [letter for letter in known if letter.cut and not is_redacted(letter)]:
        first = f"{cut[0].origin}, {cut[0].cut}"
        say(
            f"{several(len(cut), 'message')} left out: too large for a dead letter and cut ({first}), so that there is "
            "nothing whole to put back; have the producer send it again, in smaller parts"
        )
    ours = [letter for letter in known if not letter.cut]
    before = [letter for letter in ours if found.replayed(letter) and not again]
    if before:
        first = f"{before[0].origin} to {found.replayed(before[0])}"
        say(f"{several(len(before), 'message')} left out: put back before ({first}); --again does it once more")
    return [letter for letter in ours if again or not found.replayed(letter)]


def _where_to(letters: list[Any]) -> str:
    topics = Counter(letter.origin.topic for letter in letters)
    where = ", ".join(f"{number} into {plain(topic)}" for topic, number in topics.most_common())
    return f"{several(len(letters), 'message')} back ({where})"


async def _put_back(settings: Any, letters: list[Any]) -> bool:
    """Are all of them back?"""
    from pipeline.streams.dead_letters import put_back

    done: list[Any] = []
    try:
        async for letter, place in put_back(settings, letters):
            done.append(letter)
            print(f"put back  {short_place(letter)}  to {plain(place)}")
    finally:
        print(f"Put {_where_to(done)}." if done else "Nothing was put back.")
        if len(done) < len(letters):
            say(f"{len(letters) - len(done)} of {len(letters)} may not be back; the same command goes on with them")
    return len(done) == len(letters)
