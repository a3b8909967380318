"""``calmstream broker`` and ``calmstream topics``, and what the other verbs say when either is missing."""

import signal
from collections.abc import Iterator

import pytest

from pipeline.streams.broker_process import LOOPBACK, free_port
from tests.cli.person import CALMSTREAM, Running, calmstream, invoke

#: Verbs that look at a broker and end.
LOOKS = [
    ("incidents",),
    ("incidents", "--follow"),
    ("signals",),
    ("signal", "show", "cpu"),
    ("inputs", "check"),
    ("inputs", "tail"),
]


@pytest.fixture(scope="module")
def empty_broker() -> Iterator[str]:
    """A broker without topics, started as a person does; its address."""
    port = free_port()
    with Running({}, [CALMSTREAM, "broker", "--port", str(port)]) as running:
        running.wait_for("Stop with Ctrl-C.")
        yield f"{LOOPBACK}:{port}"


def test_the_broker_says_where_it_is_what_it_forgets_and_what_a_worker_needs() -> None:
    port = free_port()
    with Running({}, [CALMSTREAM, "broker", "--port", str(port), "--topics"]) as running:
        running.wait_for("Stop with Ctrl-C.")
        bootstrap = f"{LOOPBACK}:{port}"
        assert f"Broker ready: {bootstrap}" in running.out
        assert "It keeps everything in memory" in running.out
        assert f"CALMSTREAM_BROKER__IDEMPOTENCE=if-available calmstream worker --bootstrap {bootstrap}" in running.out
        assert "created  calm.points" in running.out
        checked = invoke({}, "topics", "check", "--bootstrap", bootstrap)
        assert (checked.returncode, checked.stdout) == (0, f"All 31 topics are as they should be on {bootstrap}.\n")
        wrong = invoke({"CALMSTREAM_TOPICS__PARTITIONS": "8"}, "topics", "check", "--bootstrap", bootstrap)
        assert wrong.returncode == 3
        assert "calm.signals: it has 4 partitions and 8 are expected\n  → to keep it, set" in wrong.stderr
        described = invoke({}, "topics", "describe", "--bootstrap", bootstrap)
        assert described.returncode == 0
        for topic in ("calm.events", "otlp_spans", "calm.log-templates", "calm.join-spans.state", "calm.score.state"):
            assert topic in described.stdout
        assert running.stop(signal.SIGTERM) == 0
        assert "Traceback" not in running.err


def test_the_broker_ends_with_ctrl_c_too_and_says_when_its_port_is_taken(empty_broker: str) -> None:
    done = calmstream({}, "broker", "--port", empty_broker.rpartition(":")[2])
    assert done.returncode == 1
    assert done.stderr.startswith(f"calmstream: port {empty_broker.rpartition(':')[2]} on {LOOPBACK} is taken")
    with Running({}, [CALMSTREAM, "broker", "--port", str(free_port())]) as running:
        running.wait_for("Stop with Ctrl-C.")
        assert running.stop() == 0


def test_check_on_a_broker_without_topics_says_what_to_do(empty_broker: str) -> None:
    done = invoke({}, "topics", "check", "--bootstrap", empty_broker)
    assert done.returncode == 3
    assert "calm.points: the topic is missing\n  → run: calmstream topics create" in done.stderr


@pytest.mark.parametrize("verb", LOOKS, ids=" ".join)
def test_without_topics_a_verb_says_what_to_do(empty_broker: str, verb: tuple[str, ...]) -> None:
    done = invoke({}, *verb, "--bootstrap", empty_broker)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "run: calmstream topics create" in done.stderr


@pytest.mark.parametrize(
    "verb", [*LOOKS, ("topics", "create"), ("topics", "check"), ("topics", "describe")], ids=" ".join
)
def test_without_a_broker_a_verb_says_so_in_one_line(verb: tuple[str, ...]) -> None:
    bootstrap = f"{LOOPBACK}:{free_port()}"
    done = invoke({}, *verb, "--bootstrap", bootstrap)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"calmstream: no Kafka broker answers at {bootstrap}. Start one")


def test_a_follower_ends_when_the_broker_is_lost() -> None:
    port = free_port()
    settings = {"CALMSTREAM_BROKER__BOOTSTRAP": f"{LOOPBACK}:{port}", "CALMSTREAM_BROKER__LOST_AFTER_SECONDS": "5"}
    with Running({}, [CALMSTREAM, "broker", "--port", str(port), "--topics"]) as broker:
        broker.wait_for("Stop with Ctrl-C.")
        with Running(settings, [CALMSTREAM, "incidents", "--follow"]) as follower:
            follower.wait_for("Following calm.incidents")
            broker.stop()
            follower.wait_for("no Kafka broker answers")
            assert follower.end() == 4
