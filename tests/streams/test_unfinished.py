"""What a process that does not end waits for: said from another thread, whatever its loop does, in few lines."""

import asyncio
import threading

from pipeline.streams import unfinished


class Service:
    """Waits for ever, two calls deep."""

    async def stop(self) -> None:
        await self._flush()

    async def _flush(self) -> None:
        await asyncio.Event().wait()


async def wait() -> None:
    await asyncio.Event().wait()


async def _told() -> list[str]:
    loop = asyncio.get_running_loop()
    await asyncio.wait([loop.create_future()], timeout=0)  # every task has come to where it waits
    lines = await asyncio.to_thread(unfinished.told, [loop])
    return [line for line in lines if not line.startswith("the event loop")]  # it may still be at starting the thread


def test_first_stands_what_stops_and_where_it_waits_innermost_first() -> None:
    async def said() -> list[str]:
        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        stop = asyncio.create_task(Service().stop(), name=unfinished.stopping("a service"))
        anonymous = asyncio.create_task(Service().stop())
        lines = await _told()
        for task in (*waiting, stop, anonymous):
            task.cancel()
        return lines

    anonymous, named, *others = asyncio.run(said())
    assert anonymous.startswith("Service: stop, at tests/streams/test_unfinished.py:")
    assert named.startswith("stop of a service, at tests/streams/test_unfinished.py:")
    assert " _flush < tests/streams/test_unfinished.py:" in named
    assert named.endswith(" stop")
    assert any(line.startswith("3 × wait, at tests/streams/test_unfinished.py:") for line in others)


def test_the_lines_are_bounded_however_many_tasks_there_are() -> None:
    async def said() -> list[str]:
        waiting = [asyncio.create_task(wait(), name=f"number {number} " + "x" * 1000) for number in range(500)]
        lines = await _told()
        for task in waiting:
            task.cancel()
        return lines

    lines = asyncio.run(said())
    assert unfinished.MOST_LINES - 1 <= len(lines) <= unfinished.MOST_LINES
    assert lines[-1].endswith(" kinds of tasks more")
    assert max(map(len, lines)) < 500


def test_where_a_loop_is_busy_is_said() -> None:
    lines: list[str] = []

    async def busy() -> None:
        loop, done = asyncio.get_running_loop(), threading.Event()

        def tell() -> None:
            lines.extend(unfinished.told([loop]))
            done.set()

        threading.Thread(target=tell).start()
        done.wait(60)

    asyncio.run(busy())
    assert lines[0].startswith("the event loop, which is busy with ")
    assert " busy" in lines[0]
    assert "tests/streams/test_unfinished.py:" in lines[0]


def test_only_the_first_few_names_are_said() -> None:
    assert unfinished.some(["b", "a"]) == "a, b"
    assert unfinished.some([f"{number}" for number in range(8)]) == "0, 1, 2, 3, 4 and 3 more"
