"""What a process logs: one line an event, for people or for machines, and no flood and no forgery in it."""

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from pipeline.streams import logs
from pipeline.streams.logs import Flood, Handler, JsonLines, TextLines, place

EVIL = "x\r\n2026-01-01 00:00:00,000 ERROR pipeline: forged\x1b]0;owned\x07\x9b31m\u202e\u2028end\x7f"
#: What no line may hold: control characters, and those that change the direction of writing.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A logger of its own with a handler that writes into ``lines``."""

    def __init__(self, form: logging.Formatter, name: str) -> None:
        self._stream = io.StringIO()
        self.clock = Clock()
        self.handler = Handler(self._stream, self.clock)
        self.handler.setFormatter(form)
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.setLevel("DEBUG")
        self.logger.handlers = [self.handler]

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines() if "\r" not in self._stream.getvalue() else ["a carriage return"]


@pytest.fixture
def text() -> Iterator[Log]:
    made = Log(TextLines(), "pipeline.streams.of_a_test")
    yield made
    made.handler.close()


@pytest.fixture
def machine() -> Iterator[Log]:
    made = Log(JsonLines(), "pipeline.streams.of_another")
    yield made
    made.handler.close()


@pytest.fixture
def library() -> Iterator[Log]:
    made = Log(TextLines(), "aiokafka.of_a_test")
    yield made
    made.handler.close()


def raised(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_for_people_a_line_is_time_level_logger_and_message(text: Log) -> None:
    text.logger.warning("%d messages of %s", 3, "calm.points")
    (line,) = text.lines
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING pipeline\.streams\.of_a_test: 3 messages of calm\.points", line
    )


def test_for_machines_a_line_is_an_object_with_stable_keys(machine: Log) -> None:
    class Record:
        topic, partition, offset = "calm.points", 3, 17

    extra = place(Record, role="ingest", reason="bad_time")
    machine.logger.error("a record is passed over", extra=extra | {"unheard_of": "x"})
    (line,) = machine.lines
    said = json.loads(line)
    assert list(said) == ["time", "level", "logger", "message", "role", "topic", "partition", "offset", "reason"]
    assert (said["level"], said["logger"]) == ("ERROR", "pipeline.streams.of_another")
    assert (said["topic"], said["partition"], said["offset"]) == ("calm.points", 3, 17)
    assert said["time"].endswith("Z")
    assert datetime.fromisoformat(said["time"]).utcoffset() == timedelta(0)


def test_an_exception_is_inside_the_line_for_machines_and_indented_for_people(text: Log, machine: Log) -> None:
    for log in (text, machine):
        log.logger.error("it failed", exc_info=raised("first\nsecond"))
    (line,) = machine.lines
    assert json.loads(line)["exception"].startswith("Traceback (most recent call last):\n")
    assert json.loads(line)["exception"].endswith("ValueError: first\nsecond")
    first, *rest = text.lines
    assert first.endswith("it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    second"
    assert all(line.startswith("    ") for line in rest)


def test_text_from_outside_cannot_forge_a_line_or_be_obeyed(text: Log, machine: Log) -> None:
    for log in (text, machine):
        log.logger.error("from a producer: %s", EVIL, extra={"topic": EVIL})
        log.logger.error("%s", EVIL, exc_info=raised(EVIL))
    assert len(machine.lines) == 2
    assert json.loads(machine.lines[0])["message"] == f"from a producer: {EVIL}"
    assert sum(not line.startswith("    ") for line in text.lines) == 2
    for line in (*text.lines, *machine.lines):
        assert not OBEYED.search(line), line
        assert not line.startswith("2026-01-01")


def test_what_is_very_long_is_cut(text: Log, machine: Log) -> None:
    for log in (text, machine):
        log.logger.error("x" * 10_000_000, exc_info=raised("y" * 10_000_000))
        assert len("".join(log.lines)) < 60_000
        assert "characters more)" in log.lines[0]


def test_a_template_that_does_not_fit_its_arguments_is_still_a_line() -> None:
    record = logging.LogRecord("faust", logging.ERROR, "", 0, "%d of %d", ("one",), None)
    assert "ERROR faust: '%d of %d' % ('one',): " in TextLines().format(record)


def test_a_library_says_one_thing_once_in_ten_seconds_and_then_how_often(library: Log) -> None:
    for _second in range(60):
        for number in range(100):
            library.logger.error("Unable connect to node with id %s: %s", number, EVIL)
        library.clock.now += 1
    assert len(library.lines) == 6
    assert library.lines[0].endswith("end\\x7f")
    assert all(line.endswith("end\\x7f … 999 more like it") for line in library.lines[1:])
    library.handler.close()
    assert library.lines[6].endswith("… 998 more like it"), "those of the end are not forgotten"


def test_numbers_do_not_make_a_template_another_one_but_words_do(library: Log) -> None:
    for number in range(10):
        library.logger.error(f"node {number} is gone")
        library.logger.error("%s", f"group {number} is gone")
    library.logger.error("node 7 is back")
    assert len(library.lines) == 3


def test_ours_may_say_twenty_things_with_one_template(text: Log) -> None:
    for number in range(100):
        text.logger.warning("A record at offset %d is passed over", number)
    assert len(text.lines) == 20
    for name in ("points", "signals"):
        text.logger.error("%s", f"{name}: the topic is missing")
    assert len(text.lines) == 22, "what is only a text is its own template"


def test_what_is_held_back_is_told_also_when_nothing_comes_after_it(library: Log) -> None:
    for _number in range(5):
        library.logger.error("gone")
    library.handler._tell()
    assert [line.partition("aiokafka.of_a_test: ")[2] for line in library.lines] == ["gone", "gone … 3 more like it"]


def test_a_flood_of_templates_takes_no_more_memory_than_a_thousand() -> None:
    flood = Flood(Clock())
    for number in range(5000):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        assert flood.lets_through(logging.LogRecord("x", logging.ERROR, "", 0, word, None, None))
    assert len(flood._kinds) == 1000


SAID = """
import logging, sys, warnings
from pipeline.streams import logs
logs.set_up("DEBUG", sys.argv[1])
logging.getLogger("pipeline").debug("ours")
logging.getLogger("aiokafka.conn").debug("SaslAuthenticateRequest with a password")
warnings.warn("a warning\\nof python")
logs.last_words("the end\\nof it")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_process_writes_everything_in_one_form_and_no_debug_lines_of_the_client(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", SAID, form], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 3, "ours, the warning, the last words"
    assert "password" not in done.stderr
    messages = [json.loads(line)["message"] if form == "json" else line.partition(": ")[2] for line in lines]
    assert messages[0] == "ours"
    assert "a warning" in messages[1]
    assert messages[2].startswith("the end")


def test_setting_it_up_twice_writes_no_line_twice() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        stream = io.StringIO()
        logs.set_up("INFO", "text", stream)
        logs.set_up("INFO", "text", stream)
        logging.getLogger("pipeline.of_a_test_twice").error("once")
        assert stream.getvalue().count("once") == 1
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
        root.setLevel(level)
        for name in ("pipeline", "detectors"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        logging.captureWarnings(False)
