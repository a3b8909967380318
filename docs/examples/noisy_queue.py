"""Prints six hours of points of a queue that two kinds of trouble come to: `python noisy_queue.py > points.ndjson`.

Jobs that people start whenever they like fill the queue for up to a minute, which nobody wants to be told of. At
03:30 the consumers stop for ten minutes, which somebody should be told of at once.
"""

import json
import math
import random

START = 1_748_736_000  # 2025-06-01T00:00:00Z
EVERY = 10
HOURS = 6
STOPPED = range(3 * 3600 + 1800, 3 * 3600 + 2400)


def main() -> None:
    """One point of each pod every ten seconds."""
    chance = random.Random(5)
    job_until = job_size = 0.0
    next_job = 2400.0
    for second in range(0, HOURS * 3600, EVERY):
        if second >= next_job:
            job_until, job_size = second + chance.uniform(20, 60), chance.uniform(25, 60)
            next_job = second + chance.uniform(1500, 3600)
        for pod in range(3):
            depth = 40 + 4 * math.sin(second / 40 + pod) + chance.gauss(0, 2)
            depth += job_size if second < job_until and pod == 0 else 0
            depth += 90 if second in STOPPED else 0
            attributes = {"service.name": "orders", "k8s.pod.name": f"orders-{pod}"}
            point = {"ts": START + second, "name": "queue.depth", "value": round(depth, 1), "attributes": attributes}
            print(json.dumps(point))


if __name__ == "__main__":
    main()
