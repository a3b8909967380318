"""``make chaos``: try to break the promise of the same incidents, and the one of flat memory, on Apache Kafka.

    python -m tests.chaos                    200 schedules (0..199), then the soak of ten minutes
    python -m tests.chaos --short            what CI runs: schedules 0..8 and a fresh one
    python -m tests.chaos --schedules 20..39
    python -m tests.chaos --seed 7           one, whether it was held before or not
    python -m tests.chaos --soak 600         only the soak, for so many seconds

Each schedule's result is appended to ``build/chaos/results.jsonl`` (seed, what was done, transitions, windows, points,
seconds, every SIGTERM with its time and exit code, what differed). Stretches are resumable: seeds that were right are
left out. Logs of what went wrong stay in ``build/chaos/logs``. Exit code 1 on any difference, with the command that
repeats it; 2 for wrong arguments or where Apache Kafka cannot be run.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.flow.warm_up import warm_up
from tests.chaos import results, soak
from tests.chaos.campaign import Campaign, Outcome
from tests.chaos.schedules import fresh
from tests.kafka import fetch
from tests.kafka.server import KafkaServer

BUILD = Path(__file__).parents[2] / "build" / "chaos"
FIXED = range(9)
#: A server is replaced after so many schedules.
_PER_SERVER = 20


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--short", action="store_true", help="the form of CI: ten schedules, always held anew")
    which.add_argument("--schedules", type=results.seeds, metavar="A..B", help="seeds, both included")
    which.add_argument("--seed", type=int, help="one schedule, always held anew")
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="soak for so long (alone: no schedules)")
    asked = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our producers, while the broker is away
    warm_up()  # so that workers of a new checkout need not compile, side by side, before they are ready
    try:
        home = fetch.home()
    except fetch.Unavailable as error:
        print(f"chaos: Apache Kafka cannot be run here: {error}", file=sys.stderr)
        return 2
    wrong = 0
    if asked.soak is None or asked.short or asked.schedules or asked.seed is not None:
        wrong = hold(home, _wanted(asked), BUILD / "results.jsonl")
    everything = not (asked.short or asked.schedules or asked.seed is not None)
    if asked.soak is not None or everything:
        wrong += not soak.hold(home, asked.soak or soak.SECONDS, BUILD)
    return 1 if wrong else 0


def _wanted(asked: argparse.Namespace) -> Sequence[int]:
    if asked.short:
        return [*FIXED, fresh(FIXED)]
    if asked.seed is not None:
        return [asked.seed]
    stretch = asked.schedules or range(200)
    done = results.right(BUILD / "results.jsonl")
    return [seed for seed in stretch if seed not in done]


def hold(home: Path, seeds: Sequence[int], path: Path) -> int:
    """Hold the schedules of these seeds; returns how many were not right."""
    print(f"chaos: seeds {', '.join(map(str, seeds)) or 'none: all were held and right'}", flush=True)
    held: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        results.add(path, outcome)
        held.append(outcome)
        print(outcome.line() if not outcome.ok else _line(outcome), flush=True)

    for first in range(0, len(seeds), _PER_SERVER):
        with KafkaServer(home) as server:
            Campaign(server, BUILD / "logs").go(seeds[first : first + _PER_SERVER], done)
    wrong = [outcome.seed for outcome in held if not outcome.ok]
    print(f"chaos: {results.summary(held)}")
    for seed in wrong:
        print(f"chaos: repeat with: python -m tests.chaos --seed {seed}")
    return len(wrong)


def _line(outcome: Outcome) -> str:
    stops = max((stop.seconds for stop in outcome.stops), default=0.0)
    told = f"chaos: seed {outcome.seed}: the same {outcome.transitions} transitions and {outcome.windows} windows"
    return (
        f"{told} of {outcome.story} after {len(outcome.actions)} faults in {outcome.seconds} s (longest stop {stops} s)"
    )


if __name__ == "__main__":
    sys.exit(main())
