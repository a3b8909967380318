"""What is told when: a timeline for one destination."""

from typing import Any

from pipeline.sinks.deliveries import POSITION, Deliveries, Renew, Rules, Saved, Tell
from pipeline.sinks.protocol import Summary
from tests.sinks.made import incident

RULES = Rules(rate_per_minute=60, burst=3, summary_after_seconds=100)


def run(deliveries: Deliveries, now: float, state: dict[str, Any] | None = None, most: int = 1000) -> list[str]:
    """Everything that can be told now; ``state`` takes what is saved."""
    told = []
    while len(told) < most and (work := deliveries.next(now)) is not None:
        deliveries.sent(work)
        kept = dict(work.kept) if isinstance(work, Tell) else {}
        for partition, key, value in deliveries.delivered(work, kept, now):
            keep(state, (partition, key, value))
        if isinstance(work, Tell):
            told.append(f"{work.waiting.incident['id']}/{work.waiting.incident['revision']}")
        else:
            told.append(work.text() if isinstance(work, Summary) else "renewal")
    return told


def keep(state: dict[str, Any] | None, saved: Saved) -> None:
    if state is not None and saved[2] is not None:
        state[saved[1]] = saved[2]


def made(rules: Rules = RULES, state: dict[str, Any] | None = None, **more: Any) -> tuple[Deliveries, int]:
    deliveries = Deliveries(rules, **more)
    return deliveries, deliveries.assign(0, state or {})


LOG = [
    incident("a"),
    incident("b"),
    incident("a", 2, "updated"),
    incident("c"),
    incident("c", 2, "resolved"),
    incident("d"),
    incident("b", 2, "resolved"),
]


def feed(deliveries: Deliveries, start: int = 0, at: float = 1000.0) -> None:
    for offset, each in enumerate(LOG):
        if offset >= start:
            deliveries.take(0, offset, at, each)


def test_transitions_are_told_in_order_at_the_rate_and_none_twice() -> None:
    deliveries, _ = made(Rules(burst=10))
    feed(deliveries)
    feed(deliveries)
    assert run(deliveries, 1001.0) == ["a/1", "b/1", "a/2", "c/1", "c/2", "d/1", "b/2"]


def test_a_worker_that_goes_on_from_any_place_tells_what_is_left() -> None:
    for stop in range(len(LOG)):
        state: dict[str, Any] = {}
        first, _ = made(Rules(burst=10))
        feed(first)
        before = run(first, 1001.0, state, stop)
        second, start = made(Rules(burst=10), state)
        feed(second, start)
        assert before + run(second, 1001.0) == ["a/1", "b/1", "a/2", "c/1", "c/2", "d/1", "b/2"]


def test_after_an_outage_there_is_one_summary_and_the_newest_state_of_what_goes_on() -> None:
    deliveries, _ = made(Rules(burst=10, summary_after_seconds=100))
    feed(deliveries)
    said = "7 transitions of incidents were held back: 4 opened, 2 resolved, 1 updated"
    assert run(deliveries, 2000.0) == [said, "a/2", "d/1"]
    assert run(deliveries, 3000.0) == []


def test_what_the_destination_takes_for_open_is_ended_after_an_outage() -> None:
    deliveries, _ = made(Rules(burst=10, summary_after_seconds=100))
    feed(deliveries)
    assert run(deliveries, 1001.0, most=2) == ["a/1", "b/1"]
    assert run(deliveries, 2000.0)[1:] == ["a/2", "d/1", "b/2"]


def test_a_worker_that_ends_before_or_after_the_summary_loses_and_repeats_nothing() -> None:
    rules = Rules(burst=10, summary_after_seconds=100)
    for stop in range(4):
        state: dict[str, Any] = {}
        first, _ = made(rules)
        feed(first)
        before = run(first, 2000.0, state, stop)
        second, start = made(rules, state)
        feed(second, start)
        after = run(second, 2000.0)
        assert [each for each in before + after if "/" in each] == ["a/2", "d/1"]
        assert len([each for each in before + after if "held" in each]) == 1


def test_more_than_the_rate_allows_becomes_a_summary_and_not_a_flood() -> None:
    deliveries, _ = made()
    feed(deliveries)
    assert run(deliveries, 1001.0) == ["a/1", "b/1", "a/2"]
    assert run(deliveries, 1001.1) == []
    assert run(deliveries, 1010.0) == ["4 transitions of incidents were held back: 2 opened, 2 resolved", "d/1", "b/2"]


def test_a_summary_waits_until_all_that_belongs_to_it_was_read() -> None:
    deliveries, _ = made(Rules(burst=10, summary_after_seconds=100))
    feed(deliveries)
    assert deliveries.next(2000.0, behind=True) is None
    assert isinstance(deliveries.next(2000.0, behind=False), Summary)


def test_failures_are_tried_again_with_growing_pauses_and_not_before_the_destination_says() -> None:
    deliveries, _ = made(seed=7)
    feed(deliveries)
    pauses = [deliveries.failed(1001.0) for _ in range(14)]
    assert all(0 < pause <= 300 for pause in pauses)
    assert pauses[8] > 4 * pauses[2]
    assert deliveries.failed(1001.0, 500.0) == 500.0
    assert deliveries.next(1500.0) is None
    assert deliveries.next(1501.5) is not None


def test_what_is_refused_for_good_no_longer_waits() -> None:
    deliveries, _ = made()
    feed(deliveries)
    work = deliveries.next(1001.0)
    assert isinstance(work, Tell)
    assert deliveries.passed(work) == [(0, POSITION, {"next": 1, "told_to": 0})]


def test_what_goes_on_is_renewed_and_what_ended_long_ago_is_forgotten() -> None:
    deliveries, _ = made(Rules(burst=10), renew_seconds=60.0)
    feed(deliveries)
    run(deliveries, 1001.0)
    work = deliveries.next(1100.0)
    assert isinstance(work, Renew)
    assert len(work.kept) == 2
    deliveries.delivered(work, {}, 1100.0)
    assert deliveries.next(1101.0) is None
    assert sorted(name for _, name, _ in deliveries.forgotten(1000.0 + 90_000)) == ["b", "c"]
