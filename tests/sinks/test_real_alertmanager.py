"""The real Alertmanager receives, groups and resolves our alerts; its own API is asked.

Debian's package is ``prometheus-alertmanager``; ``ALERTMANAGER`` names a binary elsewhere. Skipped where there is none.
"""

import asyncio
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import SinkSettings
from pipeline.sinks.alertmanager import Alertmanager
from pipeline.sinks.protocol import Answer, Delivered, Message, moment
from pipeline.streams.broker_process import free_port
from pipeline.streams.destinations import Sender
from tests.docs.pages import code
from tests.sinks.made import incident

BINARY = os.environ.get("ALERTMANAGER") or shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
DEADLINE_SECONDS = 30


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with the configuration of docs/sinks.md."""
    if not BINARY:
        pytest.skip("there is no Alertmanager here: install Debian's package prometheus-alertmanager")
    (snippet,) = code("sinks.md", "yaml alertmanager")
    (tmp_path / "alertmanager.yml").write_text(snippet.replace("group_wait: 10s", "group_wait: 0s"))
    port = free_port()
    command = [BINARY, f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + DEADLINE_SECONDS
        while not _answers(address):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, (tmp_path / "log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v2/{path}", timeout=10) as answer:
        return json.load(answer)


def send(url: str, message: Message | None) -> Answer:
    async def sent() -> Answer:
        sink = SinkSettings(name="alerts", type="alertmanager", url=url)
        async with Sender(sink, None) as sender:
            assert message is not None
            answer = await sender.send(message)
            assert isinstance(answer, Answer)
            return answer

    return asyncio.run(sent())


def test_it_receives_groups_keeps_the_fingerprint_renews_and_resolves(url: str) -> None:
    now = time.time()
    to = Alertmanager(url)
    onset = {"onset_time": moment(now - 60), "updated_time": moment(now - 1)}
    first, other = incident("a", **onset), incident("b", **onset)
    outcome = to.judge(send(url, to.tell(first, {}, now)), first, {})
    assert isinstance(outcome, Delivered)
    assert send(url, to.tell(other, {}, now)).status == 200
    before = {alert["labels"]["incident"]: alert for alert in ask(url, "alerts")}
    assert before.keys() == {"a", "b"}
    worse = incident("a", 2, "updated", severity="critical", title="worse", **onset)
    assert send(url, to.tell(worse, outcome.kept, now)).status == 200
    assert send(url, to.renew([outcome.kept], now + 300)).status == 200
    after = {alert["labels"]["incident"]: alert for alert in ask(url, "alerts")}
    assert after["a"]["fingerprint"] == before["a"]["fingerprint"]
    assert after["a"]["endsAt"] > before["a"]["endsAt"]
    until = time.monotonic() + DEADLINE_SECONDS
    while not (groups := [group for group in ask(url, "alerts/groups") if len(group["alerts"]) == 2]):
        assert time.monotonic() < until
    assert groups[0]["labels"] == {"alertname": "CalmstreamIncident", "scope": "prod"}
    ended = incident("a", 3, "resolved", **onset) | {"resolved_time": moment(now - 1)}
    assert send(url, to.tell(ended, outcome.kept, now)).status == 200
    assert {alert["labels"]["incident"] for alert in ask(url, "alerts?active=true")} == {"b"}
