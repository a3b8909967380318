"""What is held back, by what and until when; whatever the order in which it was heard, and however often."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents import quieted
from pipeline.incidents.ordered import MOST_REMEMBERED, MOST_WAITING, Ordered
from pipeline.incidents.quieted import REMEMBERED_US, Held, Quieted
from pipeline.policies.control import Said, SaidControl, What
from pipeline.policies.maintenance import Maintenance, Recurrence
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import Order
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME, US, Kind, Signal

DAY, HOUR, MINUTE = 86_400 * US, 3600 * US, 60 * US
T = 20_000 * DAY


def signal(name: str, number: int = 1) -> Signal:
    return Signal(number, "latency", "ms", Kind.GAUGE, "production", f"service:shop/{name}", f"{name}-{number}", ())


CART, PAY = signal("cart", 1), signal("pay", 2)


def silence(id_: str, since: int, until: int, of: str = "cart", **match: str) -> Silence:
    matchers = (Matcher("service.name", "=~", of), *(Matcher(name, "=", value) for name, value in match.items()))
    return Silence(id_, matchers, "ann", "known", T, until, since)


def nightly(id_: str, at_seconds: int, lasts_seconds: int, of: str = "cart") -> Maintenance:
    recurs = Recurrence(at_seconds, lasts_seconds, "UTC", ((0, 0),))
    return Maintenance(id_, (Matcher("service.name", "=~", of),), "bob", "backup", T, T, T + 100 * DAY, recurs)


def key_of(what: What) -> str:
    if isinstance(what, Order):
        return f"order/{what.incident}/{what.id}"
    return f"{'silence' if isinstance(what, Silence) else 'maintenance'}/{what.id}"


def said(*whats: What, offset: int = 0, **control: Any) -> SaidControl:
    listed = tuple(Said(offset + number, key_of(what), what) for number, what in enumerate(whats))
    return SaidControl(offset + len(listed), listed, **control)


def heard(*whats: What) -> Quieted:
    found = Quieted()
    found.hear(said(*whats), T)
    return found


def test_a_signal_is_held_back_while_a_silence_that_means_it_is_active() -> None:
    quiet = heard(silence("a", T + HOUR, T + 2 * HOUR))
    assert quiet.held(CART, T) is None
    assert quiet.held(CART, T + HOUR) == Held(("silence/a",), T + 2 * HOUR)
    assert quiet.held(PAY, T + HOUR) is None
    assert quiet.held(CART, T + 2 * HOUR) is None
    assert [quiet.next_us(at) for at in (T, T + HOUR, T + 2 * HOUR)] == [T + HOUR, T + 2 * HOUR, None]


def test_the_end_is_that_of_all_that_follow_without_a_gap() -> None:
    quiet = heard(
        silence("a", T, T + 2 * HOUR),
        silence("b", T + HOUR, T + 3 * HOUR),
        nightly("night", 3 * 3600, 3600),
        silence("c", T + 5 * HOUR, T + 6 * HOUR),
    )
    assert quiet.held(CART, T) == Held(("silence/a",), T + 4 * HOUR)
    assert quiet.held(CART, T + HOUR) == Held(("silence/a", "silence/b"), T + 4 * HOUR)
    held = quiet.held(CART, T + 3 * HOUR)
    assert held == Held(("maintenance/night",), T + 4 * HOUR)
    assert (held.reason, Held(("maintenance/night", "silence/a"), 0).reason) == ("maintenance", "silence")


def test_an_incident_is_held_back_while_each_of_its_signals_is() -> None:
    quiet = heard(silence("a", T, T + 2 * HOUR), silence("b", T + HOUR, T + 3 * HOUR, of="pay"))
    assert quiet.held_all([CART, PAY], T) is None
    assert quiet.held_all([CART, PAY], T + HOUR) == Held(("silence/a", "silence/b"), T + 2 * HOUR)
    assert quiet.held_all([CART, PAY], T + 2 * HOUR) is None
    assert quiet.held_all([], T + HOUR) is None


def test_a_silence_may_be_for_incidents_of_some_severity() -> None:
    quiet = heard(silence("a", T, T + HOUR, severity="warning"))
    assert quiet.held(CART, T, "warning") is not None
    assert quiet.held(CART, T, "error") is None
    assert quiet.held(CART, T) is None


def test_a_later_record_ends_it_early_and_prolongs_it() -> None:
    first = silence("a", T, T + HOUR)
    quiet = heard(first)
    quiet.hear(said(first.expired(T + 10 * MINUTE, "bob"), offset=5), T + 10 * MINUTE)
    assert quiet.held(CART, T + 10 * MINUTE) is None
    quiet.hear(said(first, offset=0), T + 11 * MINUTE)  # an old one once more
    assert quiet.held(CART, T + 11 * MINUTE) is None
    quiet.hear(said(replace(first, expires_us=T + 2 * HOUR), offset=9), T + 12 * MINUTE)
    assert quiet.held(CART, T + HOUR) == Held(("silence/a",), T + 2 * HOUR)


def test_what_is_taken_away_holds_nothing_back() -> None:
    quiet = heard(silence("a", T, T + HOUR), nightly("n", 0, 3600))
    quiet.hear(SaidControl(9, (Said(8, "silence/a", None),)), T)
    assert quiet.held(CART, T) == Held(("maintenance/n",), T + HOUR)
    quiet.hear(said(silence("a", T, T + HOUR), offset=0), T)
    assert quiet.held(CART, T) == Held(("maintenance/n",), T + HOUR)


def test_what_is_not_among_everything_is_gone_but_only_what_would_have_been_named() -> None:
    quiet = heard(silence("a", T, T + HOUR), silence("b", T, T + HOUR, of="pay"), nightly("n", 0, 3600, of="cart"))
    quiet.hear(SaidControl(5, (), complete=True, first="silence/b"), T)
    assert quiet.held(PAY, T) is None
    assert quiet.held(CART, T) == Held(("maintenance/n", "silence/a"), T + HOUR)
    quiet.hear(SaidControl(2, (), complete=True), T)  # from before the last one was written
    assert quiet.held(CART, T) == Held(("maintenance/n",), T + HOUR)
    quiet.hear(SaidControl(5, (), complete=True), T)
    assert quiet.held(CART, T) is None


def test_repeats_are_counted_and_change_nothing() -> None:
    control = said(silence("a", T, T + HOUR), nightly("n", 0, 3600))
    quiet = Quieted()
    assert quiet.hear(control, T).repeated == 0
    before = quiet.dump()
    assert quiet.hear(control, T + MINUTE).repeated == 2
    assert quiet.dump() == before


def test_what_is_long_over_is_forgotten_and_nothing_older_is_believed_again() -> None:
    first = silence("a", T, T + 100 * DAY)
    quiet = heard(first)
    quiet.hear(said(first.expired(T + HOUR, "bob"), offset=5), T + HOUR)
    assert quiet.forget(T + HOUR + REMEMBERED_US - 1) == 0
    assert quiet.forget(T + HOUR + REMEMBERED_US) == 1
    assert len(quiet) == 0
    quiet.hear(said(first, offset=0), T + 3 * DAY)
    assert quiet.held(CART, T + 3 * DAY) is None
    quiet.hear(said(silence("b", T, T + 100 * DAY), offset=6), T + 3 * DAY)
    assert quiet.held(CART, T + 3 * DAY) is not None


def test_everything_in_parts_is_believed_though_something_was_forgotten_between_the_parts() -> None:
    quiet = Quieted()
    over = silence("a", T - 10 * DAY, T - 9 * DAY)
    quiet.hear(SaidControl(100, (Said(90, "silence/a", over),), complete=True, last="silence/b"), T)
    quiet.forget(T)
    live = silence("b", T, T + HOUR)
    quiet.hear(SaidControl(100, (Said(50, "silence/b", live),), complete=True, first="silence/b"), T)
    assert quiet.held(CART, T) == Held(("silence/b",), T + HOUR)


def test_there_are_never_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quieted, "MOST_HELD", 4)
    quiet = heard(*(silence(f"s{number}", T, T + DAY) for number in range(4)))
    assert quiet.hear(said(silence("more", T, T + 2 * DAY), offset=10), T).refused == 1
    assert quiet.held(CART, T) == Held(tuple(f"silence/s{number}" for number in range(4)), T + DAY)
    assert quiet.hear(said(silence("more", T, T + 2 * DAY), offset=11), T + DAY).refused == 0
    assert quiet.held(CART, T + DAY) == Held(("silence/more",), T + 2 * DAY)
    assert len(quiet) <= 4


SILENCES = st.builds(
    lambda number, since, lasts, of: silence(f"s{number}", T + since * MINUTE, T + (since + lasts) * MINUTE, of),
    *(st.integers(0, 4), st.integers(0, 200), st.integers(1, 100), st.sampled_from(["cart", "pay", ".*"])),
)
WINDOWS = st.builds(
    lambda number, at, lasts: nightly(f"n{number}", at * 600, lasts * 600),
    *(st.integers(0, 2), st.integers(0, 143), st.integers(1, 12)),
)
RECORDS = st.lists(SILENCES | WINDOWS | st.integers(0, 4), max_size=12)


def listed(records: Sequence[Any]) -> list[Said]:
    return [
        Said(offset, f"silence/s{one}" if isinstance(one, int) else key_of(one), None if isinstance(one, int) else one)
        for offset, one in enumerate(records)
    ]


def naive(records: Sequence[Said], asked: Signal, at_us: int) -> tuple[str, ...]:
    newest = {one.key: one.what for one in records}
    return tuple(
        key
        for key, what in sorted(newest.items())
        if not (what is None or isinstance(what, Order)) and what.active(at_us) and what.matches(asked)
    )


@given(RECORDS, st.data())
def test_what_is_answered_depends_on_what_was_said_and_not_on_how_it_was_heard(
    records: Sequence[Any], data: st.DataObject
) -> None:
    """Any order, repeats, saved and restored in between; and it turns at ``next_us`` and nowhere between."""
    everything = listed(records)
    quiet, mixed = Quieted(), data.draw(st.permutations(everything + everything[:3]))
    for number, one in enumerate(mixed):
        quiet.hear(SaidControl(one.offset + 1, (one,)), T)
        if number % 4 == 3:
            quiet = restored(quiet)
    at = T + data.draw(st.integers(0, 300)) * MINUTE
    for asked in (CART, PAY):
        held = quiet.held(asked, at)
        assert (() if held is None else held.by) == naive(everything, asked, at)
        if held is not None:
            assert naive(everything, asked, held.until_us) == ()
            assert all(naive(everything, asked, moment) for moment in range(at, held.until_us, 10 * MINUTE))
    change = quiet.next_us(at)
    for moment in range(at, change if change is not None else at + 2 * HOUR, 17 * MINUTE):
        assert naive(everything, CART, moment) == naive(everything, CART, at)
        assert naive(everything, PAY, moment) == naive(everything, PAY, at)


def restored(quiet: Quieted) -> Quieted:
    """After a checkpoint, as bytes."""
    found = Quieted()
    found.load(msgspec.msgpack.decode(msgspec.msgpack.encode(quiet.dump())))
    assert json.dumps(found.dump()) == json.dumps(quiet.dump())
    return found


# -- orders ------------------------------------------------------------------------------------------------------------


def order(number: int, effective_us: int = NO_TIME) -> Order:
    return Order(f"o{number}", "ack", "inc-1", "ann", T, effective_us)


def test_an_order_counts_once_from_its_time_or_when_it_is_heard() -> None:
    ordered = Ordered()
    ordered.hear(said(order(1, T + HOUR), order(2), order(3, T - HOUR), silence("a", T, T + 1)), T)
    assert ordered.next_us() == T
    assert [(due.at_us, due.order.id) for due in ordered.due(T)] == [(T, "o2"), (T, "o3")]
    assert (ordered.due(T + HOUR - 1), ordered.next_us(), len(ordered)) == ([], T + HOUR, 1)
    assert ordered.hear(said(order(1, T + HOUR), order(2), order(3, T - HOUR)), T + MINUTE).repeated == 3
    ordered.hear(SaidControl(9, (Said(8, "order/inc-1/o1", None),)), T + MINUTE)
    assert [due.order.id for due in ordered.due(T + HOUR)] == ["o1"]
    assert ordered.next_us() is None


def test_orders_of_one_time_come_in_the_order_in_which_they_were_given() -> None:
    ordered = Ordered()
    ordered.hear(said(order(1), offset=7), T)
    ordered.hear(said(order(2), offset=3), T)
    assert [due.order.id for due in ordered.due(T)] == ["o2", "o1"]


def test_orders_that_wait_survive_a_checkpoint_and_those_that_were_heard_stay_heard() -> None:
    ordered = Ordered()
    ordered.hear(said(order(1, T + HOUR), order(2)), T)
    ordered.due(T)
    again = Ordered()
    again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(ordered.dump())))
    assert again.dump() == ordered.dump()
    assert again.hear(said(order(1, T + HOUR), order(2)), T + 1).repeated == 2
    assert [due.order.id for due in again.due(T + HOUR)] == ["o1"]


def test_very_many_orders_take_a_bounded_place_and_none_counts_twice() -> None:
    ordered, taken = Ordered(), []
    count = MOST_REMEMBERED + 500
    for number in range(count):
        ordered.hear(said(order(number), offset=number), T)
        taken += ordered.due(T)
    assert len(taken) == count
    assert len(ordered.dump()[1]) == MOST_REMEMBERED
    assert ordered.hear(said(*(order(number) for number in range(count))), T).repeated == count
    assert ordered.due(T) == []


def test_more_orders_than_may_wait_are_refused_and_counted() -> None:
    ordered = Ordered()
    heard = ordered.hear(said(*(order(number, T + HOUR) for number in range(MOST_WAITING + 3))), T)
    assert heard.refused == 3
    assert len(ordered) == MOST_WAITING


BROKEN: list[Callable[[list[Any]], Any]] = [
    lambda dumped: dumped[:1],
    lambda dumped: [dumped[0], [["silence/a", 0, 0, {"id": "a"}]]],
    lambda dumped: [dumped[0], 5],
]


@pytest.mark.parametrize("damage", BROKEN)
def test_a_damaged_state_is_refused(damage: Callable[[list[Any]], Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Quieted().load(damage(heard(silence("a", T, T + HOUR)).dump()))


def test_a_second_checkpoint_has_what_changed_since_the_first() -> None:
    first = silence("a", T, T + 2 * HOUR)
    quiet = heard(first, silence("b", T, T + HOUR))
    before = quiet.dump()
    assert quiet.dump() == before
    quiet.hear(said(first.expired(T + HOUR, "bob"), silence("b", T, T + 3 * HOUR), offset=4), T)
    quiet.dump()
    quiet.hear(SaidControl(6, (Said(5, "silence/a", first),), complete=True), T)  # the other one is gone
    fresh = Quieted()
    fresh.load(quiet.dump())
    assert fresh.dump() == quiet.dump() != before
    assert fresh.held(CART, T) == quiet.held(CART, T) == Held(("silence/a",), T + 2 * HOUR)
