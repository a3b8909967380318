"""What the past says of an incident: how often its kind came, and which incidents were like it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rarity:
    """Of ``of_all`` incidents of the scope that are remembered ``of_kind`` were of this kind, before this one.

    ``word``: ``first``, ``rare`` (at most 5 %), ``occasional`` or ``frequent`` (20 % and more). ``every_us``: how often
    it comes, where it comes regularly. ``why``: the same in words.
    """

    word: str
    of_kind: int
    of_all: int
    every_us: int | None = None
    why: str = ""

    @property
    def share(self) -> float:
        return self.of_kind / self.of_all if self.of_all else 0.0


FIRST = Rarity("first", 0, 0, why="nothing of the kind is remembered")


@dataclass(frozen=True, slots=True)
class Similar:
    """An incident that is over. ``cause``: where it was most likely to start, empty where nothing was known.
    ``similarity``: of the places (signals by name and workload) of both, the share that both had."""

    id: str
    onset_us: int
    resolved_us: int
    severity: str
    close_reason: str
    cause: str
    similarity: float
