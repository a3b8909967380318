"""Open incidents that turn out to be one are put together, and it is told by what; what nobody feels starts none."""

from dataclasses import replace

import pytest

from pipeline.incidents.grouping import Grouping
from pipeline.records import US, Anomaly, Incident
from tests.incidents.test_grouping import JOIN, RESOLVE, anomaly
from tests.incidents.test_joining import Calls

CHAIN = Calls((1, 2), (2, 3), (3, 4), (4, 5), (8, 9))


def after(grouping: Grouping, second: float, *anomalies: Anomaly) -> list[Incident]:
    return grouping.step(sorted(anomalies, key=lambda each: (each.signal.id, each.revision)), round(second * US))


def chain() -> Grouping:
    return Grouping(JOIN * US, RESOLVE * US, graph=CHAIN)


def test_what_belongs_to_two_incidents_makes_them_one() -> None:
    grouping = chain()
    assert [each.transition for each in after(grouping, 120, anomaly(1, 100, 120), anomaly(5, 105, 120))] == [
        "opened",
        "opened",
    ]
    merged, updated = after(grouping, 150, anomaly(3, 130, 150))
    assert (merged.transition, merged.id, merged.merged_into) == ("merged", "inc-a5-105", "inc-a1-100")
    assert merged.comment == "service:s3: 2 calls away: service:s3 – service:s2 – service:s1"
    assert (updated.transition, updated.id) == ("updated", "inc-a1-100")
    why = {member.anomaly.id: member.joined_by for member in updated.members}
    assert why["a5-105"].startswith("merged from inc-a5-105: ")
    assert list(grouping.open) == ["inc-a1-100"]


def test_the_one_that_began_first_goes_on_and_who_looks_at_either_looks_at_it() -> None:
    grouping = chain()
    after(grouping, 120, anomaly(1, 110, 120), anomaly(5, 100, 120))
    grouping.open["inc-a1-110"].acknowledged_by = "ann"
    told = after(grouping, 150, anomaly(3, 130, 150))
    assert [each.id for each in told] == ["inc-a1-110", "inc-a5-100"]
    assert told[-1].acknowledged_by == "ann"


def test_nearness_in_time_puts_nothing_together() -> None:
    grouping = chain()
    after(grouping, 120, anomaly(1, 100, 120), anomaly(8, 105, 120))
    told = after(grouping, 150, anomaly(2, 130, 150))
    assert [each.transition for each in told] == ["updated"]
    assert len(grouping.open) == 2


def test_many_at_once_become_one() -> None:
    ways = [(9, 90 + leaf) for leaf in (1, 2, 3)] + [(90 + leaf, leaf) for leaf in (1, 2, 3)]
    grouping = Grouping(JOIN * US, RESOLVE * US, graph=Calls(*ways))
    after(grouping, 120, anomaly(1, 90, 120), anomaly(2, 110, 120), anomaly(3, 111, 120))
    assert len(grouping.open) == 3
    told = after(grouping, 140, anomaly(9, 130, 140))
    assert [each.transition for each in told] == ["merged", "merged", "updated"]
    assert told[-1].member_count == 4


@pytest.mark.parametrize(
    ("felt", "more", "starts"),
    [(None, {}, True), (True, {}, True), (False, {}, False), (False, {"silent": True}, True)],
)
def test_what_nobody_feels_starts_no_incident_where_that_is_measured(
    felt: bool | None, more: dict[str, bool], starts: bool
) -> None:
    grouping = chain()
    told = after(grouping, 120, replace(anomaly(1, 100, 120), felt=felt, **more))
    assert [each.transition for each in told] == (["opened"] if starts else [])
    assert [each.reason for each in grouping.suppressed] == ([] if starts else ["not_felt"])


def test_it_joins_one_that_is_there() -> None:
    grouping = chain()
    after(grouping, 120, anomaly(1, 100, 120))
    (told,) = after(grouping, 130, replace(anomaly(2, 110, 130), felt=False))
    assert (told.transition, told.member_count) == ("updated", 2)


def test_while_something_of_a_workload_goes_on_what_begins_there_minutes_later_belongs_to_it() -> None:
    grouping = chain()
    after(grouping, 120, anomaly(1, 100, 120))
    after(grouping, 500, replace(anomaly(1, 480, 500), id="later", signal=replace(anomaly(1, 0, 0).signal, id=77)))
    assert list(grouping.open) == ["inc-a1-100"]
    after(grouping, 900, anomaly(2, 880, 900))
    assert list(grouping.open) == ["inc-a1-100"]
    after(grouping, 1700, anomaly(2, 1690, 1700, revision=1))
    assert list(grouping.open) == ["inc-a1-100", "inc-a2-1690"]


def test_where_nothing_goes_on_it_is_another_one() -> None:
    grouping = Grouping(JOIN * US, 300 * US, graph=CHAIN)
    after(grouping, 120, anomaly(1, 100, 120), anomaly(2, 100, 120))
    after(grouping, 150, anomaly(1, 100, 150, "ended", revision=2))
    after(grouping, 400, replace(anomaly(1, 390, 400), id="later", signal=replace(anomaly(1, 0, 0).signal, id=77)))
    assert len(grouping.open) == 1  # what it calls goes on
    grouping = Grouping(JOIN * US, 300 * US, graph=CHAIN)
    after(grouping, 120, anomaly(1, 100, 120))
    after(grouping, 150, anomaly(1, 100, 150, "ended", revision=2))
    after(grouping, 400, replace(anomaly(1, 390, 400), id="later", signal=replace(anomaly(1, 0, 0).signal, id=77)))
    assert len(grouping.open) == 2
