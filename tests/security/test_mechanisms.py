"""Every way into Kafka: a whole worker at work by each, and what is said where one of the two refuses the other."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.settings import NOT_SETTINGS, Settings, environment_keys, load
from pipeline.streams.exits import Exit
from tests.security.certificates import KEY_PASSWORD
from tests.security.server import SECRET, USERS, SecureKafka, token
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

WAYS = ("mutual TLS", *USERS)
WRONG = "not the password at all"
Changes = dict[str, str]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)


def settings_of(changes: Changes) -> Settings:
    broker = {name.removeprefix("BROKER__").lower(): value for name, value in changes.items()}
    return load(overrides={"broker": broker | {"request_timeout_seconds": 10}})


def way_in(server: SecureKafka, way: str, directory: Path) -> Changes:
    """Passwords and tokens from files, as they are mounted."""
    if way == "mutual TLS":
        changes = server.as_certificate()
        file = written(directory / "key password", changes.pop("BROKER__TLS_KEY_PASSWORD") + "\n")
        return changes | {"BROKER__TLS_KEY_PASSWORD_FILE": file}
    if way == "OAUTHBEARER":
        return server.with_token(Path(written(directory / "token", token() + "\n")))
    return server.as_user(way) | {"BROKER__PASSWORD_FILE": written(directory / f"{way} password", SECRET + "\n")}


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@dataclass
class Running:
    """Workers by the way in which they came, each with topics of its own, and one with a wrong password."""

    by_way: dict[str, tuple[OneSignal, WorkerProcess]]
    wrong: WorkerProcess


@pytest.fixture(scope="module")
def running(secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Started together, for each start costs seconds."""
    directory = tmp_path_factory.mktemp("workers")
    found: dict[str, tuple[OneSignal, WorkerProcess]] = {}
    with ExitStack() as stack:
        for number, way in enumerate(WAYS):
            one = OneSignal(secure_kafka, f"way{number}.", directory, way_in(secure_kafka, way, directory)).create()
            found[way] = one, one.worker()
        refused = secure_kafka.as_user("SCRAM-SHA-512") | {"BROKER__PASSWORD": WRONG}
        wrong = OneSignal(secure_kafka, "way0.", directory, refused).worker(name="wrong")
        for worker in (*(worker for _, worker in found.values()), wrong):
            stack.callback(worker.kill)
            worker.start()
        yield Running(found, wrong)


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_worker_works(way: str, running: Running) -> None:
    one, worker = running.by_way[way]
    worker.wait_ready(120)
    one.send_points(20)
    one.wait_counted(worker)
    assert worker.stop() == Exit.CLEAN
    assert SECRET not in worker.log()
    assert KEY_PASSWORD not in worker.log()


def test_a_worker_with_a_wrong_password_ends_with_one_clear_line(running: Running) -> None:
    assert running.wrong.wait_end(within_seconds=120) == Exit.REFUSED
    log = running.wrong.log()
    assert "refuses user 'scram512' (SCRAM-SHA-512): Authentication failed" in log
    assert "Traceback" not in log
    assert WRONG not in log
