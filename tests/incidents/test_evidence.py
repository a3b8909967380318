"""What happened of late, as it is kept for incidents: of too much the oldest goes, as a slow twin would have it."""

import random

import pytest

from pipeline.incidents import evidence
from pipeline.incidents.evidence import Evidence
from pipeline.records import US, Event, Happened


def happened(number: int, second: int, scope: str) -> Happened:
    return Happened(Event(f"e{number}", second * US, "k8s.BackOff", ()), scope, "service:cart")


class Naive:
    """Looks at everything each time."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], int] = {}

    def add(self, number: int, second: int, scope: str) -> None:
        key = (scope, f"e{number}")
        self.known[key] = min(second, self.known.get(key, second))
        of_scope = [each for each in self.known if each[0] == scope]
        if len(of_scope) > evidence.MOST_HELD:
            del self.known[min(of_scope, key=lambda each: (self.known[each], each[1]))]

    def forget(self, before: int) -> None:
        self.known = {key: second for key, second in self.known.items() if second >= before}


@pytest.mark.parametrize("seed", range(10))
def test_of_too_much_the_oldest_goes_whatever_came_again_or_was_forgotten(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_HELD", 12)
    draw, fast, slow = random.Random(seed), Evidence(), Naive()
    for turn in range(600):
        number, second, scope = draw.randrange(40), draw.randrange(turn, turn + 200), draw.choice(["one", "two"])
        fast.add(happened(number, second, scope))
        slow.add(number, second, scope)
        if turn % 97 == 96:
            fast.forget(turn * US)
            slow.forget(turn)
        if turn % 50 == 49:
            fast = Evidence(list(fast))
        kept = {(each.scope, each.what.id): each.time_us // US for each in fast}
        assert kept == slow.known
