"""Lines become templates: what is one, what stays two, ids that never change, bounds, state, labelled systems."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.examples import Example, Reservoir
from pipeline.signals.matching import variable
from pipeline.signals.templates import Alias, Mining, TemplateMiner, workload_number
from tests.benchmarks import logs
from tests.signals.naive_templates import NaiveMiner

WORDS = (
    *"abcdABC1-(",
    "()",
    "(1)",
    "(q)",
    "x=",
    "x=a",
    "x=B",
    "x=C",
    "x=1",
    "<*>",
    "<*>:<*>",
    "x<1",
    "x<",
    "x<a",
    "a.b",
    "1:a",
)
bodies = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
streams = st.lists(st.tuples(st.integers(0, 2), bodies), max_size=80)
minings = st.fixed_dictionaries(
    {
        "most_words": st.integers(1, 3),
        "most_capitals": st.integers(1, 4),
        "similar": st.sampled_from([0.3, 0.6]),
        "most_heads": st.sampled_from([1, 2, 24]),
        "most_per_leaf": st.sampled_from([2, 5, 100]),
        "most_per_workload": st.sampled_from([1, 4, 100]),
        "most_in_all": st.sampled_from([1, 6, 100]),
        "most_text_bytes": st.sampled_from([1, 50, 10_000]),
    }
)


def mined(lines: Iterable[str], **mining: Any) -> list[str]:
    """The texts of a workload's templates after these lines."""
    miner = TemplateMiner(Mining(**mining))
    add(miner, [(0, line) for line in lines])
    return [text for _, _, text, _ in miner.templates(0)]


def add(miner: TemplateMiner, stream: Sequence[tuple[int, str]]) -> list[int]:
    workloads = np.array([workload for workload, _ in stream], np.int64)
    numbers: list[int] = miner.add_many([body for _, body in stream], workloads).tolist()
    return numbers


def final(numbers: Iterable[int], aliases: Iterable[Alias]) -> list[int]:
    """Numbers with aliases applied, in their order."""
    stays = {alias.old_number: alias.number for alias in aliases}

    def last(number: int) -> int:
        return last(stays[number]) if number in stays else number

    return [last(number) for number in numbers]


# -- what is one template, and what is not -----------------------------------------------------------------------------


def test_lines_that_differ_in_values_are_one_template() -> None:
    assert mined(["took 1 ms", "took 22 s", "took 1h3m"]) == ["took <*>"]


def test_few_words_at_a_place_are_words() -> None:
    lines = ["the unit api has started", "the unit api has stopped", "the unit api has failed"]
    assert mined(lines * 5) == lines


def test_words_with_a_capital_are_words_for_longer() -> None:
    lines = [f'shop answered "{method} cart" in time' for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD")]
    assert mined(lines) == lines
    assert mined([*lines, 'shop answered "get cart" in time']) == ['shop answered "<*> cart" in time']


def test_many_words_at_a_place_are_a_variable_and_the_oldest_template_stays() -> None:
    miner = TemplateMiner()
    numbers = add(
        miner, [(0, f"session opened for user={name} by root") for name in ("ada", "bob", "cy", "dan", "eve")]
    )
    news = miner.drain()
    assert numbers == [0, 1, 2, 0, 0]
    assert [(alias.old_number, alias.number) for alias in news.aliases] == [(1, 0), (2, 0)]
    assert [alias.id for alias in news.aliases] == [news.born[0].id] * 2
    assert [alias.old for alias in news.aliases] == [born.id for born in news.born[1:]]
    assert [one.text for one in news.reworded.values()] == ["session opened for user=<*> by root"]
    assert miner.id(0) == news.born[0].id
    assert miner.templates(0) == [(0, news.born[0].id, "session opened for user=<*> by root", 5)]


def test_a_value_where_a_word_stood_is_proof_at_once() -> None:
    lines = ["connection from (db) lost now", "connection from (10.0.0.1) lost now", "connection from () lost now"]
    assert mined(lines) == ["connection from (<*>) lost now"]


def test_a_variable_is_a_variable_in_similar_lines_too() -> None:
    joined = [f"user {name} entered the room kitchen" for name in ("ada", "bob", "cy", "dan")]
    assert mined([*joined, "user eve entered the room attic", "user fay entered the room attic"]) == [
        "user <*> entered the room kitchen",
        "user <*> entered the room attic",
    ]


def test_lines_of_other_lengths_or_that_begin_otherwise_are_other_templates() -> None:
    lines = ["disk is full", "disk is very full", "queue is full"]
    assert mined(lines) == lines


def test_a_word_at_the_beginning_becomes_a_variable_once_many_stand_there() -> None:
    names = [f"{a}{b}" for a in "abcdefgh" for b in "klmnop"]
    texts = mined([f"{name} has logged out of shop" for name in names], most_heads=24)
    assert texts[-1] == "<*> has logged out of shop"
    assert len(texts) == 25


def test_nothing_is_a_line_too() -> None:
    assert mined(["", "  ", "\n"]) == [""]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["user=root,", "user=rob,"], "user=<*>,"),
        (["a", "b"], "<*>"),
        (["(a)", "()"], "(<*>)"),
        (["x=", "x=x="], "x=<*>"),
        (["x<*>:a", "x:b"], "<*>"),
        (["v.<*>.a", "v.b.a"], "v.<*>.a"),
    ],
)
def test_a_variable_keeps_what_its_words_have_in_common_up_to_a_sign(words: list[str], text: str) -> None:
    assert variable(words) == text


# -- ids and news ------------------------------------------------------------------------------------------------------


def test_an_id_is_the_hash_of_the_first_masked_line_in_every_workload() -> None:
    miner = TemplateMiner()
    numbers = add(miner, [(1, "took 5 tries"), (2, "took 7 tries"), (2, "gave up")])
    assert numbers == [0, 1, 2]
    assert [miner.id(number) for number in numbers[:2]] == [0x19FE0078E5B1D4FE] * 2
    assert [(born.workload, born.text, born.line) for born in miner.drain().born] == [
        (1, "took <*> tries", 0),
        (2, "took <*> tries", 1),
        (2, "gave up", 2),
    ]
    assert not miner.drain()


def test_a_workload_may_be_named() -> None:
    miner = TemplateMiner()
    assert [miner.add("shop", "a 1"), miner.add("shop", "a 2"), miner.add("till", "a 1")] == [0, 0, 1]
    assert miner.templates("shop")[0][2:] == ("a <*>", 2)
    assert 0 <= workload_number("shop") < 2**63
    assert workload_number(-3) == -3


@given(streams, minings)
def test_the_miner_does_what_its_slow_twin_does(stream: list[tuple[int, str]], mining: dict[str, Any]) -> None:
    miner, naive = TemplateMiner(Mining(**mining)), NaiveMiner(**mining)
    assert add(miner, stream) == [naive.add(workload, body) for workload, body in stream]
    news = miner.drain()
    assert [(born.number, born.id, born.text) for born in news.born] == naive.born
    assert [(alias.old_number, alias.number) for alias in news.aliases] == naive.aliases
    assert news.forgotten == naive.forgotten
    for held in naive.templates:
        assert miner.text(held.number) == " ".join(held.tokens)


@given(streams, st.data())
def test_an_id_never_changes_and_a_line_keeps_its_template(stream: list[tuple[int, str]], data: st.DataObject) -> None:
    miner = TemplateMiner(
        Mining(most_words=data.draw(st.integers(1, 3)), most_heads=data.draw(st.sampled_from([1, 9])))
    )
    first = add(miner, stream)
    news = miner.drain()
    ids = {born.number: born.id for born in news.born}
    assert {number: miner.id(number) for number in set(final(first, news.aliases))} == {
        number: ids[number] for number in set(final(first, news.aliases))
    }
    again = add(miner, stream)
    assert again == final(first, news.aliases), "a line goes where it went before, or into what that was merged"
    assert not miner.drain()
    for workload in range(3):
        live = [id_ for _, id_, _, _ in miner.templates(workload)]
        assert len(set(live)) == len(live)


@given(streams)
def test_other_workloads_change_nothing(stream: list[tuple[int, str]]) -> None:
    together = TemplateMiner()
    add(together, stream)
    for workload in range(3):
        alone = TemplateMiner()
        add(alone, [(0, body) for own, body in stream if own == workload])
        assert [row[1:] for row in alone.templates(0)] == [row[1:] for row in together.templates(workload)]


@given(streams, st.sampled_from([0, 600, 3_000]))
def test_the_cache_changes_nothing(stream: list[tuple[int, str]], most_cache_bytes: int) -> None:
    usual, other = TemplateMiner(), TemplateMiner(Mining(most_cache_bytes=most_cache_bytes))
    assert add(usual, stream * 2) == add(other, stream * 2)
    assert usual.drain() == other.drain()


# -- bounds ------------------------------------------------------------------------------------------------------------


@given(streams, minings)
def test_what_is_held_stays_in_its_bounds(stream: list[tuple[int, str]], mining: dict[str, Any]) -> None:
    miner = TemplateMiner(Mining(**mining))
    for line in stream:
        add(miner, [line])
        assert len(miner) <= mining["most_in_all"]
        assert len(miner.templates(line[0])) <= mining["most_per_workload"]
        miner.drain()
        sizes = miner.dump()["size"]
        assert sizes.size == 1 or sizes.sum() <= mining["most_text_bytes"]


def test_the_template_that_was_seen_least_recently_is_forgotten_and_comes_back_with_its_id() -> None:
    miner = TemplateMiner(Mining(most_per_workload=2))
    assert add(miner, [(0, "a b"), (0, "c d"), (0, "a b"), (0, "e f")]) == [0, 1, 0, 2]
    news = miner.drain()
    assert news.forgotten == [1]
    assert add(miner, [(0, "c d")]) == [3]
    assert miner.drain().born[0].id == news.born[1].id


def test_random_lines_leave_nothing_behind() -> None:
    dice = np.random.default_rng(4)
    miner = TemplateMiner(Mining(most_in_all=50, most_per_leaf=10, most_cache_bytes=20_000))
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    for _ in range(20):
        stream = [(int(dice.integers(0, 500)), " ".join(dice.choice(words, dice.integers(1, 6)))) for _ in range(200)]
        add(miner, stream)
        assert len(miner) == 50
        miner.drain()
    held = [miner._all, *miner._workloads.values()]
    assert sum(len(one.templates) for one in held) == 100
    assert sum(len(leaf.templates) for leaf in miner._leaves.values()) == 50
    assert sum(sum(heads.values()) for heads in miner._heads.values()) <= 50
    assert len(miner._all._heap) <= 2 * 50 + 65
    assert len(miner._cache) <= 20_000 / 250


@pytest.mark.parametrize("wrong", [{"similar": 0.0}, {"similar": 1.5}, {"most_words": 0}, {"most_in_all": 0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; it should be"):
        Mining(**wrong)


# -- state -------------------------------------------------------------------------------------------------------------


@given(streams, streams, minings)
def test_dumped_and_loaded_it_goes_on_as_if_it_had_never_stopped(
    before: list[tuple[int, str]], after: list[tuple[int, str]], mining: dict[str, Any]
) -> None:
    stays = TemplateMiner(Mining(**mining))
    add(stays, before)
    stays.drain()
    loaded = TemplateMiner.load(stays.dump(), Mining(**mining))
    assert add(loaded, after) == add(stays, after)
    assert loaded.drain() == stays.drain()
    one, other = loaded.dump(), stays.dump()
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_state_that_is_not_what_it_should_be_is_refused() -> None:
    miner = TemplateMiner()
    add(miner, [(0, "a"), (0, "b c")])
    with pytest.raises(ValueError, match="news that nobody has fetched; call drain"):
        miner.dump()
    miner.drain()
    state = miner.dump()
    with pytest.raises(ValueError, match="version 7; this one reads 1"):
        TemplateMiner.load({**state, "counters": np.array([7, 0, 0])})
    with pytest.raises(ValueError, match="differ in length"):
        TemplateMiner.load({**state, "id": state["id"][:1]})


# -- examples ----------------------------------------------------------------------------------------------------------


def test_the_first_line_and_the_newest_are_kept_with_their_trace_ids() -> None:
    kept = Reservoir(newest=2)
    kept.add_many([5] * 4 + [6], range(5), ["one", "two", "three", "four", "x"], ["t1", "", "", "t4", ""])
    assert kept.of(5) == (Example(0, 0, "one", "t1"), Example(2, 2, "three"), Example(3, 3, "four", "t4"))
    assert kept.of(6) == (Example(4, 4, "x"),)
    assert kept.of(7) == ()


def test_long_lines_are_cut_and_old_templates_forgotten() -> None:
    kept = Reservoir(newest=1, most_templates=2, most_characters=3)
    for template, line in ((1, "abcd"), (2, "b"), (1, "c"), (3, "d")):
        kept.add(template, 0, line)
    assert (len(kept), kept.of(2)) == (2, ())
    assert kept.of(1) == (Example(0, 0, "abc", cut=True), Example(2, 0, "c"))
    kept.forget(1)
    assert kept.of(1) == ()
    with pytest.raises(ValueError, match="1 or more templates"):
        Reservoir(most_templates=0)


def test_examples_of_an_alias_join_those_of_the_template_that_stays() -> None:
    kept = Reservoir(newest=2)
    for time, template in enumerate([2, 1, 2, 1, 1]):
        kept.add(template, time, "line")
    kept.merge(2, 1)
    assert [example.number for example in kept.of(1)] == [0, 3, 4]
    assert kept.of(2) == ()
    kept.merge(9, 1)
    kept.merge(1, 7)
    assert len(kept.of(7)) == 3


events = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "merge", "forget"]), st.integers(0, 4), st.text(max_size=6)),
    max_size=40,
)


@given(events, events)
def test_a_reservoir_goes_on_from_its_state(
    before: list[tuple[str, int, str]], after: list[tuple[str, int, str]]
) -> None:
    def feed(kept: Reservoir, told: list[tuple[str, int, str]]) -> dict[str, Any]:
        for what, template, text in told:
            if what == "add":
                kept.add(template, len(text), text, text[::-1])
            elif what == "merge":
                kept.merge(template, (template + 1) % 5)
            else:
                kept.forget(template)
        return kept.dump()

    stays = Reservoir(newest=2, most_templates=3, most_characters=4)
    loaded = Reservoir.load(feed(stays, before), newest=2, most_templates=3, most_characters=4)
    one, other = feed(loaded, after), feed(stays, after)
    assert all(np.array_equal(one[name], other[name]) for name in other)


# -- labelled systems --------------------------------------------------------------------------------------------------


def test_grouping_accuracy_is_the_share_of_lines_whose_group_is_the_true_one() -> None:
    assert logs.grouping_accuracy([0, 0, 1, 1, 2], ["a", "a", "b", "b", "b"]) == 0.4
    assert logs.grouping_accuracy([7, 7, 8], ["a", "a", "b"]) == 1.0
    assert logs.grouping_accuracy([0, 0, 0], ["a", "a", "b"]) == 0.0


def test_labelled_systems_are_grouped_as_people_group_them() -> None:
    if not (systems := logs.systems()):
        pytest.skip(f"there are no labelled logs in {logs.folder()}; CALMSTREAM_DATA names the folder with logs/")
    found = {system.name: logs.accuracy(system) for system in systems}
    assert np.mean([one.joined for one in found.values()]) >= 0.92, found
    assert np.mean([one.joined for one in found.values()]) > np.mean([one.plain_drain for one in found.values()])
    assert all(one.joined >= one.plain_drain for one in found.values()), found
