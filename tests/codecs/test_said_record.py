"""Silences, maintenance windows and orders as bytes: what goes out comes in again, everything else is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import maintenance_event, order_event, said_record, silence_event
from pipeline.codecs.said_record import BadSaid
from pipeline.codecs.said_value import MOST_BYTES
from pipeline.policies.control import ORDER, Said, SaidControl, What
from pipeline.policies.maintenance import Maintenance, Recurrence
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import MOST_MEMBERS, Order
from pipeline.policies.said import MOST_COMMENT, MOST_CONDITION, MOST_CONDITIONS
from pipeline.policies.silence import Silence
from pipeline.records import US
from tests.codecs.said import WHATS

T = 1_769_868_000 * US
CART = Silence("s1", (Matcher("service.name", "=", "cart"),), "ann", "new disks", T, T + 3600 * US)
SILENCE = {
    "id": "s1",
    "match": ["service.name=cart"],
    "author": "ann",
    "comment": "new disks",
    "created": "2026-01-31T14:00:00.000000Z",
    "expires": "2026-01-31T15:00:00.000000Z",
}
NIGHTS = Recurrence(9000, 3600, "Europe/Berlin", ((0, 3600), (T, 7200)), (0, 6), (-1, 1))
WINDOW = Maintenance("m1", CART.match, "ann", "backup", T, T, T + 86_400 * US, NIGHTS)
MAINTENANCE = SILENCE | {
    "id": "m1",
    "comment": "backup",
    "starts": "2026-01-31T14:00:00.000000Z",
    "expires": "2026-02-01T14:00:00.000000Z",
    "recurs": {
        "at": "02:30",
        "lasts_seconds": 3600,
        "days_of_week": ["mon", "sun"],
        "days_of_month": [-1, 1],
        "zone": "Europe/Berlin",
        "offsets": [["1970-01-01T00:00:00.000000Z", 3600], ["2026-01-31T14:00:00.000000Z", 7200]],
    },
}
RESOLVE = Order("o1", "resolve", "inc-1", "ann", T, T, "a bad disk", "fixed")
RESOLVE_FORM = {
    "id": "o1",
    "action": "resolve",
    "incident": "inc-1",
    "author": "ann",
    "created": "2026-01-31T14:00:00.000000Z",
    "effective_at": "2026-01-31T14:00:00.000000Z",
    "comment": "a bad disk",
    "reason": "fixed",
}


def raw(form: Any) -> bytes:
    return json.dumps(form).encode()


@pytest.mark.parametrize(
    ("what", "key", "form"),
    [
        (CART, b"silence/s1", SILENCE),
        (WINDOW, b"maintenance/m1", MAINTENANCE),
        (RESOLVE, b"order/inc-1/o1", RESOLVE_FORM),
    ],
    ids=["silence", "maintenance", "order"],
)
def test_the_bytes_are_those_that_are_written_here(what: What, key: bytes, form: Any) -> None:
    assert said_record.record_of(what)[0] == key
    assert json.loads(said_record.record_of(what)[1]) == form
    assert said_record.decode(key, raw(form), 5) == Said(5, key.decode(), what)
    assert said_record.decode(key, None, 6) == Said(6, key.decode(), None)


@given(WHATS)
def test_what_is_written_is_read_as_the_same(what: What) -> None:
    key, value = said_record.record_of(what)
    assert said_record.is_kind(key)
    assert said_record.decode(key, value, 3) == Said(3, key.decode(), what)


def test_the_greatest_of_each_are_read() -> None:
    match = tuple(Matcher(f"a{i}", "=~", "\x01" * (MOST_CONDITION - 10)) for i in range(MOST_CONDITIONS))
    comment, author = "\x01" * (MOST_COMMENT - 1) + ".", "\x01" * 99 + "."
    members = tuple(f"{i:0>100}" for i in range(MOST_MEMBERS))
    greatest: list[What] = [
        Silence("s" * 100, match, author, comment, T, T + US, T, author),
        Order("o" * 100, "split", "i" * 100, author, T, T, comment, members=members),
    ]
    for what in greatest:
        key, value = said_record.record_of(what)
        assert len(value) <= MOST_BYTES
        assert said_record.decode(key, value, 0).what == what


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (b"silence/", None, "not a silence: the key is 'silence/'; it must be silence/<id>"),
        (b"silence/a/b", None, "it must be silence/<id>"),
        (b"silence/\xff", None, "not a silence"),
        (b"silence/s2", raw(SILENCE), "the key is 'silence/s2', but what it holds is 'silence/s1'"),
        (b"silence/s1", b"", "not a silence"),
        (b"silence/s1", b"{nonsense", "not a silence"),
        (b"silence/s1", b"[" * 100_000, "not a silence"),
        (b"silence/s1", b"x" * (MOST_BYTES + 1), f"at most {MOST_BYTES} are read"),
        (b"silence/s1", b"[]", "it must be a mapping with the keys id, match"),
        (b"silence/s1", raw({"id": "s1"}), "match is missing"),
        (b"silence/s1", raw(SILENCE | {"why": 1}), "why is not a key of it; there are id, match"),
        (b"silence/s1", raw(SILENCE | {"match": ["x=~a{99999999999999999999}"]}), "is not a regular expression"),
        (b"silence/s1", raw(SILENCE | {"match": ["x=~" + "(" * 300 + ")" * 190]}), "not a silence"),
        (b"silence/s1", raw(SILENCE | {"expires": "soon"}), "expires is 'soon'; write 2026-01-31T14:00:00Z"),
        (b"silence/s1", raw(SILENCE | {"expires": None}), "expires is"),
        (b"silence/s1", raw(SILENCE | {"created": 1e300}), "created is"),
        (b"maintenance/m1", raw(MAINTENANCE | {"recurs": []}), "recurs is []; it must be a mapping"),
        (b"maintenance/m1", raw(MAINTENANCE | {"recurs": {"at": "02:30"}}), "recurs.lasts_seconds is missing"),
        (b"order/o1", None, "not an order: the key is 'order/o1'; it must be order/<incident>/<id>"),
        (b"order/inc-1/o2", raw(RESOLVE_FORM), "what it holds is 'order/inc-1/o1'"),
        (b"order/inc-1/o1", raw(RESOLVE_FORM | {"reason": ["fixed"]}), "use fixed, expected"),
        (b"order/inc-1/o1", raw(RESOLVE_FORM | {"members": "a"}), "it must be a list of ids"),
        (b"policy/x", None, "is of no kind that is said about incidents"),
        (None, None, "is of no kind"),
    ],
)
def test_what_is_none_is_refused(key: bytes | None, value: bytes | None, said: str) -> None:
    with pytest.raises(BadSaid) as refused:
        said_record.decode(key, value, 0)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize(
    "recurs",
    [
        {"at": "24:00"},
        {"at": 150},
        {"lasts_seconds": "1h"},
        {"days_of_week": ["monday"]},
        {"days_of_week": "mon"},
        {"days_of_month": [[1]]},
        {"days_of_month": [{"a": 1}]},
        {"offsets": {"a": 1}},
        {"offsets": [[1]]},
        {"offsets": [[None, 3600]]},
        {"offsets": [["2026-01-01T00:00:00Z", "1h"]]},
        {"zone": None},
        {"until": 1},
    ],
    ids=str,
)
def test_what_cannot_recur_is_refused(recurs: Any) -> None:
    form = MAINTENANCE | {"recurs": MAINTENANCE["recurs"] | recurs}
    with pytest.raises(maintenance_event.BadMaintenance, match=r"not a maintenance window: recurs\."):
        maintenance_event.decode(b"maintenance/m1", raw(form), 0)


def test_each_kind_has_an_error_and_a_reason_of_its_own() -> None:
    for key, reason, read, error in (
        (b"silence/x", "bad_silence", silence_event.decode, silence_event.BadSilence),
        (b"maintenance/x", "bad_maintenance", maintenance_event.decode, maintenance_event.BadMaintenance),
        (b"order/x/y", "bad_order", order_event.decode, order_event.BadOrder),
    ):
        with pytest.raises(error):
            read(key, b"{", 0)
        with pytest.raises(BadSaid) as refused:
            said_record.decode(key, b"{", 0)
        assert refused.value.reason == reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.sampled_from(
    [(SILENCE, b"silence/s1"), (MAINTENANCE, b"maintenance/m1"), (RESOLVE_FORM, b"order/inc-1/o1")]
)


@given(PLACES, st.data())
def test_any_value_anywhere_is_read_or_refused_and_nothing_else(place: Any, data: st.DataObject) -> None:
    form, key = json.loads(json.dumps(place[0])), place[1]
    inside = form["recurs"] if "recurs" in form and data.draw(st.booleans()) else form
    inside[data.draw(st.sampled_from(sorted(inside)) | st.text(max_size=4))] = data.draw(VALUES)
    assert_read_or_refused(key, json.dumps(form).encode("utf-8", "surrogatepass"))


@given(PLACES, st.binary(max_size=60), st.integers(0, 400), st.integers(0, 400))
def test_any_bytes_are_read_or_refused_and_nothing_else(place: Any, noise: bytes, start: int, end: int) -> None:
    whole = raw(place[0])
    assert_read_or_refused(place[1], whole[:start] + noise + whole[end:])
    assert_read_or_refused(noise, whole)
    try:
        assert isinstance(said_record.decode_control(whole[:start] + noise), SaidControl)
    except BadSaid:
        pass


def assert_read_or_refused(key: bytes, value: bytes) -> None:
    try:
        said = said_record.decode(key, value, 0)
    except BadSaid:
        return
    assert said.what is not None
    assert said_record.decode(*said_record.record_of(said.what), 0) == said


# -- said records ------------------------------------------------------------------------------------------------------


def test_a_said_record_comes_back_as_it_was() -> None:
    said = (Said(4, "silence/s1", CART), Said(7, "order/inc-1/o1", RESOLVE), Said(9, "maintenance/m1", None))
    control = SaidControl(14, said, complete=True, first="a", last="z")
    value, headers = said_record.encode_control(control)
    assert said_record.is_said(headers)
    assert not said_record.is_said([("calm_type", b"control")])
    assert said_record.decode_control(value) == control


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"[]",
        b'{"end": 1}',
        b'{"end": 1, "complete": false, "first": "", "last": "", "said": [[0, "silence/x", 5]]}',
        b'{"end": 1, "complete": false, "first": "", "last": "", "said": [[0, "policy/x", null]]}',
        b'{"end": 1, "complete": false, "first": "", "last": "", "said": [["0", "silence/x", null]]}',
        b'{"end": 1, "complete": false, "first": "", "last": "", "said": [[0, "silence/\\ud800", null]]}',
        b" " * 2**20,
    ],
)
def test_what_is_no_said_record_is_refused(said: bytes | None) -> None:
    with pytest.raises(BadSaid, match="not a said record"):
        said_record.decode_control(said)


@given(st.lists(WHATS, max_size=8))
def test_everything_in_parts_is_everything(whats: list[What]) -> None:
    newest = {said_record.record_of(what)[0].decode(): what for what in whats}
    live = [Said(offset, key, what) for offset, (key, what) in enumerate(newest.items())]
    parts = list(said_record.everything(99, live))
    assert sorted((one for part in parts for one in part.said), key=lambda one: one.offset) == live
    for key in ("silence/", "maintenance/zzz", *newest):
        if not key.startswith(ORDER):
            assert sum(part.covers(key) for part in parts) == 1
    for one in live:
        assert one.key.startswith(ORDER) or next(part for part in parts if part.covers(one.key)).said.count(one) == 1


def test_very_much_is_cut_into_parts_that_fit_and_leave_no_gap() -> None:
    silences = [
        Silence(f"s{i:03d}", tuple(Matcher(f"a{n}", "=~", "x" * 480) for n in range(20)), "ann", "x" * 1000, T, T + US)
        for i in range(200)
    ]
    live = [Said(1000 - i, f"silence/{one.id}", one) for i, one in enumerate(silences)]
    orders = [Order(f"o{i}", "ack", "inc-1", "ann", T, comment="x" * 1000) for i in range(2000)]
    live += [Said(5000 - i, f"order/inc-1/{one.id}", one) for i, one in enumerate(orders)]
    parts = list(said_record.everything(6000, live))
    assert len(parts) > 4
    assert max(len(said_record.encode_control(part)[0]) for part in parts) < 960_000
    for number in range(210):
        assert sum(part.covers(f"silence/s{number:03d}") for part in parts) == 1
    told = [one for part in parts if not part.complete for one in part.said]
    assert [one.offset for one in told] == sorted(one.offset for one in live if one.key.startswith(ORDER))


def test_forms_hold_nothing_that_msgpack_has_not() -> None:
    for what in (CART, WINDOW, RESOLVE):
        form = json.loads(said_record.record_of(what)[1])
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(form)) == form
