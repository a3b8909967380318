"""What people say about incidents reaches every partition of ``anomalies``, whatever is killed meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

from pipeline.codecs import policy_event, said_record
from pipeline.policies.control import Said, SaidControl
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import Order
from pipeline.policies.silence import Silence
from pipeline.records import US
from pipeline.streams import control_topic
from pipeline.streams.embedded import EmbeddedBroker
from tests.streams.one_signal import OneSignal

T = 1_770_000_000 * US
CART = Silence("s1", (Matcher("service.name", "=", "cart"),), "ann", "new disks", T, T + 3600 * US)
ACK = Order("o1", "ack", "inc-1", "ann", T)
PARTITIONS = 2
SETTINGS = {"BROKER__IDEMPOTENCE": "if-available", "TOPICS__PARTITIONS": str(PARTITIONS)}


class Desk(OneSignal):
    """What is said, and what comes of it."""

    def say(self, *whats: Any, forget: tuple[str, ...] = ()) -> None:
        asyncio.run(control_topic.say(self.settings(), whats, forget))

    def spread(self) -> dict[int, list[SaidControl]]:
        """Said records by partition of ``anomalies``."""
        found: dict[int, list[SaidControl]] = {number: [] for number in range(PARTITIONS)}
        for record in self.read("anomalies"):
            if said_record.is_said(record.headers):
                found[record.partition].append(said_record.decode_control(record.value))
        return found

    def heard(self, wanted: Said) -> bool:
        """Does every partition have it?"""
        return all(any(wanted in control.said for control in told) for told in self.spread().values())


def test_it_reaches_every_partition_and_is_told_again_when_a_worker_starts(
    embedded_broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> None:
    desk = Desk(embedded_broker, topic_prefix, tmp_path, SETTINGS)
    desk.create()
    desk.say(CART)
    silence, order = Said(0, "silence/s1", CART), Said(1, "order/inc-1/o1", ACK)
    with desk.worker("--roles", "score") as worker:
        worker.wait_until(lambda: desk.heard(silence), "done with what was said before")
        for told in desk.spread().values():
            assert told[0] == SaidControl(1, (silence,), complete=True)
        desk.say(ACK)
        desk.send("control", (b"silence/broken", b"{nonsense"))
        desk.send("control", (policy_event.key_of("x"), b"{nonsense"))
        worker.wait_until(lambda: desk.heard(order), "done with the order")
        worker.wait_until(lambda: len(desk.read("dead-letter")) == 2, "done with what is none")
        worker.kill()
        desk.say(forget=("silence/s1",))
        worker.start().wait_ready()
        worker.wait_until(lambda: all(any(c.end >= 5 for c in told) for told in desk.spread().values()), "told again")

    reasons = {letter.key: dict(letter.headers)["calm_reason"] for letter in desk.read("dead-letter")}
    assert reasons == {b"silence/broken": b"bad_silence", b"policy/x": b"bad_policy"}
    everything = asyncio.run(control_topic.read(desk.settings()))
    assert (everything.said, len(everything.broken), len(everything.broken_said)) == ((order,), 1, 1)
    for told in desk.spread().values():
        assert not any(control.complete for control in told[1:]), "while something is broken nothing is taken for gone"
        assert [said for control in told for said in control.said].count(order) >= 2


def test_what_is_said_is_no_policy_and_a_broken_silence_holds_up_none(
    embedded_broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> None:
    desk = Desk(embedded_broker, topic_prefix, tmp_path, SETTINGS)
    desk.create()
    nothing = asyncio.run(control_topic.read(desk.settings()))
    assert nothing.said_controls() == []
    desk.say(CART, ACK)
    desk.send("control", (b"maintenance/broken", b"{nonsense"))
    found = asyncio.run(control_topic.read(desk.settings()))
    assert (found.live, found.broken, found.control().complete) == ((), (), True)
    assert [one.what for one in found.said] == [CART, ACK]
    assert [control.complete for control in found.said_controls()] == [False, False]
    desk.say(forget=("silence/s1", "order/inc-1/o1", "maintenance/broken"))
    gone = asyncio.run(control_topic.read(desk.settings()))
    assert gone.said == ()
    assert gone.said_controls() == [SaidControl(6, (), complete=True)]
