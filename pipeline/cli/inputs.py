"""``calmstream inputs check|tail``: a producer sees what was accepted, what was rejected, and why."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import cell, console, plain, say, several, table

app = typer.Typer(
    help="See what Calmstream makes of the messages that are sent to it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Topic = Annotated[str | None, typer.Option(help="One input topic (default: all in the configuration).")]
#: What is listed in a report, and messages of one fetch that ``tail`` tells one by one.
_SHOWN = 50
_TOLD_ONE_BY_ONE = 20


@app.command("check")
def check(
    file: Annotated[
        str | None, typer.Argument(help="A local file, or - for standard input; without it, what is in Kafka.")
    ] = None,
    topic: Topic = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest messages of each topic.")] = 1000,
    whole: Annotated[bool, typer.Option("--whole", help="The file is one message, not one per line.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Report what is accepted and rejected of the newest messages, or of a file. Exit code 1 if anything is rejected.

    A file is read as one message per line, unless it is a single JSON value or protobuf; its times are judged as if it
    were sent now. A message that is rejected stands whole in the dead-letter topic too.
    """
    settings = settings_of(config, bootstrap)
    if file is not None:
        content = sys.stdin.buffer.read() if file == "-" else _read(Path(file))
        raise typer.Exit(_check_content(settings, content, file, topic, whole=whole))
    raise typer.Exit(run(_check_topics(settings, _formats(settings, topic), last)))


@app.command("tail")
def tail(topic: Topic = None, config: Config = None, bootstrap: Bootstrap = None) -> None:
    """Print what becomes of each message as it comes, until Ctrl-C. Rejected messages are always shown."""
    settings = settings_of(config, bootstrap)
    raise typer.Exit(run(_tail(settings, _formats(settings, topic))))


@dataclass(frozen=True, slots=True)
class _Line:
    """A message that came from a file."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes
    key: None = None
    headers: tuple[()] = ()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None


def _formats(settings: Any, topic: str | None) -> dict[str, str]:
    """Input topic → format of its messages."""
    formats = {source.topic: source.format for source in settings.inputs}
    if topic is None:
        return formats
    if topic not in formats:
        raise typer.BadParameter(f"{topic} is not an input topic; there are {', '.join(formats)}")
    return {topic: formats[topic]}


def _check_content(settings: Any, content: bytes, name: str, topic: str | None, *, whole: bool) -> int:
    from pipeline.app import flow_config
    from pipeline.flow.input_report import InputInspector, InputReport

    format_name = _formats(settings, topic)[topic] if topic else _format_of(content)
    lines = [content] if whole or _is_one_message(content) else [line for line in content.splitlines() if line.strip()]
    sent_ms = int(time.time() * 1000)
    inspector, report = InputInspector(format_name, flow_config(settings)), InputReport()
    for number, line in enumerate(lines):
        report.add(inspector.inspect(_Line(name, 0, number, sent_ms, line)))
    print(f"{plain(name)} as {format_name}, times judged as if it were sent now:")
    _print_report(report)
    return 1 if report.rejected else 0


def _format_of(content: bytes) -> str:
    """OTLP is told by its first name, or by not being text."""
    named = b'"resourceMetrics"' in content or b'"resource_metrics"' in content
    return "otlp_metrics" if named or _is_binary(content) else "json_points"


def _is_binary(content: bytes) -> bool:
    try:
        return "\0" in content.decode()
    except UnicodeDecodeError:
        return True


def _is_one_message(content: bytes) -> bool:
    try:
        json.loads(content)
    except UnicodeDecodeError:
        return True
    except (ValueError, RecursionError):
        return _is_binary(content)
    return True


async def _check_topics(settings: Any, formats: dict[str, str], last: int) -> int:
    from pipeline.app import flow_config
    from pipeline.flow.input_report import InputInspector, InputReport
    from pipeline.streams.reading import open_reader

    flow, report = flow_config(settings), InputReport()
    async with open_reader(settings, *formats) as reader:
        for topic, format_name in formats.items():
            inspector = InputInspector(format_name, flow)
            for record in await reader.newest(topic, last):
                report.add(inspector.inspect(record))
    print(f"The newest messages of {', '.join(formats)} on {settings.broker.bootstrap}, at most {last} each:")
    _print_report(report)
    return 1 if report.rejected else 0


def _print_report(report: Any) -> None:
    if not report.messages:
        print("No messages.")
        return
    accepted = report.messages - report.messages_rejected
    messages = several(report.messages, "message")
    print(f"{messages}: {accepted} accepted whole, {report.messages_rejected} rejected in part or whole")
    for what, number in sorted(_by_kind(report.accepted).items()):
        kinds = sum(thing.what == what for thing in report.accepted)
        print(f"{several(number, what)} accepted, of {several(kinds, 'signal' if what == 'point' else 'kind')}")
    shown = console()
    if report.accepted:
        shown.print()
        shown.print(_accepted(report.accepted))
    if report.rejected:
        shown.print()
        shown.print(_rejections(report.rejected))


def _by_kind(accepted: Counter[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for thing, number in accepted.items():
        found[thing.what] += number
    return found


def _accepted(counts: Counter[Any]) -> Any:
    made = table("workload", "instance", "what", ">number", title="Accepted")
    ordered = sorted(counts.items(), key=lambda item: (item[0].workload, item[0].what, item[0].name, item[0].instance))
    for thing, number in ordered[:_SHOWN]:
        name = thing.name if thing.what == "point" else f"{thing.what}: {thing.name}"
        made.add_row(cell(thing.workload), cell(thing.instance or "–"), cell(name), cell(number))
    if len(ordered) > _SHOWN:
        made.add_row(cell(f"… and {len(ordered) - _SHOWN} more"))
    return made


def _rejections(rejected: dict[str, Any]) -> Any:
    made = table("reason", ">messages", "example", "what is wrong", title="Rejected")
    for reason, found in sorted(rejected.items(), key=lambda item: (-item[1].messages, item[0])):
        made.add_row(cell(reason, "red"), cell(found.messages), cell(found.place), cell(found.detail))
    return made


async def _tail(settings: Any, formats: dict[str, str]) -> int:
    from pipeline.app import flow_config
    from pipeline.flow.input_report import InputInspector
    from pipeline.streams.reading import open_reader

    flow = flow_config(settings)
    inspectors = {topic: InputInspector(format_name, flow) for topic, format_name in formats.items()}
    shown = console()
    async with open_reader(settings, *formats) as reader:
        places: dict[Any, int] = {}
        for topic in formats:
            places |= await reader.ends(topic)
        say(f"Waiting for messages on {', '.join(formats)} at {settings.broker.bootstrap}; stop with Ctrl-C.")
        async for records in reader.onward(places):
            for line in _told([inspectors[record.topic].inspect(record) for record in records]):
                shown.print(line, soft_wrap=True)
    return 0


def _told(fates: Sequence[Any]) -> Iterable[Text]:
    """A line for each message when they are few; else one for all that was accepted, and the rejected ones."""
    one_by_one = len(fates) <= _TOLD_ONE_BY_ONE
    accepted: Counter[Any] = Counter()
    for fate in fates:
        if one_by_one and fate.accepted:
            yield Text.assemble(plain(fate.place), "  ", ("accepted", "green"), f"  {_summary(fate.accepted)}")
        accepted.update(fate.accepted)
        for reason, detail in fate.rejected.items():
            yield Text.assemble(plain(fate.place), "  ", ("rejected", "red"), f"  {plain(reason)}: {plain(detail)}")
    if not one_by_one and accepted:
        yield Text.assemble(f"{len(fates)} messages  ", ("accepted", "green"), f"  {_summary(accepted)}")


def _summary(accepted: Counter[Any]) -> str:
    first = next(iter(accepted))
    numbers = ", ".join(several(number, what) for what, number in sorted(_by_kind(accepted).items()))
    entity = f"{first.workload} {first.instance}".strip()
    more = f" and {len(accepted) - 1} more" if len(accepted) > 1 else ""
    return f"{numbers}: {plain(f'{first.name} of {entity}')}{more}"
