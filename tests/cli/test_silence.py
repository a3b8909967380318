"""``calmstream silence`` and ``maintenance``: what a person gives, is shown, is asked, and what is written."""

import json
import time
from datetime import UTC, datetime

import pytest

from pipeline.codecs import said_record
from pipeline.policies.maintenance import Maintenance, Recurrence
from pipeline.policies.matcher import Matcher
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME, US
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.said import Desk, incident, member

CART, PAY = "service:shop/cart", "service:shop/pay"
DAY = 86_400 * US
SILENCE = ("silence", "add", "service.name=cart", "--comment", "new disks", "--author", "ann", "--id", "disks")
NIGHTS = (
    *("maintenance", "add", "service.name=db", "--comment", "backup", "--author", "ann", "--id", "nights"),
    *("--at", "02:30", "--for", "1h", "--zone", "Europe/Berlin", "--days", "sat-mon", "--yes"),
)


@pytest.fixture
def desk(embedded_broker: EmbeddedBroker, topic_prefix: str) -> Desk:
    found = Desk(
        {
            "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
            "CALMSTREAM_TOPIC_PREFIX": topic_prefix,
            "CALMSTREAM_TOPICS__PARTITIONS": "2",
        }
    )
    found.done("topics", "create")
    return found


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * US


def test_a_silence_shows_what_it_means_now_before_anything_is_written(desk: Desk) -> None:
    desk.tell(
        incident("inc-1", member("a1", CART, 1)),
        incident("inc-2", member("a2", CART, 1), member("a3", PAY, 2)),
        incident("inc-3", member("a4", PAY, 2)),
        incident("inc-4", member("a5", CART, 1), state="resolved"),
    )
    shown = desk.done(*SILENCE, "--for", "2h", "--dry-run")
    assert shown.startswith("silence disks of ann: at once, until 20")
    assert "Of 3 open incidents it means 2." in shown
    assert "inc-1 (trouble of inc-1): held back" in shown
    assert "inc-2 (trouble of inc-2): told as before: only 1 of 2 members meant" in shown
    assert "inc-3" not in shown
    assert "inc-4" not in shown
    assert "It means 0 signals." in shown
    assert shown.endswith("Nothing was done.\n")
    assert desk.whats() == []


def test_a_silence_is_added_when_the_person_agrees_and_not_else(desk: Desk) -> None:
    no = desk.run(*SILENCE, "--for", "2h", sent=b"n\n")
    assert (no.returncode, desk.whats()) == (1, [])
    before = int(time.time()) * US
    assert desk.run(*SILENCE, "--for", "2h", sent=b"y\n").returncode == 0
    (silence,) = desk.whats()
    assert (silence.id, silence.author, silence.comment, silence.starts_us) == ("disks", "ann", "new disks", NO_TIME)
    assert silence.match == (Matcher("service.name", "=", "cart"),)
    assert before <= silence.created_us <= int(time.time() + 1) * US
    assert silence.expires_us - silence.created_us == 7200 * US


def test_silences_are_listed_and_ended_early(desk: Desk) -> None:
    assert desk.run("silence", "list").stderr == "No silences.\n"
    desk.done(*SILENCE, "--for", "2h", "--yes")
    later = ("--from", "2100-01-01T00:00:00Z", "--until", "2100-02-01T00:00:00Z", "--id", "later", "--yes")
    desk.done("silence", "add", "severity=warning", "--comment", "x", "--author", "bob", *later)
    header, first, second = desk.done("silence", "list").splitlines()
    assert header.split() == ["id", "state", "means", "comment", "author", "ends"]
    assert first.startswith("disks  active until 20")
    assert second.split()[:7] == ["later", "next", "at", "2100-01-01T00:00:00Z", "severity=warning", "x", "bob"]
    assert [json.loads(line)["id"] for line in desk.done("silence", "list", "--json").splitlines()] == [
        "disks",
        "later",
    ]

    assert desk.run("silence", "expire", "disks", "--dry-run").stdout.endswith("Nothing was done.\n")
    done = desk.done("silence", "expire", "disks", "later", "--author", "carl", "--yes")
    assert "expires  silence/disks  service.name=cart" in done
    assert "expired  silence/later  at event time 20" in done
    assert desk.run("silence", "list").stderr == "No silences.\n"
    assert "over, by carl" in desk.done("silence", "list", "--all")
    again = desk.refused(1, "silence", "expire", "disks", "--yes")
    assert again == "silence/disks is over already; there are: none. "
    assert "silence/what is not there" in desk.refused(1, "silence", "expire", "what", "--yes")


def test_one_of_the_same_name_takes_the_place_of_the_other(desk: Desk) -> None:
    desk.done(*SILENCE, "--for", "2h", "--yes")
    shown = desk.done(*SILENCE, "--for", "5h", "--yes")
    assert "It takes the place of the silence/disks that is there." in shown
    (silence,) = desk.whats()
    assert silence.expires_us - silence.created_us == 5 * 3600 * US


def test_a_window_that_recurs_says_its_next_times_and_carries_its_zone(desk: Desk) -> None:
    times = ("--from", "2026-03-20T00:00:00Z", "--until", "2026-04-05T00:00:00Z")
    shown = desk.done(*NIGHTS, *times)
    assert shown.startswith("maintenance nights of ann:")
    (window,) = desk.whats()
    assert isinstance(window, Maintenance)
    assert window.recurs == Recurrence(
        9000,
        3600,
        "Europe/Berlin",
        ((us("2026-03-10T00:00:00Z"), 3600), (us("2026-03-29T01:00:00Z"), 7200)),
        (0, 5, 6),
    )
    assert window.until_us(us("2026-03-28T01:30:00Z")) == us("2026-03-28T02:30:00Z")
    assert window.until_us(us("2026-03-30T00:30:00Z")) == us("2026-03-30T01:30:00Z")
    assert window.next_change_us(us("2026-03-30T01:30:00Z")) == us("2026-04-04T00:30:00Z")


def test_windows_are_listed_and_ended_for_good(desk: Desk) -> None:
    desk.done(*NIGHTS)
    once = ("maintenance", "add", "scope=staging", "--comment", "move", "--author", "bob", "--id", "once", "--yes")
    desk.done(*once, "--for", "3d")
    _, first, second = desk.done("maintenance", "list").splitlines()
    assert first.startswith("once    active until 20")
    assert second.startswith("nights  next at 20") or second.startswith("nights  active until 20")
    (form, _) = sorted(
        map(json.loads, desk.done("maintenance", "list", "--json").splitlines()), key=lambda form: str(form["id"])
    )
    assert form["recurs"]["days_of_week"] == ["mon", "sat", "sun"]
    desk.done("maintenance", "expire", "nights", "once", "--yes")
    assert desk.run("maintenance", "list").stderr == "No maintenance windows.\n"
    assert {what.expired_by != "" for what in desk.whats()} == {True}


def test_the_first_sunday_of_each_month_can_be_said(desk: Desk) -> None:
    arguments = [one for one in NIGHTS if one not in ("--days", "sat-mon")]
    dates = (
        "--days",
        "sun",
        "--month-days",
        "1..7",
        "--from",
        "2026-02-01T12:00:00Z",
        "--until",
        "2026-06-01T12:00:00Z",
    )
    desk.done(*arguments, *dates)
    (window,) = desk.whats()
    starts, at = [], window.starts_us
    while (at := window.next_change_us(at)) is not None:
        if window.active(at):
            starts.append(datetime.fromtimestamp(at / US, UTC).strftime("%m-%d %H:%M"))
    assert starts == ["03-01 01:30", "04-05 00:30", "05-03 00:30"]


def test_what_is_long_over_is_taken_off_the_topic_when_somebody_writes_there(desk: Desk) -> None:
    now = int(time.time()) * US
    old = Silence("old", (Matcher("a", "=", "b"),), "ann", "x", now - 50 * DAY, now - 40 * DAY)
    young = Silence("young", (Matcher("a", "=", "b"),), "ann", "x", now - 50 * DAY, now - 20 * DAY)
    for each in (old, young):
        desk.write("control", *said_record.record_of(each))
    assert len(desk.whats()) == 2
    desk.done(*SILENCE, "--for", "2h", "--yes")
    assert [what.id for what in desk.whats()] == ["young", "disks"]


def test_a_record_that_is_none_is_passed_over_and_said(desk: Desk) -> None:
    desk.write("control", b"silence/broken", b"{nonsense")
    desk.write("control", b"policy/broken", b"{nonsense")
    done = desk.run("silence", "list")
    assert "control/0 offset 0: not a silence: JSON is malformed" in done.stderr
    assert "offset 1" not in done.stderr
    assert "offset 0" not in desk.run("policy", "list").stderr


def test_text_of_others_is_shown_and_never_obeyed(desk: Desk) -> None:
    evil = "[red]x[/red]\x1b[31m\u202e\r\nforged"
    desk.tell(incident("inc-1", member("a1", CART, 1), title=evil))
    shown = desk.done(
        *("silence", "add", "service.name=cart", f"route!={evil}", "--comment", evil, "--author", evil),
        *("--id", "disks", "--for", "2h", "--yes"),
    )
    for text in (shown, desk.done("silence", "list")):
        assert not {"\x1b", "\r", "\u202e"} & set(text)
        assert "[red]x[/red]\\x1b[31m\\u202e" in text
    assert desk.whats()[0].comment == evil


ONCE = ("maintenance", "add", "a=b", "--comment", "x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silence", "add", "a=b", "--comment", "x"), "say when it ends: --for 2h, or --until TIME"),
        ((*SILENCE, "--for", "2h", "--until", "+3h"), "say when it ends"),
        ((*SILENCE, "--until", "-3h"), "expires is not after starts; give a later time"),
        ((*SILENCE, "--until", "soon"), "--until is 'soon', which is no time; write 2026-01-31T14:00:00Z"),
        ((*SILENCE, "--for", "2 hours"), "'2 hours' is not a length of time"),
        ((*SILENCE, "--for", "400d"), "expires is more than 366 days after starts"),
        (("silence", "add", "cart", "--comment", "x", "--for", "2h"), "'cart' is no condition; write name=value"),
        (("silence", "add", "a=~(", "--comment", "x", "--for", "2h"), "is not a regular expression"),
        (("silence", "add", "a=b", "--comment", "", "--for", "2h"), "say why, for whoever wonders later"),
        ((*ONCE, "--for", "2h", "--days", "sun"), "are for a window that recurs; give --at too"),
        ((*ONCE,), "say when it ends"),
        ((*ONCE, "--at", "02:30", "--zone", "UTC"), "say how long it lasts each time: --for 1h"),
        ((*ONCE, "--at", "02:30", "--for", "1h"), "say by which clocks: --zone Europe/Berlin, or --zone UTC"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "Mars/X"), "'Mars/X' is no time zone that this machine"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "../etc"), "is no time zone that this machine knows"),
        ((*ONCE, "--at", "2:30", "--for", "1h", "--zone", "UTC"), "it must be a time of day from 00:00 to 23:59"),
        ((*ONCE, "--at", "02:30", "--for", "8d", "--zone", "UTC"), "a minute to 7 days in seconds"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "UTC", "--days", "so"), "days are mon, tue, wed"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "UTC", "--month-days", "x"), "write 1,15 or 1..7"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "UTC", "--month-days", "7..1"), "ends before it begins"),
        ((*ONCE, "--at", "02:30", "--for", "1h", "--zone", "UTC", "--month-days", "0"), "days are from 1 to 31"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_arguments_are_explained(arguments: tuple[str, ...], said: str) -> None:
    assert said in Desk({}).refused(2, *arguments)
