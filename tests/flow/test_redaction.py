"""Redaction of every input format: what rules match stands in nothing that is written, and nothing else changes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from pipeline.cli.dead_letter_text import is_redacted
from pipeline.flow import refused
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.input_report import InputInspector
from pipeline.flow.inputs import ingest_chain
from pipeline.flow.join_lines import LineJoinChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.policies.redaction import Redaction, RedactionRule
from pipeline.records import Message, Output, Produced, RefusedValue
from pipeline.signals.aliases import ATTRIBUTES
from pipeline.streams.dead_letters import Letter
from tests.flow.secrets import NAME, SECRET, Sent, damaged_with_secrets, formats, with_attribute, with_secrets
from tests.fuzz.feeding import CONFIG, SOURCE
from tests.fuzz.seeds import SECONDS, SEEDS

every_format = pytest.mark.parametrize("name", formats())

VALUE = RedactionRule(value=SECRET)
BY_NAME = RedactionRule(name=f".*{NAME}|http[.]route|service[.]name")


def config(*rules: RedactionRule) -> FlowConfig:
    return replace(CONFIG, limits=replace(CONFIG.limits, redaction=Redaction(rules, ATTRIBUTES)))


@dataclass(frozen=True)
class Read:
    """A record of ours as the next stage reads it."""

    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = SECONDS * 1000
    key: bytes | None = None


def ingested(name: str, sent: Message, *rules: RedactionRule) -> Output:
    chain = ingest_chain(name, SOURCE, config(*rules))
    return _all_of(chain, [sent])


def _all_of(chain: Chain, messages: Sequence[Message]) -> Output:
    output = chain.apply(messages)
    output.add(chain.flush())
    output.add(chain.flush(idle=True))
    snapshot = chain.snapshot(full=True)
    output.records.append(Produced("state", snapshot.head + b"".join(snapshot.blocks.values())))
    return output


def joined(records: Iterable[Produced], *rules: RedactionRule) -> Iterator[Produced]:
    """What the joins make of what ingest wrote, and their state."""
    records = list(records)
    for topic, chain in (("logs", LineJoinChain(0, config(*rules))), ("spans", SpanJoinChain(0, config(*rules)))):
        found = [each for each in records if each.topic == topic and each.partition == 0]
        yield from _all_of(chain, [Read(at, each.value, each.headers) for at, each in enumerate(found)]).records


def stored(records: Iterable[Produced]) -> bytes:
    """All bytes; blocks hold texts as they are, one after the other."""
    parts: list[bytes] = []
    for record in records:
        parts += [record.value or b"", record.key or b""]
        parts += [part for name, value in record.headers for part in (name.encode(), value or b"")]
    return b"\n".join(parts)


def shown(name: str, messages: Sequence[Sent], *rules: RedactionRule) -> bytes:
    """All that is stored of messages that come one after the other, in ingest and behind it."""
    chain = ingest_chain(name, SOURCE, config(*rules))
    output = _all_of(chain, [replace(sent, offset=at) for at, sent in enumerate(messages)])
    return stored([*output.records, *joined(output.records, *rules)])


def assert_hidden(name: str, messages: Sequence[Sent], *rules: RedactionRule) -> bytes:
    found = shown(name, messages, *rules)
    if SECRET.encode() in found:
        assert [sent for sent in messages if SECRET.encode() in shown(name, [sent], *rules)] == []
    assert SECRET.encode() not in found
    return found


@every_format
def test_what_rules_on_values_match_stands_in_nothing_that_is_written(name: str) -> None:
    messages = with_secrets(name)
    assert SECRET.encode() in shown(name, messages), "it would be seen without rules"
    assert assert_hidden(name, messages, VALUE).count(b"[redacted]") > 10


@every_format
def test_what_cannot_be_read_shows_nothing_of_it_either(name: str) -> None:
    assert_hidden(name, damaged_with_secrets(name), VALUE)


@every_format
def test_values_of_attributes_with_a_name_that_rules_match_stand_nowhere(name: str) -> None:
    messages = with_attribute(name)
    assert SECRET.encode() in shown(name, messages), "it would be seen without rules"
    assert b"[redacted]" in assert_hidden(name, messages, BY_NAME)


@every_format
def test_messages_in_which_no_rule_matches_become_what_they_become_without_rules(name: str) -> None:
    for seed in SEEDS[name]:
        with_rules, without = ingested(name, Sent(seed), VALUE, RedactionRule(name=SECRET)), ingested(name, Sent(seed))
        assert with_rules.counts == without.counts
        assert _but_letters(with_rules) == _but_letters(without)


def _but_letters(output: Output) -> list[Produced]:
    return [record for record in output.records if record.topic != "dead-letter"]


@every_format
def test_what_is_shown_of_inputs_is_redacted(name: str) -> None:
    for sent in [*with_secrets(name)][:40]:
        inspector = InputInspector(name, config(VALUE))
        fate = inspector.inspect(_Placed(sent.offset, sent.value, sent.headers, key=sent.key))
        assert SECRET not in repr(fate), sent


@dataclass(frozen=True)
class _Placed(Read):
    topic: str = "fuzzed"
    partition: int = 3


def letter_of(sent: Message, *rules: RedactionRule) -> Produced:
    (letter,) = [each for each in ingested("json_points", sent, *rules).records if each.topic == "dead-letter"]
    return letter


OURS = ("calm_topic", "calm_partition", "calm_offset", "calm_reason", "calm_detail")


def test_a_dead_letter_in_which_nothing_matches_is_whole_where_there_are_rules_on_values_alone() -> None:
    letter = letter_of(Sent(b"no JSON", [("h", b"1")]), VALUE)
    assert (letter.value, letter.key) == (b"no JSON", b"key")
    assert tuple(name for name, _ in letter.headers) == ("h", *OURS)


def test_a_dead_letter_that_was_redacted_says_so_and_cannot_be_taken_for_a_whole_one() -> None:
    letter = letter_of(Sent(b"no JSON hunter2zq", [("h", b"hunter2zq")], key=b"\xff"), VALUE)
    assert (letter.value, letter.key) == (b"no JSON [redacted]", None)
    assert tuple(name for name, _ in letter.headers) == ("h", "calm_redacted", *OURS, "calm_cut")
    headers = dict(letter.headers)
    said = "value of 17 bytes redacted, key of 1 bytes left out by redaction, headers of 20 bytes redacted"
    assert headers["h"] == b"[redacted]"
    assert headers["calm_redacted"] == headers["calm_cut"] == said.encode()
    shown = Letter.of(_Placed(5, letter.value, letter.headers))
    assert (shown.cut, is_redacted(shown), shown.reason) == (said, True, "undecodable")


def test_rules_on_names_leave_out_what_nobody_could_read() -> None:
    letter = letter_of(Sent(b"no JSON", [("h", b"1"), (NAME, b"x")]), BY_NAME)
    assert (letter.value, letter.key) == (None, None)
    headers = dict(letter.headers)
    assert (headers["h"], headers[NAME]) == (b"1", b"[redacted]")
    assert headers["calm_redacted"].startswith(b"value of 7 bytes left out by redaction, key of 3 bytes left out")
    assert headers["calm_reason"] == b"undecodable"


def test_what_is_refused_before_it_is_read_is_redacted_too() -> None:
    chain = ingest_chain("json_points", SOURCE, config(VALUE))
    sent = Sent(RefusedValue.of(b"a hunter2zq", "damaged_record", "its checksum is wrong: hunter2zq"))
    (letter,) = refused.apply(chain, "fuzzed", 3, [sent]).records
    assert letter.value == b"a [redacted]"
    assert SECRET.encode() not in stored([letter])


def test_identity_is_taken_after_redaction() -> None:
    points = [b'{"ts": %d, "name": "m", "value": 1, "attributes": {"service.name": "%s"}}' % (SECONDS, name)
              for name in (b"cart", b"pay")]  # fmt: skip
    written = [stored(ingested("json_points", Sent(point), BY_NAME).records) for point in points]
    assert written[0] == written[1]
    assert b"service:[redacted]" in written[0]


def test_a_service_that_a_connector_names_otherwise_is_redacted_by_its_name() -> None:
    point = (
        b'{"ts": %d, "name": "traces_service_graph_request_total", "kind": "counter", "value": 1, "attributes": '
        b'{"client": "hunter2zq", "server": "db"}}'
    )
    assert SECRET.encode() not in stored(ingested("json_points", Sent(point % SECONDS), BY_NAME).records)


def test_exceptions_become_lines_without_what_rules_on_names_match() -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    from pipeline.codecs.otlp_encode import key_values

    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=SECONDS * 10**9)
    record.attributes.extend(key_values({"exception.type": "E", "exception.message": SECRET}))
    written = stored(
        ingested("otlp_logs", Sent(request.SerializeToString()), RedactionRule(name="exception.message")).records
    )
    assert re.search(rb"E: \[redacted\]", written)
    assert SECRET.encode() not in written
