"""Rules of redaction: what they match is gone, everything else stays as it is, and what they cost is bounded."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.policies.redaction import (
    LOG_BODY,
    MOST_FOUND,
    MOST_LOOKED_AT,
    NOTHING,
    REPLACEMENT,
    Redaction,
    RedactionError,
    RedactionRule,
)
from pipeline.records import Change, Event, Kind, Series

CARD = RedactionRule(value=r"\b\d{4}(?:[ -]?\d{4}){3}\b")
EMAIL = RedactionRule(name=r"user\.email")
DIGITS_OF_DB = RedactionRule(name=r"db\..*", value=r"\d+", replacement="#")
ALL = Redaction((CARD, EMAIL, DIGITS_OF_DB), {"db.name": "db.namespace", "http.method": "http.request.method"})


def test_a_rule_on_a_name_replaces_the_whole_value() -> None:
    assert ALL.text("user.email", "ann@example.com") == REPLACEMENT
    assert ALL.text("user.email.hash", "ann@example.com") == "ann@example.com"


def test_a_rule_on_values_replaces_what_matches_in_any_text() -> None:
    assert ALL.text(LOG_BODY, "paid with 4111 1111-11111111 and 5500000000000004.") == (
        "paid with [redacted] and [redacted]."
    )


def test_a_rule_on_both_replaces_what_matches_in_such_attributes_alone() -> None:
    assert ALL.text("db.query.text", "id = 17 or id = 18") == "id = # or id = #"
    assert ALL.text("http.route", "id = 17") == "id = 17"


def test_rules_are_used_in_their_order_and_a_replacement_is_taken_word_by_word() -> None:
    rules = Redaction((RedactionRule(value="a+", replacement=r"\1$1"), RedactionRule(value=r"\$1", replacement="x")))
    assert rules.text("any", "baab") == r"b\1xb"


@pytest.mark.parametrize("name", ["db.name", "db.namespace"])
@pytest.mark.parametrize("rule", [r"db\.name", r"db\.namespace"])
def test_a_rule_on_one_of_the_names_of_an_attribute_is_one_on_all_of_them(rule: str, name: str) -> None:
    assert Redaction((RedactionRule(name=rule),), {"db.name": "db.namespace"}).text(name, "v") == REPLACEMENT


def test_members_of_json_are_found_by_their_names_and_by_their_paths() -> None:
    rules = Redaction((RedactionRule(name="password"), RedactionRule(name=r"user\.id"), CARD))
    sent = {"password": {"a": 1}, "user": {"id": 7, "name": "ann"}, "id": 7, "list": [{"password": "x"}, "4" * 16]}
    redacted = {
        "password": REPLACEMENT, "user": {"id": REPLACEMENT, "name": "ann"}, "id": 7,
        "list": [{"password": REPLACEMENT}, REPLACEMENT],
    }  # fmt: skip
    assert json.loads(rules.text(LOG_BODY, json.dumps(sent))) == redacted
    assert json.loads(rules.text("user", ' {"id": 7}')) == {"id": REPLACEMENT}


def test_escapes_in_json_hide_nothing() -> None:
    escaped = '{"a": "' + "".join(f"\\u{ord(digit):04x}" for digit in "4" * 16) + '"}'
    assert ALL.text(LOG_BODY, escaped) == '{"a":"[redacted]"}'
    assert ALL.unread(escaped.encode() + b"!") is None  # as no name is known there by which to tell
    values = Redaction((CARD,))
    assert values.unread(escaped.encode()) == b'{"a":"[redacted]"}'
    assert values.unread(escaped.encode() + b"!") is None


def test_names_of_attributes_are_texts_too() -> None:
    found = ALL.attributes((("4111111111111111", "a"), ("user.email", "b"), ("z", "c")))
    assert found == (("[redacted]", "a"), ("user.email", REPLACEMENT), ("z", "c"))


def test_of_attributes_whose_names_become_one_the_first_is_kept() -> None:
    assert ALL.attributes((("4" * 16, "a"), ("5" * 16, "b"))) == (("[redacted]", "a"),)


def test_a_series_is_redacted_with_its_name_and_unit() -> None:
    rules = Redaction((RedactionRule(value="hunter2"),))
    series = Series("m.hunter2", "hunter2", Kind.GAUGE, (("a", "hunter2"),))
    assert rules.series(series) == Series("m.[redacted]", "[redacted]", Kind.GAUGE, (("a", "[redacted]"),))


def test_an_id_in_which_a_rule_matches_becomes_a_hash_of_itself() -> None:
    rules = Redaction((RedactionRule(value="hunter2"),))
    event = Event("hunter2/1", 0, "login", ())
    one, again = rules.happening(event, 1024), rules.happening(replace(event, text="x"), 1024)
    other = rules.happening(replace(event, id="hunter2/2"), 1024)
    assert one.id == again.id != other.id
    assert "hunter2" not in one.id
    assert rules.happening(replace(event, id="1"), 1024).id == "1"


def test_every_text_of_an_event_or_change_can_be_named() -> None:
    rules = Redaction((RedactionRule(name=r"event\..*|change\..*"),))
    texts = ("source", "version", "before", "title", "url", "author", "chain")
    change = Change("1", 0, "deployment", "finished", (), "cdevents", *texts[1:])
    assert {getattr(rules.happening(change, 1024), name) for name in texts} == {REPLACEMENT}
    event = rules.happening(Event("1", 0, "t", (), text="t"), 1024)
    assert (event.type, event.text, event.time_us) == (REPLACEMENT, REPLACEMENT, 0)


def test_a_text_of_a_change_that_was_cut_is_replaced_whole() -> None:
    change = Change("1", 0, "deployment", "finished", (), "s", title="x" * 1022 + "é", author="x" * 1000)
    found = ALL.happening(change, 1024)
    assert (found.title, found.author) == (REPLACEMENT, "x" * 1000)
    assert NOTHING.happening(change, 1024) is change


# -- what was not understood -------------------------------------------------------------------------------------------

VALUES = Redaction((CARD,))


@pytest.mark.parametrize("raw", [b"", None, b"no JSON", b'{"a": 1', b"[1]", "naïve".encode()])
def test_text_in_which_nothing_matches_stays_where_there_are_rules_on_values_alone(raw: bytes | None) -> None:
    assert VALUES.unread(raw) == raw
    assert NOTHING.unread(raw) == raw


def test_text_in_which_something_matches_is_redacted() -> None:
    assert VALUES.unread(b"card 4111111111111111 {") == b"card [redacted] {"


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"\n\x04abcd",
        b"a\x12b",
        b'{"data_base64": "NDExMTExMTExMTExMTExMQ=="}',
        b"x" * (MOST_LOOKED_AT + 1),
        b'{"a": "\\u0034111111111111111"',
    ],
)
def test_what_may_hold_something_that_cannot_be_seen_is_left_out(raw: bytes) -> None:
    assert VALUES.unread(raw) is None


def test_nothing_that_was_not_understood_stays_where_there_are_rules_on_names() -> None:
    assert ALL.unread(b"text") is None
    assert ALL.unread(b"") == b""


def test_headers_are_attributes_by_their_names() -> None:
    rules = Redaction((RedactionRule(name=r"service\.name|cloudevents\.event_source"), CARD))
    assert rules.header("service.name", b"cart") == REPLACEMENT.encode()
    assert rules.header("ce_source", b"/ci") == REPLACEMENT.encode()
    assert rules.header("traceparent", b"00-1") == b"00-1"
    assert rules.header("other", b"4111111111111111") == REPLACEMENT.encode()
    assert rules.header("other", b"\xff\x00") == b""
    assert rules.header_name("x-4111111111111111") == "x-[redacted]"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("a trace id must be 16 bytes", "a trace id must be 16 bytes"),
        ("kind is 'x'; use gauge", "kind is '…'; use gauge"),
        ("ts is 'abc; give seconds", "ts is '…'"),
        ('"it\'s\\" so"… is too long', "'…'… is too long"),
        ("a Kafka record's time, not b'x", "a Kafka record's time, not '…'"),
        ("not OTLP in JSON: Couldn't parse 4711", "not OTLP in JSON: …"),
    ],
)
def test_details_say_nothing_that_stood_in_the_message(detail: str, said: str) -> None:
    assert ALL.detail(detail) == said
    assert NOTHING.detail(detail) == detail


# -- rules that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "key", "problem"),
    [
        ({}, "name", "neither name nor value"),
        ({"name": "("}, "name", "missing )"),
        ({"value": "a(?=b)"}, "value", "no look-around"),
        ({"value": r"(a)\1"}, "value", "no back-references"),
        ({"value": "a*"}, "value", "matches the empty text"),
        ({"value": r"\C"}, "value", "matches bytes"),
        ({"value": r"\Qa"}, "value", "is not taken"),
        ({"value": "a" * 2001}, "value", "at most 2000"),
        ({"value": r"\p{L}{20}"}, "value", "too large: RE2 makes"),
        ({"value": r"(?:(?:\p{L}{30}){30}){30}"}, "value", "not an expression"),
        ({"value": "a", "replacement": ""}, "replacement", "1 to 100"),
        ({"value": "[a-z]+"}, "replacement", "value matches in it"),
    ],
)
def test_what_is_no_rule_is_refused_and_the_part_is_named(rule: dict[str, str], key: str, problem: str) -> None:
    with pytest.raises(RedactionError) as refused:
        RedactionRule(**rule)
    assert refused.value.key == key
    assert problem in refused.value.problem


def test_rules_that_are_too_large_together_are_refused() -> None:
    with pytest.raises(RedactionError, match="too large together"):
        Redaction([RedactionRule(value=rf"\w{{300}}{number}") for number in range(64)])


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", [r"(a+)+!", r"(a|a)+!", r"(.*a){20}!", r"a.*b!|a!", r"(\w+\s?)+!"])
def test_an_expression_that_would_explode_by_backtracking_is_done_in_time(expression: str) -> None:
    rules = Redaction((RedactionRule(value=expression),))
    before = time.process_time()
    assert rules.text("any", "a" * 16_384) == "a" * 16_384
    assert time.process_time() - before < 10


def test_behind_the_last_match_that_is_looked_for_a_text_is_left_out() -> None:
    found = Redaction((RedactionRule(value="b", replacement="#"),)).text("any", "ab" * 2 * MOST_FOUND)
    assert found == "a#" * MOST_FOUND


def test_a_text_is_not_looked_at_further_than_its_bound_and_cannot_grow_much() -> None:
    text = "a" * (MOST_LOOKED_AT + 1)
    assert ALL.text("any", text) == "a" * (MOST_LOOKED_AT - 1024) + REPLACEMENT
    assert ALL.text("any", '{"a":"' + text + '"}') == REPLACEMENT  # members cannot be told by their names
    grown = Redaction((RedactionRule(value="a", replacement="#" * 100),)).text("any", "a" * 200)
    assert grown == "#" * 1024


deep = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('abc"\\é\ud800'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abk.", max_size=3), inner, max_size=3),
    max_leaves=8,
)
UNMATCHED = Redaction((RedactionRule(value="hunter2"), RedactionRule(name="hunter2"), RedactionRule("a", "hunter2")))


@given(name=st.text(max_size=5), text=st.text(alphabet=st.characters(), max_size=50) | deep.map(json.dumps))
@settings(deadline=None)
def test_a_text_that_no_rule_matches_stays_as_it_is(name: str, text: str) -> None:
    assert UNMATCHED.text(name, text) == text
    assert UNMATCHED.attributes(((name, text),)) == ((name, text),)


@given(before=st.text(max_size=20), after=st.text(max_size=20), number=st.integers(1, 5))
@settings(deadline=None)
def test_what_a_rule_matches_is_gone_whatever_stands_around_it(before: str, after: str, number: int) -> None:
    for text in ((before + "hunter2" + after) * number, json.dumps([before, {"hunter2": "hunter2" + after}])):
        assert "hunter2" not in UNMATCHED.text("any", text)


def test_json_of_any_depth_is_read_or_replaced() -> None:
    for depth in (10, 500, 20_000):
        found = UNMATCHED.text("any", "[" * depth + '"hunter2"' + "]" * depth)
        assert "hunter2" not in found


def test_a_number_that_is_too_long_for_python_hides_nothing_beside_it() -> None:
    assert "secret" not in UNMATCHED.text("any", '{"n": ' + "1" * 5000 + ', "hunter2": "secret"}')
