"""``calmstream incidents`` and the example consumer, after a run with three troubles."""

import json
import signal
from collections import Counter
from typing import Any

from tests.cli.conftest import EXAMPLE, Watched


def bodies(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_list_shows_the_newest_state_of_each_incident(watched: Watched) -> None:
    done = watched.run("incidents")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["state", "severity", "since", "last", "news", "signals", "impacted", "what", "id"]
    assert [row.split()[0] for row in rows if row.strip()] == ["open", "resolved", "resolved"]
    assert "latency of search (s-1) rose to 90 ms (expected 20" in rows[0]


def test_only_open_ones_are_listed_when_asked(watched: Watched) -> None:
    done = watched.run("incidents", "--open", "--json")
    assert [(body["state"], body["scope"]) for body in bodies(done.stdout)] == [("open", "staging")]


def test_what_was_resolved_long_ago_is_left_out_when_asked(watched: Watched) -> None:
    recent = bodies(watched.run("incidents", "--since", "1s", "--json").stdout)
    assert [body["state"] for body in recent] == ["open"]
    assert len(bodies(watched.run("incidents", "--since", "1h", "--json").stdout)) == 3


def test_json_is_one_body_per_line_with_the_highest_revision(watched: Watched) -> None:
    found = bodies(watched.run("incidents", "--json").stdout)
    highest = {body["id"]: body for body in bodies(watched.out["json"]) if body["title"] != "the news after the repeat"}
    assert {body["id"]: body for body in found} == highest


def test_a_follower_sees_every_transition_once(watched: Watched) -> None:
    found = [(body["id"], body["revision"]) for body in bodies(watched.out["json"])]
    assert len(found) == len(set(found))
    assert Counter(body["transition"] for body in bodies(watched.out["json"]))["opened"] == 3
    for body in bodies(watched.out["json"]):
        assert f"[{body['id']} r{body['revision']}]" in watched.out["follow"]
    assert watched.out["follow"].count("[inc-") == len(found)


def test_a_follower_reads_what_deviates_by_how_much_and_since_when(watched: Watched) -> None:
    lines = watched.out["follow"].splitlines()
    headline = next(i for i, line in enumerate(lines) if "opened" in line and "queue.depth" in line)
    assert "queue.depth{queue=orders} of checkout (pod-1) rose to 40 (expected 10" in lines[headline]
    assert lines[headline + 1].startswith(
        "    queue.depth{queue=orders} of service:shop/checkout pod-1: 40, expected 10"
    )
    assert "times as much, since 20" in lines[headline + 1]


def test_a_record_that_is_no_incident_is_passed_over_and_said(watched: Watched) -> None:
    assert "passed over: not a JSON event" in watched.err["follow"]
    assert "passed over: not a JSON event" in watched.err["json"]


def test_ctrl_c_ends_a_follower_without_a_traceback(watched: Watched) -> None:
    assert watched.exit_codes["follow"] == watched.exit_codes["json"] == watched.exit_codes["tail"] == 130
    assert not [name for name in ("follow", "json", "tail") if "Traceback" in watched.err[name]]


def test_text_from_outside_is_shown_and_never_obeyed(watched: Watched) -> None:
    shown = [watched.out["follow"], watched.out["tail"], watched.out["json"], watched.out["example"]]
    shown += [watched.run(verb).stdout for verb in ("incidents", "signals")]
    shown.append(watched.run("signal", "show", "evil.metric").stdout)
    assert not [text for text in shown if {"\x1b", "\x07", "\u202e"} & set(text)]
    assert "path=[red]x[/red]\\x1b[31m\\u202e" in watched.out["follow"]
    assert "[bold]evil\\x1b]0;owned\\x07" in shown[-1]


def test_the_example_prints_every_transition_once(watched: Watched) -> None:
    lines = watched.out["example"].splitlines()
    assert len(lines) == len(set(lines)) == len(bodies(watched.out["json"]))
    assert watched.exit_codes["example"] in (130, -signal.SIGINT)


def test_the_example_is_short_and_needs_aiokafka_only() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert len(lines) <= 40
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert imported - {"asyncio", "json", "sys"} == {"aiokafka"}
