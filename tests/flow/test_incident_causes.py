"""Where an incident starts, from its members and who calls whom."""

import random
from dataclasses import replace

from pipeline.flow.incident_causes import MOST_TOLD, candidates
from pipeline.flow.neighbours import Neighbours
from pipeline.records import US, Anomaly, Edge, EdgeKind, Kind, Member
from tests.incidents.test_grouping import anomaly


def slow(number: int, value: float, expected: float = 100.0, surprise: float = 9.0) -> Member:
    """A workload's latency, in milliseconds."""
    return Member(anomaly(number, 5_000, 5_020, value=value, expected=expected, surprise=surprise), "first member")


def of(name: str, unit: str, kind: Kind, found: Member) -> Member:
    signal = replace(found.anomaly.signal, name=name, unit=unit, kind=kind, attributes=())
    return Member(replace(found.anomaly, signal=signal), found.joined_by)


def calls(*pairs: tuple[int, int]) -> list[Edge]:
    return [Edge("prod", f"service:s{one}", f"service:s{other}", EdgeKind.CALL, 0, 0, 1) for one, other in pairs]


def test_who_is_slow_only_because_of_what_it_calls_is_not_the_first() -> None:
    found = candidates([slow(1, 410), slow(2, 405), slow(3, 400)], calls((1, 2), (2, 3)), 5_000 * US)
    assert [each.entity for each in found] == ["service:s3", "service:s1", "service:s2"]
    assert found[0].signal == "latency{route=/}"
    assert found[0].evidence == ("latency 4 times its usual 100 ms; none of it is explained by what it calls",)
    assert "is not explained by what it calls" in found[1].evidence[0]


def test_a_share_of_failures_is_told_as_one() -> None:
    failed = of("traces.operation.failed", "1", Kind.SHARE, slow(2, 0.5, 0.01))
    (found,) = candidates([failed], (), 5_000 * US)
    assert found.evidence == ("50 % of requests failed, usually 1 %; none of it is explained by what it calls",)


def test_what_is_full_comes_after_what_loses_work_and_is_not_left_out() -> None:
    full = of("system.cpu.utilization", "1", Kind.GAUGE, slow(2, 0.97, 0.3, surprise=30.0))
    found = candidates([full, slow(1, 300)], calls((1, 2)), 5_000 * US)
    assert [each.entity for each in found] == ["service:s1", "service:s2"]
    assert found[1].evidence == ("system.cpu.utilization 0.97, usually 0.3",)


def test_faster_than_usual_and_less_than_usual_is_no_work_lost() -> None:
    found = candidates([slow(1, 10), slow(2, 300)], calls((2, 1)), 5_000 * US)
    assert found[0].entity == "service:s2"
    assert found[0].score > found[1].score == 0.0


def test_the_order_of_members_and_edges_does_not_matter_and_not_all_are_told() -> None:
    members, edges = [slow(number, 200 + 10 * number) for number in range(40)], calls(*zip(range(39), range(1, 40)))  # noqa: B905
    expected = candidates(members, edges, 5_000 * US)
    assert len(expected) == MOST_TOLD
    for seed in range(5):
        draw = random.Random(seed)
        draw.shuffle(members)
        draw.shuffle(edges)
        assert candidates(members, edges, 5_000 * US) == expected


def test_only_calls_between_members_that_have_been_there_for_a_while_explain() -> None:
    known = Neighbours(60 * US)
    for edge in (*calls((1, 2), (2, 3)), Edge("prod", "service:s9", "service:s1", EdgeKind.CALL, 90 * US, 90 * US, 1)):
        known.hear(edge)
    known.at(100 * US)
    names = {"service:s1", "service:s2", "service:s9"}
    assert [(edge.client, edge.server) for edge in known.among("prod", names)] == [("service:s1", "service:s2")]
    assert known.among("staging", names) == []


def no_role(number: int, surprise: float) -> Anomaly:
    return of("temperature", "Cel", Kind.GAUGE, slow(number, 80, 20, surprise)).anomaly


def test_where_no_signal_says_what_is_lost_the_most_unlikely_is_first() -> None:
    members = [Member(no_role(number, 5.0 + number), "") for number in (1, 3, 2)]
    assert [each.entity for each in candidates(members, (), 5_000 * US)] == ["service:s3", "service:s2", "service:s1"]
