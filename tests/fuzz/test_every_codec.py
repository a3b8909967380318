"""Every codec of the registry gets damaged and hostile messages: nothing is raised, lost, or out of proportion."""

import random
import sys
import tracemalloc
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.codecs import registry
from tests.fuzz.damage import PIECES, damaged, hostile
from tests.fuzz.feeding import CONFIG, Sent, feed
from tests.fuzz.seeds import CODECS, HEADERS, SEEDS

every_format = pytest.mark.parametrize("name", CODECS)
#: Bytes of a hostile message, and of a smaller one to compare with.
LARGE, SMALL = 32_000, 8_000
#: Memory that decoding may take: for each byte of the message, and whatever the message.
PER_BYTE, AT_LEAST = 200, 2_000_000
#: Calls that any message may take, before they must be in proportion to its size.
FEW_CALLS = 2_000
#: Record times that a producer may claim, in milliseconds: any 64-bit number is carried by Kafka.
TIMES_MS = (-1, 0, 1, 1_767_225_600_000, 4_102_444_800_000, -(2**62), 2**62)


def test_every_codec_of_the_registry_has_seeds() -> None:
    tables = {name: table for name, table in vars(registry).items() if name.endswith("_CODECS")}
    assert {name for table in tables.values() for name in table} == CODECS.keys() == SEEDS.keys()


@every_format
def test_seeds_are_read_whole(name: str) -> None:
    for seed in SEEDS[name]:
        assert CODECS[name](CONFIG.limits).decode([Sent(seed)]).rejections == []
        feed(name, Sent(seed))


@every_format
@given(rng=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_messages_are_read_or_stand_whole_in_a_dead_letter(name: str, rng: random.Random) -> None:
    headers = [(key, rng.choice((value, None, rng.choice(PIECES)))) for key, value in HEADERS]
    chosen = rng.choice(((), HEADERS, headers))
    feed(name, Sent(damaged(SEEDS[name], rng), chosen, rng.choice(TIMES_MS)))


@every_format
@pytest.mark.parametrize("value", [None, b"", *PIECES], ids=repr)
def test_pieces_of_formats_are_read_or_refused(name: str, value: bytes | None) -> None:
    feed(name, Sent(value))


@every_format
def test_messages_of_other_formats_are_read_or_refused(name: str) -> None:
    for seeds in SEEDS.values():
        for seed in seeds:
            feed(name, Sent(seed))


@cache
def prepared(name: str) -> tuple[tuple[str, bytes, bytes], ...]:
    """What it is, a large one, a small one."""
    feed(name, Sent(SEEDS[name][0]))  # compiled and imported
    small = dict(hostile(SEEDS[name], SMALL))
    return tuple((label, value, small[label]) for label, value in hostile(SEEDS[name], LARGE))


@every_format
def test_hostile_messages_are_read_or_stand_whole_in_a_dead_letter(name: str) -> None:
    for label, large, _ in prepared(name):
        try:
            feed(name, Sent(large))
        except Exception as error:
            error.add_note(f"fed with {label}")
            raise


@every_format
def test_memory_is_in_proportion_to_the_message(name: str) -> None:
    for label, large, _ in prepared(name):
        peak = _peak(lambda value=large: CODECS[name](CONFIG.limits).decode([Sent(value)]))
        assert peak <= AT_LEAST + PER_BYTE * len(large), f"{label}: {peak} bytes for a message of {len(large)}"


@every_format
def test_work_is_in_proportion_to_the_message(name: str) -> None:
    """Calls of functions, not time: what takes four times the bytes takes no more than about four times the calls."""
    for label, large, small in prepared(name):
        calls = [
            _calls(lambda value=each: CODECS[name](CONFIG.limits).decode([Sent(value)])) for each in (large, small)
        ]
        most = FEW_CALLS + 1.5 * calls[1] * len(large) / len(small)
        assert calls[0] <= most, f"{label}: {calls} calls for messages of {len(large)} and {len(small)} bytes"


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _calls(work: Callable[[], object]) -> int:
    number = 0

    def count(*_: object) -> None:
        nonlocal number
        number += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return number
