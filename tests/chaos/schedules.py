"""What is done to workers, broker and input in a run: a pure function of the run's seed.

Five runs with neighbouring seeds are held at once on one broker, and a broker's fault hits them all: they have the same
weather. So has a run that is repeated alone. Moments are seconds after the input begins; what is busy at the time, or
still down, makes them later, so that a repeated run has the same faults in the same order but not to the microsecond.
"""

import random
from dataclasses import dataclass

from tests.chaos.fault_run import SESSION_SECONDS, Stall

FEED_SECONDS = 10.0
SAME_WEATHER = 5
_WEATHERS = 1000
_ACTIONS = 5
ALL_ROLES = "ingest,join,score,correlate"
_LAYOUTS = (
    *[(ALL_ROLES, ALL_ROLES)] * 3,
    ("ingest,join,score", "score,correlate"),
    ("ingest,join", "score,correlate", ALL_ROLES),
)
KILL = "kill -9 and start"
KILL_ALL = "kill -9 all and start"
LONG_PAUSE = "SIGSTOP longer than the session"
SHORT_PAUSE = "SIGSTOP shorter than the session"
LEAVE = "SIGTERM and start"
LEAVE_AT_START = "kill -9, start, and SIGTERM within two seconds"
LEAVE_IN_FAULT = "SIGTERM while the broker is away and start"
COME_AND_GO = "one more worker joins, and leaves with SIGTERM"
#: The first of a schedule is each of them in turn.
WHATS = (KILL, LONG_PAUSE, LEAVE, KILL_ALL, COME_AND_GO, LEAVE_AT_START, SHORT_PAUSE)
RESTART = "orderly restart"
CRASH = "kill -9"
FREEZE = "SIGSTOP longer than the session"
HICCUP = "SIGSTOP shorter than the session"
#: By turns. The first two are CI's.
_KINDS = (
    (CRASH, HICCUP),
    (RESTART, FREEZE),
    (FREEZE, CRASH),
    (),
    (CRASH,),
    (CRASH, CRASH),
    (FREEZE,),
    (HICCUP, RESTART),
)


@dataclass(frozen=True)
class Action:
    """Something done to a worker (``which``, counted from 0); ``seconds`` is how long it is away, paused or there."""

    at: float
    what: str
    which: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:.1f} s: worker {self.which}: {self.what}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Fault:
    """Something done to the broker; ``seconds`` is how long it is paused, or down before it is started."""

    at: float
    what: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:.1f} s: broker: {self.what}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Schedule:
    """``layout``: the roles of each worker. ``repeated``: is the input sent twice now and then?"""

    seed: int
    story: str
    repeated: bool
    layout: tuple[str, ...]
    actions: tuple[Action, ...]
    weather: tuple[Fault, ...]
    stalls: tuple[Stall, ...]

    def words(self) -> list[str]:
        stalls = [f"at {stall.share:.0%} of the input: it stalls, {stall.seconds:.1f} s" for stall in self.stalls]
        done: list[Action | Fault] = [*self.actions, *self.weather]
        return [str(each) for each in sorted(done, key=lambda each: each.at)] + stalls


def schedule(seed: int) -> Schedule:
    dice = random.Random(f"schedule {seed}")
    weather = weather_of(seed)
    layout = dice.choice(_LAYOUTS)
    stalls = tuple(Stall(dice.random(), dice.uniform(1.0, 5.0)) for _ in range(dice.choice((0, 0, 1, 2))))
    return Schedule(
        seed,
        "everything" if dice.random() < 0.2 else "metrics",
        dice.random() < 0.4,
        layout,
        tuple(_actions(dice, seed, len(layout), weather)),
        weather,
        stalls,
    )


def weather_of(seed: int) -> tuple[Fault, ...]:
    number = seed // SAME_WEATHER % _WEATHERS
    dice = random.Random(f"weather {number}")
    at, found = 0.0, []
    for what in _KINDS[number % len(_KINDS)]:
        at += dice.uniform(1.5, 4.0)
        seconds = {
            CRASH: dice.uniform(0.0, 2.0),
            RESTART: 0.0,
            FREEZE: SESSION_SECONDS + dice.uniform(1.0, 5.0),
            HICCUP: dice.uniform(0.3, 0.6) * SESSION_SECONDS,
        }[what]
        found.append(Fault(at, what, seconds))
        at += seconds
    return tuple(found)


def fresh(seeds: range) -> int:
    """A seed that nobody has had, with the weather of the last of these."""
    lap = SAME_WEATHER * _WEATHERS
    return random.SystemRandom().randrange(1, 200_000) * lap + seeds[-1] // SAME_WEATHER * SAME_WEATHER + 4


def _actions(dice: random.Random, seed: int, workers: int, weather: tuple[Fault, ...]) -> list[Action]:
    whats = [WHATS[seed % len(WHATS)], *(dice.choice(WHATS) for _ in range(_ACTIONS - 1))]
    found = []
    for what in whats:
        seconds = {
            LONG_PAUSE: SESSION_SECONDS + dice.uniform(0.5, 2.0),
            SHORT_PAUSE: dice.uniform(0.2, 0.7) * SESSION_SECONDS,
            COME_AND_GO: dice.uniform(0.5, 6.0),
            LEAVE_AT_START: dice.uniform(0.02, 2.0),
        }.get(what, dice.choice((0.0, dice.uniform(0.0, 3.0))))
        found.append(Action(dice.uniform(0.5, FEED_SECONDS), what, dice.randrange(workers), seconds))
    away = [fault for fault in weather if fault.what != HICCUP]
    if away and dice.random() < 0.5:
        moment = dice.choice(away).at + dice.uniform(0.1, 2.0)
        found[-1] = Action(moment, LEAVE_IN_FAULT, dice.randrange(workers), 0.0)
    return sorted(found, key=lambda action: action.at)
