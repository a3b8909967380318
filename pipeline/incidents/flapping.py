"""An incident that comes and goes: when it is taken to flap, and how long it must be quiet to be over.

An incident *returns* when all its members had ended and one of its places (a signal by name and workload) is unlikely
again, while it waited for its end or after it. With ENOUGH returns within WITHIN_US it flaps: that is four times wrong
and three times well within about what Nagios looks at (21 checks, as a rule five minutes apart), and so six changes of
state in 20, above the 20 to 30 % from which Nagios and Icinga take a service to flap. Both then say nothing until it is
steady; Alertmanager and PagerDuty tell each turn. Here it is told once, stays open, and each event says how much of it
goes on just then. So that it is not over each time that it rests, its end needs quiet for twice as long as its longest
rest so far, at most QUIET_US. It is steady again once it went on for WITHIN_US without a rest.

Guarantee: all of it follows from the event times of ends and returns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.records import US, Anomaly

if TYPE_CHECKING:
    from pipeline.incidents.open_incident import Open

ENOUGH, WITHIN_US = 3, 2 * 3600 * US
#: How much quiet is needed at most, and how many times the longest rest.
QUIET_US, _TIMES = 4 * 3600 * US, 2
#: Returns that are remembered: the newest.
MOST_RETURNS = 20
#: A flapping incident takes in what its signals do, however far apart, for so long and up to so many members.
LONGEST_US, MOST_MEMBERS = 24 * 3600 * US, 1_000

WHY = "the same signal, of an incident that comes and goes"


@dataclass(slots=True)
class Flapping:
    """``returns`` are the newest, each with the rest before it; ``on``: it flaps; ``told``: an event said so."""

    returns: list[tuple[int, int]] = field(default_factory=list)
    on: bool = False
    told: bool = False

    def returned(self, ended_us: int, now_us: int) -> None:
        """It is back: all of it had ended at ``ended_us``. What ends and begins in one step did not rest."""
        self._settle(ended_us)
        if now_us <= ended_us:
            return
        self.returns = [*self.returns[1 - MOST_RETURNS :], (now_us, now_us - ended_us)]
        self.on = self.on or sum(at > now_us - WITHIN_US for at, _ in self.returns) >= ENOUGH

    def at(self, at_us: int) -> bool:
        """Does it flap? ``at_us`` is when all of it ended, or now where a part goes on."""
        self._settle(at_us)
        return self.on

    def quiet_us(self, ended_us: int, least_us: int) -> int:
        """How long after the end of all of it it is over."""
        if not self.at(ended_us):
            return least_us
        longest = max(rest for _, rest in self.returns)
        return max(least_us, min(_TIMES * longest, QUIET_US))

    def why(self) -> str:
        times = len(self.returns)
        return f"it came back {times} times lately, and is told when it is over, worse or in more places"

    def _settle(self, at_us: int) -> None:
        """Has it gone on for long enough to be steady?"""
        if self.returns and at_us - self.returns[-1][0] > WITHIN_US:
            self.returns, self.on, self.told = [], False, False

    def dump(self) -> list[Any]:
        return [self.returns, self.on, self.told]

    @classmethod
    def load(cls, dumped: list[Any]) -> "Flapping":
        returns, on, told = dumped
        return cls([(at, rest) for at, rest in returns], on, told)


def of_signal(anomaly: Anomaly, incidents: Iterable["Open"], now_us: int) -> "Open | None":
    """The open incident that flaps and that this anomaly is one more turn of."""
    signal, onset_us = anomaly.signal, anomaly.onset_us
    found = [
        each
        for each in incidents
        if each.course.flapping.on
        and each.scope == signal.scope
        and signal.id in each.signals
        and each.flaps(now_us)
        and onset_us <= each.onset_us + LONGEST_US
        and len(each.members) < MOST_MEMBERS
        and anomaly.discovered
    ]
    return max(found, key=lambda each: (each.newest_onset_us, each.id), default=None)
