"""Points in, anomalies and incidents out, as timelines: when each transition comes, and that no other one does."""

import pytest

from tests.timeline import DETECTED, Between, Timeline, every, second, usual

#: When signals begin, and when they are in trouble: 100 windows of 10 s later, so that they are known well.
BEGIN, TROUBLE = -700, 300


def shop(until: float = 600, **options: object) -> Timeline:
    """A steady second signal keeps event time going, whatever the first one does."""
    timeline = Timeline(**options)  # type: ignore[arg-type]
    timeline.push(every(5, BEGIN, until), "traffic", usual)
    return timeline


def jump(second: float) -> float:
    return usual(second) + (150 if TROUBLE <= second < TROUBLE + 60 else 0)


def want_one_incident(timeline: Timeline, scope: str = "default") -> None:
    """Of a deviation from 300 to 360: two windows open it, three calm ones end it, three more resolve it."""
    timeline.want(Between(325, 325), "incident opened", scope)
    timeline.want(Between(425, 425), "incident resolved", scope)


def test_a_deviation_that_lasts_opens_and_ends_an_anomaly_and_an_incident() -> None:
    timeline = shop(policy=DETECTED)
    timeline.push(every(5, BEGIN, 600), "latency", jump)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    want_one_incident(timeline)
    timeline.play()
    opened, ended = timeline.one("anomaly opened", "latency"), timeline.one("anomaly ended", "latency")
    assert (second(opened["onset_time"]), second(opened["decided_time"])) == (300, 320)
    assert (second(ended["end_time"]), second(ended["decided_time"]), ended["unlikely_windows"]) == (360, 390, 6)
    resolved = timeline.one("incident resolved", "default")
    assert (second(resolved["onset_time"]), second(resolved["resolved_time"])) == (300, 360)
    assert (resolved["revision"], resolved["member_count"], resolved["close_reason"]) == (2, 1, "all members ended")


def test_a_steady_signal_says_nothing() -> None:
    timeline = shop(until=1000, policy=DETECTED)
    timeline.play()
    assert timeline.counts["windows", ""] == 169


@pytest.mark.parametrize("value", [250.0, 600.0, -400.0])
def test_an_outlier_alone_opens_nothing(value: float) -> None:
    timeline = shop(policy=DETECTED)
    timeline.push(every(5, BEGIN, 600), "latency", lambda at: value if 300 <= at < 310 else usual(at))
    timeline.play()


def test_two_outliers_too_far_apart_open_nothing_and_near_ones_do() -> None:
    apart = shop(policy=DETECTED)
    apart.push(every(5, BEGIN, 600), "latency", lambda at: 250 if at // 10 in (30, 33, 36) else usual(at))
    apart.play()
    near = shop(policy=DETECTED)
    near.push(every(5, BEGIN, 600), "latency", lambda at: 250 if at // 10 in (30, 32) else usual(at))
    near.want(Between(335, 335), "anomaly opened", "latency")
    near.want(Between(365, 365), "anomaly ended", "latency")
    near.want(Between(335, 335), "incident opened", "default")
    near.want(Between(395, 395), "incident resolved", "default")
    near.play()
    assert second(near.one("anomaly opened", "latency")["onset_time"]) == 300


def test_a_cold_signal_opens_nothing() -> None:
    timeline = shop(until=180, policy=DETECTED)
    timeline.push(every(5, 0, 180), "latency", lambda at: usual(at) + 200 * (at >= 120))
    timeline.play()


@pytest.mark.parametrize(
    ("policy", "opens"),
    [
        ({"direction": "up"}, True),
        ({"direction": "down"}, False),
        ({"min_absolute": 100.0}, True),
        ({"min_absolute": 200.0}, False),
        ({"min_relative": 0.7}, True),
        ({"min_relative": 2.0}, False),
        ({"threshold_surprise": 200.0}, False),
        ({"open_windows": 6, "of_windows": 6}, True),
        ({"open_windows": 7, "of_windows": 8}, False),
        ({"min_history_windows": 150}, False),
    ],
)
def test_the_policy_decides_what_counts(policy: dict[str, float], opens: bool) -> None:
    timeline = shop(until=400, policy=DETECTED | policy)
    timeline.push(every(5, BEGIN, 380), "latency", jump)
    if opens:
        at = 325 if policy.get("open_windows", 2) == 2 else 365
        timeline.want(Between(at, at), "anomaly opened", "latency")
        timeline.want(Between(at, at), "incident opened", "default")
    timeline.play()


def test_a_calm_window_now_and_then_does_not_end_an_anomaly() -> None:
    timeline = shop(policy=DETECTED)
    timeline.push(every(5, BEGIN, 600), "latency", lambda at: usual(at) + 150 * (at >= 300 and at // 10 % 3 == 0))
    timeline.want(Between(325, 600), "anomaly opened", "latency")
    with pytest.raises(AssertionError, match="wanted between 325 and 600: anomaly opened latency"):
        timeline.play()
    ongoing = shop(until=450, policy=DETECTED)
    ongoing.push(every(5, BEGIN, 450), "latency", lambda at: usual(at) + 150 * (at >= 300 and at // 10 % 3 != 2))
    ongoing.want(Between(325, 325), "anomaly opened", "latency")
    ongoing.want(Between(325, 325), "incident opened", "default")
    ongoing.play()


# What belongs together


def test_anomalies_of_one_scope_near_in_time_are_one_incident() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "latency", jump)
    timeline.push(every(5, BEGIN, 600), "errors", lambda at: jump(at - 20), service__name="pay")
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(345, 345), "anomaly opened", "errors")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    timeline.want(Between(415, 415), "anomaly ended", "errors")
    timeline.want(Between(325, 325), "incident opened", "default")
    timeline.want(Between(345, 345), "incident updated", "default")
    timeline.want(Between(445, 445), "incident resolved", "default")
    timeline.play()
    resolved = timeline.one("incident resolved", "default")
    assert resolved["affected"] == ["service:pay", "service:shop"]
    reasons = {member["signal"]["name"]: member["joined_by"] for member in resolved["members"]}
    assert reasons == {
        "latency": "first member",
        "errors": "the same scope, onset 20 s from the newest member's",
    }


def test_different_scopes_have_incidents_of_their_own() -> None:
    timeline = shop()
    for scope in ("prod", "staging"):
        timeline.push(every(5, BEGIN, 600), f"latency.{scope}", jump, env=scope)
        timeline.want(Between(325, 325), "anomaly opened", f"latency.{scope}")
        timeline.want(Between(395, 395), "anomaly ended", f"latency.{scope}")
        want_one_incident(timeline, scope)
    timeline.play()
    ids = {told.data["id"] for told in timeline.told if told.what.startswith("incident")}
    assert len(ids) == 2


def test_a_later_deviation_of_the_same_signal_brings_its_incident_back() -> None:
    timeline = shop(until=1000)
    timeline.push(every(5, BEGIN, 1000), "latency", lambda at: jump(at) if at < 600 else jump(at - 400))
    for late in (0, 400):
        timeline.want(Between(325 + late, 325 + late), "anomaly opened", "latency")
        timeline.want(Between(395 + late, 395 + late), "anomaly ended", "latency")
        timeline.want(Between(325 + late, 325 + late), f"incident {'reopened' if late else 'opened'}", "default")
        timeline.want(Between(425 + late, 425 + late), "incident resolved", "default")
    timeline.play()


def test_a_deviation_like_the_one_before_soon_after_it_is_no_news() -> None:
    timeline = shop(policy=DETECTED)
    timeline.push(every(5, BEGIN, 600), "latency", lambda at: jump(at) if at < 450 else jump(at - 150))
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    want_one_incident(timeline)
    timeline.play()


# Silence, idleness, lag


def test_an_instance_that_falls_silent_ends_its_anomaly_after_ten_intervals() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 330), "latency", jump, service__instance__id="shop-1")
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(325, 325), "incident opened", "default")
    timeline.want(Between(435, 435), "anomaly ended", "latency")
    timeline.want(Between(465, 465), "incident resolved", "default")
    timeline.play()
    ended = timeline.one("anomaly ended", "latency")
    assert (second(ended["end_time"]), second(ended["decided_time"])) == (330, 430)


def test_expected_data_that_do_not_come_are_an_anomaly_until_they_do() -> None:
    timeline = shop()
    timeline.push([*every(5, BEGIN, 300), *every(5, 440, 600)], "latency", usual)
    timeline.want(Between(320, 380), "anomaly opened", "latency")
    timeline.want(Between(320, 380), "incident opened", "default")
    timeline.want(Between(455, 455), "anomaly ended", "latency")
    timeline.want(Between(475, 485), "incident resolved", "default")
    timeline.play()
    opened, ended = timeline.one("anomaly opened", "latency"), timeline.one("anomaly ended", "latency")
    assert second(opened["onset_time"]) == 300
    assert opened["why"].startswith("no data for ")
    assert (second(ended["end_time"]), second(ended["decided_time"])) == (440, 450)
    assert ended["why"].endswith("data came again")


def test_a_signal_in_trouble_that_falls_silent_stays_in_its_incident() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 330), "latency", jump)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(325, 325), "incident opened", "default")
    timeline.want(Between(435, 435), "anomaly ended", "latency")
    timeline.want(Between(435, 435), "anomaly opened", "latency")
    timeline.want(Between(435, 435), "incident updated", "default")
    timeline.play()


def test_when_nothing_arrives_at_all_nothing_is_decided() -> None:
    timeline = shop(until=330)
    timeline.push(every(5, BEGIN, 330), "latency", jump)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(325, 325), "incident opened", "default")
    timeline.play()


def test_a_source_that_lags_holds_everything_back_and_changes_nothing() -> None:
    timeline = Timeline(sources=2)
    timeline.push(every(5, BEGIN, 600), "latency", jump, source=0)
    timeline.push(every(5, BEGIN, 300), "traffic", usual, source=1)
    timeline.push(every(5, 300, 600), "traffic", usual, source=1, arrives=1000)
    for what in ("anomaly opened", "anomaly ended"):
        timeline.want(Between(1000, 1000), what, "latency")
    for what in ("incident opened", "incident resolved"):
        timeline.want(Between(1000, 1000), what, "default")
    timeline.play()
    assert second(timeline.one("anomaly opened", "latency")["decided_time"]) == 320


def test_a_source_that_never_spoke_holds_everything_back_until_it_is_idle() -> None:
    timeline = Timeline(sources=2)
    timeline.push(every(5, BEGIN, 600), "latency", jump, source=0)
    timeline.idle(500, source=1)
    for what in ("anomaly opened", "anomaly ended"):
        timeline.want(Between(500, 500), what, "latency")
    for what in ("incident opened", "incident resolved"):
        timeline.want(Between(500, 500), what, "default")
    timeline.play()


def test_points_of_a_source_that_was_idle_and_comes_back_with_old_times_are_counted() -> None:
    timeline = Timeline(sources=2)
    timeline.push(every(5, BEGIN, 600), "latency", usual, source=0)
    timeline.push(every(5, BEGIN, 100), "traffic", usual, source=1)
    timeline.want(Between(300, 300), "anomaly opened", "traffic")  # silent since 100
    timeline.want(Between(300, 300), "incident opened", "default")
    timeline.idle(300, source=1)
    timeline.push(every(5, 100, 200), "traffic", usual, source=1, arrives=400)
    timeline.play()
    assert timeline.counts["drop", "late_after_idle"] == 20


# Points out of place


def test_points_out_of_order_within_the_lateness_change_nothing() -> None:
    ordered, shuffled = shop(), shop()
    for timeline, delay in ((ordered, 0), (shuffled, 4)):
        for at in every(5, BEGIN, 600):
            timeline.push(at, "latency", jump, arrives=at + (delay if at % 10 == 0 else 0))
        timeline.want(Between(325, 330), "anomaly opened", "latency")
        timeline.want(Between(395, 400), "anomaly ended", "latency")
        timeline.want(Between(325, 330), "incident opened", "default")
        timeline.want(Between(425, 430), "incident resolved", "default")
        timeline.play()
    assert [told.data for told in shuffled.told] == [told.data for told in ordered.told]
    assert shuffled.counts["drop", "late"] == 0


def test_points_that_come_after_their_window_are_counted_and_change_nothing() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "latency", usual)
    timeline.push([300, 301, 310, 311], "latency", 9999.0, arrives=340)
    timeline.play()
    assert timeline.counts["drop", "late"] == 4
    assert timeline.dead_letters == []


def test_a_point_sent_twice_counts_once() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "latency", usual)
    timeline.push(every(5, BEGIN, 600), "latency", usual)
    timeline.push(every(5, BEGIN, 600), "latency", 9999.0)
    timeline.play()
    assert timeline.counts["notice", "duplicate"] == 2 * 258  # the last window is still open


@pytest.mark.parametrize(("ahead", "reason"), [(301, "far_future"), (-86_401, "far_past")])
def test_a_point_far_from_its_record_goes_to_the_dead_letters_and_moves_no_watermark(ahead: float, reason: str) -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "latency", jump)
    timeline.push(300 + ahead, "latency", 9999.0, arrives=300)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    want_one_incident(timeline)
    timeline.play()
    assert timeline.counts["drop", reason] == 1
    (letter,) = timeline.dead_letters
    assert dict(letter.headers)["calm_reason"] == reason.encode()


def test_a_clock_that_runs_ahead_within_bounds_does_not_make_the_others_late() -> None:
    timeline = shop()
    timeline.push(every(5, 200, 600), "latency", usual)
    for at in every(5, 200, 600):
        timeline.push(at + 250, "ahead", usual, arrives=at)
    timeline.play()
    assert timeline.counts["drop", "late"] == 0


def test_nonsense_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "latency", jump)
    for at in every(5, BEGIN, 600):
        timeline.send(at, b"nonsense")
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    want_one_incident(timeline)
    timeline.play()
    assert timeline.counts["drop", "undecodable"] == len(timeline.dead_letters) == 260


# Counters and odd numbers


def test_a_counter_is_judged_by_its_rate_and_a_restart_is_no_deviation() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 600), "requests", lambda at: 10 * (at - (BEGIN if at < 400 else 395)), kind="counter")
    timeline.play()


def test_a_counter_that_runs_faster_opens_an_anomaly_on_its_rate() -> None:
    timeline = shop(policy=DETECTED)

    def total(at: float) -> float:
        return 10 * (at - BEGIN) + 290 * min(max(at - 300, 0), 60)

    timeline.push(every(5, BEGIN, 600), "requests", total, kind="counter", unit="{r}")
    timeline.want(Between(325, 325), "anomaly opened", "requests")
    timeline.want(Between(395, 425), "anomaly ended", "requests")
    timeline.want(Between(325, 325), "incident opened", "default")
    timeline.want(Between(425, 455), "incident resolved", "default")
    timeline.play()
    opened = timeline.one("anomaly opened", "requests")
    assert opened["signal"]["unit"] == "{r}/s"
    assert opened["observed"] == pytest.approx(155)  # the first window: it went on as before in half of it
    assert opened["expected"]["value"] == pytest.approx(10, rel=0.01)


def test_a_window_whose_sum_is_too_large_for_a_float_is_counted_and_the_signal_goes_on() -> None:
    timeline = shop()
    timeline.push(every(5, BEGIN, 250), "latency", usual)
    timeline.push([250, 255], "latency", 1.7e308)
    timeline.push(every(5, 260, 600), "latency", jump)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    want_one_incident(timeline)
    timeline.play()
    assert timeline.counts["drop", "overflow"] == 1
