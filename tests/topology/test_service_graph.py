"""The service graph: edges, their age, and who is reached from where."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Edge, EdgeKind
from pipeline.topology.service_graph import ServiceGraph

CALL = Edge("prod", "service:a", "service:b", EdgeKind.CALL, 10, 20, 3)

edges = st.builds(
    lambda client, server, first, lasts, calls: Edge(
        "prod", client, server, EdgeKind.CALL, first, first + lasts, calls
    ),
    *(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)),
)
news = st.lists(st.tuples(edges, st.sampled_from(["x", "y"])), max_size=12)


def heard(said: list[tuple[Edge, str]], remembered_us: int = 100) -> ServiceGraph:
    graph = ServiceGraph(remembered_us)
    for edge, writer in said:
        graph.hear(edge, writer)
    return graph


def chain(*names: str) -> ServiceGraph:
    """Each name calls the next one."""
    pairs = pairwise(names)
    return heard([(replace(CALL, client=client, server=server), "") for client, server in pairs])


@given(news, st.randoms(use_true_random=False))
def test_neither_the_order_of_news_nor_repeats_matter(said: list[tuple[Edge, str]], dice: object) -> None:
    shuffled = said + said[: len(said) // 2]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert list(heard(said).edges()) == list(heard(shuffled).edges())


@given(news)
def test_an_edge_is_as_old_as_the_first_and_as_new_as_the_last_news_of_it(
    said: list[tuple[Edge, str]],
) -> None:
    for edge in heard(said).edges():
        parts = [each for each, _ in said if each.key == edge.key]
        assert edge.first_us == min(each.first_us for each in parts)
        assert edge.last_us == max(each.last_us for each in parts)


def test_calls_of_all_writers_count_and_of_one_writer_the_newest_count() -> None:
    newer = replace(CALL, last_us=30, calls=8)
    (edge,) = heard([(newer, "x"), (CALL, "x"), (CALL, "y")]).edges()
    assert (edge.calls, edge.first_us, edge.last_us) == (11, 10, 30)


def test_edges_of_different_kinds_are_different_edges() -> None:
    assert len(heard([(CALL, ""), (replace(CALL, kind=EdgeKind.MESSAGE), "")])) == 2


def test_an_edge_that_is_not_called_for_long_is_gone_from_everywhere() -> None:
    graph = heard([(CALL, ""), (replace(CALL, server="service:c", last_us=90), "")], remembered_us=50)
    assert graph.expire(70) == []
    assert [edge.server for edge in graph.expire(71)] == ["service:b"]
    assert [edge.server for edge in graph.callees("prod", "service:a")] == ["service:c"]
    assert graph.callers("prod", "service:b") == []
    assert len(graph) == 1


def test_neighbours_are_told_by_direction_and_scope() -> None:
    graph = heard([(CALL, ""), (replace(CALL, scope="test"), "")])
    assert graph.callees("prod", "service:a") == [CALL]
    assert graph.callers("prod", "service:b") == [CALL]
    assert graph.callees("prod", "service:b") == graph.callers("prod", "service:a") == []


def test_what_is_reached_is_told_with_its_distance() -> None:
    graph = chain("a", "b", "c", "a", "d")
    assert graph.reach("prod", "a") == {"a": 0, "b": 1, "d": 1, "c": 2}
    assert graph.reached_by("prod", "d") == {"d": 0, "a": 1, "c": 2, "b": 3}
    assert graph.reach("prod", "nobody") == {"nobody": 0}


def test_no_more_is_reached_than_was_asked_for() -> None:
    assert len(chain(*map(str, range(50))).reach("prod", "0", most=10)) == 10
