"""Where an incident starts, by what workloads showed of late; and how that is remembered."""

import random

from pipeline.codecs import vitals_event
from pipeline.flow.live_causes import LiveCauses, outlier_words
from pipeline.flow.neighbours import Neighbours
from pipeline.flow.recent_unusual import MOST_EACH, MOST_ROWS, MOST_WORKLOADS, REMEMBERED_US, RecentUnusual
from pipeline.records import (
    US,
    Called,
    Candidate,
    Degree,
    Edge,
    EdgeKind,
    Kind,
    Lines,
    Member,
    OnNode,
    Outlier,
    Pace,
    Placement,
    Unusual,
)
from tests.flow.test_incident_causes import of, slow

ONSET = 5_000 * US
TEXTS = {("prod", "cc"): "no answer from <*>"}


def row(name: str, second: float, latency_s: float = 0.1, **more: object) -> Unusual:
    """A workload that serves 100 requests in a window, usually in 0.1 s."""
    degree = Degree("http.server.duration.mean", 9.0, 100 * (latency_s - 0.1), latency_s, 0.1)
    found = None if latency_s == 0.1 else degree
    return Unusual(f"service:{name}", round(second * US), 10 * US, 100.0, found, **more)  # type: ignore[arg-type]


def ranked(rows: list[Unusual], calls: list[tuple[str, str]], *members: int, onset_us: int = ONSET) -> list[Candidate]:
    known, recent = Neighbours(60 * US), RecentUnusual()
    for one, other in calls:
        names = [name if ":" in name else f"service:{name}" for name in (one, other)]
        known.hear(Edge("prod", names[0], names[1], EdgeKind.CALL, 0, 0, 1))
    known.at(6_000 * US)
    for each in sorted(rows, key=lambda found: (found.end_us, found.workload)):
        recent.add("prod", [each])
    causes = LiveCauses(known, recent, lambda scope, id_: TEXTS.get((scope, id_), ""))
    return list(causes.of("prod", [slow(number, 400) for number in members], onset_us))


def names(found: list[Candidate]) -> list[str]:
    return [each.entity.partition(":")[2] for each in found]


def test_a_callee_that_is_no_member_may_be_where_it_starts() -> None:
    rows = [row("s1", 5_010, 2.0), row("s2", 5_010, 2.0), row("s3", 5_010, 2.0), row("s4", 5_010, 9.0)]
    calls = [("s1", "s2"), ("s2", "s3"), ("s3", "s4")]
    assert names(ranked(rows, calls, 1)) == ["s3", "s1", "s2"]  # s4 is three calls away


def test_rows_long_before_the_onset_do_not_count() -> None:
    rows = [row("s1", 5_010, 2.0), row("s2", 4_970, 90.0), row("s3", 4_985, 4.0)]
    assert names(ranked(rows, [("s1", "s2"), ("s1", "s3")], 1)) == ["s3", "s1"]


def test_without_rows_the_members_are_ranked() -> None:
    (found,) = ranked([row("s9", 5_010, 2.0)], [("s1", "s2")], 1)
    assert (found.entity, found.signal) == ("service:s1", "latency{route=/}")


def test_a_member_without_a_row_is_ranked_by_what_it_says_itself() -> None:
    found = ranked([row("s1", 5_010, 0.4)], [("s1", "s2")], 1, 2)
    assert names(found) == ["s2", "s1"]
    assert found[0].signal == "latency{route=/}"


def test_who_sends_nothing_is_seen_by_those_that_call_it() -> None:
    failing = Degree("traces.call.failed.share{peer=database:pg}", 12.0, 80.0, 0.8, 0.0)
    waited = Degree("traces.call.duration.mean{peer=database:pg}", 12.0, 190.0, 2.0, 0.1)
    called = (Called("database:pg", 100.0, waited, failing),)
    rows = [row("s1", 5_010, 2.0, called=called), row("s2", 5_010, 2.0)]
    found = ranked(rows, [("s1", "database:pg"), ("s2", "s1")], 1, 2)
    assert names(found)[0] == "pg"
    assert any(text.startswith("80 % of requests failed, usually 0 %") for text in found[0].evidence)


def test_who_is_down_is_seen_by_those_that_call_it_by_its_name() -> None:
    failing = Degree("traces.call.failed.share{peer=service:cart}", 12.0, 95.0, 0.95, 0.0)
    called = (Called("service:cart", 100.0, None, failing),)
    failed = Degree("http.errors", 9.0, 90.0, 0.9, 0.0)
    caller = Unusual("service:s1", 5_020 * US, 10 * US, 100.0, None, failed, None, None, None, None, called)
    known, recent = Neighbours(60 * US), RecentUnusual()
    for server in ("service:cart", "deployment:shop/cart"):
        known.hear(Edge("prod", "service:s1", server, EdgeKind.CALL, 0, 0, 1))
    known.hear(Edge("prod", "deployment:shop/cart", "database:pg", EdgeKind.CALL, 0, 0, 1))
    known.at(6_000 * US)
    recent.add("prod", [Unusual("deployment:shop/cart", 4_000 * US, 10 * US, 50.0)])  # it said something long ago
    recent.add("prod", [caller])
    found = LiveCauses(known, recent, lambda scope, id_: "").of("prod", [slow(1, 400)], ONSET)
    assert [each.entity for each in found] == ["deployment:shop/cart", "service:s1"]
    assert found[0].evidence[0].startswith("95 % of requests failed, usually 0 %")


def test_who_is_called_in_vain_is_what_callers_wait_for_although_it_tells_of_itself() -> None:
    failing = Degree("traces.call.failed.share{peer=service:cart}", 12.0, 95.0, 0.95, 0.0)
    waited = Degree("traces.call.duration.mean{peer=service:cart}", 12.0, 500.0, 5.0, 0.0)
    caller = row("s1", 5_020, 5.0, called=(Called("service:cart", 100.0, waited, failing),))
    silent = Unusual("deployment:shop/cart", 5_020 * US, 10 * US, 0.0)
    known, recent = Neighbours(60 * US), RecentUnusual()
    for client, server in (("service:s1", "deployment:shop/cart"), ("deployment:shop/cart", "database:cart")):
        known.hear(Edge("prod", client, server, EdgeKind.CALL, 0, 0, 1))
    known.at(6_000 * US)
    recent.add("prod", [caller, silent])
    found = LiveCauses(known, recent, lambda scope, id_: "").of("prod", [slow(1, 400)], ONSET)
    assert found[0].entity == "deployment:shop/cart"  # and not the database of the same name
    assert any("no answer in 5 s" in text for text in found[0].evidence)


def test_a_node_is_named_where_instances_of_several_workloads_suffer_on_it_alone() -> None:
    placed = Placement(1, 4, (OnNode("node:a", 1, 1),))
    suffer = [row(name, 5_010, 0.4, placement=placed) for name in ("s1", "s2", "s3")]
    busy = Degree("k8s.node.cpu.usage", 4.0, 0.0, 3.6, 1.1)
    node = Unusual("node:a", 5_010 * US, 10 * US, saturation=busy)
    first, *others = ranked([*suffer, node], [], 1, 2, 3)
    assert (first.entity, first.signal) == ("node:a", "k8s.node.cpu.usage")
    assert "3 of 3 instances of 3 workloads on it are unusual, 0 of 9 of the same workloads elsewhere" in first.evidence
    assert {each.entity for each in others} == {"service:s1", "service:s2", "service:s3"}


def test_a_member_of_which_nothing_else_is_known_is_named_by_what_it_says() -> None:
    restarts = of("k8s.container.restart.count", "{restart}", Kind.GAUGE, slow(2, 1.0, 0.0, surprise=2.0))
    assert [(each.entity, each.signal, each.evidence) for each in candidates_of(restarts, row("s2", 5_010))] == [
        ("service:s2", "k8s.container.restart.count", (restarts.anomaly.why,))
    ]
    assert [each.entity for each in candidates_of(restarts, row("s1", 5_010, 2.0), ("service:s1", "service:s2"))] == [
        "service:s1",
        "service:s2",
    ]


def candidates_of(member: Member, known: Unusual, *calls: tuple[str, str]) -> tuple[Candidate, ...]:
    neighbours, recent = Neighbours(60 * US), RecentUnusual()
    for one, other in calls:
        neighbours.hear(Edge("prod", one, other, EdgeKind.CALL, 0, 0, 1))
    neighbours.at(6_000 * US)
    recent.add("prod", [known])
    return LiveCauses(neighbours, recent, lambda scope, id_: "").of("prod", [member], ONSET)


def test_who_tells_of_itself_is_not_slow_where_it_does_not_say_so() -> None:
    waited = Degree("traces.call.duration.mean{peer=service:s3}", 12.0, 190.0, 2.0, 0.1)
    rows = [row("s1", 5_010, 2.0, called=(Called("service:s3", 100.0, waited),))]
    assert names(ranked(rows, [("s1", "s3"), ("s3", "s4")], 1)) == ["s1"]


def test_evidence_is_in_words_and_numbers() -> None:
    told = row(
        "s1",
        5_010,
        4.2,
        outlier=Outlier("http.server.duration.mean", "s", "api-7f", 4.2, 0.3, 2, 1),
        lines=Lines("cc", 41.0, 50.0, 0.0, 4_000.0, 90.0, 12),
        pace=Pace("GET /pay", False, 9.0, 100, 4_000.0, 90.0),
    )
    (found,) = ranked([told], [], 1)
    assert found.evidence == (
        "log lines 'no answer from <*>': 41 of 50 in a window, usually none of them",
        "1 of 3 instances: api-7f is at 4.2 s, the others at 300 ms (http.server.duration.mean)",
        "GET /pay itself takes 4 s, usually 90 ms",
        "latency 42 times its usual 100 ms on 100 requests; none of it is explained by what it calls",
    )


def test_instances_in_words() -> None:
    assert outlier_words(Outlier("cpu", "%", "a", 97.0, 30.0, 1, 1)) == (
        "1 of 2 instances: a is at 97 %, the other at 30 % (cpu)"
    )
    assert outlier_words(Outlier("mem", "By", "a", 9e8, 2e8, 4, 2)) == (
        "2 of 5 instances: a is at 900 MB, 3 of the others at 200 MB (mem)"
    )


def test_the_order_of_rows_and_members_does_not_matter() -> None:
    draw = random.Random(1)
    rows = [row(f"s{n}", 5_000 + 10 * w, draw.uniform(0.2, 9)) for n in range(1, 20) for w in range(3)]
    calls = [(f"s{draw.randint(1, 19)}", f"s{draw.randint(1, 19)}") for _ in range(25)]
    members = list(range(1, 20))
    expected = ranked(rows, calls, *members)
    for _ in range(3):
        draw.shuffle(rows)
        draw.shuffle(calls)
        draw.shuffle(members)
        assert ranked(rows, calls, *members) == expected


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_of_a_workload_the_newest_rows_are_kept() -> None:
    recent = RecentUnusual()
    gone = sum(recent.add("prod", [row("s1", second)]) for second in range(100))
    assert gone == 100 - MOST_EACH == 100 - len(recent)
    assert [each.end_us // US for each in recent.of("prod", "service:s1", 0, 1000)][:2] == [40, 41]


def test_so_many_workloads_and_rows_are_kept_and_the_oldest_goes_first() -> None:
    recent, gone = RecentUnusual(), 0
    for number in range(MOST_WORKLOADS + 5):
        gone += recent.add("prod", [row(f"s{number}", number)])
    assert gone == 5
    assert not recent.knows("prod", "service:s4")
    for second in range(MOST_WORKLOADS + 5, MOST_WORKLOADS + 25):
        gone += recent.add("prod", [row(f"s{number}", second) for number in range(MOST_WORKLOADS // 2)])
    assert len(recent) <= MOST_ROWS
    assert gone > 1_000


def test_after_an_hour_it_is_forgotten() -> None:
    recent = RecentUnusual()
    for second in (0, 10):
        recent.add("prod", [row("s1", second)])
    recent.forget(REMEMBERED_US + 5 * US)
    assert [each.end_us for each in recent.of("prod", "service:s1", 0, 10)] == [10 * US]
    recent.forget(REMEMBERED_US + 11 * US)
    assert not recent.knows("prod", "service:s1")


def test_what_is_saved_is_what_is_there() -> None:
    recent = RecentUnusual()
    recent.add("prod", [row("s2", 0), row("s1", 0)])
    recent.add("staging", [row("s1", 0)])
    assert RecentUnusual(recent.dump()).dump() == recent.dump()
    assert [saved[:2] for saved in recent.dump(lambda scope: scope == "prod")] == [
        ("prod", "service:s2"),
        ("prod", "service:s1"),
    ]
    assert recent.dump()[0][2] == [(0, 10 * US, vitals_event.pack(row("s2", 0)))]
