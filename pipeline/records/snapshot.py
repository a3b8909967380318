"""State of a shard as bytes: what a checkpoint holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent state: apply the input from ``offset`` on and nothing is lost or repeated.

    ``version`` is of the layout. ``head`` is small and always saved. ``blocks`` are the parts that changed since the
    last snapshot that was kept (all parts when ``full``); ``names`` lists every part that belongs to the state.
    """

    version: str
    offset: int
    head: bytes
    blocks: dict[str, bytes]
    names: tuple[str, ...]
    full: bool
