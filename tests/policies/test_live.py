"""Live policies as timelines: what arrives when, and what is in force from when on."""

from typing import Any

from pipeline.policies import Change, Control, DetectorPolicy, LivePolicies, Policy
from pipeline.records import NO_TIME

CONFIGURED = Policy("cart", (), {"alert_budget": 9.0})


def policy(name: str, budget: float, effective: int = NO_TIME) -> Policy:
    return Policy(name, (), {"alert_budget": budget}, effective_us=effective)


class Story:
    """Control records at event times, and budgets by name afterwards."""

    def __init__(self, *configured: Policy, shadow: bool = False) -> None:
        self.configured = configured
        self.shadow = shadow
        self.live = LivePolicies(DetectorPolicy(), configured, shadow=shadow)

    def hear(self, now: int, offset: int, name: str, policy: Policy | None, *, shadow: bool = False) -> int:
        return self.live.take(Control(offset + 1, (Change(offset, name, policy, shadow),)), now)

    def hear_all(self, now: int, end: int, *changes: Change) -> int:
        return self.live.take(Control(end, changes, complete=True), now)

    def at(self, now: int) -> dict[str, Any]:
        """In force at this time; a restart in between changes nothing."""
        again = LivePolicies(DetectorPolicy(), self.configured, shadow=self.shadow)
        again.load(self.live.dump())
        found = []
        for live in (self.live, again):
            while (due := live.next_us()) is not None and due <= now:
                live.advance(due)
            found.append({each.name: each.changes["alert_budget"] for each in live.table.policies})
        assert found[0] == found[1]
        assert again.dump() == self.live.dump()
        return found[0]


def test_a_policy_counts_from_the_time_when_it_arrived() -> None:
    story = Story()
    story.hear(100, 0, "a", policy("a", 1))
    assert story.at(99) == {}
    assert story.at(100) == {"a": 1}


def test_a_policy_with_a_time_of_its_own_waits_for_it() -> None:
    story = Story()
    story.hear(100, 0, "a", policy("a", 1, effective=200))
    story.hear(100, 1, "b", policy("b", 2, effective=50))  # long past
    assert story.at(199) == {"b": 2}
    assert story.at(200) == {"a": 1, "b": 2}


def test_a_newer_one_takes_the_place_of_one_in_force_and_of_one_that_waits() -> None:
    story = Story()
    story.hear(100, 0, "a", policy("a", 1))
    assert story.at(100) == {"a": 1}
    story.hear(110, 1, "a", policy("a", 2, effective=200))
    story.hear(120, 2, "a", policy("a", 3, effective=300))
    assert story.at(299) == {"a": 1}
    assert story.at(300) == {"a": 3}


def test_a_removed_one_is_gone_and_the_one_of_the_configuration_counts_again() -> None:
    story = Story(CONFIGURED)
    assert story.at(0) == {"cart": 9}
    story.hear(100, 0, "cart", policy("cart", 1))
    assert story.at(100) == {"cart": 1}
    story.hear(200, 1, "cart", None)
    assert story.at(199) == {"cart": 1}
    assert story.at(200) == {"cart": 9}


def test_one_of_the_configuration_may_have_a_time_too() -> None:
    story = Story(policy("later", 5, effective=500))
    assert story.at(499) == {}
    assert story.at(500) == {"later": 5}


def test_what_was_heard_before_and_what_is_older_changes_nothing() -> None:
    story = Story()
    assert story.hear(100, 5, "a", policy("a", 1)) == 0
    assert story.hear(150, 5, "a", policy("a", 1)) == 1
    assert story.hear(150, 4, "a", policy("a", 7)) == 1
    assert story.hear(160, 6, "a", None) == 0
    assert story.hear(170, 5, "a", policy("a", 1)) == 1
    assert story.at(200) == {}


def test_all_that_are_live_take_away_what_is_not_among_them() -> None:
    story = Story()
    for offset, name in enumerate("abc"):
        story.hear(100, offset, name, policy(name, 1))
    assert story.at(100) == {"a": 1, "b": 1, "c": 1}
    story.hear(110, 9, "d", policy("d", 4))  # newer than what follows
    assert story.hear_all(120, 5, Change(0, "a", policy("a", 1)), Change(4, "b", policy("b", 2))) == 1
    assert story.at(120) == {"a": 1, "b": 2, "d": 4}
    story.hear(130, 2, "c", policy("c", 1))  # from a writer that is behind
    assert story.at(130) == {"a": 1, "b": 2, "d": 4}
    story.hear(140, 10, "c", policy("c", 3))
    assert story.at(140) == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_all_that_are_live_once_more_change_nothing() -> None:
    story = Story()
    story.hear(100, 0, "a", policy("a", 1, effective=300))
    assert story.hear_all(200, 1, Change(0, "a", policy("a", 1, effective=300))) == 1
    assert story.at(299) == {}
    assert story.at(300) == {"a": 1}


def test_one_in_the_shadow_takes_the_place_of_the_live_one_of_its_name_there_and_nowhere_else() -> None:
    for shadow, tried in ((True, 2), (False, 1)):
        story = Story(CONFIGURED, shadow=shadow)
        story.hear(100, 0, "a", policy("a", 1))
        assert story.hear(100, 1, "a", policy("a", 2), shadow=True) == 0
        story.hear(100, 2, "cart", policy("cart", tried), shadow=True)
        assert story.at(100) == {"a": tried, "cart": 2 if shadow else 9}
        story.hear(110, 3, "a", policy("a", 5))  # the live one changes
        assert story.at(110)["a"] == (2 if shadow else 5)
        story.hear(120, 4, "a", None, shadow=True)
        story.hear(120, 5, "cart", None, shadow=True)
        assert story.at(120) == {"a": 5, "cart": 9}


def test_a_promoted_one_counts_on_without_a_break() -> None:
    story = Story(shadow=True)
    story.hear(100, 0, "a", policy("a", 2), shadow=True)
    assert story.at(100) == {"a": 2}
    table = story.live.table
    story.hear(110, 1, "a", policy("a", 2))
    story.hear(110, 2, "a", None, shadow=True)
    assert story.at(110) == {"a": 2}
    assert story.live.table.version == table.version


def test_all_that_are_live_take_away_what_is_no_longer_in_the_shadow() -> None:
    story = Story(shadow=True)
    story.hear(100, 0, "a", policy("a", 1))
    story.hear(100, 1, "a", policy("a", 2), shadow=True)
    story.hear(100, 2, "b", policy("b", 3), shadow=True)
    assert story.hear_all(110, 3, Change(0, "a", policy("a", 1)), Change(2, "b", policy("b", 3), shadow=True)) == 2
    assert story.at(110) == {"a": 1, "b": 3}
