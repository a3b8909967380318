"""Points that come after their windows: anomalies and incidents that they show to be wrong are withdrawn, all others
stay as they were told, and the same comes out wherever a chain is saved and restored."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.codecs.registry import input_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.flow.made_of import value_of
from pipeline.flow.score import ScoreChain
from pipeline.flow.score_part import part_of
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Produced
from pipeline.scoring.corrections import Episode
from pipeline.signals import rates
from tests.flow.cloudwatch import CONFIG as CLOUDWATCH
from tests.flow.cloudwatch import Stream
from tests.flow.line import CONFIG as USUAL
from tests.flow.line import START, Line
from tests.flow.restoring import tell_with_restores
from tests.schema.test_events import validate

CONFIG: FlowConfig = replace(
    USUAL, policy=DetectorPolicy(threshold_surprise=3.2), join_us=60 * US, resolve_us=300 * US, habits=False
)
Point = dict[str, Any]
Maker = Callable[[int], list[Point]]
WRONG = range(120, 123)
TOLD = 160


def gauge(second: int) -> list[Point]:
    """Two values a second, whose mean is usual."""
    draw = np.random.default_rng(second)
    return [point(second, "load", 0.25, 10 + draw.normal()), point(second, "load", 0.75, 90 + draw.normal())]


def delta(second: int) -> list[Point]:
    draw = np.random.default_rng(second + 1)
    return [point(second, "orders", at, 40 + 5 * at + draw.normal(), kind="delta") for at in (0.25, 0.75)]


def counter(second: int) -> list[Point]:
    """Everything is counted in the second half of a second."""
    counted = 100.0 * second + 3.0 * np.random.default_rng(second + 2).random()
    return [point(second, "calls", at, counted + more, kind="counter") for at, more in ((0.25, 0), (0.75, 90))]


def beat(second: int) -> list[Point]:
    return [point(second, "beat", 0.5, 5 + np.random.default_rng(second).normal())]


def point(second: int, name: str, at: float, value: float, **more: Any) -> Point:
    attributes = {"service.name": f"of-{name}", "deployment.environment.name": "prod"}
    return {"ts": START + second + at, "name": name, "value": float(value), "attributes": attributes, **more}


def clock(second: int) -> Point:
    """Nothing of interest; time goes on with it."""
    return {"name": "clock", "value": 1.0, "attributes": {"service.name": "clock", "service.instance.id": "1"}}


class Story:
    """``made`` for every second; those of WRONG seconds with an index in ``missing`` come at TOLD, or never."""

    def __init__(self, *made: Maker, missing: Iterable[int] = (1,), wrong: Iterable[int] = WRONG) -> None:
        self.made, self.missing, self.wrong = made, set(missing), set(wrong)
        self.late_at: int | None = TOLD
        self.extra: dict[int, list[Point]] = {}
        self.seconds = 200

    def points(self, second: int) -> list[Point]:
        found = [clock(second), *self.extra.get(second, ())]
        for make in self.made:
            found += [each for i, each in enumerate(make(second)) if not (second in self.wrong and i in self.missing)]
        if second == self.late_at:
            found += [
                each
                for late in sorted(self.wrong)
                for make in self.made
                for i, each in enumerate(make(late))
                if i in self.missing
            ]
        return found

    def tell(self, config: FlowConfig = CONFIG) -> Line:
        line = Line(config)
        for second in range(self.seconds):
            line.second(second, self.points(second))
        return line


def anomalies(line: Line, name: str = "") -> list[dict[str, Any]]:
    found = [json.loads(record.value) for record in line.written["anomalies"] if record.value is not None]
    return [body for body in found if "transition" in body and body["signal"]["name"].startswith(name)]


def incidents(line: Line) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in line.written["incidents"]]


def transitions(bodies: list[dict[str, Any]]) -> list[str]:
    return [body["transition"] for body in bodies]


@pytest.mark.parametrize("make", [gauge, delta, counter])
def test_an_anomaly_made_by_what_was_missing_is_withdrawn_when_that_comes(make: Maker) -> None:
    line = Story(make).tell()
    (*before, withdrawn) = anomalies(line)
    assert transitions(before) == ["opened", "ended"]
    assert (withdrawn["transition"], withdrawn["revision"]) == ("withdrawn", 3)
    assert {body["id"] for body in before} == {withdrawn["id"]}
    assert withdrawn["why"].startswith("late_data: ")
    validate("anomaly", withdrawn)
    assert (withdrawn["end_time"], withdrawn["observed"]) == (before[-1]["end_time"], before[0]["observed"])
    assert line.counts["correction", ""] > 0
    assert line.counts["notice", "late_data"] == 1
    assert line.counts["drop", "late"] == len(WRONG)


def test_so_the_incident_that_it_was_is_withdrawn() -> None:
    told = incidents(Story(gauge).tell())
    assert [(body["transition"], body["state"]) for body in told] == [("opened", "open"), ("withdrawn", "withdrawn")]
    assert told[-1]["title"].startswith("withdrawn: late data do not bear out that load of of-load fell to 9.3")
    assert told[-1]["close_reason"] == "late_data"
    for body in told:
        validate("incident", body)
    assert told[-1]["members"][0]["why"].startswith("late_data: 3 points came late; with 1 of them the window from ")


def test_what_goes_on_is_withdrawn_too_and_what_is_wrong_later_opens_as_ever() -> None:
    story = Story(gauge)
    story.late_at = 124
    story.extra = {second: [point(second, "load", 0.5, 500.0)] for second in range(140, 146)}
    told = anomalies(story.tell())
    assert transitions(told)[:3] == ["opened", "withdrawn", "opened"]
    assert told[1]["end_time"] == told[1]["last_seen_time"]
    assert told[2]["id"] != told[1]["id"]
    assert (told[2]["revision"], told[2]["observed"]) == (1, pytest.approx(200, abs=3))


@pytest.mark.parametrize("late", [[1], [1, 1], []], ids=["all", "all twice", "none"])
def test_points_that_are_sent_twice_count_once(late: list[int]) -> None:
    """Those that came in time come again as well."""
    story = Story(gauge)
    story.late_at = None
    story.extra = {TOLD: [each for second in WRONG for i in (0, 0, *late) for each in [gauge(second)[i]]]}
    line = story.tell()
    assert ("withdrawn" in transitions(anomalies(line))) == bool(late)
    assert line.counts["correction", ""] == (3 if late else 0)


def test_late_points_that_leave_a_window_unlikely_change_nothing_that_is_told() -> None:
    some, worse, all_of_it = (Story(gauge) for _ in range(3))
    some.late_at = worse.late_at = None
    some.extra = {TOLD: [gauge(second)[1] for second in WRONG[:-1]]}
    worse.extra = {TOLD: [point(second, "load", 0.6, -400.0) for second in WRONG]}
    for story in (some, worse):
        line = story.tell()
        assert transitions(anomalies(line)) == ["opened", "ended"]
        assert transitions(incidents(line)) == ["opened"]
        assert line.counts["correction", ""] > 0
        assert line.counts["notice", "late_data"] == 0
    some.extra |= {TOLD + 9: [gauge(WRONG[-1])[1]]}  # the last one comes later still
    assert transitions(anomalies(some.tell())) == transitions(anomalies(all_of_it.tell())) != ["opened", "ended"]


@pytest.mark.parametrize(("seconds", "transition"), [(60, "withdrawn"), (20, "ended"), (0, "ended")])
def test_what_has_been_over_for_longer_than_the_horizon_stays(seconds: int, transition: str) -> None:
    line = Story(gauge).tell(replace(CONFIG, correction_us=seconds * US))
    assert transitions(anomalies(line))[-1] == transition


def test_what_happened_in_a_gap_of_a_counter_stays_though_the_window_after_it_was_as_usual() -> None:
    def busy(second: int) -> list[Point]:
        (found, _) = counter(second)
        extra = 900.0 * min(max(second - WRONG[0], 0), len(WRONG) - 1)
        return [found | {"value": found["value"] + extra}]

    line = Story(busy, missing=[0]).tell()
    silence, ended, high, over, withdrawn = anomalies(line, "calls")
    assert transitions([silence, ended, withdrawn]) == ["opened", "ended", "withdrawn"]
    assert {silence["id"], ended["id"], withdrawn["id"]} == {silence["id"]}
    assert (high["observed"], over["transition"]) == (pytest.approx(550, abs=5), "ended")


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_silence_is_withdrawn_when_late_points_show_that_there_was_none() -> None:
    line = Story(beat, missing=[0], wrong=range(120, 145)).tell()
    opened, ended, withdrawn = anomalies(line)
    assert (ended["why"].endswith("data came again"), withdrawn["silent"]) == (True, True)
    assert withdrawn["why"] == (
        "late_data: 25 points came late, from 2023-11-14T22:15:20Z to 2023-11-14T22:15:45Z; the longest gap was "
        f"{opened['observed']:g} s when this opened, and is 0 s"
    )
    assert transitions(incidents(line)) == ["opened", "withdrawn"]


def test_a_silence_of_which_a_gap_as_long_is_left_stays() -> None:
    story = Story(beat, missing=[0], wrong=range(120, 145))
    story.late_at = None
    story.extra = {TOLD: [each for second in range(124, 145) for each in beat(second)]}
    assert transitions(anomalies(story.tell())) == ["opened", "ended"]


def test_a_silence_that_goes_on_begins_anew_after_the_last_late_point() -> None:
    story = Story(beat, missing=[0], wrong=range(120, 200))
    story.late_at = None
    story.extra = {130: [each for second in range(120, 129) for each in beat(second)]}
    first, withdrawn, again = anomalies(story.tell())
    assert transitions([first, withdrawn, again]) == ["opened", "withdrawn", "opened"]
    assert again["id"] != first["id"]
    assert (again["onset_time"], again["observed"]) == ("2023-11-14T22:15:29.000000Z", first["observed"])


def test_late_points_in_a_silence_of_which_nobody_was_told_keep_it_from_being_one() -> None:
    """Data of every third second come, and the others a few seconds late."""
    story = Story(beat, missing=[0], wrong=[second for second in range(120, 160) if second % 3])
    story.late_at = None
    story.extra = {second: beat(second - 1) for second in range(122, 160, 3)}
    told = transitions(anomalies(story.tell()))
    story.extra = {}
    assert len(told) < len(transitions(anomalies(story.tell())))


# -- the rest ----------------------------------------------------------------------------------------------------------


def several(second: int) -> list[Point]:
    """Four signals of one workload, judged together as well."""
    found = []
    for number in range(4):
        draw = np.random.default_rng(4 * second + number + 1000)
        for at, value in ((0.25, 10.0), (0.75, 90.0)):
            found.append(point(second, f"load{number}", at, value + draw.normal()))
    return [each | {"attributes": {"service.name": "cart", "deployment.environment.name": "prod"}} for each in found]


def test_signals_of_an_entity_take_it_with_them() -> None:
    line = Story(several, missing=[1, 3, 5, 7]).tell()
    told = anomalies(line)
    assert "calm.entity" in {body["signal"]["name"] for body in told}
    last = {body["id"]: body["transition"] for body in told}
    assert set(last.values()) == {"withdrawn"}
    assert transitions(incidents(line))[-1] == "withdrawn"
    assert len({body["id"] for body in incidents(line)}) == 1


def test_an_entity_stays_as_long_as_one_of_its_signals_is_unlikely() -> None:
    story = Story(several, missing=[1, 3, 5, 7])
    story.late_at = None
    story.extra = {TOLD: [several(second)[i] for second in WRONG for i in (1, 3, 5)]}
    line = story.tell()
    last = {body["signal"]["name"]: body["transition"] for body in anomalies(line)}
    assert (last["load0"], last["load3"], last["calm.entity"]) == ("withdrawn", "ended", "ended")
    assert "withdrawn" not in transitions(incidents(line))
    assert any((body["comment"] or "").startswith("late_data: load") for body in incidents(line))


@pytest.fixture(scope="module")
def mixture() -> Story:
    """Everything at once, of which some is late, some of that twice, and some for the second time."""
    story = Story(gauge, delta, counter, several, missing=[1, 3, 5, 7])
    story.extra = {second: beat(second) for second in range(200) if not 120 <= second < 145}
    for second in range(120, 145):
        story.extra.setdefault(150 + second % 7, []).extend(beat(second))
    story.extra.setdefault(170, []).extend(gauge(WRONG[0]))
    return story


@pytest.mark.parametrize("every", [1, 7, 40])
def test_wherever_it_is_restored_the_same_comes_out(mixture: Story, every: int) -> None:
    undisturbed, line = mixture.tell(), Line(CONFIG)
    tell_with_restores(line, CONFIG, lambda second: line.second(second, mixture.points(second)), 200, every, 40)
    assert anomalies(line) == anomalies(undisturbed)
    assert incidents(line) == incidents(undisturbed)
    assert transitions(anomalies(line)).count("withdrawn") >= 8


def test_a_divided_state_keeps_what_belongs_to_its_signals(mixture: Story) -> None:
    line = Line(CONFIG)
    for second in range(150):
        line.second(second, mixture.points(second))
    whole = line.score.snapshot(full=True)
    parts = []
    for number in range(2):
        part = ScoreChain(number, replace(CONFIG, signal_partitions=2))
        part.restore(part_of(whole, number, 2, moved=None))
        parts.append(part)
    kept = [sorted(each.told.id for each in chain.corrections if each.told) for chain in (line.score, *parts)]
    assert kept[0] == sorted(kept[1] + kept[2])
    assert all(kept)


class Two(Line):
    """Two inputs of points."""

    def __init__(self) -> None:
        super().__init__(replace(CONFIG, sources=("points/0", "others/0")))
        self.others = IngestChain("others/0", input_codec("json_points", CONFIG.limits), CONFIG)
        self._readers["others"] = self.others

    def send(self, second: int, points: list[Point]) -> None:
        self._pass(Produced("others", json.dumps(points).encode()), (START + second + 1) * 1000)

    def idle(self) -> None:
        for made in self.others.flush(idle=True).records:
            self._pass(made, 0)


@pytest.mark.parametrize("at_once", [True, False])
def test_an_input_that_was_idle_and_sends_what_it_kept_back_takes_the_silence_with_it(at_once: bool) -> None:
    line = Two()
    for second in range(200):
        line.second(second, [clock(second)])
        if second < 120 or second >= 145:
            kept = [beat(each) for each in (range(120, 146) if second == 145 else [second])]
            for points in [[each for one in kept for each in one]] if at_once else kept:
                line.send(second, points)
        if second == 120:
            line.idle()
    assert transitions(anomalies(line))[0] == "opened"
    assert transitions(anomalies(line))[-1] == "withdrawn"
    assert anomalies(line)[-1]["why"].startswith("late_data: 25 points came late")
    assert line.counts["drop", "late_after_idle"] >= 24


def test_counts_that_were_left_out_and_come_late_are_no_drop() -> None:
    stream = Stream(replace(CLOUDWATCH, policy=DetectorPolicy(threshold_surprise=3.0)), delay=0)
    missing, draw = range(150, 156), np.random.default_rng(0)
    counts = draw.poisson(300, 170)
    for minute in range(170):
        stream.minute(minute, {"ship": 60.0} | ({} if minute in missing else {"pay": float(counts[minute])}))
        if minute == 158:
            for late in missing:
                stream.minute(late, {"pay": float(counts[late])})
    opened, withdrawn, *_ = anomalies(stream, "AWS/Lambda/Invocations")
    assert (opened["transition"], opened["observed"]) == ("opened", 0.0)
    assert (withdrawn["transition"], withdrawn["id"]) == ("withdrawn", opened["id"])


def test_values_are_worked_out_as_when_windows_close() -> None:
    """Of all kinds: with the points that a window had it has the value that it had."""
    line = Line(CONFIG)
    story = Story(gauge, delta, counter)
    for second in range(130):
        line.second(second, story.points(second))
    kinds = line.score.scorer.table.groups["signal"]["kind"]
    runs = [each for each in line.score.corrections if isinstance(each, Episode)]
    windows = [(int(kinds[each.row]), one) for each in runs for one in each.windows.values()]
    assert {kind for kind, _ in windows} == {rates.GAUGE, rates.DELTA, rates.COUNTER}
    for kind, window in windows:
        assert value_of(kind, window) == pytest.approx(window.value, rel=1e-12)
