"""Incidents as they stand on ``calm.incidents``, and a destination on loopback that keeps to the rules of several."""

import base64
import hashlib
import hmac
import http.server
import json
import random
import threading
from collections import Counter
from typing import Any, Self


def incident(name: str = "i1", revision: int = 1, transition: str = "opened", **more: Any) -> dict[str, Any]:
    """An incident after a transition."""
    over = transition in ("resolved", "merged", "withdrawn")
    return {
        "id": name,
        "dedup_key": name,
        "revision": revision,
        "transition": transition,
        "state": transition if over else "acknowledged" if transition == "acknowledged" else "open",
        "severity": "error",
        "severity_reasons": ["felt by users"],
        "scope": "prod",
        "title": f"checkout <!channel> is slow & *{name}*",
        "onset_time": "2026-01-01T00:00:00Z",
        "detected_time": "2026-01-01T00:00:30Z",
        "updated_time": f"2026-01-01T00:{revision % 60:02}:40Z",
        "resolved_time": f"2026-01-01T00:{revision % 60:02}:40Z" if over else None,
        "affected": ["service:shop/checkout"],
        "members": [
            {"signal": {"name": "http.latency", "workload": "service:shop/checkout", "attributes": {"a": "b"}}}
        ],
        "member_count": 1,
        **more,
    }


SECRETS = ("whsec_" + base64.b64encode(b"new secret").decode(), "old secret")


class Receiver:
    """Answers ``/pagerduty``, ``/slack/…`` and ``/hook`` by the rules of these protocols. ``broken``: what it keeps
    the rules against. ``share_lost``: of requests that are answered 503, by a seed; half of them were taken all the
    same, as when an answer gets lost."""

    def __init__(self, *, share_lost: float = 0.0, seed: int = 0) -> None:
        self.broken: list[str] = []
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.hooks: Counter[str] = Counter()
        self.order: list[str] = []
        self.alerts: dict[str, str] = {}
        self.opened: Counter[str] = Counter()
        self.down = False
        self._share, self._dice = share_lost, random.Random(seed)
        self._lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._lock:
                    status, said = receiver._answer(self.path, dict(self.headers), body)
                answer = b"" if status == 204 else json.dumps(said).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "7")
                if status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """It says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, {}
        lost = self._dice.random() < self._share
        if lost and self._dice.random() < 0.5:
            return 503, {}
        form = json.loads(body)
        if path == "/pagerduty":
            answer = self._pagerduty(form, body)
        elif path == "/hook":
            answer = self._hook(headers, body)
        elif path.startswith("/slack/"):
            answer = self._slack(path, headers, form)
        else:
            answer = 429 if path == "/busy" else 400, {}
        self.taken.append((path, form))
        return (503, {}) if lost else answer

    def _wrong(self, what: str) -> tuple[int, dict[str, Any]]:
        self.broken.append(what)
        return 400, {"status": "invalid event", "message": what}

    def _pagerduty(self, event: dict[str, Any], body: bytes) -> tuple[int, dict[str, Any]]:
        if event.get("routing_key") != "R" * 32 or len(body) > 512_000 or not 0 < len(event["dedup_key"]) <= 255:
            return self._wrong("routing key, size or dedup key")
        action, key = event["event_action"], event["dedup_key"]
        if action == "trigger":
            payload = event["payload"]
            if not 0 < len(payload["summary"]) <= 1024 or not payload["source"]:
                return self._wrong("summary or source")
            if payload["severity"] not in ("critical", "error", "warning", "info"):
                return self._wrong("severity")
            if self.alerts.get(key) != "triggered":
                self.opened[key] += 1
            self.alerts[key] = "triggered"
        elif action == "resolve":
            self.alerts[key] = "resolved"
        elif action != "acknowledge":
            return self._wrong("event action")
        return 202, {"status": "success", "dedup_key": key}

    def _hook(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        id_, at = headers["webhook-id"], headers["webhook-timestamp"]
        signed = f"{id_}.{at}.".encode() + body
        for key in (b"new secret", b"old secret"):
            right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            if right not in headers["webhook-signature"].split(" "):
                return self._wrong("signature")
        if not self.hooks[id_]:
            self.order.append(id_)
        self.hooks[id_] += 1
        return 204, {}

    def _slack(self, path: str, headers: dict[str, str], message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if headers.get("Authorization") != "Bearer xoxb":
            return 200, {"ok": False, "error": "invalid_auth"}
        for block in message.get("blocks", ()):
            if len(block["text"]["text"]) > (150 if block["type"] == "header" else 3000):
                self.broken.append("too long")
                return 200, {"ok": False, "error": "invalid_blocks"}
        return 200, {"ok": True, "ts": f"{len(self.taken)}.0", "channel": "C1"}
