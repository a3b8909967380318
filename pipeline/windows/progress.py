"""Progress of the sources that feed a shard: what was applied, how far their event time is, who is idle.

Guarantee: the watermark never goes back, and is a function of the log read so far alone. A source that has not said
anything yet holds the watermark back until it says that it is idle.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.records import NO_TIME


@dataclass(frozen=True, slots=True)
class Source:
    """One source. ``applied``: offsets below it are applied; None = unknown, anything is taken once."""

    applied: int | None = 0
    progress_us: int = NO_TIME
    idle: bool = False


#: A source that nobody waits for: from where it is first seen.
_UNEXPECTED = Source(applied=None)


class Progress:
    """The table of sources of one shard. Only the expected sources hold the watermark back. ``punctual`` ones are
    expected too, and never send anything that is older than their progress, so that no lateness is allowed them."""

    def __init__(self, sources: Iterable[str], lateness_us: int, punctual: Iterable[str] = ()) -> None:
        self._punctual = frozenset(punctual)
        self._expected = frozenset(sources) | self._punctual
        self._sources = dict.fromkeys(sorted(self._expected), Source())
        self._lateness_us = lateness_us
        self._watermark_us = NO_TIME

    @property
    def watermark_us(self) -> int:
        """Windows that end at or before it are complete."""
        return self._watermark_us

    @property
    def idle(self) -> bool:
        """Have all expected sources said that they are idle?"""
        return all(self._sources[name].idle for name in self._expected)

    @property
    def reached_us(self) -> int:
        """The greatest event time that any expected source told of."""
        return max((self._sources[name].progress_us for name in self._expected), default=NO_TIME)

    def told_us(self) -> dict[str, int]:
        """The greatest event time that each source told of, by name."""
        return {name: source.progress_us for name, source in self._sources.items()}

    def complete(self, until_us: int) -> None:
        """Everything up to then counts as complete, whatever the sources said."""
        self._watermark_us = max(self._watermark_us, until_us)

    def applied(self, name: str) -> int | None:
        """Offsets of the source below this are applied; None when any may come."""
        return self._sources.get(name, _UNEXPECTED).applied

    def is_behind(self, name: str) -> bool:
        """Is event time further than what this source has told of, because it was idle?"""
        source = self._sources.get(name, _UNEXPECTED)
        return source.idle or self._complete_us(name, source) < self._watermark_us

    def heard(self) -> dict[str, int]:
        """``applied`` by name, where it is known."""
        return {name: source.applied for name, source in self._sources.items() if source.applied is not None}

    def accepts(self, name: str, start: int) -> bool:
        """False when a block would leave a gap: its writer failed before and will send again."""
        applied = self.applied(name)
        return applied is None or start <= applied

    def advance(self, name: str, end: int, progress_us: int, *, idle: bool) -> None:
        """Take over what a block says of its source. A block that ends below what is applied says nothing new."""
        now = self._sources.get(name, _UNEXPECTED)
        if now.applied is not None and end < now.applied:
            return
        moved = now.applied is None or end > now.applied
        self._sources[name] = replace(
            now,
            applied=end,
            progress_us=max(now.progress_us, progress_us),
            idle=idle or (now.idle and not moved),
        )
        self._move()

    def lost_history(self) -> None:
        """The log was cut off below our place: take each source from where it now is."""
        self._sources = {name: replace(source, applied=None) for name, source in self._sources.items()}

    def _move(self) -> None:
        known = [(name, source) for name, source in self._sources.items() if name in self._expected]
        active = [self._complete_us(name, source) for name, source in known if not source.idle]
        reached = [self._complete_us(name, source) for name, source in known]
        self._watermark_us = max(self._watermark_us, min(active) if active else max(reached, default=NO_TIME))

    def _complete_us(self, name: str, source: Source) -> int:
        """Event time up to which nothing is to come from a source."""
        late = name not in self._punctual and source.progress_us > NO_TIME
        return source.progress_us - self._lateness_us if late else source.progress_us

    def dump(self) -> list[Any]:
        rows = [[name, s.applied, s.progress_us, s.idle] for name, s in sorted(self._sources.items())]
        return [self._watermark_us, rows]

    def load(self, dumped: list[Any]) -> None:
        """Take over dumped progress; sources that are new in the configuration start from nothing."""
        self._watermark_us = dumped[0]
        self._sources.update({name: Source(*rest) for name, *rest in dumped[1]})
