"""To which incident an anomaly belongs: the same signal, the same workload, workloads that call each other, or time."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pipeline.incidents import joining
from pipeline.incidents.grouping import Grouping
from pipeline.incidents.joining import best
from pipeline.incidents.open_incident import Open
from pipeline.records import US, Anomaly, Member
from tests.incidents.test_grouping import JOIN, RESOLVE, anomaly


class Calls:
    """Workloads ``service:s<n>`` that call each other in pairs, all in one scope."""

    def __init__(self, *pairs: tuple[int, int]) -> None:
        self._pairs = pairs

    def around(self, scope: str, workload: str) -> Iterable[str]:
        number = int(workload.removeprefix("service:s"))
        both = [(one, other) for pair in self._pairs for one, other in (pair, pair[::-1])]
        return sorted({f"service:s{other}" for one, other in both if one == number})


def incident(*members: Anomaly) -> Open:
    return Open(f"inc-{members[0].id}", "prod", 0, members={each.id: Member(each, "first member") for each in members})


def of(signal: int, workload: int, onset: float) -> Anomaly:
    found = anomaly(signal, onset, onset + 20)
    return replace(found, signal=replace(found.signal, workload=f"service:s{workload}"))


def test_the_strongest_edge_wins_over_the_newest_onset() -> None:
    one, other = incident(of(1, 1, 100)), incident(of(2, 2, 150))
    assert best(of(1, 1, 130), [one, other], Calls(), JOIN * US)[0] is one
    assert best(of(9, 1, 130), [one, other], Calls(), JOIN * US)[0] is one
    assert best(of(3, 3, 130), [one, other], Calls((3, 1)), JOIN * US)[0] is one
    assert best(of(3, 3, 130), [one, other], Calls(), JOIN * US)[0] is other


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([(1, 3)], "1 call away: service:s3 – service:s1"),
        ([(3, 1)], "1 call away: service:s3 – service:s1"),
        ([(1, 2), (2, 3)], "2 calls away: service:s3 – service:s2 – service:s1"),
        ([(1, 2), (3, 2)], "2 calls away: service:s3 – service:s2 – service:s1"),
    ],
)
def test_what_calls_or_is_called_over_two_calls_belongs_together_and_the_way_is_told(
    pairs: list[tuple[int, int]], why: str
) -> None:
    _, told = best(of(3, 3, 130), [incident(of(1, 1, 100))], Calls(*pairs), JOIN * US)
    assert told == f"{why}, onset 30 s from the newest member's"


def test_what_the_graph_knows_to_be_far_apart_does_not_belong_together() -> None:
    far = Calls((1, 2), (2, 4), (4, 3))
    assert best(of(3, 3, 130), [incident(of(1, 1, 100))], far, JOIN * US) == (None, "")
    unknown, why = best(of(9, 9, 130), [incident(of(1, 1, 100))], far, JOIN * US)
    assert unknown is not None
    assert why.startswith("the same scope")


def test_an_incident_takes_nothing_in_after_its_longest_time() -> None:
    growing = incident(*(of(1, 1, minute * 60) for minute in range(4 * 60 + 1)))
    last = joining.LONGEST_US // US
    assert best(of(2, 1, last), [growing], Calls(), JOIN * US)[0] is growing
    assert best(of(2, 1, last + 1), [growing], Calls(), JOIN * US)[0] is None


def test_two_faults_at_once_in_parts_that_do_not_call_each_other_are_two_incidents() -> None:
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=Calls((1, 2), (5, 6)))
    found = [of(1, 1, 100), of(2, 2, 100), of(5, 5, 100), of(6, 6, 100)]
    told = grouping.step([replace(each, step_us=120 * US) for each in found], 120 * US)
    assert [(each.transition, each.member_count) for each in told] == [("opened", 2), ("opened", 2)]


def test_what_the_graph_did_not_know_when_it_joined_takes_in_what_is_near_in_time() -> None:
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=Calls((1, 2), (3, 4)))
    grouping.step([of(9, 9, 100)], 120 * US)
    assert grouping.open["inc-a9-100"].unknown == {"service:s9"}
    grouping.step([replace(of(1, 1, 110), step_us=130 * US)], 130 * US)
    assert len(grouping.open) == 1
    apart = Grouping(JOIN * US, RESOLVE * US, graph=Calls((1, 2), (3, 4)))
    apart.step([of(1, 1, 100), of(3, 3, 100)], 120 * US)
    assert len(apart.open) == 2


def test_in_a_storm_time_is_enough_and_nothing_is_dropped() -> None:
    pairs = [(2 * number, 2 * number + 1) for number in range(60)]
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=Calls(*pairs))
    told = grouping.step([of(number, number, 100) for number in range(120)], 120 * US)
    assert len(told) == joining.STORM
    assert sum(each.member_count for each in told) == 120
    (late,) = [each for each in told if each.member_count > 2]
    assert any("in a storm of 15 incidents" in member.joined_by for member in late.members)
