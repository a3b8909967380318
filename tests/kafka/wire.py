"""A TCP wire to a server on loopback, which can be cut as a network is: nothing is closed, and packets vanish.

Guarantee: while it is cut, nothing comes through in either direction, no end of a connection is told, and who connects
waits for an answer. Whole again, it delivers what was on its way, as TCP does, which sends everything again until it is
acknowledged; also what somebody sent who has ended meanwhile.
"""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

from pipeline.streams.broker_process import LOOPBACK, free_port

_CHUNK = 16 * 1024
_CALL_SECONDS = 30.0
#: Bytes of what is looked for, at most.
_LONGEST_FIND = 256


class Wire:
    """Listens on ``port`` and passes what comes to ``to_port``, where a server is to listen; both on loopback.

    ``watch``: what to look for in what goes to the server; what was found, in order, stands in ``seen``. ``cut_when``:
    asked after each find, before it is passed on; once it says yes the wire cuts itself. ``was_cut`` tells that.
    """

    def __init__(self, *, watch: re.Pattern[bytes] | None = None) -> None:
        self.port, self.to_port = free_port(), free_port()
        self.seen: list[bytes] = []
        self.cut_when: Callable[[list[bytes]], bool] = lambda seen: False
        self.was_cut = threading.Event()
        self._watch = watch
        self._listening = socket.create_server((LOOPBACK, self.port))
        self._listening.setblocking(False)
        self._in_the_way: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=f"wire to {self.to_port}", daemon=True)

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._whole.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        for each in (self._listening, *self._in_the_way):
            each.close()

    def cut(self) -> None:
        """From now on packets vanish."""
        self._call(self._cut)

    def mend(self) -> None:
        """It is whole again."""
        self._call(self._mend)

    # -- in its thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.add_reader(self._listening, self._accept)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _call(self, what: Callable[[], None]) -> None:
        async def called() -> None:
            what()

        asyncio.run_coroutine_threadsafe(called(), self._loop).result(_CALL_SECONDS)

    def _cut(self) -> None:
        self._whole.clear()
        self.was_cut.set()
        # With nobody who accepts and its queue full, the system drops what asks for a connection.
        self._loop.remove_reader(self._listening)
        self._listening.listen(0)
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((LOOPBACK, self.port))
            self._in_the_way.append(one)

    def _mend(self) -> None:
        for one in self._in_the_way:
            one.close()
        self._in_the_way.clear()
        self._listening.listen(128)
        self._loop.add_reader(self._listening, self._accept)
        self._whole.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listening.accept()
            near.setblocking(False)
            self._start(self._connect(near))

    async def _connect(self, near: socket.socket) -> None:
        far = socket.socket()
        far.setblocking(False)
        with near, far:
            await self._whole.wait()
            try:
                await self._loop.sock_connect(far, (LOOPBACK, self.to_port))
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(near, far, self._look))
                    both.create_task(self._pass(far, near, None))
            except* OSError:
                pass  # one of them is gone, and the other is told when this closes it

    async def _pass(
        self, one: socket.socket, other: socket.socket, look: Callable[[bytes, bytes], None] | None
    ) -> None:
        """Until it ends, which is passed on too."""
        before = b""
        while True:
            try:
                data = await self._loop.sock_recv(one, _CHUNK)
            except OSError:
                data = b""
            if look is not None:
                look(before, data)
                before = (before + data)[-_LONGEST_FIND:]
            await self._whole.wait()
            if not data:
                other.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(other, data)

    def _look(self, before: bytes, data: bytes) -> None:
        """What ends in ``data`` is new."""
        if self._watch is None:
            return
        for found in self._watch.finditer(before + data):
            if found.end() > len(before):
                self.seen.append(found[0])
                if self._whole.is_set() and self.cut_when(self.seen):
                    self._cut()
