"""What of an input could not be used: counts by reason, and for each reason where it was met first."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Example:
    """The first row or message that was refused for a reason."""

    where: str
    detail: str


@dataclass(slots=True)
class Refusals:
    """Reason → how many, and the first of them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Example] = field(default_factory=dict)

    def add(self, reason: str, where: str, detail: str) -> None:
        self.counts[reason] += 1
        if reason not in self.examples:
            self.examples[reason] = Example(where, detail)

    def text(self) -> str:
        return text(self.counts, self.examples)


def text(counts: Mapping[str, int], examples: Mapping[str, Example]) -> str:
    """For people, the most frequent first: ``12 bad_time (line 7: …); 3 late``."""
    parts = []
    for reason, number in sorted(counts.items(), key=lambda counted: -counted[1]):
        example = examples.get(reason)
        parts.append(f"{number} {reason}" + (f" ({example.where}: {example.detail})" if example else ""))
    return "; ".join(parts)
