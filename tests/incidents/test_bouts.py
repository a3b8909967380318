"""Which members of an incident are those of its present bout."""

from dataclasses import replace

from pipeline.incidents import bouts
from pipeline.records import US, Change, Happened, Member
from tests.incidents.test_grouping import anomaly
from tests.incidents.test_life import Desk, end


def lasted(signal: int, onset: float, until: float | None) -> Member:
    """A member of so many seconds; it goes on where no end is given."""
    opened = anomaly(signal, onset, onset + 20)
    return Member(opened if until is None else replace(opened, end_us=round(until * US)), "")


def onsets(*members: Member, rest: float = 120) -> list[float]:
    return [member.anomaly.onset_us / US for member in bouts.present(members, round(rest * US))]


def test_without_a_long_rest_all_are_of_one_bout() -> None:
    assert onsets(lasted(1, 1000, 1100), lasted(2, 1220, 1300)) == [1000, 1220]


def test_after_a_long_rest_only_what_began_since_counts() -> None:
    assert onsets(lasted(2, 1500, None), lasted(1, 1000, 1100), lasted(3, 1510, 1520)) == [1500, 1510]


def test_while_one_goes_on_there_is_no_rest() -> None:
    assert onsets(lasted(1, 1000, None), lasted(2, 5000, None)) == [1000, 5000]


def test_a_long_one_reaches_over_short_ones() -> None:
    assert onsets(lasted(1, 1000, 2000), lasted(2, 1010, 1020), lasted(3, 1990, 2050)) == [1000, 1010, 1990]


def test_one_that_is_over_is_told_by_its_last_bout() -> None:
    assert onsets(lasted(1, 1000, 1100), lasted(2, 2000, 2100)) == [2000]


def test_the_title_and_the_changes_of_an_incident_that_returns_are_those_of_its_return() -> None:
    desk = Desk()
    for at in (900, 1370):
        entity = (("calm.scope", "prod"), ("calm.workload", "service:cart"))
        change = Change(
            id=f"flag-{at}", effective_us=at * US, kind="flag", phase="finished", entity=entity, source="json"
        )
        desk.grouping.evidence.add(Happened(change, "prod", "service:cart", ""))
    desk.at(1020, anomaly(1, 1000, 1020))
    desk.at(1100, end(1, 1000, 1100))
    desk.at(1300)
    desk.at(1400, anomaly(1, 1380, 1400))
    told = desk.incidents[-1]
    assert told.transition == "reopened"
    assert "since 00:23:00Z" in told.title
    assert told.changes[0].what.id == "flag-1370"
    assert told.onset_us == 1000 * US
