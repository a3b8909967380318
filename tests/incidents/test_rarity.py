"""Alerts that seldom come: what is put together, shown, joined later, and held back for good. Times in seconds."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incidents.rarity import MOST_ANOMALIES, RareAlerts, Verdict
from pipeline.records import US, Anomaly, Kind, Signal
from tests.incidents.test_grouping import anomaly

TYPES = ("Login", "Scan", "Sudo", "Shell")


def alert(
    type_: str, onset: float, at: float, transition: str = "opened", surprise: float = 3.0, host: str = "web"
) -> Anomaly:
    signal = Signal(
        crc32(f"{type_} {host}".encode()), "events", "{event}/s", Kind.COUNT, "prod", f"host:{host}", "",
        (("event.type", f"alert.{type_}"),),
    )  # fmt: skip
    revision = {"opened": 1, "updated": 2, "ended": 3}[transition]
    made = anomaly(1, onset, at, transition, surprise=surprise, revision=revision)
    return replace(made, id=f"{type_}-{host}-{onset:g}", signal=signal)


def burst(type_: str, onset: float, surprise: float = 3.0, host: str = "web") -> list[Anomaly]:
    """An anomaly that opens and ends half a minute later."""
    opened = alert(type_, onset, onset + 10, "opened", surprise, host)
    ended = alert(type_, onset, onset + 40, "ended", surprise, host)
    return [opened, replace(ended, last_seen_us=opened.last_seen_us)]


class Story:
    """Applies anomalies at their times, with timers in between; ``said`` are (time, what, cluster, ids)."""

    def __init__(self) -> None:
        self.groups = RareAlerts()
        self.said: list[tuple[float, str, str, tuple[str, ...]]] = []
        self.verdicts: list[Verdict] = []

    def tell(self, anomalies: Sequence[Anomaly], timers: bool = True) -> "Story":
        for at in sorted({each.step_us for each in anomalies}):
            if timers:
                self.until(at / US - 1e-6)
            self._take(at, self.groups.step([each for each in anomalies if each.step_us == at], at))
        return self

    def until(self, second: float) -> "Story":
        while (due := self.groups.next_deadline()) is not None and due <= second * US:
            self._take(due, self.groups.step((), due))
        return self

    def _take(self, at_us: int, verdicts: Sequence[Verdict]) -> None:
        self.verdicts += verdicts
        for each in verdicts:
            self.said.append((at_us / US, each.what, each.cluster, tuple(a.id for a, _ in each.anomalies)))


def test_one_surprising_type_is_held_back_for_good() -> None:
    story = Story().tell(burst("Login", 0)).until(2_000)
    assert story.said == [(910.0, "background", "rare-Login-web-0", ("Login-web-0",))]
    assert story.verdicts[0].weight == 3.0


def test_two_surprising_types_close_together_are_shown_with_all_that_was_held() -> None:
    story = Story().tell([*burst("Login", 0), *burst("Scan", 600, 2.5)]).until(3_000)
    cluster = "rare-Login-web-0"
    assert story.said == [
        (610.0, "opened", cluster, ("Login-web-0", "Scan-web-600")),
        (640.0, "joined", cluster, ("Scan-web-600",)),
        (1_510.0, "ended", cluster, ()),
    ]
    assert story.verdicts[0].weight == 5.5
    assert [why for _, why in story.verdicts[0].anomalies] == [
        "first of alerts that seldom come",
        "an alert that seldom comes, 590 s after others that seldom come in this scope",
    ]


def test_types_further_apart_than_the_gap_are_two_things() -> None:
    story = Story().tell([*burst("Login", 0), *burst("Scan", 911)]).until(3_000)
    assert [what for _, what, _, _ in story.said] == ["background", "background"]


def test_an_anomaly_that_goes_on_keeps_its_cluster() -> None:
    story = Story().tell([alert("Login", 0, 10), *burst("Scan", 5_000)])
    assert [(at, what) for at, what, _, _ in story.said] == [(5_010.0, "opened"), (5_040.0, "joined")]


def test_a_cluster_is_joined_for_four_hours_at_most() -> None:
    anomalies = [each for hour in range(0, 6 * 3_600, 600) for each in burst("Login", hour)]
    story = Story().tell(anomalies).until(10**6)
    assert [at for at, what, _, _ in story.said if what == "background"] == [15_010.0, 21_910.0]


def test_what_gets_worse_may_be_shown_then() -> None:
    story = Story().tell([alert("Login", 0, 10, surprise=2.0), alert("Scan", 0, 10, surprise=2.0)])
    assert story.said == []
    story.tell([alert("Scan", 0, 60, "updated", 4.0)])
    assert [what for _, what, _, _ in story.said] == ["opened"]


def test_types_that_always_come_together_are_shown_once() -> None:
    story = Story()
    for day in range(3):
        story.tell([*burst("Login", 86_400 * day), *burst("Scan", 86_400 * day + 60)])
    story.until(10**6)
    assert [what for _, what, _, _ in story.said if what != "joined"] == ["opened", "ended", *("background",) * 2]


def test_alerts_that_are_no_surprise_belong_where_their_type_and_workload_are_known() -> None:
    story = Story().tell([*burst("Login", 0, host="web"), *burst("Scan", 60, host="db")])
    at = 100 * US
    places = [
        story.groups.place("prod", f"alert.{type_}", f"host:{host}", at)
        for type_, host in (("Login", "db"), ("Scan", "web"), ("Login", "mail"), ("Sudo", "web"))
    ]
    assert places == ["rare-Login-web-0", "rare-Login-web-0", None, None]
    assert story.groups.place("prod", "alert.Login", "host:web", 1_000 * US) is None
    assert story.groups.place("test", "alert.Login", "host:web", at) is None


def test_scopes_are_apart() -> None:
    other = [replace(each, signal=replace(each.signal, scope="test")) for each in burst("Scan", 60)]
    story = Story().tell([*burst("Login", 0), *other]).until(3_000)
    assert [what for _, what, _, _ in story.said] == ["background", "background"]


def test_an_anomaly_whose_beginning_was_never_told_is_nothing() -> None:
    assert Story().tell([burst("Login", 0)[1]]).said == []


def test_a_storm_is_one_incident_whose_members_are_bounded_and_all_counted() -> None:
    storm = [alert(f"T{number % 50}", 0, 10, host=f"h{number}") for number in range(MOST_ANOMALIES + 500)]
    story = Story().tell(storm)
    (verdict,) = story.verdicts
    assert (verdict.what, len(verdict.anomalies), verdict.more) == ("opened", MOST_ANOMALIES, 500)
    assert verdict.weight == pytest.approx(150.0)


BURSTS = st.lists(
    st.tuples(
        st.sampled_from(TYPES),
        st.integers(0, 120).map(lambda steps: 100 * steps),
        st.sampled_from([2.0, 3.0, 5.0]),
        st.sampled_from(["web", "db"]),
    ),
    max_size=15,
    unique_by=lambda each: (each[0], each[1], each[3]),
)


def anomalies_of(bursts: Sequence[tuple[str, int, float, str]]) -> list[Anomaly]:
    return [each for one in bursts for each in burst(*one)]


@settings(max_examples=60, deadline=None)
@given(BURSTS, st.integers(0, 10**6), st.booleans())
def test_neither_the_order_within_a_step_nor_how_steps_are_cut_matters(
    bursts: list[tuple[str, int, float, str]], seed: int, timers: bool
) -> None:
    """Without timers in between each cluster's end is told later, at the next step; what is said is the same."""
    mixed = anomalies_of(bursts)
    Random(seed).shuffle(mixed)
    one = Story().tell(anomalies_of(bursts)).until(10**6)
    other = Story().tell(mixed, timers).until(10**6)
    assert [each[1:] for each in other.said] == [each[1:] for each in one.said]
    assert [each.weight for each in other.verdicts] == [each.weight for each in one.verdicts]


@settings(max_examples=60, deadline=None)
@given(BURSTS, st.integers(0, 12_000))
def test_saved_and_restored_it_says_the_same(bursts: list[tuple[str, int, float, str]], cut: int) -> None:
    anomalies = anomalies_of(bursts)
    whole = Story().tell(anomalies).until(10**6)
    early = [each for each in anomalies if each.step_us <= cut * US]
    parted = Story().tell(early)
    parted.groups = RareAlerts(parted.groups.dump(), parted.groups.company.dump())
    parted.tell([each for each in anomalies if each.step_us > cut * US]).until(10**6)
    assert parted.said == whole.said
    assert parted.verdicts == whole.verdicts
