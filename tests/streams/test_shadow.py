"""Policies that are tried in the shadow of a running worker, which is killed meanwhile, and then promoted."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.codecs import policy_event
from pipeline.policies import Policy
from pipeline.streams.broker_process import BrokerProcess
from tests.cli.person import invoke
from tests.kafka.server import KafkaServer
from tests.streams.test_policies import CALM, SETTINGS, TROUBLE, Shop, written
from tests.worker_process import WorkerProcess

#: The shadow beside the roles that every worker has.
ROLES = ("--roles", "ingest,score,correlate,shadow")
#: Above what is live, and above what the policy in the shadow says only.
FAR, NEAR = 5000.0, 500.0


class Tried(Shop):
    """A shop whose incidents are seen in the shadow too."""

    def episode(self, number: int, high: float) -> None:
        first = (CALM + TROUBLE + 6) * number
        values = [50 + i % 3 for i in range(CALM)] + [high] * TROUBLE + [50 + i % 3 for i in range(6)]
        self.send("points", *((None, self.point(first + i, value)) for i, value in enumerate(values)))

    def incidents(self, topic: str) -> dict[str, list[dict[str, Any]]]:
        """Transitions by id, in the order of their revisions; a repeat must be the same again."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for record in self.read(topic):
            body = json.loads(record.value)
            assert found.setdefault(body["id"], {}).setdefault(body["revision"], body) == body
        return {id_: [told[revision] for revision in sorted(told)] for id_, told in found.items()}

    def wait_resolved(self, worker: WorkerProcess, topic: str, count: int) -> dict[str, list[dict[str, Any]]]:
        def resolved() -> bool:
            return sum(told[-1]["state"] == "resolved" for told in self.incidents(topic).values()) >= count

        worker.wait_until(resolved, f"done with {count} incidents of {topic}")
        found = self.incidents(topic)
        assert len(found) == count
        return found

    def said(self, *arguments: str) -> str:
        done = invoke(self.environment(), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def unmarked(told: list[dict[str, Any]], *, shadow: bool) -> list[dict[str, Any]]:
    assert {body["shadow"] for body in told} == {shadow}
    return [{name: value for name, value in body.items() if name != "shadow"} for body in told]


def test_what_is_tried_is_seen_in_the_shadow_alone_until_it_is_promoted(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    shop = Tried(broker, topic_prefix, tmp_path, SETTINGS | {"INCIDENTS__HABITS": "false"})
    shop.create()
    strict = written(tmp_path / "strict.json", "strict", hard_upper=100, close_windows=3)
    with shop.worker(*ROLES) as worker:
        shop.episode(0, FAR)
        (first,) = shop.wait_resolved(worker, "shadow.incidents", 1)
        both = shop.wait_resolved(worker, "incidents", 1)
        assert unmarked(both[first], shadow=False) == unmarked(shop.incidents("shadow.incidents")[first], shadow=True)

        assert shop.policy("apply", "--shadow", strict).endswith("in 1 partition of the shadow\n")
        shop.wait_told(worker, 0)
        shop.episode(1, NEAR)
        worker.kill()
        worker.start().wait_ready()
        tried = shop.wait_resolved(worker, "shadow.incidents", 2)
        (second,) = tried.keys() - {first}
        assert list(shop.incidents("incidents")) == [first]
        assert json.loads(shop.policy("list", "--shadow", "--json"))["name"] == "strict"
        assert shop.policy("list", "--json") == ""
        assert [line.split()[1] for line in shop.policy("list").splitlines()[1:]] == ["shadow"]
        rows = {line.split()[-1]: line for line in shop.said("incidents", "--shadow").splitlines()}
        assert "the same" in shop.said("incidents", "--shadow")
        assert any(line.rstrip().endswith("only in the shadow") and second in line for line in rows.values())
        shown = shop.said("incidents", "show", "--shadow", second)
        assert "in the shadow: made by policies that are only tried" in shown
        body = json.loads(shop.said("incidents", "--shadow", "--json").splitlines()[0])
        assert (body["id"], body["shadow"]) == (second, True)

        shop.policy("apply", strict)
        shop.policy("remove", "--shadow", "strict")
        shop.wait_told(worker, 2)
        shop.episode(2, NEAR)
        (third,) = shop.wait_resolved(worker, "shadow.incidents", 3).keys() - {first, second}
        assert set(shop.wait_resolved(worker, "incidents", 2)) == {first, third}
        metrics = worker.metrics()
        assert metrics['calmstream_shadow_incidents_total{transition="resolved"}'] >= 1
        assert metrics["calmstream_signals"] == 1
    assert not shop.read("dead-letter")
    assert "shadow-score" in shop.said("state", "inspect", "--role", "shadow-score")
    assert "shadow" not in shop.said("state", "inspect")


def test_what_the_shadow_does_not_have_is_listed(broker: BrokerProcess, topic_prefix: str, tmp_path: Path) -> None:
    """And a shadow of its own process, that begins later, reads what there was."""
    shop = Tried(broker, topic_prefix, tmp_path, SETTINGS | {"INCIDENTS__HABITS": "false"})
    shop.create()
    with shop.worker("--roles", "ingest,score,correlate", name="live") as live:
        shop.episode(0, FAR)
        shop.wait_resolved(live, "incidents", 1)
        shop.policy("apply", "--shadow", written(tmp_path / "lenient.json", "lenient", hard_upper=1e6))
        shop.wait_told(live, 0)
        shop.episode(1, FAR)
        shop.wait_resolved(live, "incidents", 2)
        with shop.worker("--roles", "shadow", name="shadow") as shadow:
            (first,) = shop.wait_resolved(shadow, "shadow.incidents", 1)
    (missing,) = shop.incidents("incidents").keys() - {first}
    above, _, below = shop.said("incidents", "--shadow").partition("Live, and not in the shadow: 1 incident")
    assert first in above
    assert "the same" in above
    assert missing in shop.said("incidents")
    assert "1 incident" in shop.said("incidents", "--shadow")
    assert first not in below


def test_a_shadow_that_begins_with_nothing_knows_what_was_applied_before(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    """Also where no record of it stands in the log that it reads; and when it begins anew."""
    shop = Tried(kafka, topic_prefix, tmp_path, SETTINGS | {"INCIDENTS__HABITS": "false"})
    shop.create()
    asyncio.run(applied_two_days_ago(shop))
    with shop.worker("--roles", "ingest,shadow") as worker:
        shop.episode(0, NEAR)
        shop.wait_resolved(worker, "shadow.incidents", 1)
    assert not any(policy_event.is_control(record.headers) for record in shop.read("signals"))
    shop.said("state", "reset", "--role", "shadow-score", "--yes")
    with shop.worker("--roles", "ingest,shadow") as worker:
        shop.episode(1, NEAR)
        shop.wait_resolved(worker, "shadow.incidents", 2)
    anomalies = [json.loads(record.value) for record in shop.read("shadow.anomalies") if record.value is not None]
    assert {body["policy"]["version"].partition("@")[0] for body in anomalies if "policy" in body} == {"strict"}


async def applied_two_days_ago(shop: Tried) -> None:
    """Longer ago than the log of the values is kept."""
    strict = Policy("strict", (), {"hard_upper": 100.0, "close_windows": 3})
    key, value = policy_event.key_of("strict", shadow=True), policy_event.encode(strict)
    async with AIOKafkaProducer(bootstrap_servers=shop.broker.bootstrap) as producer:
        before_ms = round((time.time() - 2 * 86_400) * 1000)
        await producer.send_and_wait(f"{shop.prefix}control", value, key, partition=0, timestamp_ms=before_ms)
