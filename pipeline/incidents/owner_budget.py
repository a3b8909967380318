"""How many anomalies may start incidents for an owner: a leaky bucket for each owner of a scope, in event time.

Guarantee: over any time an owner starts at most max(1, budget) incidents at once and ``budget`` a week in the long run;
what comes out depends only on what was asked and at which event times. A budget that is changed counts at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.records import US

WEEK_US = 7 * 86_400 * US


@dataclass(slots=True)
class _Bucket:
    """``spent`` anomalies at ``at_us``; it runs out at ``budget`` a week."""

    spent: float
    at_us: int
    budget: float

    def left_at(self, now_us: int) -> float:
        return max(0.0, self.spent - self.budget * (now_us - self.at_us) / WEEK_US)


#: Scope, owner, spent, at, budget.
Saved = tuple[str, str, float, int, float]


class OwnerBudget:
    """Ask in the order of event time."""

    def __init__(self, saved: Iterable[Saved] = ()) -> None:
        self._buckets = {(scope, owner): _Bucket(spent, at, budget) for scope, owner, spent, at, budget in saved}

    def take(self, scope: str, owner: str, budget: float, now_us: int) -> bool:
        """May one more start? If so it is spent."""
        spent = self.used(scope, owner, now_us)
        may = spent + 1 <= max(1.0, budget) + 1e-9
        self._buckets[scope, owner] = _Bucket(spent + may, now_us, budget)
        return may

    def used(self, scope: str, owner: str, now_us: int) -> float:
        """How many of an owner's are spent now."""
        bucket = self._buckets.get((scope, owner))
        return bucket.left_at(now_us) if bucket is not None else 0.0

    def dump(self, now_us: int) -> list[Saved]:
        """For a checkpoint; buckets that have run out by now say nothing and are left out."""
        return [
            (scope, owner, bucket.spent, bucket.at_us, bucket.budget)
            for (scope, owner), bucket in sorted(self._buckets.items())
            if bucket.left_at(now_us) > 0
        ]
