"""The same unusual message of two workloads at once: what says the same, what everybody writes, and what it joins."""

import random
from dataclasses import replace

import msgspec
import pytest

from pipeline.incidents import alike, joining
from pipeline.incidents.alike import SETTLED_US, Texts, text_of, words_of
from pipeline.incidents.grouping import Grouping
from pipeline.incidents.joining import best
from pipeline.incidents.open_incident import Open
from pipeline.records import US, Anomaly, Event, Happened, Kind, Member
from tests.incidents.test_grouping import JOIN, RESOLVE, anomaly
from tests.incidents.test_joining import Calls, incident

NOW_US = 10 * SETTLED_US
EXPIRED = "x509: certificate of <*> has expired or is not yet valid"
#: Nothing calls over two calls: 1–2 and 3–4, with five more that others call.
APART = Calls((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))


def first_sight(template: str, workload: int, text: str, second: float = 0.0, scope: str = "prod") -> Happened:
    attributes = (("log.template", template), ("workload.age_seconds", "0"))
    event = Event(f"{template}-{workload}", round(second * US), "log.template.new", (), 17, text, attributes)
    return Happened(event, scope, f"service:s{workload}")


def lines(template: str, workload: int, second: float, **changes: object) -> Anomaly:
    """More lines of a template than expected."""
    found = anomaly(100 * workload + len(template), NOW_US / US + second, NOW_US / US + second + 20, **changes)
    attributes = (("log.template", template), ("severity", "error"))
    signal = replace(found.signal, name="log.lines", workload=f"service:s{workload}", attributes=attributes)
    return replace(found, signal=signal)


def texts(*heard: Happened, workloads: int = 10) -> Texts:
    """A scope of so many workloads, that each wrote something of its own long ago, and all one line; and what else was
    heard."""
    found = Texts()
    for number in range(1, workloads + 1):
        own = ("alpha beta gamma", "delta epsilon zeta", "eta theta iota", "kappa lambda mu")[number % 4]
        found.hear(first_sight(f"own{number}", number, f"{own} number {number}"))
        found.hear(first_sight("usual", number, "the request of <*> has failed with an error"))
    for happened in heard:
        found.hear(happened)
    found.at(NOW_US)
    return found


def joined(one: Anomaly, other: Anomaly, known: Texts) -> str:
    """By what the second joins the incident of the first, where the service graph knows both to be far apart."""
    return best(one, [incident(other)], APART, JOIN * US, texts=known)[1]


def test_the_same_unusual_message_in_two_far_places_at_once_is_one_incident() -> None:
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    assert joined(lines("t1", 3, 12), lines("t1", 1, 0), known) == (
        f"says the same as service:s1, '{EXPIRED}', onset 12 s from the newest member's"
    )
    assert best(lines("t1", 3, 12), [incident(lines("t1", 1, 0))], APART, JOIN * US)[0] is None


def test_much_the_same_is_enough_and_the_words_in_common_are_told() -> None:
    other = "certificate of <*> has expired or is not yet usable valid x509"
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("other", 3, other, NOW_US / US))
    assert joined(lines("other", 3, 12), lines("t1", 1, 0), known) == (
        f"says much the same as service:s1, '{EXPIRED}': 8 of 9 words, onset 12 s from the newest member's"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("alpha bravo charlie delta echo", "alpha bravo charlie delta foxtrot", True),  # 4 of 5
        ("alpha bravo charlie delta", "alpha bravo charlie foxtrot", False),  # 3 of 4
        ("alpha bravo charlie", "alpha bravo charlie", True),
        ("alpha bravo", "alpha bravo", False),
        ("alpha bravo charlie the request has failed", "alpha bravo charlie with an error", True),
        ("request has failed with an error", "request has failed with an error", False),
        ("alpha <*> bravo <*> 17 2024", "alpha bravo <cut>", False),
        ("com.acme.cart.CartService - no pooled socket left", "com.acme.order.Orders - no pooled socket left", True),
    ],
)
def test_three_telling_words_and_four_of_five_of_the_longer_text_are_needed(one: str, other: str, same: bool) -> None:
    known = texts(first_sight("a", 1, one, NOW_US / US), first_sight("b", 3, other, NOW_US / US))
    assert bool(joined(lines("b", 3, 12), lines("a", 1, 0), known)) is same


def test_what_a_tenth_of_the_workloads_wrote_before_is_usual_and_joins_nothing() -> None:
    gc = "pausing threads after <*> while allocation failed"
    heard = [first_sight("gc", number, gc) for number in (1, 3)]
    assert joined(lines("gc", 3, 12), lines("gc", 1, 0), texts(*heard))
    heard.append(first_sight("gc", 5, gc))
    assert not joined(lines("gc", 3, 12), lines("gc", 1, 0), texts(*heard))
    assert joined(lines("gc", 3, 12), lines("gc", 1, 0), texts(*heard, workloads=30))


def test_a_message_does_not_become_usual_while_it_spreads() -> None:
    heard = [first_sight("t1", number, EXPIRED, NOW_US / US - 600) for number in range(1, 10)]
    known = texts(*heard)
    assert joined(lines("t1", 3, 12), lines("t1", 1, 0), known)
    known.at(NOW_US - 600 * US + SETTLED_US - 1)
    assert joined(lines("t1", 3, 12), lines("t1", 1, 0), known)
    known.at(NOW_US - 600 * US + SETTLED_US)
    assert not joined(lines("t1", 3, 12), lines("t1", 1, 0), known)


def test_where_few_workloads_are_known_nobody_can_say_what_is_usual() -> None:
    heard = [first_sight("t1", number, EXPIRED, NOW_US / US) for number in (1, 3)]
    assert not joined(lines("t1", 3, 12), lines("t1", 1, 0), texts(*heard, workloads=3))
    assert joined(lines("t1", 3, 12), lines("t1", 1, 0), texts(*heard, workloads=4))


def test_it_must_be_said_at_the_time_and_in_the_scope() -> None:
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    assert joined(lines("t1", 3, JOIN), lines("t1", 1, 0), known)
    assert not joined(lines("t1", 3, JOIN + 1), lines("t1", 1, 0), known)
    assert not joined(lines("t1", 3, 12, scope="staging"), lines("t1", 1, 0), known)
    busy = incident(lines("t1", 1, 0), replace(lines("own1", 1, JOIN), id="later"))
    assert best(lines("t1", 3, JOIN + 1), [busy], APART, JOIN * US, texts=known)[0] is None


@pytest.mark.parametrize(
    "changes", [{"value": 10.0}, {"discovered": False}, {"silent": True}], ids=["fewer", "false", "silent"]
)
def test_fewer_lines_none_at_all_and_likely_false_discoveries_say_nothing(changes: dict[str, object]) -> None:
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    quiet = lines("t1", 3, 12, **changes)
    assert text_of(quiet) == ""
    assert not joined(quiet, lines("t1", 1, 0), known)
    assert not joined(lines("t1", 1, 0), quiet, known)


def test_a_template_of_which_no_text_is_known_joins_nothing() -> None:
    assert not joined(lines("t9", 3, 12), lines("t9", 1, 0), texts())


def test_types_of_events_say_what_their_words_do() -> None:
    assert words_of("k8s.FailedCreatePodSandBox", is_type=True) == {"failed", "create", "pod", "sand", "box"}
    assert words_of("alert.HTTPErrorRate", is_type=True) == {"http", "error", "rate"}

    def events(workload: int, second: float, kind: str = "k8s.FailedCreatePodSandBox") -> Anomaly:
        found = lines("", workload, second)
        return replace(
            found, signal=replace(found.signal, name="events", kind=Kind.COUNT, attributes=(("event.type", kind),))
        )

    def told(workload: int, kind: str = "k8s.FailedCreatePodSandBox") -> Happened:
        return Happened(Event(f"e{workload}{kind}", NOW_US, kind, ()), "prod", f"service:s{workload}")

    known = texts(told(1), told(3), told(1, "k8s.BackOff"), told(3, "k8s.BackOff"))
    why = joined(events(3, 12), events(1, 0), known)
    assert why.startswith("says the same as service:s1, 'k8s.FailedCreatePodSandBox', onset 12 s")
    assert not joined(events(3, 12, "k8s.BackOff"), events(1, 0, "k8s.BackOff"), known)


def test_words_are_weaker_than_calls_and_stronger_than_time() -> None:
    assert joining.CALLS > joining.TEXT > joining.TIME
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    same, called = incident(lines("t1", 1, 0)), incident(lines("own4", 4, 5))
    assert best(lines("t1", 3, 12), [same, called], APART, JOIN * US, texts=known)[0] is called
    strange, nearer = incident(lines("t1", 20, 0)), incident(lines("own7", 21, 5))
    strange.unknown, nearer.unknown = {"service:s20"}, {"service:s21"}  # to the graph
    assert best(lines("t1", 3, 12), [strange, nearer], APART, JOIN * US, texts=known)[0] is strange
    assert best(lines("t1", 3, 12), [strange, nearer], APART, JOIN * US)[0] is nearer


def test_what_callers_do_not_feel_joins_by_its_words_and_starts_nothing() -> None:
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=APART, texts=known)
    grouping.step([lines("t1", 1, 0)], NOW_US + 20 * US)
    grouping.step([lines("t1", 3, 12, felt=False)], NOW_US + 32 * US)
    (only,) = grouping.open.values()
    assert [member.joined_by.split(",")[0] for member in only.members.values()] == [
        "first member",
        "says the same as service:s1",
    ]
    grouping.step([lines("own5", 5, 12, felt=False)], NOW_US + 40 * US)
    assert len(grouping.open) == 1
    assert [each.reason for each in grouping.suppressed if each.incident is None] == ["not_felt"]


def test_incidents_that_are_open_are_not_put_together_by_words() -> None:
    known = texts(first_sight("t1", 1, EXPIRED, NOW_US / US), first_sight("t1", 3, EXPIRED, NOW_US / US))
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=APART, texts=known)
    grouping.step([lines("own1", 1, 0), lines("own3", 3, 0)], NOW_US + 20 * US)
    grouping.step([lines("t1", 1, 10), lines("t1", 3, 12)], NOW_US + 32 * US)
    assert sorted(len(each.members) for each in grouping.open.values()) == [2, 2]


@pytest.mark.parametrize("seed", range(8))
def test_what_an_incident_says_is_what_its_members_say_now(seed: int) -> None:
    draw, grown = random.Random(seed), incident(lines("t0", 1, 0))
    for number in range(60):
        known = draw.choice(list(grown.members.values())).anomaly
        if number % 3:
            value = draw.choice([200.0, 10.0])
            grown.join(Member(replace(known, value=value, revision=number), "again"))
        elif number % 10 == 9:
            grown.leave(frozenset([known.id]) if len(grown.members) > 1 else frozenset())
        else:
            new = lines(f"t{draw.randrange(9)}", draw.randrange(5), draw.randrange(100))
            grown.join(Member(replace(new, id=f"n{number}"), "new"))
        assert grown.said == Open(grown.id, grown.scope, 0, members=dict(grown.members)).said


def test_of_an_incident_that_says_very_much_the_first_is_kept() -> None:
    found = alike.sayings(replace(lines(f"t{number}", 1, number), id=f"n{number}") for number in range(600))
    assert len(found) == alike.MOST_OF_INCIDENT
    assert "t0" in found


def test_what_is_remembered_is_bounded_and_the_largest_scope_pays() -> None:
    known = Texts()
    for number in range(200):
        known.hear(first_sight(f"t{number}", 1, EXPIRED, number, "small"))
    for number in range(alike.MOST_SIGHTS + 50):
        known.hear(first_sight(f"t{number % 7}", number, EXPIRED, number))
    assert len(known) == alike.MOST_SIGHTS
    sizes = {name: len(sights) for name, _, sights in known.dump()}
    assert sizes == {"small": 200, "prod": alike.MOST_SIGHTS - 200}


@pytest.mark.parametrize("seed", range(8))
def test_what_was_saved_answers_and_forgets_as_what_was_not(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "MOST_SIGHTS", 40)
    draw = random.Random(seed)
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"]
    known = saved = Texts()
    for number in range(150):
        if number == 90:
            saved = Texts(msgspec.msgpack.decode(msgspec.msgpack.encode(known.dump())))
        template, scope = draw.randrange(20), draw.choice(["prod", "prod", "staging"])
        text = " ".join(random.Random(template // 2).sample(words, 5))
        sight = first_sight(f"t{template}", draw.randrange(12), text, draw.randrange(7200), scope)
        for each in (known, saved) if saved is not known else (known,):
            each.hear(sight)
            each.at(number * 100 * US)
        asked = lines(f"t{draw.randrange(20)}", 1, 0, scope=scope)
        assert known.said(asked) == saved.said(asked)
        assert known.dump() == saved.dump()


def test_of_two_first_sights_of_one_the_earlier_counts() -> None:
    one, other = Texts(), Texts()
    for second in (500, 100):
        one.hear(first_sight("t1", 1, EXPIRED, second))
    other.hear(first_sight("t1", 1, EXPIRED, 100))
    assert one.dump() == other.dump()
