"""Policies applied while a worker runs, on either broker: the next anomalies carry them, whatever is killed."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.codecs import policy_event
from pipeline.streams.broker_process import BrokerProcess
from tests.cli.person import calmstream, invoke
from tests.kafka.server import KafkaServer
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

SETTINGS = {
    "BROKER__IDEMPOTENCE": "if-available",
    "DETECTION__HARD_UPPER": "1000",
    "DETECTION__MIN_ABSOLUTE": "1e9",
}
CALM, TROUBLE = 30, 4


class Shop(OneSignal):
    """One signal that is in trouble now and then."""

    def trouble(self, number: int) -> None:
        """The next episode: some calm windows, some that are far off, and calm again until it has ended."""
        first = (CALM + TROUBLE + 6) * number
        values = [50 + i % 3 for i in range(CALM)] + [5000] * TROUBLE + [50 + i % 3 for i in range(6)]
        self.send("points", *((None, self.point(first + i, value)) for i, value in enumerate(values)))

    def point(self, number: int, value: float) -> bytes:
        attributes = {"service.name": "shop", "owner": "pay"}
        return json.dumps(
            {"ts": self.start + 5 * number, "name": "load", "value": value, "attributes": attributes}
        ).encode()

    def anomalies(self) -> dict[tuple[str, int], dict[str, Any]]:
        """By id and revision; a repeat must be the same again."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for record in self.read("anomalies"):
            if record.value is not None:
                body = json.loads(record.value)
                assert found.setdefault((body["id"], body["revision"]), body) == body
        return found

    def wait_ended(self, worker: WorkerProcess, episodes: int) -> list[str]:
        """Wait until so many episodes have ended; the policies that each was opened with, by name."""

        def ended() -> bool:
            return sum(body["transition"] == "ended" for body in self.anomalies().values()) >= episodes

        worker.wait_until(ended, f"done with {episodes} episodes")
        opened = [body for body in self.anomalies().values() if body["transition"] == "opened"]
        versions = [body["policy"]["version"] for body in sorted(opened, key=lambda body: str(body["onset_time"]))]
        return ["+".join(part.partition("@")[0] for part in version.split("+")) for version in versions]

    def policy(self, *arguments: str) -> str:
        done = invoke(self.environment(), "policy", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_told(self, worker: WorkerProcess, offset: int) -> None:
        """Wait until the change at this offset of ``control`` is in the log of the values."""

        def told() -> bool:
            controls = [r for r in self.read("signals") if policy_event.is_control(r.headers)]
            return any(policy_event.decode_control(record.value).end > offset for record in controls)

        worker.wait_until(told, f"told of the change at offset {offset}")


def written(path: Path, name: str, **changes: Any) -> str:
    path.write_text(json.dumps({"name": name, "match": ["owner=pay"], "detection": changes}))
    return str(path)


def test_a_policy_that_is_applied_live_is_carried_by_the_next_anomalies(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    """And a crash right after it was applied neither loses nor doubles it, nor what is done while no worker runs; a
    replay of the log sees the same."""
    shop = Shop(broker, topic_prefix, tmp_path, SETTINGS)
    shop.create()
    first, second = (written(tmp_path / f"{name}.json", name, close_windows=3) for name in ("first", "second"))
    with shop.worker() as worker:
        shop.trouble(0)
        assert shop.wait_ended(worker, 1) == ["default"]

        shop.policy("apply", first)
        shop.wait_told(worker, 0)
        shop.trouble(1)
        assert shop.wait_ended(worker, 2) == ["default", "first+default"]

        shop.policy("apply", second)
        worker.kill()
        shop.policy("remove", "first")
        shop.send("control", (b"policy/broken", b"{nonsense"))
        worker.start().wait_ready()
        shop.wait_told(worker, 2)
        shop.trouble(2)
        assert shop.wait_ended(worker, 3)[2:] == ["second+default"]
        worker.wait_until(lambda: len(shop.read("dead-letter")) == 1, "done with what is no policy")

    (letter,) = shop.read("dead-letter")
    assert (letter.key, letter.value) == (b"policy/broken", b"{nonsense")
    assert dict(letter.headers)["calm_reason"] == b"bad_policy"
    out = tmp_path / "anomalies.jsonl"
    done = calmstream(shop.environment(), "replay", "--from-topic", f"{topic_prefix}signals", "--anomalies", str(out))
    assert done.returncode == 0, done.stderr
    replayed = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(body["id"], body["revision"]): body for body in replayed} == shop.anomalies()


def test_workers_with_a_role_each_know_policies_that_were_applied_before_they_began(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    """Their agents share a consumer group, though each reads a topic of its own."""
    shop = Shop(kafka, topic_prefix, tmp_path, SETTINGS)
    shop.create()
    shop.policy("apply", written(tmp_path / "early.json", "early", close_windows=3))
    workers = [shop.worker("--roles", role, name=role) for role in ("ingest", "score", "correlate")]
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        for worker in workers:
            worker.wait_ready()
        score, correlate = workers[1:]
        shop.wait_told(score, 0)
        shop.trouble(0)
        assert shop.wait_ended(score, 1) == ["early+default"]
        assert score.metrics()['calmstream_notices_total{reason="policies_changed",role="score"}'] == 1
        correlate.wait_until(lambda: len(shop.read("incidents.state")) > 0, "done with the incident's state")
