"""Several files at once, each in a process of its own.

Guarantee: results come in the order of what was given, and are the same with any number of processes. No more than two
files a process are read ahead of the results.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


def in_order(function: Callable[[Given], Result], given: Iterable[Given], jobs: int) -> Iterator[Result]:
    """``map(function, given)`` in ``jobs`` processes; in this one when ``jobs`` is 1."""
    if jobs <= 1:
        yield from map(function, given)
        return
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for one in given:
                waiting.append(pool.submit(function, one))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
