"""Text of a hostile producer in every place that people look at: it is shown, and nothing in it is obeyed.

One system was told of by points, log lines, traces, events and changes whose every name and value tries to take over
the terminal, to end a line, to be read as markup, and to turn the direction of writing around. What each verb prints is
read byte by byte.
"""

import asyncio
import io
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from rich.console import Console

from pipeline.cli.terminal import MOST_CHARACTERS, cell, json_text, table
from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.demo.screen import Screen
from pipeline.demo.transitions import Check, Transition
from pipeline.records import US, SpanKind
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import CALMSTREAM, Running, calmstream, invoke
from tests.worker_process import WorkerProcess

#: Colours, a window title, a cleared screen, C1 controls, line ends, overwriting, bidirectional overrides, markup.
EVIL = (
    "[red]x[/red] **b** <b> \x1b[31m\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r\n2026-01-01 ERROR forged "
    "\u202e\u2066\u200f\u2028\x7fend"
)
#: What nothing that is printed may hold, but for the ends of its lines.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
FORMATS = {
    "points": "json_points",
    "otlp_logs": "otlp_logs",
    "otlp_spans": "otlp_spans",
    "events": "events",
    "changes": "changes",
}
SECONDS = 40
TROUBLE = range(25, 35)


@dataclass(frozen=True)
class Attacked:
    """A system that was attacked: the settings of who looks at it, what was printed meanwhile, and its worker's log."""

    settings: Mapping[str, str]
    tail: str
    follow: str
    log: str

    def run(self, *arguments: str) -> str:
        """What a verb prints to both of its outputs."""
        done = invoke(self.settings, *arguments)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def attacked(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    prefix = f"t{uuid.uuid4().hex[:12]}."
    settings = {
        "BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "BROKER__IDEMPOTENCE": "if-available",
        "BROKER__SESSION_TIMEOUT_SECONDS": "6",
        "TOPIC_PREFIX": prefix,
        "INPUTS": json.dumps([{"topic": f"{prefix}{name}", "format": form} for name, form in FORMATS.items()]),
        "TOPICS__PARTITIONS": "1",
        "TIME__WINDOW_SECONDS": "1",
        "TIME__TRACE_WAIT_SECONDS": "1",
        "DETECTION__HARD_UPPER": "500",
        "WORKER__LOG_LEVEL": "DEBUG",
    }
    settings = {f"CALMSTREAM_{key}": value for key, value in settings.items()}
    assert calmstream(settings, "topics", "create").returncode == 0
    with (
        Running(settings, [CALMSTREAM, "inputs", "tail"]) as tail,
        Running(settings, [CALMSTREAM, "incidents", "--follow"]) as follow,
    ):
        for person in (tail, follow):
            person.wait_for("stop with Ctrl-C")
        with WorkerProcess(settings, directory=tmp_path_factory.mktemp("worker")) as worker:
            asyncio.run(send(embedded_broker.bootstrap, prefix, int(time.time()) - 300))
            follow.wait_for("opened")
            worker.wait_until(lambda: invoke(settings, "dead-letter", "list").stdout.count("bad_") >= 2, "done with it")
            worker.wait_until(lambda: "log.lines" in invoke(settings, "signals").stdout, "done with the lines")
        for person in (tail, follow):
            person.stop()
        return Attacked(settings, tail.out + tail.err, follow.out + follow.err, worker.log())


async def send(bootstrap: str, prefix: str, begin: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for name, value in messages(begin):
            await producer.send(prefix + name, value, key=EVIL.encode(), headers=[(EVIL, EVIL.encode())])
        await producer.flush()


def messages(begin: int) -> Iterator[tuple[str, bytes]]:
    entity = {"service.name": f"svc{EVIL}", "service.instance.id": EVIL, "deployment.environment.name": EVIL}
    for second in range(SECONDS):
        at = begin + second + 0.5
        value = 1000 if second in TROUBLE else 100
        one = {"name": f"load{EVIL}", "value": value, "unit": "{x}", "attributes": entity | {EVIL: EVIL, "path": EVIL}}
        yield "points", json.dumps({"ts": at} | one).encode()
        record = LogRecord(time_unix_nano=int(at * 1e9), severity_text=EVIL, severity_number=17)  # type: ignore[arg-type]
        record.body.string_value = f"order {second} of {EVIL}"
        told = ResourceLogs(
            resource=Resource(attributes=key_values(entity)), scope_logs=[ScopeLogs(log_records=[record])]
        )
        yield "otlp_logs", LogsData(resource_logs=[told]).SerializeToString()
        begin_us = int(at * US)
        one_span = span(
            f"GET {EVIL}", (second + 1).to_bytes(16), b"12345678", begin_us, begin_us + 1000, kind=SpanKind.SERVER,
            attributes={"http.route": EVIL, "http.request.method": "GET", EVIL: EVIL},
        )  # fmt: skip
        yield "otlp_spans", traces_request(resource_spans(entity, [one_span]))
    change = {"ts": begin + 24, "kind": "deployment", "entity": entity, "version": EVIL, "title": EVIL, "author": EVIL}
    yield "changes", json.dumps(change | {"id": EVIL, "url": EVIL, "attributes": {EVIL: EVIL}}).encode()
    yield (
        "events",
        json.dumps({"ts": begin + 24, "type": EVIL, "entity": entity, "severity": "error", "text": EVIL}).encode(),
    )
    yield "points", json.dumps({"ts": EVIL, "name": EVIL, "value": EVIL, "attributes": {EVIL: [EVIL]}}).encode()
    yield "points", json.dumps({"ts": begin, "name": EVIL, "value": 1, "kind": EVIL}).encode()
    yield "points", EVIL.encode()
    yield "events", json.dumps({"ts": EVIL, "type": EVIL, EVIL: EVIL}).encode()
    yield "changes", json.dumps({"ts": begin, "kind": EVIL, "phase": EVIL}).encode()
    yield (
        "points",
        json.dumps({"ts": begin + 120, "name": "end", "value": 1, "attributes": {"service.name": "end"}}).encode(),
    )


def test_inputs_tail(attacked: Attacked) -> None:
    assert "rejected" in attacked.tail
    assert_harmless(attacked.tail)


def test_incidents_that_are_followed(attacked: Attacked) -> None:
    assert_harmless(attacked.follow)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inputs", "check"],
        ["signals"],
        ["incidents"],
        ["dead-letter", "list"],
        ["dead-letter", "list", "--summary"],
        ["topics", "describe"],
    ],
    ids=" ".join,
)
def test_what_verbs_print(attacked: Attacked, arguments: list[str]) -> None:
    assert_harmless(attacked.run(*arguments), evil=arguments[0] != "topics" and "--summary" not in arguments)


@pytest.mark.parametrize("arguments", [["incidents", "--json"], ["dead-letter", "list", "--json"]], ids=" ".join)
def test_json_is_ascii_without_controls_and_gives_the_text_back(attacked: Attacked, arguments: list[str]) -> None:
    printed = attacked.run(*arguments)
    assert re.fullmatch(r"[\x20-\x7e\n]*", printed)
    assert [json.loads(line) for line in printed.splitlines()]


def test_each_signal_shown_closely_and_explained(attacked: Attacked) -> None:
    listed = re.findall(r"^([0-9a-f]{16})  ", attacked.run("signals"), re.MULTILINE)
    assert len(listed) >= 3, "of points, of lines and of spans"
    for signal in listed[:6]:
        assert_harmless(attacked.run("signal", "show", signal), evil=False)
        assert_harmless(attacked.run("why", signal), evil=False)


def test_each_incident_explained(attacked: Attacked) -> None:
    for line in attacked.run("incidents", "--json").splitlines():
        assert_harmless(attacked.run("why", json.loads(line)["id"]))


def test_each_dead_letter_shown_with_its_headers(attacked: Attacked) -> None:
    places = [json.loads(line)["place"] for line in attacked.run("dead-letter", "list", "--json").splitlines()]
    assert len(places) >= 4
    for place in places:
        assert_harmless(attacked.run("dead-letter", "show", place))


def test_what_is_wrong_stands_in_the_header_of_a_dead_letter_in_plain_text(attacked: Attacked) -> None:
    details = [json.loads(line)["detail"] for line in attacked.run("dead-letter", "list", "--json").splitlines()]
    for detail in details:
        assert not OBEYED.search(detail), detail
        assert "\n" not in detail


def test_the_log_of_the_worker(attacked: Attacked) -> None:
    assert not OBEYED.search(attacked.log)
    assert not re.search("^2026-01-01 ERROR forged", attacked.log, re.MULTILINE)


def assert_harmless(printed: str, *, evil: bool = True) -> None:
    """Nothing in it is obeyed, no line is forged, and what was sent can still be read."""
    assert printed
    found = OBEYED.search(printed)
    assert found is None, repr(printed[max(0, found.start() - 200) : found.end() + 50])
    assert not re.search(r"^\s*2026-01-01 ERROR forged", printed, re.MULTILINE)
    if evil:
        assert "[red]" in re.sub(r"\s+", "", printed), "markup is shown as it was sent"


# -- on a terminal, where styles of ours are escapes too ------------------------------------------------------------

STYLES = re.compile("\x1b\\[[0-9;]*m")


def terminal() -> tuple[Console, io.StringIO]:
    page = io.StringIO()
    return Console(file=page, force_terminal=True, width=120, highlight=False, markup=False, emoji=False), page


def test_on_a_terminal_nothing_but_our_own_styles_is_an_escape() -> None:
    console, page = terminal()
    shown = table("a", "b")
    shown.add_row(cell(EVIL, "red"), cell(":warning: [link=http://evil]x[/link]"))
    console.print(shown)
    assert "\x1b[31m" in page.getvalue(), "the style that we gave"
    left = STYLES.sub("", page.getvalue())
    assert not OBEYED.search(left)
    assert ":warning: [link=http://evil]x[/link]" in left


def test_a_cell_is_cut_where_it_is_very_long() -> None:
    assert len(cell("x" * 10_000_000).plain) < MOST_CHARACTERS + 50
    assert cell("x" * 3000).plain.endswith("… (1000 characters more)")


def test_json_for_machines_is_ascii() -> None:
    assert re.fullmatch(r"[\x20-\x7e]*", json_text({EVIL: EVIL}))
    assert json.loads(json_text({EVIL: EVIL})) == {EVIL: EVIL}


def test_the_screen_of_the_demo() -> None:
    member = {
        "signal": {"name": EVIL, "unit": EVIL, "workload": EVIL, "instance": EVIL, "attributes": {"a": EVIL}},
        "observed": 1.0,
        "expected": {"value": 1.0, "lower": 0.0, "upper": 2.0},
        "onset_time": "2026-01-01T00:00:00Z",
    }
    body = {"id": EVIL, "severity": EVIL, "member_count": 1, "members": [member], "affected": [EVIL]}
    opened = Transition(0.0, 0.0, body | {"transition": "opened"})
    page = io.StringIO()
    screen = Screen(Console(file=page, force_terminal=True, width=120, highlight=False))
    screen.opened(opened, 1.0)
    screen.other(opened)
    screen.known(opened, [{"kind": EVIL, "phase": EVIL, "version": EVIL, "id": EVIL}], 1.0)
    screen.listing([EVIL])
    screen.facts([(EVIL, EVIL)])
    screen.line(EVIL)
    screen.verdict([Check(EVIL, EVIL, EVIL, passed=True)])
    left = STYLES.sub("", page.getvalue())
    assert not OBEYED.search(left)
    assert left.count("[red]x[/red]") >= 7
