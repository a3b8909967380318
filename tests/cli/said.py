"""Incidents as a worker writes them, put on the topics without one, for verbs that look at incidents."""

import asyncio
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.settings import load
from pipeline.streams import control_topic
from pipeline.streams.control_topic import Everything
from tests.cli.person import invoke

ONSET = "2026-01-31T14:00:00.000000Z"


def member(anomaly: str, workload: str, number: int) -> dict[str, Any]:
    return {
        "anomaly_id": anomaly,
        "signal": {
            "id": f"{number:016x}",
            "name": "latency",
            "unit": "ms",
            "kind": "gauge",
            "workload": workload,
            "instance": "pod-1",
            "attributes": {"route": "/pay"},
        },
        "observed": 90.0,
        "expected": {"value": 20.0, "lower": 15.0, "upper": 25.0},
        "surprise": 9.0,
        "onset_time": ONSET,
        "peak_time": ONSET,
        "end_time": None,
        "joined_by": "first member",
        "why": "it was unlikely",
    }


def incident(id_: str, *members: dict[str, Any], state: str = "open", **changes: Any) -> dict[str, Any]:
    body = {
        "id": id_,
        "dedup_key": id_,
        "revision": 1,
        "transition": "opened",
        "state": state,
        "scope": "production",
        "title": f"trouble of {id_}",
        "severity": "error",
        "onset_time": ONSET,
        "detected_time": ONSET,
        "updated_time": ONSET,
        "resolved_time": None,
        "close_reason": None,
        "acknowledged_by": None,
        "by": None,
        "comment": None,
        "merged_into": None,
        "split_from": None,
        "member_count": len(members),
        "ended_count": 0,
        "members": list(members),
        "affected": [],
        "changes": [],
        "events": [],
    }
    return body | changes


@dataclass(frozen=True)
class Desk:
    """A set of topics of its own, and a person at a shell."""

    settings: Mapping[str, str]

    def run(self, *arguments: str, sent: bytes | None = None) -> subprocess.CompletedProcess[str]:
        return invoke(self.settings, *arguments, sent=sent)

    def done(self, *arguments: str) -> str:
        """What is printed, where it goes well."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, code: int, *arguments: str) -> str:
        """What is said on one line, without the frame, where it does not."""
        done = self.run(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return re.sub(r"\s+", " ", done.stderr.replace("│", " "))

    def tell(self, *bodies: dict[str, Any]) -> None:
        """Transitions of incidents, as the workers write them."""
        asyncio.run(self._send([("incidents", body) for body in bodies] + [("incidents.state", b) for b in bodies]))

    def said(self) -> Everything:
        broker = {"bootstrap": self.settings["CALMSTREAM_BROKER__BOOTSTRAP"]}
        settings = load(overrides={"topic_prefix": self.settings["CALMSTREAM_TOPIC_PREFIX"], "broker": broker})
        return asyncio.run(control_topic.read(settings))

    def whats(self) -> list[Any]:
        return [one.what for one in self.said().said]

    async def _send(self, records: list[tuple[str, dict[str, Any]]]) -> None:
        prefix = self.settings["CALMSTREAM_TOPIC_PREFIX"]
        async with AIOKafkaProducer(bootstrap_servers=self.settings["CALMSTREAM_BROKER__BOOTSTRAP"]) as producer:
            for topic, body in records:
                await producer.send_and_wait(prefix + topic, json.dumps(body).encode(), str(body["id"]).encode())

    def write(self, topic: str, key: bytes, value: bytes | None) -> None:
        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.settings["CALMSTREAM_BROKER__BOOTSTRAP"]) as producer:
                await producer.send_and_wait(self.settings["CALMSTREAM_TOPIC_PREFIX"] + topic, value, key)

        asyncio.run(send())
