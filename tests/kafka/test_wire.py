"""A wire that is cut tells nobody anything, and delivers everything when it is whole again."""

import re
import socket
from collections.abc import Iterator

import pytest

from pipeline.streams.broker_process import LOOPBACK
from tests.kafka.wire import Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(watch=re.compile(rb"<\w+>")) as wire:
        yield wire


@pytest.fixture
def server(wire: Wire) -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, wire.to_port)) as listening:
        listening.settimeout(30)
        yield listening


def connect(wire: Wire, seconds: float = 30.0) -> socket.socket:
    return socket.create_connection((LOOPBACK, wire.port), timeout=seconds)


def receive(one: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (data := one.recv(count - len(found))):
        found += data
    return found


def test_what_is_sent_while_it_is_cut_comes_when_it_is_whole_again(wire: Wire, server: socket.socket) -> None:
    with connect(wire) as near, server.accept()[0] as far:
        near.sendall(b"one")
        assert receive(far, 3) == b"one"
        wire.cut()
        near.sendall(b"two")
        far.sendall(b"three")
        for each in (near, far):
            each.settimeout(0.3)
            with pytest.raises(TimeoutError):
                each.recv(1)
            each.settimeout(30)
        wire.mend()
        assert receive(far, 3) == b"two"
        assert receive(near, 5) == b"three"


def test_ends_are_not_told_while_it_is_cut(wire: Wire, server: socket.socket) -> None:
    near = connect(wire)
    with near, server.accept()[0] as far:
        far.sendall(b"x")
        assert receive(near, 1) == b"x"
        wire.cut()
        near.sendall(b"last words")
        near.close()
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(1)
        far.settimeout(30)
        wire.mend()
        assert receive(far, 100) == b"last words"


def test_who_connects_while_it_is_cut_waits(wire: Wire, server: socket.socket) -> None:
    wire.cut()
    with pytest.raises(TimeoutError):
        connect(wire, 0.5)
    wire.mend()
    with connect(wire) as near:
        near.sendall(b"x")
        connections = [server.accept()[0]]
        while not (data := receive(connections[-1], 1)):  # what only asked, and has gone
            connections.append(server.accept()[0])
        assert data == b"x"
        for each in connections:
            each.close()


def test_it_cuts_itself_where_it_is_told_to(wire: Wire, server: socket.socket) -> None:
    wire.cut_when = lambda seen: len(seen) == 2
    with connect(wire) as near, server.accept()[0] as far:
        near.sendall(b"<one>")
        assert receive(far, 5) == b"<one>"
        near.sendall(b"<tw")
        assert receive(far, 3) == b"<tw"
        near.sendall(b"o> and more")
        assert wire.was_cut.wait(30)
        assert wire.seen == [b"<one>", b"<two>"]
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(1)
