"""What workloads lose and what else stands out in them, in one ranking."""

import random
from dataclasses import replace

from pipeline.causes import residual, together
from pipeline.causes.behaviour import Contrast, What
from pipeline.causes.placement import Crowd
from pipeline.causes.saturation import Saturation
from pipeline.causes.self_time import Shift, Slowdown
from pipeline.causes.together import Beside
from pipeline.causes.vitals import Role, Sign, Vitals
from pipeline.records import Edge, EdgeKind


def slow(name: str, excess: float, z: float = 8.0) -> Vitals:
    return Vitals(name, 60, 100.0, Sign("latency", z, excess, 0.1 + excess / 100, 0.1))


def calls(*pairs: tuple[str, str]) -> list[Edge]:
    return [Edge("prod", one, other, EdgeKind.CALL, 0, 0, 1) for one, other in pairs]


def says(name: str, strength: float) -> Beside:
    contrast = Contrast(name, "", (What.TEMPLATE, "t"), 40, 50, 0, 100, strength)
    return Beside(contrast, f"log lines 'no answer' in {name}")


def ranked(rows: list[Vitals], edges: list[Edge], **beside: Beside) -> list[str]:
    return [each.entity for each in together.rank(residual.findings(rows, edges, onset_us=10**12), beside, 20)]


def test_with_vitals_alone_the_order_is_that_of_what_is_left_unexplained() -> None:
    for seed in range(20):
        draw = random.Random(seed)
        names = [f"s{number}" for number in range(8)]
        rows = [slow(name, draw.uniform(-2, 50), draw.uniform(0, 20)) for name in names]
        edges = calls(*((draw.choice(names), draw.choice(names)) for _ in range(8)))
        expected = [each.entity for each in residual.rank(rows, edges, onset_us=10**12)]
        assert ranked(rows, edges) == expected


def test_who_writes_about_what_it_calls_does_not_come_before_it() -> None:
    rows, edges = [slow("web", 50.0), slow("db", 50.0)], calls(("web", "db"))
    assert ranked(rows, edges, web=says("web", 300.0)) == ["db", "web"]


def test_a_little_that_is_its_own_does_not_make_its_lines_count() -> None:
    failing = Sign("errors", 12.0, 90.0, 0.9, 0.01)
    web = Vitals("web", 60, 100.0, Sign("latency", 1.5, 3.0, 0.13, 0.1), failing)
    assert ranked([web, Vitals("db", 60, 100.0, None, failing)], calls(("web", "db")), web=says("web", 300.0)) == [
        "db",
        "web",
    ]


def test_lines_decide_where_nobody_explains_the_other() -> None:
    rows = [slow("web", 50.0), slow("cart", 45.0)]
    assert ranked(rows, []) == ["web", "cart"]
    assert ranked(rows, [], cart=says("cart", 200.0)) == ["cart", "web"]


def test_a_workload_without_vitals_is_a_candidate_by_what_stands_out() -> None:
    slowdown = Slowdown(9.0, Shift(("cart", "", "GET /", ""), 9.0, 50, 400.0, 20.0))
    beside = Beside(slowdown=slowdown, slowdown_words="GET / itself takes 400 ms, usually 20 ms", notes=("1 of 3",))
    (found,) = together.rank([], {"cart": beside}, 0)
    assert (found.entity, found.signal) == ("cart", "traces.operation.self_time")
    assert found.evidence == ("GET / itself takes 400 ms, usually 20 ms", "1 of 3")


def test_who_is_full_comes_after_who_loses_and_before_who_is_only_odd() -> None:
    odd = Vitals("gc", 60, 100.0, None, None, Sign("threads", 4.0, 0.0, 9.0, 3.0))
    full = Beside(full=Saturation("cpu.utilization", 97.0, 30.0, 18.0))
    cpu = Vitals("batch", 60, 100.0, None, None, Sign("cpu.utilization", 18.0, 0.0, 0.97, 0.3))
    rows = [slow("web", 50.0, 20.0), cpu, odd]
    assert ranked(rows, [], batch=full) == ["web", "batch", "gc"]


def test_where_all_is_as_usual_nobody_is_a_candidate() -> None:
    assert ranked([slow("web", 5.0, 2.0)], []) == []
    assert ranked([slow("web", 5.0, 2.0)], [], web=says("web", 1.0)) == []


def test_a_node_on_which_instances_suffer_together_is_a_candidate_before_those() -> None:
    crowd = Crowd("node:a", 2, 4, 4, 0, 9, 4.4, {"cart": 0.9, "orders": 0.9})
    explained = Beside(by_node=0.9)
    found = together.rank(
        residual.findings([slow("cart", 2.0), slow("orders", 3.0)], [], onset_us=10**12),
        {"node:a": Beside(crowd=crowd), "cart": explained, "orders": explained},
        1,
    )
    assert [each.entity for each in found] == ["node:a", "orders", "cart"]
    assert found[0].evidence == (crowd.words(),)


def test_lines_of_who_sees_all_of_what_it_loses_in_its_calls_count_for_nothing() -> None:
    rows = [failing("cart", 40.0), failing("orders", 40.0)]
    assert ranked(rows, [], orders=says("orders", 30.0))[0] == "orders"
    waits = replace(says("orders", 30.0), calls_explain={Role.ERRORS: 1.0})
    assert ranked(rows, [], orders=waits, cart=says("cart", 8.0)) == ["cart", "orders"]


def test_lines_of_who_makes_up_for_calls_that_fail_count_for_nothing() -> None:
    waits = replace(says("orders", 30.0), calls_explain={Role.ERRORS: 1.0})
    assert ranked([failing("cart", 40.0)], [], orders=waits) == ["cart"]


def failing(name: str, excess: float) -> Vitals:
    return Vitals(name, 60, 100.0, None, Sign("errors", 7.0, excess, excess / 100, 0.0))
