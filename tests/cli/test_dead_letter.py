"""``calmstream dead-letter``: what could not be used is found, looked at and put back, on a real broker."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.codecs.registry import input_codec
from pipeline.codecs.series_table import Limits
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.ingest import IngestChain
from pipeline.records import Produced
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import calmstream, invoke
from tests.timeline import Record
from tests.worker_process import WorkerProcess

NOW_MS = int(time.time() * 1000)
TRACE = (("traceparent", b"00-1-2-03"), ("empty", None))
BINARY = bytes(range(256)) * 8
EVIL = b'{"name": "\x1b[31mred\\u202e"}'


@dataclass
class Stand:
    """Topics of this test's own on a broker, and what a person sees of them."""

    bootstrap: str
    prefix: str
    settings: dict[str, str]

    def run(self, *arguments: str, sent: bytes | None = None) -> CompletedProcess[str]:
        return invoke(self.settings, "dead-letter", *arguments, sent=sent)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.run("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refuse(self, *messages: Record, partition: int = 0) -> None:
        """Let the ingest chain refuse them, and write what it makes of them."""
        config = FlowConfig(sources=(), signal_partitions=1, anomaly_partitions=1)
        chain = IngestChain(f"{self.prefix}points/{partition}", input_codec("json_points", Limits()), config)
        letters = [one for one in chain.apply(messages).records if one.topic == "dead-letter"]
        assert len(letters) == len(messages)
        self.write(*letters)

    def write(self, *letters: Produced) -> None:
        asyncio.run(self._write(letters))

    async def _write(self, letters: Sequence[Produced]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all") as producer:
            for one in letters:
                topic = f"{self.prefix}{one.topic}"
                await producer.send_and_wait(topic, one.value, one.key, partition=0, headers=list(one.headers))

    def read(self, topic: str, count: int) -> list[Any]:
        """The first ``count`` records of a topic, all partitions."""
        return asyncio.run(self._read(f"{self.prefix}{topic}", count))

    async def _read(self, topic: str, count: int) -> list[Any]:
        options = {"bootstrap_servers": self.bootstrap, "auto_offset_reset": "earliest", "enable_auto_commit": False}
        consumer = AIOKafkaConsumer(**options)
        async with consumer, asyncio.timeout(30):
            consumer.assign([TopicPartition(topic, partition) for partition in range(2)])
            found: list[Any] = []
            while len(found) < count:
                fetched = await consumer.getmany(timeout_ms=500)
                found += [record for records in fetched.values() for record in records]
            return found


@pytest.fixture
def stand(embedded_broker: EmbeddedBroker, topic_prefix: str) -> Stand:
    settings = {
        "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "CALMSTREAM_BROKER__IDEMPOTENCE": "if-available",
        "CALMSTREAM_TOPIC_PREFIX": topic_prefix,
        "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{topic_prefix}points", "format": "json_points"}]),
        "CALMSTREAM_TOPICS__PARTITIONS": "2",
    }
    assert invoke(settings, "topics", "create").returncode == 0
    return Stand(embedded_broker.bootstrap, topic_prefix, settings)


def message(offset: int, value: bytes | None, key: bytes | None = b"cart", headers: Any = TRACE) -> Record:
    return Record(offset, NOW_MS, key, value, headers)


def point(seconds_ago: float = 0, **changed: Any) -> bytes:
    return json.dumps({"ts": NOW_MS / 1000 - seconds_ago, "name": "m", "value": 1, "attributes": {}} | changed).encode()


def too_old(offset: int) -> Record:
    return message(offset, point(200_000))


# -- list --------------------------------------------------------------------------------------------------------------


def test_an_empty_topic_is_said_to_be_empty(stand: Stand) -> None:
    done = stand.run("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No dead letters.\n")


def test_the_list_says_where_each_came_from_and_why_the_newest_first(stand: Stand) -> None:
    stand.refuse(message(4, b"hello"), too_old(9))
    done = stand.run("list")
    assert done.returncode == 0, done.stderr
    newest, oldest = done.stdout.splitlines()[1:]
    assert f"0@1    {stand.prefix}points/0@9  far_past" in newest
    assert f"0@0    {stand.prefix}points/0@4  undecodable" in oldest
    first = stand.listed()[1]
    assert first.items() >= {"place": "0@0", "origin": f"{stand.prefix}points/0@4", "bytes": 5}.items()
    assert first.items() >= {"reasons": ["undecodable"], "replayed_to": None, "replayed_from": None}.items()


def test_the_list_is_narrowed_down_by_topic_partition_reason_time_and_limit(stand: Stand) -> None:
    stand.refuse(message(1, b"x"), too_old(2), message(3, json.dumps([1, {"ts": NOW_MS}]).encode()))
    stand.refuse(message(1, b"x"), partition=1)

    def places(*arguments: str) -> list[str]:
        return [one["origin"].rpartition("/")[2] for one in stand.listed(*arguments)]

    assert places() == ["1@1", "0@3", "0@2", "0@1"]
    assert places("--partition", "1") == ["1@1"]
    assert places("--reason", "far_past") == ["0@2"]
    assert places("--topic", f"{stand.prefix}points", "--limit", "2") == ["1@1", "0@3"]
    assert places("--topic", "other") == []
    assert places("--since", "1h") == places()


def test_a_message_that_a_restarted_worker_refused_again_is_listed_once(stand: Stand) -> None:
    for _ in range(2):
        stand.refuse(message(1, b"x"), message(2, b"y"))
    assert [one["place"] for one in stand.listed()] == ["0@3", "0@2"]


def test_the_summary_counts_by_topic_and_reason(stand: Stand) -> None:
    stand.refuse(message(1, b"12345"), message(2, b"67890"), too_old(3))
    done = stand.run("list", "--summary")
    assert done.returncode == 0, done.stderr
    first, second = (line.split()[:5] for line in done.stdout.splitlines()[1:3])
    assert first == [f"{stand.prefix}points", "undecodable", "2", "10", "0"]
    assert second[:3] == [f"{stand.prefix}points", "far_past", "1"]
    assert "3 messages" in done.stdout
    lines = stand.run("list", "--summary", "--json").stdout.splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [2, 1]


def test_what_is_no_dead_letter_is_passed_over_and_said(stand: Stand) -> None:
    stand.refuse(message(1, b"x"))
    stand.write(Produced("dead-letter", b"of somebody else"))
    done = stand.run("list", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert f"{stand.prefix}dead-letter/0@1 passed over: it is not a dead letter of ours" in done.stderr


def test_headers_of_a_producer_that_look_like_ours_do_not_count(stand: Stand) -> None:
    forged = (("calm_topic", b"elsewhere"), ("calm_reason", b"forged"))
    stand.refuse(message(1, b"x", headers=forged))
    (one,) = stand.listed()
    assert (one["topic"], one["reasons"]) == (f"{stand.prefix}points", ["undecodable"])


# -- show --------------------------------------------------------------------------------------------------------------


def test_a_text_is_shown_with_its_reason_and_headers_by_either_place(stand: Stand) -> None:
    stand.refuse(message(4, '{"né": 1,\n "b"'.encode()))
    done = stand.run("show", "0@0")
    assert done.returncode == 0, done.stderr
    assert '{"né": 1,\n "b"\n' in done.stdout
    for text in ("undecodable", "traceparent", "00-1-2-03", "15 bytes of text", "cart", f"{stand.prefix}points/0@4"):
        assert text in done.stdout
    for place in (f"{stand.prefix}points/0@4", f"{stand.prefix}dead-letter/0@0"):
        assert stand.run("show", place).stdout == done.stdout


def test_what_is_no_text_is_shown_in_hexadecimal_up_to_a_bound(stand: Stand) -> None:
    stand.refuse(message(4, BINARY))
    page = stand.run("show", "0@0").stdout
    assert "00000040  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO" in page
    assert "… and 1024 bytes more; --raw or --output FILE gives all" in page


def test_nothing_of_a_message_is_obeyed_by_the_terminal(stand: Stand) -> None:
    stand.refuse(message(4, EVIL, key=EVIL, headers=(("h\x1b", EVIL),)))
    for page in (stand.run("show", "0@0"), stand.run("list")):
        assert not {"\x1b", "\u202e"} & set(page.stdout + page.stderr)


def test_the_bytes_come_whole_to_standard_output_or_into_a_file(stand: Stand, tmp_path: Path) -> None:
    stand.refuse(message(4, "naïve\n".encode()), message(5, BINARY))
    assert calmstream(stand.settings, "dead-letter", "show", "0@0", "--raw").stdout == "naïve\n"
    path = tmp_path / "message"
    assert stand.run("show", "0@1", "--output", str(path)).returncode == 0
    assert path.read_bytes() == BINARY


def test_a_message_without_a_value_is_said_to_have_none(stand: Stand) -> None:
    stand.refuse(message(4, None))
    assert "The message has no value." in stand.run("show", "0@0").stdout
    assert stand.run("show", "0@0", "--raw").returncode == 1


@pytest.mark.parametrize("place", ["0@7", "1@0", "9@0", "elsewhere/0@0"])
def test_a_place_where_nothing_stands_is_said(stand: Stand, place: str) -> None:
    stand.refuse(message(4, b"x"))
    for verb in ("show", "replay"):
        done = stand.run(verb, place)
        assert done.returncode == 1
        assert f"No dead letter stands at {place}, and none came from there" in done.stderr


def test_a_message_that_was_cut_is_said_to_be(stand: Stand, tmp_path: Path) -> None:
    stand.write(cut(stand, b"beginning"))
    page = stand.run("show", "0@0").stdout
    assert "value of 17000000 bytes; only the beginning is here" in page
    assert "calm_cut" not in page
    (one,) = stand.listed()
    assert (one["cut"], one["bytes"], one["reasons"]) == ("value of 17000000 bytes", 9, ["undecodable"])
    raw = stand.run("show", "0@0", "--output", str(tmp_path / "message"))
    assert "was cut (value of 17000000 bytes); these bytes are its beginning" in raw.stderr


def cut(stand: Stand, beginning: bytes) -> Produced:
    """The letter of a message that was too large; less of it, so that the test writes less."""
    letter = dead_letter(message(4, b"x" * 17_000_000), f"{stand.prefix}points", "0", "undecodable", "no JSON")
    return replace(letter, value=beginning)


def test_a_header_of_a_producer_that_says_cut_does_not_count(stand: Stand) -> None:
    stand.refuse(message(4, b"x", headers=(("calm_cut", b"value of 9 bytes"),)))
    assert stand.listed()[0]["cut"] is None
    assert "value of 9 bytes" in stand.run("show", "0@0").stdout


# -- replay ------------------------------------------------------------------------------------------------------------


def test_a_message_goes_back_as_it_came_to_where_it_came_from(stand: Stand) -> None:
    stand.refuse(message(4, BINARY), partition=1)
    done = stand.run("replay", "0@0", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"put back  0@0  to {stand.prefix}points/1@0\n" in done.stdout
    assert f"Put 1 message back (1 into {stand.prefix}points)." in done.stdout
    (back,) = stand.read("points", 1)
    assert (back.partition, back.key, back.value) == (1, b"cart", BINARY)
    assert back.headers == (*TRACE, ("calm_replayed_from", f"{stand.prefix}dead-letter/0@0".encode()))


def test_what_was_put_back_is_marked_and_not_put_back_again_unless_asked_for(stand: Stand) -> None:
    stand.refuse(message(4, b"x"), message(5, b"y"))
    assert stand.run("replay", "0@0", "--yes").returncode == 0
    assert [one["replayed_to"] for one in stand.listed()] == [None, f"{stand.prefix}points/0@0"]
    again = stand.run("replay", "0@0", "--yes")
    assert again.returncode == 1
    assert "1 message left out: put back before" in again.stderr
    rest = stand.run("replay", "--all", "--yes")
    assert rest.returncode == 0, rest.stderr
    assert "Put 1 message back" in rest.stdout
    assert stand.run("replay", "--all", "--yes", "--again").returncode == 0
    assert [record.value for record in stand.read("points", 4)] == [b"x", b"y", b"x", b"y"]
    assert len(stand.listed()) == 2


def test_a_message_that_is_refused_again_after_a_replay_says_so(stand: Stand) -> None:
    stand.refuse(message(4, b"x"))
    stand.run("replay", "0@0", "--yes")
    (back,) = stand.read("points", 1)
    stand.refuse(Record(back.offset, back.timestamp, back.key, back.value, back.headers))
    newest, oldest = stand.listed()
    assert newest["replayed_from"] == f"{stand.prefix}dead-letter/{oldest['place']}"
    assert oldest["replayed_to"] == newest["origin"]
    assert stand.run("replay", newest["place"], "--yes").returncode == 0
    names = [name for name, _ in stand.read("points", 2)[1].headers]
    assert names == ["traceparent", "empty", "calm_replayed_from"]


def test_all_that_filters_choose_goes_back_in_the_order_in_which_it_was_refused(stand: Stand) -> None:
    stand.refuse(*[message(number, b"%d" % number) for number in range(500)], too_old(500))
    done = stand.run("replay", "--all", "--reason", "undecodable", "--since", "1h", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Put 500 messages back" in done.stdout
    assert [record.value for record in stand.read("points", 500)] == [b"%d" % number for number in range(500)]


def test_a_dry_run_changes_nothing(stand: Stand) -> None:
    stand.refuse(message(4, b"x"))
    done = stand.run("replay", "--all", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"would go back  0@0  to {stand.prefix}points/0\n" in done.stdout
    assert stand.listed()[0]["replayed_to"] is None


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"", 1)], ids=["yes", "no", "no answer"])
def test_without_yes_a_person_is_asked(stand: Stand, answer: bytes, code: int) -> None:
    stand.refuse(message(4, b"x"))
    done = stand.run("replay", "0@0", sent=answer)
    assert done.returncode == code
    assert f"Put 1 message back (1 into {stand.prefix}points)? [y/N]" in done.stderr
    assert (stand.listed()[0]["replayed_to"] is None) == (code != 0)


def test_a_message_that_was_cut_is_not_put_back_whatever_is_asked_for(stand: Stand) -> None:
    stand.refuse(message(3, b"whole"))
    stand.write(cut(stand, b"beginning"))
    for arguments in (["0@1"], ["0@1", "--again"], ["0@1", "--dry-run"]):
        done = stand.run("replay", *arguments, "--yes")
        assert done.returncode == 1
        assert "1 message left out: too large for a dead letter and cut" in done.stderr
        assert "value of 17000000 bytes), so that there is nothing whole to put back" in done.stderr
    done = stand.run("replay", "--all", "--yes")
    assert done.returncode == 0, done.stderr
    assert [record.value for record in stand.read("points", 1)] == [b"whole"]


def test_what_came_from_a_topic_that_is_no_input_is_not_put_back(stand: Stand) -> None:
    stand.write(dead_letter(message(1, b"junk"), f"{stand.prefix}control", "0", "bad_policy", "no policy"))
    stand.write(dead_letter(message(1, b"junk"), "signals", "0", "undecodable", "no block"))
    for origin in (f"{stand.prefix}control", "signals"):
        done = stand.run("replay", f"{origin}/0@1", "--yes")
        assert done.returncode == 1
        assert f"1 message left out: from {origin}, which is no input" in done.stderr
    assert stand.run("replay", "--all", "--yes").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay"], "name places, or choose with --all and filters"),
        (["replay", "0@0", "--all"], "name places, or choose with --all and filters"),
        (["replay", "0@0", "--reason", "empty"], "go with --all"),
        (["show", "17"], "'17' is not a place; write partition@offset"),
        (["show", "a@b"], "is not a place"),
        (["show", "0@0", "--raw", "--output", "x"], "exclude each other"),
        (["show", "0@0", "--output", "/no/such/directory/x"], "there is no directory"),
        (["list", "--since", "soon"], "is not a length of time"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_explained(arguments: list[str], said: str) -> None:
    done = invoke({}, "dead-letter", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_after_a_fix_what_was_put_back_is_used(stand: Stand, tmp_path: Path) -> None:
    """The fix: more attributes are allowed. A real worker refuses, another one uses what was put back."""
    values = [point(value=number, attributes={"service.name": "cart", "zone": "b"}) for number in range(3)]
    refused = 'calmstream_drops_total{reason="too_many_attributes",role="ingest"}'
    with WorkerProcess(stand.settings | {"CALMSTREAM_LIMITS__MAX_ATTRIBUTES": "1"}, directory=tmp_path) as worker:
        stand.write(*[Produced("points", value, b"k") for value in values])
        worker.wait_until(lambda: worker.metrics().get(refused) == 3, "done with what it refuses")
        assert worker.stop() == 0
    with WorkerProcess(stand.settings, directory=tmp_path) as worker:
        assert stand.run("replay", "--all", "--reason", "too_many_attributes", "--yes").returncode == 0
        worker.wait_until(lambda: worker.metrics().get("calmstream_points_total") == 3, "done with the replay")
        assert worker.metrics().get(refused) is None
