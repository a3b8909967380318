"""State of a shard as bytes: what a checkpoint holds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace


class LaterBlocks(Mapping[str, bytes]):
    """Blocks by name, each made anew when it is looked at, so that a great state is never in memory twice."""

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> bytes:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent state: apply the input from ``offset`` on and nothing is lost or repeated.

    ``version`` is of the layout. ``head`` is small and always saved. ``blocks`` are the parts that changed since the
    last snapshot that was kept (all parts when ``full``); ``names`` lists every part that belongs to the state. Blocks
    may be made when they are looked at: only look before the chain takes in anything more, or ``keep`` them.
    """

    version: str
    offset: int
    head: bytes
    blocks: Mapping[str, bytes]
    names: tuple[str, ...]
    full: bool

    def keep(self) -> "Snapshot":
        """The same with all blocks made, to look at whenever."""
        return replace(self, blocks=dict(self.blocks))
