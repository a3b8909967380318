"""What every peer is told on its command line, and how it answers.

Guarantee: a peer's answer is the last line on stdout, a JSON object with the points it handled and the seconds from its
first message to its last (start-up and joining are not counted).
"""

import argparse
import json
import time


def parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bootstrap", required=True, help="host:port of the broker")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--batched", action="store_true", help="a message is an array of points, not one point")
    parser.add_argument("--points", type=int, required=True, help="stop after this many points")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after this long, from the first message")
    return parser.parse_args()


class Meter:
    """Counts points and says when a run is over; the clock starts with the first message."""

    def __init__(self, points: int, seconds: float) -> None:
        self.limit = points
        self.seconds = seconds
        self.points = 0
        self.started = 0.0

    def start(self) -> None:
        if not self.started:
            self.started = time.perf_counter()

    def over(self) -> bool:
        return self.points >= self.limit or bool(self.started and time.perf_counter() - self.started > self.seconds)

    def report(self) -> None:
        elapsed = time.perf_counter() - self.started
        answer = {"points": self.points, "seconds": elapsed, "points_per_second": self.points / elapsed}
        print(f"\n{json.dumps(answer)}", flush=True)  # a framework may have left terminal codes on the line before
