"""The worker's own endpoints against whoever should not read them, and against whoever wants to hold them up."""

import base64
import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from prometheus_client import Gauge

from pipeline.settings import ConfigurationError, HttpSettings, load
from pipeline.streams.broker_process import LOOPBACK
from pipeline.streams.endpoints.pages import PATHS
from pipeline.streams.exits import Exit, WorkerExit
from tests.security.serving import Serving, everything, on, seconds_until_over, serving

TOKEN = "t0ken-that-nobody-guesses"
PASSWORD = "pässword: with a colon"


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def open_() -> Iterator[Serving]:
    """Without credentials, as it is shipped."""
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With both kinds of credentials, from files."""
    directory = tmp_path_factory.mktemp("secrets")
    (directory / "token").write_text(f"{TOKEN}\n")
    (directory / "password").write_text(PASSWORD)
    files = {"token_file": str(directory / "token"), "password_file": str(directory / "password")}
    with serving(username="prometheus", **files) as served:
        yield served


# -- what is answered -----------------------------------------------------------------------------------------------


def test_each_of_the_four_is_answered_and_nothing_else(open_: Serving) -> None:
    assert open_.get("/live").status == 200
    assert json.loads(open_.get("/live").body) == {"live": True}
    ready = open_.get("/ready")
    assert ready.status == 503, "no role has its partitions"
    assert json.loads(ready.body)["roles"]["ingest"] is False
    assert json.loads(ready.body)["catching_up"] == []
    assert b"calmstream_http_refused_total" in open_.get("/metrics").body
    assert json.loads(open_.get("/config").body)["topic_prefix"] == "calm."
    for path in (
        "/",
        "/live/",
        "//live",
        "/Live",
        "/router",
        "/graph",
        "/stats",
        "/../config",
        "/%00",
        "/live%0d%0aX: y",
    ):
        assert open_.get(path).status in (400, 404), path


def test_a_query_changes_nothing(open_: Serving) -> None:
    assert open_.get("/live?x=1").status == 200


def test_head_is_get_without_a_body(open_: Serving) -> None:
    for path in PATHS:
        head = open_.get(path, method="HEAD")
        assert head.body == b""
        assert head.status == open_.get(path).status
        assert int(head.header("content-length")) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(open_: Serving, method: str) -> None:
    answer = open_.get("/metrics", method=method)
    assert answer.status == 405
    assert answer.header("allow") == "GET, HEAD"
    assert answer.body == b"Method Not Allowed\n"


def test_every_answer_forbids_a_browser_everything_and_names_no_version(open_: Serving) -> None:
    answers = [open_.get(path) for path in (*PATHS, "/nothing")]
    answers += [open_.get("/live", method="POST"), open_.send(b"\x16\x03\x01 no HTTP at all\r\n\r\n")]
    answers.append(open_.get("/live", "X: " + "x" * open_.settings.http.max_header_bytes))
    assert [answer.status for answer in answers] == [200, 503, 200, 200, 404, 405, 400, 431]
    for answer in answers:
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("cache-control") == "no-store"
        assert answer.header("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("server") == "calmstream"
        assert answer.header("connection") == "close"
        assert answer.status == 200 or len(answer.body) < 200
    for answer in answers[4:]:
        assert len(answer.body.split()) <= 5, "what HTTP has to say, and nothing of the inside"


RUBBISH = [
    b"BREW /live HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /live\r\n\r\n",
    b"GET /live HTTP/9.9\r\n\r\n",
    b"GET /live HTTP/1.1\r\nNo colon\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /live HTTP/1.1\r\nHost: \xff\xfe\r\nX: a\x00b\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET http://[::1/live HTTP/1.1\r\nHost: [::1\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def test_rubbish_gets_a_short_answer_and_the_endpoints_go_on(open_: Serving) -> None:
    for rubbish in RUBBISH:
        with open_.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(rubbish)
                connection.shutdown(socket.SHUT_WR)
            said = everything(connection)
        for word in (b"Traceback", b"aiohttp", b"python", b"Python", b"Error", b"/usr", b"site-packages"):
            assert word not in said, rubbish
        assert said == b"" or said.split(b" ")[1] in (b"200", b"400", b"404", b"405", b"408", b"431"), rubbish
    assert open_.get("/live").status == 200


def test_one_connection_brings_one_request(open_: Serving) -> None:
    request = f"GET /live HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode()
    assert open_.send(request * 50).raw.count(b"HTTP/1.1 200") == 1


def test_a_page_in_a_browser_cannot_read_by_a_name_of_its_own(open_: Serving) -> None:
    before = open_.refused("foreign_host")
    for host in ("evil.example", "evil.example:6066", "127.0.0.1.evil.example.", "[::1].evil.example"):
        for path in ("/metrics", "/config"):
            status = open_.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status
            assert status == 421 or (status == 400 and host.startswith("[")), host
    assert open_.refused("foreign_host") >= before + 6
    for host in ("localhost:6066", "127.0.0.1", "[::1]:6066", "worker", "worker.localhost"):
        assert open_.send(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == 200, host
    assert open_.send(b"GET /metrics HTTP/1.0\r\n\r\n").status == 200


# -- credentials ----------------------------------------------------------------------------------------------------


def test_probes_need_no_credentials_and_hear_no_more_than_yes_or_no(closed: Serving) -> None:
    assert json.loads(closed.get("/live").body) == {"live": True}
    ready = closed.get("/ready")
    assert (ready.status, json.loads(ready.body)) == (503, {"ready": False})


@pytest.mark.parametrize("path", ["/metrics", "/config"])
def test_without_credentials_the_rest_is_refused_and_both_kinds_are_named(closed: Serving, path: str) -> None:
    before = closed.refused("no_credentials")
    answer = closed.get(path)
    assert (answer.status, answer.body) == (401, b"Unauthorized\n")
    assert answer.header("www-authenticate") == ('Bearer realm="calmstream", Basic realm="calmstream", charset="UTF-8"')
    assert closed.refused("no_credentials") == before + 1


RIGHT = [f"Authorization: Bearer {TOKEN}", f"authorization: bearer {TOKEN}", basic("prometheus", PASSWORD)]


@pytest.mark.parametrize("right", RIGHT)
def test_either_kind_of_credentials_opens_the_rest(closed: Serving, right: str) -> None:
    assert b"calmstream_http_refused_total" in closed.get("/metrics", right).body
    assert closed.get("/config", right).status == 200


WRONG = [
    "Authorization: Bearer",
    "Authorization: Bearer ",
    f"Authorization: Bearer {TOKEN}x",
    f"Authorization: Bearer {TOKEN[:-1]}",
    f"Authorization: Bearer {TOKEN.upper()}",
    f"Authorization: {TOKEN}",
    f"Authorization: Token {TOKEN}",
    f"Authorization: Basic {TOKEN}",
    "Authorization: Basic",
    "Authorization: Basic !!!",
    "Authorization: Bearer \x80\xff",
    basic("prometheus", ""),
    basic("", PASSWORD),
    basic("Prometheus", PASSWORD),
    basic("prometheus", PASSWORD + " "),
    basic("prometheus:" + PASSWORD, ""),
]


def test_wrong_credentials_are_refused_and_counted(closed: Serving) -> None:
    before = closed.refused("wrong_credentials")
    for wrong in WRONG:
        assert closed.get("/metrics", wrong).status == 401, wrong
    assert closed.refused("wrong_credentials") == before + len(WRONG)


def test_config_shows_what_is_in_force_and_no_secret(closed: Serving) -> None:
    body = closed.get("/config", RIGHT[0]).body
    http = json.loads(body)["http"]
    assert http["username"] == "prometheus"
    assert http["token_file"] == closed.settings.http.token_file
    assert (http["token"], http["password"]) == ("", ""), "they are in files"
    assert TOKEN.encode() not in body
    with serving(token=TOKEN, username="p", password=PASSWORD) as served:
        body = served.get("/config", RIGHT[0]).body
    http = json.loads(body)["http"]
    assert (http["token"], http["password"], http["tls_key_password"]) == ("***", "***", "")
    assert TOKEN.encode() not in body
    assert b"ssword: with" not in body


def test_credentials_in_clear_text_for_other_machines_are_refused_at_start() -> None:
    for given in ({"token": "x"}, {"username": "x", "password": "y"}):
        with pytest.raises(ConfigurationError, match=r"would come in clear text to 0\.0\.0\.0"):
            load(overrides={"http": {"host": "0.0.0.0", **given}})


# -- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(directory / "certificate.pem"), append=True)
    return {
        "tls_certificate_file": str(directory / "certificate.pem"),
        "tls_key_file": str(directory / "key.pem"),
    }


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_is_spoken_in_1_2_and_1_3_and_in_nothing_older(authority: trustme.CA, certificate: dict[str, str]) -> None:
    with serving(token=TOKEN, **certificate) as served:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(authority)
            context.minimum_version = context.maximum_version = version
            assert served.get("/metrics", RIGHT[0], context=context).status == 200
        assert served.get("/metrics", context=trusting(authority)).status == 401
        old = trusting(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")  # so that it is they who refuse, not we
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            served.get("/live", context=old)
        assert served.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").body == b"", "no clear text beside it"
        assert served.get("/live", context=trusting(authority)).status == 200
        assert served.refused("tls") >= 2


def test_a_handshake_that_does_not_go_on_is_cut_off(authority: trustme.CA, certificate: dict[str, str]) -> None:
    with serving(request_timeout_seconds=1, max_connections=2, **certificate) as served:
        with served.connect() as silent, served.connect() as half:
            half.sendall(b"\x16\x03\x01\x02\x00")
            with served.connect() as third:
                assert everything(third) == b"", "those in a handshake count as connections"
            assert seconds_until_over(silent) < 30
            assert seconds_until_over(half) < 30
        assert served.refused("tls") == 2
        assert served.refused("connections") == 1
        assert served.get("/live", context=trusting(authority)).status == 200


def test_a_certificate_that_cannot_be_used_is_refused_at_start(certificate: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    missing = {**certificate, "tls_key_file": str(tmp_path / "missing.pem")}
    no_pem = {**certificate, "tls_key_file": str(tmp_path / "no.pem")}
    for wrong, said in ((missing, "No such file or directory"), (no_pem, "both must be PEM")):
        with pytest.raises(WorkerExit, match=said) as refused, serving(**wrong):
            pass
        assert refused.value.code == Exit.CONFIGURATION
        assert wrong["tls_key_file"] in str(refused.value)


# -- limits ---------------------------------------------------------------------------------------------------------

SHORT = {"request_timeout_seconds": 1.0, "max_header_bytes": 2048, "max_request_bytes": 4096, "max_connections": 5}


@pytest.fixture
def tight() -> Iterator[Serving]:
    with serving(**SHORT) as served:
        yield served


def test_headers_above_the_limit_are_refused_whether_they_end_or_not(tight: Serving) -> None:
    for rest in (b"\r\n\r\n", b""):
        answer = tight.send(b"GET /live HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2048 + rest)
        assert (answer.status, answer.body) == (431, b"Request Header Fields Too Large\n")
    assert tight.send(b"GET /" + b"x" * 5000).status == 431
    assert tight.refused("headers") == 3
    assert tight.get("/live", "X: " + "x" * 1500).status == 200


def test_a_request_above_the_limit_is_refused_whether_it_says_so_or_not(tight: Serving) -> None:
    said = b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    assert tight.send(said).status == 413
    with tight.connect() as connection:
        connection.sendall(b"POST /live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert sent_until_over(connection, b"4000\r\n" + b"x" * 0x4000 + b"\r\n", 500_000_000) < 50_000_000, (
            "no more than what the kernel holds for both of us"
        )
    assert tight.refused("request") == 2


def test_who_sends_nothing_or_byte_by_byte_is_cut_off(tight: Serving) -> None:
    with tight.connect() as silent, tight.connect() as slow:
        slow.settimeout(0.05)
        came = b""
        for byte in b"GET /live HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000:
            try:
                slow.send(bytes([byte]))
                if more := slow.recv(1000):
                    came += more
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert came.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert everything(silent) == b""
    assert tight.refused("time") == 2


def test_who_does_not_take_the_answer_is_cut_off(tight: Serving) -> None:
    large = Gauge(
        "large", "Larger than what the kernel holds for both of us.", ["n"], registry=tight.worker.telemetry.registry
    )
    for number in range(2000):
        large.labels(f"{number}" + "x" * 10_000).set(1)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((LOOPBACK, tight.port))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(2):  # of which at least the second one's time is over later
            with tight.connect() as silent:
                assert everything(silent) == b""
        assert len(everything(connection)) < 20_000_000
    assert tight.refused("time") >= 3  # a busy client may be late to take the empty answers too


def sent_until_over(connection: socket.socket, again: bytes, most: int) -> int:
    """How many bytes it takes before it is cut off."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            sent += connection.send(again)
    return sent


def test_connections_above_the_limit_are_closed_and_those_that_are_over_make_room(tight: Serving) -> None:
    with contextlib.ExitStack() as held:
        first = [held.enter_context(tight.connect()) for _ in range(5)]
        with tight.connect() as one_more:
            assert everything(one_more) == b""
        assert tight.refused("connections") == 1
        for each in first:
            everything(each)
    assert any(tight.get("/live").status == 200 for _ in range(1000)), "as soon as the endpoints know it too"


# -- the start ------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_refused_at_start() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkerExit) as refused, serving(port=port):
            pass
    assert refused.value.code == Exit.CONFIGURATION
    assert f"http.port {port}: the port is in use" in str(refused.value)


def test_a_host_that_is_not_known_or_not_ours_is_refused_at_start() -> None:
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(WorkerExit, match=f"http.host {host}") as refused, serving(host=host):
            pass
        assert refused.value.code == Exit.CONFIGURATION


def test_loopback_is_where_it_listens_unless_told_otherwise() -> None:
    assert HttpSettings().host == LOOPBACK


def test_endpoints_that_fail_while_they_run_end_the_worker() -> None:
    with serving() as served:
        endpoints = served.worker.endpoints
        for listening in endpoints._listener._listening:
            listening.shutdown(socket.SHUT_RDWR)
        served.loop.call_soon_threadsafe(lambda: None)
        with contextlib.suppress(ConnectionError):
            served.connect().close()
        on(served.loop, endpoints._crashed.wait())
        assert endpoints.failure is not None
        assert endpoints.failure.code == Exit.FAILED
        assert "the endpoints can no longer be served" in str(endpoints.failure)
