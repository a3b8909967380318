"""Every destination against a server that keeps to the rules of its protocol."""

import asyncio
import json
from typing import Any

import pytest

from pipeline.policies.matcher import Matcher
from pipeline.settings import SinkSettings
from pipeline.sinks.cdevents import CDEvents
from pipeline.sinks.choice import Choice
from pipeline.sinks.pagerduty import PagerDuty
from pipeline.sinks.protocol import (
    Answer,
    Delivered,
    Destination,
    Outcome,
    Publication,
    Refused,
    Request,
    Summary,
    TryAgain,
    judged,
    retry_after,
)
from pipeline.sinks.slack import Slack
from pipeline.sinks.webhook import Webhook
from pipeline.sinks.wording import Wording
from pipeline.streams.destinations import Sender
from tests.sinks.made import SECRETS, Receiver, incident

SINK = SinkSettings(name="s", type="alertmanager_webhook", url="http://127.0.0.1:1/")
SUMMARY = Summary("0-5", {"opened": 14, "resolved": 9}, ["a", "b"], 1.0, 2.0)
LIFE = [incident(), incident(revision=2, transition="updated"), incident(revision=3, transition="resolved")]


def told(to: Destination, incidents: list[dict[str, Any]]) -> list[Outcome]:
    """What became of every message."""

    async def tell() -> list[Outcome]:
        outcomes: list[Outcome] = []
        kept: Any = {}
        async with Sender(SINK, None) as sender:
            for each in incidents:
                while (message := to.tell(each, kept, 1_800_000_000.0)) is not None:
                    answer = await sender.send(message)
                    outcome = answer if isinstance(answer, TryAgain) else to.judge(answer, each, kept)
                    outcomes.append(outcome)
                    if not isinstance(outcome, Delivered):
                        return outcomes
                    kept = outcome.kept
                kept = {**kept, "revision": each["revision"]}
            summary = await sender.send(to.summarise(SUMMARY, 1_800_000_000.0))
            assert isinstance(summary, Answer)
            outcomes.append(to.judge(summary, None, {}))
        return outcomes

    return asyncio.run(tell())


def test_pagerduty_takes_a_life_with_long_texts_and_a_reopening_is_a_new_alert() -> None:
    long = [{**each, "title": "x" * 5000, "scope": "s" * 600_000, "dedup_key": "k" * 300} for each in LIFE]
    again = {**incident(revision=4, transition="reopened"), "dedup_key": "k" * 300}
    with Receiver() as receiver:
        outcomes = told(PagerDuty("R" * 32, f"{receiver.url}/pagerduty"), [*long, LIFE[2], again])
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert receiver.broken == []
        assert sorted(receiver.opened.values()) == [1, 2]  # the summary, and the incident that came back


def test_pagerduty_is_not_told_the_end_of_what_it_was_never_told() -> None:
    assert PagerDuty("R" * 32).tell(LIFE[2], {}, 0.0) is None


def test_slack_has_one_message_for_an_incident_and_a_thread_of_what_is_new() -> None:
    with Receiver() as receiver:
        told(Slack(f"{receiver.url}/slack", "C1", "xoxb"), [{**each, "title": "t" * 200} for each in LIFE])
        paths = [path.rpartition("/")[2] for path, _ in receiver.taken]
        first, update, thread, *_ = [form for _, form in receiver.taken]
    assert paths == ["chat.postMessage", *["chat.update", "chat.postMessage"] * 2, "chat.postMessage"]
    assert update["ts"] == thread["thread_ts"] == "0.0"
    assert "channel" in first
    assert receiver.broken == []


def test_slack_is_told_no_markup_of_telemetry() -> None:
    message = Slack("http://x", "C1", "xoxb", Wording("${title}", "${title}")).tell(incident(), {}, 0.0)
    assert message is not None
    form = json.loads(message.body)
    assert "<" not in form["blocks"][1]["text"]["text"]
    assert "&lt;!channel&gt;" in form["text"]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"ok": False, "error": "ratelimited"}, TryAgain),
        ({"ok": False, "error": "invalid_auth"}, TryAgain),
        ({"ok": False, "error": "invalid_blocks"}, Refused),
        ({"ok": False, "error": "message_not_found"}, Delivered),
        ([], TryAgain),
    ],
)
def test_errors_of_slack_are_of_the_moment_or_of_the_message(said: Any, outcome: type) -> None:
    judged_so = Slack("", "C1", "xoxb").judge(Answer(200, {}, json.dumps(said).encode()), incident(), {"ts": "1"})
    assert isinstance(judged_so, outcome)


def test_a_webhook_is_signed_by_both_secrets_and_has_the_same_id_when_it_is_sent_again() -> None:
    with Receiver() as receiver:
        hook = Webhook(f"{receiver.url}/hook", SECRETS)
        told(hook, LIFE)
        told(hook, LIFE)
    assert receiver.broken == []
    assert receiver.hooks == dict.fromkeys(["i1/1", "i1/2", "i1/3", "summary/0-5"], 2)


def test_a_secret_that_is_not_base64_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="must go on in base64") as refused:
        Webhook("http://x", ("whsec_?!",))
    assert "?!" not in str(refused.value)


def test_cdevents_tells_beginning_and_end_and_no_update() -> None:
    to, kept, types = CDEvents("cdevents"), {}, []
    for each in LIFE:
        message = to.tell(each, kept, 0.0)
        if isinstance(message, Publication):
            outcome = to.judge(Answer(200, {}, b""), each, kept)
            assert isinstance(outcome, Delivered)
            kept = dict(outcome.kept)
            headers = dict(message.headers)
            assert json.loads(message.value)["context"]["type"] == headers["ce_type"].decode()
            assert message.key == b"i1"
            types.append(headers["ce_type"].decode())
    assert types == ["dev.cdevents.incident.detected.0.2.0", "dev.cdevents.incident.resolved.0.2.0"]


def test_what_an_answer_means() -> None:
    assert isinstance(judged(Answer(400, {}, b"bad\x1b[0m"), {}), Refused)
    assert judged(Answer(429, {"retry-after": "7"}, b""), {}) == TryAgain("status 429", 7.0)
    assert isinstance(judged(Answer(401, {}, b""), {}), TryAgain)
    date, later = "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:01:00 GMT"
    assert retry_after(Answer(503, {"retry-after": later, "date": date}, b"")) == 60.0
    assert retry_after(Answer(503, {"retry-after": "soon"}, b"")) is None


def test_a_busy_server_and_one_that_is_not_there_are_tried_again() -> None:
    async def ask(url: str) -> Any:
        async with Sender(SINK, None) as sender:
            return await sender.send(Request("POST", url, (), b"{}"))

    with Receiver() as receiver:
        busy = asyncio.run(ask(f"{receiver.url}/busy"))
        assert judged(busy, {}) == TryAgain("status 429", 7.0)
    assert isinstance(asyncio.run(ask(receiver.url)), TryAgain)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"title": "${nothing}"}, "title: nothing is named nothing"), ({"body": "$ 5"}, "body: a \\$ must be followed")],
)
def test_a_template_that_cannot_be_is_refused_by_its_key(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Wording(**given)


def test_a_sink_chooses_by_severity_and_conditions_and_never_a_shadow() -> None:
    assert Choice("error", (Matcher("scope", "=~", "pro.*"), Matcher("a", "=", "b"))).wants(incident())
    assert not Choice("critical").wants(incident())
    assert not Choice(matchers=(Matcher("a", "!=", "b"),)).wants(incident())
    assert not Choice().wants(incident(shadow=True))
