"""The file of results: one JSON line for each schedule that was held, the newest of a seed counts."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.campaign import Outcome


def right(path: Path) -> set[int]:
    """The seeds whose newest result is right. A last line that was cut off says nothing."""
    newest: dict[int, bool] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            told = json.loads(line)
            newest[int(told["seed"])] = bool(told["ok"])
        except (ValueError, KeyError, TypeError):
            continue
    return {seed for seed, ok in newest.items() if ok}


def add(path: Path, outcome: Outcome) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write(("\n" if cut_off else "") + outcome.line() + "\n")


def seeds(text: str) -> range:
    """``a..b``, both included, or one number. Raises ValueError."""
    first, dots, last = text.partition("..")
    found = range(int(first), int(last if dots else first) + 1)
    if not found or found[0] < 0:
        raise ValueError(f"{text!r} is no stretch of seeds; write 0..199")
    return found


def summary(outcomes: Iterable[Outcome]) -> str:
    """Counts, and the longest time that a SIGTERM took."""
    held = list(outcomes)
    wrong = [outcome.seed for outcome in held if not outcome.ok]
    stops = [stop for outcome in held for stop in outcome.stops]
    longest = max((stop.seconds for stop in stops), default=0.0)
    told = f"{len(held)} schedules, {sum(len(each.actions) for each in held)} faults, "
    told += f"{sum(each.transitions for each in held)} transitions; {len(stops)} SIGTERMs, the longest {longest:g} s"
    return told + (f"; NOT the same: {', '.join(map(str, wrong))}" if wrong else "; all the same as undisturbed")
