"""Workloads that say the same at once, through the correlate chain: first sights of templates stand in its log."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from pipeline.codecs import happening_event
from pipeline.flow.correlate import CorrelateChain
from pipeline.incidents.alike import SETTLED_US
from pipeline.records import US, Anomaly, Event
from tests.flow.test_correlate_chain import CONFIG, Log, told
from tests.incidents.test_grouping import anomaly

BEGIN = 2 * SETTLED_US // US
EXPIRED = "certificate of <*> has expired or is not valid yet"
USUAL = "the request of <*> has failed"


class Written(Log):
    """With first sights of templates, as the joining of lines tells them."""

    _sights = 0

    def sight(self, workload: int, template: int, text: str, second: float) -> None:
        entity = (("deployment.environment.name", "prod"), ("service.name", f"s{workload}"))
        name = f"{template:016x}"
        event = Event(
            f"{name}-{workload}", round(second * US), "log.template.new", entity, 17, text, (("log.template", name),)
        )
        value, headers = happening_event.encode(event, "logs/0", self._sights)
        self._sights += 1
        self._add(value, headers)


def lines(workload: int, template: int, onset: float, at: float, transition: str = "opened") -> Anomaly:
    found = anomaly(100 * workload + template, onset, at, transition)
    attributes = (("log.template", f"{template:016x}"), ("severity", "error"))
    signal = replace(found.signal, name="log.lines", workload=f"service:s{workload}", attributes=attributes)
    return replace(found, signal=signal, revision=2 if transition == "ended" else 1)


def story() -> Written:
    """Five pairs that call each other; certificates expire in two of them, and a usual message comes in two others."""
    log = Written()
    for number in range(1, 11, 2):
        log.edge(number, number + 1, 0)
    for number in range(1, 11):
        log.sight(number, 7, USUAL, 10 + number)
        log.sight(
            number, 20 + number, f"{['alpha', 'beta', 'gamma', 'delta'][number % 4]} of workload ready", 10 + number
        )
    log.until(20)
    for workload, template, text, second in ((1, 1, EXPIRED, 0), (3, 2, f"{EXPIRED} again", 10)):
        log.sight(workload, template, text, BEGIN + second)
        log.anomaly(lines(workload, template, BEGIN + second, BEGIN + second + 10))
        log.until(BEGIN + second + 10)
    log.anomaly(lines(5, 7, BEGIN + 20, BEGIN + 30), lines(7, 7, BEGIN + 20, BEGIN + 30))
    log.until(BEGIN + 60)
    for workload, template, second in ((1, 1, 0), (3, 2, 10), (5, 7, 20), (7, 7, 20)):
        log.anomaly(lines(workload, template, BEGIN + second, BEGIN + 100, "ended"))
    log.until(BEGIN + 1000)
    return log


def resolved(found: list[tuple[str, Any]]) -> list[list[str]]:
    """By incident, by what each member joined."""
    ends = [body for topic, body in found if topic == "incidents" and body["transition"] == "resolved"]
    return sorted(sorted(member["joined_by"] for member in body["members"]) for body in ends)


def test_an_unusual_message_in_two_far_places_is_one_incident_and_a_usual_one_is_two() -> None:
    same = f"says much the same as service:s1, '{EXPIRED}': 7 of 8 words, onset 10 s from the newest member's"
    assert resolved(told(story())) == [["first member"], ["first member"], ["first member", same]]


@pytest.mark.parametrize("seed", range(12))
def test_wherever_it_is_saved_and_restored_the_same_comes_out(seed: int) -> None:
    log, draw = story(), random.Random(seed)
    cuts = sorted(draw.sample(range(1, len(log.messages)), draw.randint(1, 12)))
    assert told(log, cuts) == told(log)


def test_a_state_of_before_texts_were_kept_knows_none() -> None:
    log = story()
    chain = CorrelateChain(0, CONFIG)
    chain.apply(log.messages[:25])
    saved = chain.snapshot(full=True)
    assert saved.blocks["texts"] != b"\x90"
    blocks = {name: bytes(block) for name, block in saved.blocks.items() if name != "texts"}
    other = CorrelateChain(0, CONFIG)
    other.restore(replace(saved, blocks=blocks, names=tuple(blocks)))
    out = other.apply(log.messages[saved.offset :])
    ends = [json.loads(r.value or b"null") for r in out.records if r.topic == "incidents"]
    assert all(len(body["members"]) == 1 for body in ends)
