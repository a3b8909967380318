"""What runs side by side and suffers together."""

from math import comb, log

import pytest

from pipeline.causes.placement import crowds
from pipeline.records import OnNode, Placement


def one_of(instances: int, node: str = "node:a", on_node: int = 1) -> Placement:
    return Placement(1, instances, (OnNode(node, 1, on_node),))


def test_a_pod_of_each_workload_on_one_node_points_to_it() -> None:
    found = crowds({"cart": one_of(3), "orders": one_of(4), "payment": one_of(3)})
    (crowd,) = found.values()
    assert crowd.strength == pytest.approx(log(3 * 4 * 3))  # each by a chance of one in so many
    assert crowd.explains == pytest.approx(dict.fromkeys(("cart", "orders", "payment"), 35 / 36))
    assert (crowd.node, crowd.workloads, crowd.unusual, crowd.of) == ("node:a", 3, 3, 3)
    assert crowd.words() == "3 of 3 instances of 3 workloads on it are unusual, 0 of 7 of the same workloads elsewhere"


def test_one_workload_alone_points_to_no_node() -> None:
    assert crowds({"cart": Placement(5, 50, (OnNode("node:a", 5, 5),))}) == {}


def test_workloads_of_which_all_instances_suffer_say_nothing() -> None:
    all_of = Placement(3, 3, (OnNode("node:a", 1, 1), OnNode("node:b", 2, 2)))
    both = {"cart": one_of(3), "orders": one_of(3)}
    assert crowds(both | {"frontend": all_of}) == crowds(both)


def test_where_it_is_spread_over_nodes_as_it_would_be_by_chance_no_node_is_told_of() -> None:
    spread = Placement(3, 6, (OnNode("node:a", 1, 2), OnNode("node:b", 1, 2), OnNode("node:c", 1, 2)))
    assert crowds({"cart": spread, "orders": spread, "payment": spread}) == {}


def test_the_probability_is_exact() -> None:
    on = (OnNode("node:a", 3, 4),)
    (crowd,) = crowds({"cart": Placement(4, 10, on), "orders": one_of(5, on_node=2)}).values()
    of_cart = [comb(4, x) * comb(6, 4 - x) / comb(10, 4) for x in range(5)]
    at_least_four = of_cart[4] + of_cart[3] * 2 / 5  # 4 and either, or 3 and 1
    assert crowd.strength == pytest.approx(-log(at_least_four))


def test_of_many_nodes_one_must_stand_out_more() -> None:
    two = {"cart": one_of(4), "orders": one_of(4)}
    more = {f"w{number}": one_of(4, f"node:{number}") for number in range(3)}
    assert crowds(two | more)["node:a"].strength == pytest.approx(crowds(two)["node:a"].strength - log(4))
