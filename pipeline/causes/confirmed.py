"""Workloads whose trouble has lasted: far from usual in one window, and still or already away from it in another.

Guarantee: what comes out depends on the vitals and their window ends alone. One odd window confirms nothing, however
odd it is: single spikes of latency are what healthy systems are full of. State is plain values and can be saved; a
workload is remembered for three windows.
"""

from collections.abc import Iterable, Mapping

from pipeline.causes.vitals import Role, Vitals

#: z of the window that is far from usual, and of the other one among the last three.
FAR_Z, AWAY_Z, OF_WINDOWS = 6.0, 3.0, 3

#: Workload → ends and z of windows away from usual, the oldest first.
Saved = Mapping[str, Iterable[tuple[int, float]]]


class Confirmed:
    """The workloads of a shard, or of a scope."""

    def __init__(self, saved: Saved | None = None) -> None:
        self._away = {entity: [(int(end), float(z)) for end, z in seen] for entity, seen in (saved or {}).items()}

    def saved(self) -> dict[str, list[tuple[int, float]]]:
        return {entity: list(self._away[entity]) for entity in sorted(self._away)}

    def step(self, end_us: int, window_us: int, rows: Iterable[Vitals]) -> dict[str, int]:
        """Take in the vitals of the window that ends at ``end_us``; which workloads are confirmed, with the end of the
        first window that says so. Those without a row, or that are as usual, are forgotten in time."""
        oldest = end_us - (OF_WINDOWS - 1) * window_us
        for row in rows:
            z = max(row.felt(Role.LATENCY), row.felt(Role.ERRORS))
            if z >= AWAY_Z:
                self._away.setdefault(row.entity, []).append((end_us, z))
        found = {}
        for entity in sorted(self._away):
            seen = self._away[entity] = [(end, z) for end, z in self._away[entity] if end >= oldest]
            if not seen:
                del self._away[entity]
            elif len(seen) > 1 and max(z for _, z in seen) >= FAR_Z:
                found[entity] = seen[0][0]
        return found
